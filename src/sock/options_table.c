/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options that are one int: where each is kept, what values are right, what Linux has as
 * default.
 */
#include <limits.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <sys/socket.h>

#include "sock/options.h"

#ifndef SO_TIMESTAMPING_NEW
#define SO_TIMESTAMPING_NEW 65
#endif
#ifndef SO_BUSY_POLL
#define SO_BUSY_POLL 46
#endif

#define OPT(level, name, field, flags, min, max, initial)                                          \
	{                                                                                          \
		level, name, offsetof(struct sock_options, field), flags, min, max, initial        \
	}

static const struct int_option int_options[] = {
	OPT(SOL_SOCKET, SO_REUSEADDR, reuse_addr, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_REUSEPORT, reuse_port, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_KEEPALIVE, keepalive, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_BROADCAST, broadcast, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_OOBINLINE, oobinline, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_DONTROUTE, dontroute, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_PRIORITY, priority, 0, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_MARK, mark, 0, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_RCVLOWAT, rcvlowat, 0, INT_MIN, INT_MAX, 1),
	OPT(SOL_SOCKET, SO_BUSY_POLL, busy_poll, 0, 0, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_TIMESTAMP, timestamp, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_TIMESTAMPING, timestamping, 0, 0, 0x3ffff, 0),
	OPT(SOL_SOCKET, SO_TIMESTAMPING_NEW, timestamping, 0, 0, 0x3ffff, 0),
	OPT(SOL_SOCKET, SO_NO_CHECK, no_check, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_PASSCRED, passcred, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_ZEROCOPY, zerocopy, 0, 0, 1, 0),
	OPT(SOL_SOCKET, SO_SELECT_ERR_QUEUE, select_errq, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_INCOMING_CPU, incoming_cpu, 0, INT_MIN, INT_MAX, -1),
	OPT(IPPROTO_TCP, TCP_NODELAY, nodelay, OPT_BOOL | OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_CORK, cork, OPT_BOOL | OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_KEEPIDLE, keep_idle, OPT_STREAM, 1, 32767, 0),
	OPT(IPPROTO_TCP, TCP_KEEPINTVL, keep_interval, OPT_STREAM, 1, 32767, 0),
	OPT(IPPROTO_TCP, TCP_KEEPCNT, keep_count, OPT_STREAM, 1, 127, 0),
	OPT(IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_MAXSEG, max_seg, OPT_STREAM, 0, 32767, 0),
	OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT, defer_accept, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN, fastopen, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, fastopen_connect, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, fastopen_no_cookie, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_SAVE_SYN, save_syn, OPT_STREAM, 0, 2, 0),
	OPT(IPPROTO_TCP, TCP_SYNCNT, syncnt, OPT_STREAM, 1, 127, 0),
	OPT(IPPROTO_TCP, TCP_LINGER2, linger2, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT, notsent_lowat, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP, window_clamp, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, thin_linear, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_THIN_DUPACK, thin_dupack, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_IP, IP_TOS, tos, OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_TTL, ttl, OPT_BYTE | OPT_NOT_0, -1, 255, 64),
	OPT(IPPROTO_IP, IP_PKTINFO, pktinfo, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVERR, recverr, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVOPTS, recv_ipopts, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RETOPTS, ret_ipopts, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVTOS, recv_tos, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVTTL, recv_ttl, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_MTU_DISCOVER, mtu_discover, OPT_BYTE, 0, 5, 1),
	OPT(IPPROTO_IP, IP_FREEBIND, freebind, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_TRANSPARENT, transparent, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, bind_no_port, OPT_BOOL | OPT_BYTE, INT_MIN,
	    INT_MAX, 0),
	OPT(IPPROTO_IP, IP_MULTICAST_TTL, mcast_ttl, OPT_BYTE | OPT_NOT_STREAM, -1, 255, 1),
	OPT(IPPROTO_IP, IP_MULTICAST_LOOP, mcast_loop, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 1),
	OPT(IPPROTO_IP, IP_MULTICAST_ALL, mcast_all, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 1),
	OPT(IPPROTO_UDP, UDP_GRO, gro, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_V6ONLY, v6only, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_TCLASS, v6_tclass, 0, -1, 255, 0),
	OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, v6_hops, 0, -1, 255, 64),
	OPT(IPPROTO_IPV6, IPV6_RECVERR, v6_recverr, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO, v6_pktinfo, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, v6_recv_hoplimit, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_RECVTCLASS, v6_recv_tclass, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_MTU_DISCOVER, v6_mtu_discover, 0, 0, 5, 1),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, v6_mcast_hops, 0, -1, 255, 1),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, v6_mcast_loop, OPT_BOOL, 0, 1, 1),
};

#define INT_OPTIONS (sizeof(int_options) / sizeof(int_options[0]))

const struct int_option *int_option_find(const struct sock *s, uint32_t level, uint32_t name)
{
	for (unsigned int i = 0; i < INT_OPTIONS; i++) {
		const struct int_option *o = &int_options[i];

		if (o->level == level && o->name == name)
			return o->flags & OPT_STREAM && s->use != SLOT_STREAM ? NULL : o;
	}
	return NULL;
}

void options_init(struct sock_layer *l)
{
	for (unsigned int dgram = 0; dgram < 2; dgram++) {
		struct sock_options *opt = &l->opt_default[dgram];

		for (unsigned int i = 0; i < INT_OPTIONS; i++)
			*option_int_at(opt, &int_options[i]) = int_options[i].initial;
		opt->rcvbuf = SOCK_RING_DGRAM_BYTES;
		opt->sndbuf = opt->rcvbuf;
		opt->max_pacing_rate = UINT64_MAX;
		opt->refs = 1; /* the layer's own */
	}
}
