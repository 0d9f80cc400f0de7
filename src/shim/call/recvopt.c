/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options that only say what recvmsg() adds. They are kept where every process that has the socket
 * sees them (abi_sock.recv_opts), and the engine is not asked.
 */
#include "shim/shim.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <linux/net_tstamp.h>

#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW 63
#define SO_TIMESTAMPNS_NEW 64
#define SO_TIMESTAMPING_NEW 65
#endif
#ifndef IP_RECVORIGDSTADDR
#define IP_RECVORIGDSTADDR 20
#endif

#define STAMP_BITS (ABI_R_STAMP | ABI_R_STAMP_NS | ABI_R_STAMP_NEW)

/* On: the bits of `mask` become `bits`; off: 0. */
struct recv_option {
	int level, name;
	uint32_t mask, bits;
};

static const struct recv_option recv_options[] = {
	{ SOL_SOCKET, SO_TIMESTAMP, STAMP_BITS, ABI_R_STAMP },
	{ SOL_SOCKET, SO_TIMESTAMPNS, STAMP_BITS, ABI_R_STAMP | ABI_R_STAMP_NS },
	{ SOL_SOCKET, SO_TIMESTAMP_NEW, STAMP_BITS, ABI_R_STAMP | ABI_R_STAMP_NEW },
	{ SOL_SOCKET, SO_TIMESTAMPNS_NEW, STAMP_BITS, STAMP_BITS },
	{ SOL_SOCKET, SO_RXQ_OVFL, ABI_R_RXQ_OVFL, ABI_R_RXQ_OVFL },
	{ IPPROTO_TCP, TCP_INQ, ABI_R_INQ, ABI_R_INQ },
	{ IPPROTO_IP, IP_PKTINFO, ABI_R_PKTINFO, ABI_R_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL, ABI_R_TTL, ABI_R_TTL },
	{ IPPROTO_IP, IP_RECVTOS, ABI_R_TOS, ABI_R_TOS },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, ABI_R_ORIGDSTADDR, ABI_R_ORIGDSTADDR },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, ABI_R_PKTINFO6, ABI_R_PKTINFO6 },
};

static const struct recv_option *find(int level, int name)
{
	for (size_t i = 0; i < sizeof(recv_options) / sizeof(recv_options[0]); i++) {
		if (recv_options[i].level == level && recv_options[i].name == name)
			return &recv_options[i];
	}
	return NULL;
}

bool recvopt_is(int level, int name)
{
	return find(level, name) != NULL;
}

int recvopt_set(struct wsock *ws, int level, int name, int value)
{
	const struct recv_option *o = find(level, name);
	uint32_t old, new;
	int err;

	if (o->bits == ABI_R_INQ && (value < 0 || value > 1))
		return -EINVAL;
	if (atomic_load(&ws->opts) & WS_QUIET)
		return 0;
	err = ctl_create(ws);
	if (err)
		return err;
	old = atomic_load(&ws->shm->recv_opts);
	do {
		new = (old & ~o->mask) | (value ? o->bits : 0);
	} while (!atomic_compare_exchange_strong(&ws->shm->recv_opts, &old, new));
	return 0;
}

int recvopt_get(const struct wsock *ws, int level, int name)
{
	const struct recv_option *o = find(level, name);

	return ws->shm && (atomic_load(&ws->shm->recv_opts) & o->mask) == o->bits;
}

/* The engine has kept the flags; whoever receives is to be told of these. */
void recvopt_timestamping(struct wsock *ws, int name, int flags)
{
	uint32_t bits = 0;

	if ((flags & SOF_TIMESTAMPING_SOFTWARE) && (flags & SOF_TIMESTAMPING_RX_SOFTWARE))
		bits = ABI_R_STAMPING;
	if (name == SO_TIMESTAMPING_NEW)
		bits |= ABI_R_STAMPING_NEW;
	atomic_fetch_and(&ws->shm->recv_opts, ~(ABI_R_STAMPING | ABI_R_STAMPING_NEW));
	atomic_fetch_or(&ws->shm->recv_opts, bits);
}

/* SO_PEEK_OFF: where the next MSG_PEEK begins; negative: at the front, always. */
int recvopt_peek_off(struct wsock *ws, int value)
{
	int err = ctl_create(ws);

	if (err)
		return err;
	if (value < 0) {
		atomic_fetch_and(&ws->shm->recv_opts, ~ABI_R_PEEK_OFF);
		return 0;
	}
	atomic_store(&ws->shm->peek_off, (uint32_t)value);
	atomic_fetch_or(&ws->shm->recv_opts, ABI_R_PEEK_OFF);
	return 0;
}
