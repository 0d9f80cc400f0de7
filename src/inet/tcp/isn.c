/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that a stranger must not guess: initial sequence numbers (RFC 6528), and where a
 * connection's time stamps begin (RFC 7323 section 5.4).
 */
#include "inet/tcp/tcp_impl.h"

struct isn_key {
	struct ipaddr local, remote;
	uint16_t local_port_be, remote_port_be;
	uint32_t purpose;
};

/* M + F(localip, localport, remoteip, remoteport, secret): M ticks each 64 ns, as in Linux, so that
 * a connection's numbers are above those of an earlier one of the same addresses and ports. */
uint32_t tcp_isn(struct worker *w, const struct endpoint *local, const struct endpoint *remote)
{
	struct isn_key key = {
		.local = local->addr,
		.remote = remote->addr,
		.local_port_be = local->port_be,
		.remote_port_be = remote->port_be,
		.purpose = 1,
	};

	return (uint32_t)worker_hash(w, &key, sizeof(key)) + (uint32_t)(w->now_ns >> 6);
}

/* The same for all connections between two hosts: then time stamps also tell the newer of two
 * connections with the same ports (RFC 6191). */
uint32_t tcp_ts_offset(struct worker *w, const struct endpoint *local,
		       const struct endpoint *remote)
{
	struct isn_key key = { .local = local->addr, .remote = remote->addr, .purpose = 2 };

	if (w->tcp->params.tcp_timestamps != 1)
		return 0;
	return (uint32_t)worker_hash(w, &key, sizeof(key));
}
