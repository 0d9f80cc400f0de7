/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the level IPPROTO_IP that are not one int of the table. */
#include <endian.h>
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

/* IP_UNICAST_IF: the interface's number, in network byte order. */
static int unicast_if(struct sock *s, const void *data, uint32_t len)
{
	uint32_t value, ifindex;

	if (len != sizeof(value))
		return -EINVAL;
	memcpy(&value, data, sizeof(value));
	ifindex = be32toh(value);
	if (ifindex != 0 && inet_netif_port(s->part->w, ifindex) == NULL)
		return -EADDRNOTAVAIL;
	if (ifindex != 0 && s->opt->bound_if != 0)
		return -EINVAL;
	if (options_own(s) == NULL)
		return -ENOBUFS;
	s->opt->unicast_if = (int32_t)ifindex;
	options_changed(s);
	return 0;
}

static int hdrincl(struct sock *s, const void *data, uint32_t len)
{
	int32_t value = 0;

	if (s->use != SLOT_RAW || s->raw->pcb.ping)
		return -ENOPROTOOPT;
	/* As Linux: one byte is enough, and none is 0. */
	memcpy(&value, data, len >= sizeof(value) ? sizeof(value) : len != 0);
	if (options_own(s) == NULL)
		return -ENOBUFS;
	s->opt->hdrincl = value != 0;
	options_changed(s);
	return 0;
}

int ip_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	if (name == IP_HDRINCL)
		return hdrincl(s, data, len);
	return name == IP_UNICAST_IF ? unicast_if(s, data, len) : NOT_MINE;
}

int ip_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	if (name == IP_TTL)
		return give_ip_int(data, len, s->opt->ttl == -1 ? 64 : s->opt->ttl);
	if (name == IP_MULTICAST_TTL && s->use == SLOT_STREAM && s->tcp != NULL &&
	    tcp_public(s->tcp)->syn_ttl != 0) /* as Linux [tcp_v4_syn_recv_sock: mc_ttl] */
		return give_ip_int(data, len, tcp_public(s->tcp)->syn_ttl);
	if (name == IP_HDRINCL)
		return give_ip_int(data, len, s->opt->hdrincl);
	if (name == IP_UNICAST_IF)
		return give_int(data, len, (int32_t)htobe32((uint32_t)s->opt->unicast_if));
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
