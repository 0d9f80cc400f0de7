/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of the level IPPROTO_UDP. What a send is like is kept where every process that has the
 * socket sees it (abi_sock.tx_opts); that datagrams are joined (UDP_GRO) is the engine's affair.
 */
#include "shim/shim.h"

#include <netinet/in.h>
#include <netinet/udp.h>

static void opts_change(struct wsock *ws, uint32_t mask, uint32_t bits)
{
	uint32_t old = atomic_load(&ws->shm->tx_opts);

	while (!atomic_compare_exchange_weak(&ws->shm->tx_opts, &old, (old & ~mask) | bits))
		;
}

static int set_segment(struct wsock *ws, int value)
{
	if (value < 0 || value > UINT16_MAX)
		return -EINVAL;
	opts_change(ws, ABI_T_SEGMENT, (uint32_t)value);
	return 0;
}

static int set_cork(struct wsock *ws, int value)
{
	opts_change(ws, ABI_T_CORK, value ? ABI_T_CORK : 0);
	if (!value)
		dgram_uncork(ws);
	return 0;
}

static int set_gro(struct wsock *ws, int value)
{
	struct ctl_args args = { .op = ABI_CTL_SETSOCKOPT,
				 .level = IPPROTO_UDP,
				 .optname = UDP_GRO,
				 .in = &value,
				 .in_len = sizeof(value) };
	int err = ctl_call(ws, &args);

	if (err)
		return err;
	if (value)
		atomic_fetch_or(&ws->shm->recv_opts, ABI_R_GRO);
	else
		atomic_fetch_and(&ws->shm->recv_opts, ~ABI_R_GRO);
	return 0;
}

int udpopt_set(struct wsock *ws, int name, const void *data, socklen_t len)
{
	int value, err;

	if (ws->type != SOCK_DGRAM || ws->protocol != IPPROTO_UDP)
		return -ENOPROTOOPT;
	if (len < sizeof(value))
		return -EINVAL;
	memcpy(&value, data, sizeof(value));
	err = ctl_create(ws);
	if (err)
		return err;
	switch (name) {
	case UDP_CORK:
		return set_cork(ws, value);
	case UDP_SEGMENT:
		return set_segment(ws, value);
	case UDP_GRO:
		return set_gro(ws, value);
	case UDP_NO_CHECK6_TX:
		opts_change(ws, ABI_T_NO_CHECK6_TX, value ? ABI_T_NO_CHECK6_TX : 0);
		return 0;
	case UDP_NO_CHECK6_RX:
		opts_change(ws, ABI_T_NO_CHECK6_RX, value ? ABI_T_NO_CHECK6_RX : 0);
		return 0;
	case UDP_ENCAP:
		if (value == 0)
			return 0;
		session_note("setsockopt(UDP_ENCAP): weir has no IPsec nor tunnels, so nothing to "
			     "take packets out for");
		return -ENOPROTOOPT;
	default:
		session_notef("setsockopt(IPPROTO_UDP, %d): weir has no such option", name);
		return -ENOPROTOOPT;
	}
}

int udpopt_get(const struct wsock *ws, int name)
{
	uint32_t tx = ws->shm ? atomic_load(&ws->shm->tx_opts) : 0;

	switch (name) {
	case UDP_CORK:
		return !!(tx & ABI_T_CORK);
	case UDP_SEGMENT:
		return (int)(tx & ABI_T_SEGMENT);
	case UDP_GRO:
		return ws->shm && (atomic_load(&ws->shm->recv_opts) & ABI_R_GRO);
	case UDP_NO_CHECK6_TX:
		return !!(tx & ABI_T_NO_CHECK6_TX);
	case UDP_NO_CHECK6_RX:
		return !!(tx & ABI_T_NO_CHECK6_RX);
	case UDP_ENCAP:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}
