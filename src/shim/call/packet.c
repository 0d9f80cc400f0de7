/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet sockets, packet(7): names, frames out and in, options. */
#include "shim/call/packet.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <time.h>

#include "wire/app_netif.h"

#define LL_BYTES (offsetof(struct sockaddr_ll, sll_addr))

/* ---- names ---- */

static int bind_device(struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };
	struct abi_netif netif;
	struct sockaddr_pkt pkt;
	int err;

	if (len != sizeof(struct sockaddr))
		return -EINVAL;
	memset(&pkt, 0, sizeof(pkt));
	memcpy(&pkt, sa, sizeof(struct sockaddr));
	pkt.spkt_device[sizeof(pkt.spkt_device) - 1] = '\0';
	err = netif_by_name((const char *)pkt.spkt_device, &netif);
	if (err)
		return err;
	args.optname = netif.ifindex;
	return ctl_call(ws, &args);
}

int packet_bind(struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };
	struct sockaddr_ll ll;

	if (!sa)
		return -EFAULT;
	if (ws->type == SOCK_PACKET)
		return bind_device(ws, sa, len);
	if (len < sizeof(ll))
		return -EINVAL;
	memcpy(&ll, sa, sizeof(ll));
	if (ll.sll_family != AF_PACKET)
		return -EINVAL;
	args.optname = (uint32_t)ll.sll_ifindex;
	args.port_be = ll.sll_protocol;
	return ctl_call(ws, &args);
}

int packet_getname(struct wsock *ws, bool peer, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	struct abi_netif netif;
	socklen_t full = LL_BYTES;

	if (peer)
		return -EOPNOTSUPP;
	if (!sa || !len)
		return -EFAULT;
	ll.sll_ifindex = (int)ws->shm->local_addr.w[0];
	ll.sll_protocol = ws->shm->local_port_be;
	if (ll.sll_ifindex && netif_by_index((uint32_t)ll.sll_ifindex, &netif) == 0) {
		ll.sll_hatype = netif.hatype;
		ll.sll_halen = sizeof(netif.mac);
		memcpy(ll.sll_addr, netif.mac, sizeof(netif.mac));
		full += sizeof(netif.mac);
	}
	memcpy(sa, &ll, *len < full ? *len : full);
	*len = full;
	return 0;
}

void packet_ll(const struct abi_packet *h, void *sockaddr_ll)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = h->protocol_be,
				  .sll_ifindex = (int)h->ifindex,
				  .sll_hatype = h->hatype,
				  .sll_pkttype = h->pkttype,
				  .sll_halen = h->halen };

	memcpy(ll.sll_addr, h->addr, sizeof(ll.sll_addr));
	memcpy(sockaddr_ll, &ll, sizeof(ll));
}

/* ---- send ---- */

static int to_device(const struct msghdr *msg, struct abi_packet *h)
{
	struct abi_netif netif;
	struct sockaddr_pkt pkt;
	int err;

	if (!msg->msg_name)
		return -ENOTCONN;
	if (msg->msg_namelen < sizeof(struct sockaddr))
		return -EINVAL;
	memset(&pkt, 0, sizeof(pkt));
	memcpy(&pkt, msg->msg_name,
	       msg->msg_namelen < sizeof(pkt) ? msg->msg_namelen : sizeof(pkt));
	if (msg->msg_namelen == sizeof(pkt))
		h->protocol_be = pkt.spkt_protocol;
	pkt.spkt_device[sizeof(pkt.spkt_device) - 1] = '\0';
	err = netif_by_name((const char *)pkt.spkt_device, &netif);
	h->ifindex = netif.ifindex;
	return err;
}

static int to_link(const struct msghdr *msg, struct abi_packet *h)
{
	struct sockaddr_ll ll;

	if (!msg->msg_name)
		return 0;
	if (msg->msg_namelen < sizeof(ll))
		return -EINVAL;
	memcpy(&ll, msg->msg_name, sizeof(ll));
	if (msg->msg_namelen < LL_BYTES + ll.sll_halen)
		return -EINVAL;
	h->ifindex = (uint32_t)ll.sll_ifindex;
	h->protocol_be = ll.sll_protocol;
	memcpy(h->addr, ll.sll_addr, sizeof(h->addr));
	return 0;
}

ssize_t packet_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	size_t len = record_iov_bytes(msg->msg_iov, msg->msg_iovlen);
	struct abi_packet h = { .len_bytes = (uint32_t)len, .wire_bytes = (uint32_t)len };
	int err;

	if (len > UINT16_MAX + 64u)
		return -EMSGSIZE;
	err = ws->type == SOCK_PACKET ? to_device(msg, &h) : to_link(msg, &h);
	return err ? err : record_send(ws, &h, msg->msg_iov, msg->msg_iovlen);
}

/* ---- receive ---- */

static void control_put(struct msghdr *msg, size_t *used, int level, int type, const void *data,
			size_t len)
{
	struct cmsghdr c = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	uint8_t *at = (uint8_t *)msg->msg_control + *used;
	size_t left = msg->msg_controllen - *used;

	if (left < CMSG_LEN(len)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), data, len);
	*used += CMSG_SPACE(len) < left ? CMSG_SPACE(len) : left;
}

static void control_out(const struct wsock *ws, struct msghdr *msg, const struct abi_packet *h)
{
	uint32_t opts = atomic_load_explicit(&ws->opts, memory_order_relaxed);
	uint32_t adds = atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed);
	struct timespec ts = { (time_t)(h->stamp_ns / 1000000000),
			       (long)(h->stamp_ns % 1000000000) };
	struct timeval tv = { ts.tv_sec, ts.tv_nsec / 1000 };
	struct tpacket_auxdata aux = { .tp_status = h->status,
				       .tp_len = h->wire_bytes,
				       .tp_snaplen = h->len_bytes,
				       .tp_net = h->net,
				       .tp_vlan_tci = h->vlan_tci,
				       .tp_vlan_tpid = h->vlan_tpid };
	size_t used = 0;

	if (msg->msg_control && msg->msg_controllen) {
		if (adds & ABI_R_STAMP_NS)
			control_put(msg, &used, SOL_SOCKET, SCM_TIMESTAMPNS, &ts, sizeof(ts));
		else if (adds & ABI_R_STAMP)
			control_put(msg, &used, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof(tv));
		if (opts & WS_AUXDATA)
			control_put(msg, &used, SOL_PACKET, PACKET_AUXDATA, &aux, sizeof(aux));
	}
	msg->msg_controllen = used;
}

static void name_out(const struct wsock *ws, struct msghdr *msg, const struct abi_packet *h)
{
	union {
		struct sockaddr_ll ll;
		struct sockaddr_pkt pkt;
	} u;
	socklen_t full = sizeof(u.ll);

	if (!msg->msg_name)
		return;
	memset(&u, 0, sizeof(u));
	if (ws->type == SOCK_PACKET) {
		struct abi_netif netif;

		full = sizeof(u.pkt);
		u.pkt.spkt_family = h->hatype;
		u.pkt.spkt_protocol = h->protocol_be;
		if (netif_by_index(h->ifindex, &netif) == 0)
			memcpy(u.pkt.spkt_device, netif.name, sizeof(u.pkt.spkt_device) - 1);
	} else {
		packet_ll(h, &u.ll);
	}
	memcpy(msg->msg_name, &u, msg->msg_namelen < full ? msg->msg_namelen : full);
	msg->msg_namelen = full;
}

struct taken {
	struct msghdr *msg;
	int flags;
	struct abi_packet h;
};

static ssize_t take(void *arg, const void *header, const uint8_t *ring, uint32_t size, uint32_t pos)
{
	struct taken *t = arg;
	struct msghdr *msg = t->msg;
	size_t room = record_iov_bytes(msg->msg_iov, msg->msg_iovlen);
	uint32_t n, left;

	memcpy(&t->h, header, sizeof(t->h));
	n = left = t->h.len_bytes < room ? t->h.len_bytes : (uint32_t)room;
	for (size_t i = 0; i < msg->msg_iovlen && left; i++) {
		uint32_t run = msg->msg_iov[i].iov_len < left ? (uint32_t)msg->msg_iov[i].iov_len
							      : left;

		app_ring_read(msg->msg_iov[i].iov_base, ring, size, pos, run);
		pos += run;
		left -= run;
	}
	msg->msg_flags = t->h.len_bytes > room ? MSG_TRUNC : 0;
	return t->flags & MSG_TRUNC ? (ssize_t)t->h.wire_bytes : (ssize_t)n;
}

static ssize_t recv_once(struct wsock *ws, struct taken *t)
{
	ssize_t n;
	int err;

	if (session_is_dead())
		return -ENETDOWN;
	n = record_take(ws, t->flags & MSG_PEEK, take, t);
	if (n != -EAGAIN)
		return n;
	err = wsock_take_error(ws);
	if (err)
		return -err;
	return atomic_load(&ws->shm->state) & ABI_S_DEAD ? dead_moved() : -EAGAIN;
}

ssize_t packet_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	bool nonblock = (flags & MSG_DONTWAIT) || wsock_nonblock(ws);
	struct taken t = { .msg = msg, .flags = flags };
	int64_t deadline = 0;
	bool waited = false;
	ssize_t n;

	if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_ERRQUEUE))
		return -EINVAL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	while ((n = recv_once(ws, &t)) == -EAGAIN && !nonblock) {
		if (deadline == 0)
			deadline = deadline_after(ws->rcv_timeout_ns);
		waited = true;
		n = sock_wait_turn(ws, deadline);
		if (n)
			break;
	}
	if (waited && !session_is_dead())
		sock_leave_turn(ws);
	if (n >= 0) {
		asked_with_success();
		name_out(ws, msg, &t.h);
		control_out(ws, msg, &t.h);
	} else if (nonblock) {
		asked_in_vain();
	}
	return n;
}

/* ---- options ---- */

static int engine_set(struct wsock *ws, int name, const void *value, socklen_t len)
{
	struct ctl_args args = { .op = ABI_CTL_SETSOCKOPT,
				 .level = SOL_PACKET,
				 .optname = (uint32_t)name,
				 .in = value,
				 .in_len = len };
	int err = len > ABI_CTL_DATA_BYTES ? -EINVAL : ctl_call(ws, &args);

	if (err == -ENOPROTOOPT)
		session_notef("setsockopt(SOL_PACKET, option %d): weir has no such option", name);
	return err;
}

int packet_setsockopt(struct wsock *ws, int name, const void *value, socklen_t len)
{
	int on;

	switch (name) {
	case PACKET_VERSION:
	case PACKET_RESERVE:
	case PACKET_RX_RING:
	case PACKET_TX_RING:
		return packet_ring_set(ws, name, value, len);
	case PACKET_AUXDATA:
		if (len < sizeof(on))
			return -EINVAL;
		memcpy(&on, value, sizeof(on));
		if (on)
			atomic_fetch_or(&ws->opts, WS_AUXDATA);
		else
			atomic_fetch_and(&ws->opts, ~WS_AUXDATA);
		return 0;
	default:
		return engine_set(ws, name, value, len);
	}
}

/* Of all workers: each has its own, in a socket of its own. */
static int statistics(struct wsock *ws, void *value, socklen_t *len)
{
	struct tpacket_stats_v3 sum = { 0, 0, 0 };
	socklen_t full = packet_ring_has_blocks(ws) ? sizeof(sum) : sizeof(struct tpacket_stats);
	struct abi_sock *shm = ws->shm;
	struct wsock shard = *ws;

	for (unsigned int n = 0; shm; n++) {
		struct tpacket_stats one = { 0, 0 };
		struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT,
					 .level = SOL_PACKET,
					 .optname = PACKET_STATISTICS,
					 .out = &one,
					 .out_len = sizeof(one) };
		int err;

		shard.shm = shm;
		shard.index = shm_index(shm);
		shard.gen = atomic_load(&shm->gen);
		err = ctl_call(&shard, &args);
		if (err)
			return err;
		sum.tp_packets += one.tp_packets;
		sum.tp_drops += one.tp_drops;
		shm = wsock_next_shard(shm, n);
	}
	*len = *len < full ? *len : full;
	memcpy(value, &sum, *len);
	return 0;
}

int packet_getsockopt(struct wsock *ws, int name, void *value, socklen_t *len)
{
	struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT,
				 .level = SOL_PACKET,
				 .optname = (uint32_t)name,
				 .out = value,
				 .out_len = *len };
	int err = packet_ring_get(ws, name, value, len), on;

	if (err <= 0)
		return err;
	if (name == PACKET_STATISTICS)
		return statistics(ws, value, len);
	if (name == PACKET_AUXDATA) {
		on = !!(atomic_load(&ws->opts) & WS_AUXDATA);
		*len = *len < sizeof(on) ? *len : (socklen_t)sizeof(on);
		memcpy(value, &on, *len);
		return 0;
	}
	err = ctl_call(ws, &args);
	if (!err)
		*len = args.out_len;
	return err;
}
