/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the level IPPROTO_IP that are not one int of the table. */
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>

#include "sock/options.h"
#include "sock/packet.h"

static int give_mtu(struct sock *s, void *data, uint32_t *len)
{
	int mtu = s->use == SLOT_RAW ? raw_mtu(s) : udp_mtu(s->part->w, s->udp);

	return mtu < 0 ? mtu : give_int(data, len, mtu);
}

int ip_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	if (name == IP_TTL)
		return give_ip_int(data, len, s->opt->ttl == -1 ? 64 : s->opt->ttl);
	if (name == IP_MULTICAST_TTL && s->use == SLOT_STREAM && s->tcp != NULL &&
	    tcp_public(s->tcp)->syn_ttl != 0) /* as Linux [tcp_v4_syn_recv_sock: mc_ttl] */
		return give_ip_int(data, len, tcp_public(s->tcp)->syn_ttl);
	if (name == IP_HDRINCL && s->use != SLOT_RAW)
		return give_ip_int(data, len, 0);
	if (mcast_option_is(IPPROTO_IP, name))
		return mcast_option_get(s, name, data, len);
	if (name != IP_MTU)
		return NOT_MINE;
	if (s->tcp == NULL || !(s->state & ABI_S_CONNECTED))
		return -ENOTCONN;
	if (s->use != SLOT_STREAM)
		return give_mtu(s, data, len);
	struct tcp_info info = { 0 };

	tcp_get_info(s->part->w, s->tcp, &info, sizeof(info));
	return give_int(data, len, (int32_t)info.tcpi_pmtu);
}
