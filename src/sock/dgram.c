/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagram sockets: rings of records (struct abi_dgram and the payload). Received packets are
 * copied into the receive ring as they come (dgram_rx.c); the send ring is drained to udp_send(),
 * so many datagrams a turn; what goes wrong with one becomes the socket's error.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/packet.h"
#include "wire/app_ring.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#define HEADERS_BYTES (UDP_HDR_BYTES + IP4_HDR_BYTES)

int dgram_open(struct sock *s)
{
	struct udp_pcb *pcb;
	int ret;

	s->rx_want_bytes = sock_rmem_default(s);
	s->tx_want_bytes = SOCK_RING_DGRAM_BYTES;
	if (ring_make(s->part, &s->tx, s->tx_want_bytes) != 0)
		return -ENOBUFS;
	ret = udp_open(s->part->w, &pcb, s);
	if (ret != 0) {
		ring_drop(s->part, &s->tx);
		return ret;
	}
	s->udp = pcb;
	sock_publish_tx_ring(s, &s->tx);
	options_apply(s);
	return 0;
}

int dgram_bind(struct sock *s, const struct endpoint *local)
{
	int ret;

	if (s->udp->local.port_be != 0)
		return -EINVAL;
	ret = sock_port_check(s, local->port_be);
	if (ret == 0)
		ret = udp_bind(s->part->w, s->udp, local);
	if (ret == 0)
		sock_set_addrs(s);
	return ret;
}

int dgram_connect(struct sock *s, const struct endpoint *remote)
{
	/* What was sent before goes to whom it was meant for. */
	dgram_tx(s);
	int ret = udp_connect(s->part->w, s->udp, remote);

	if (ret != 0)
		return ret;
	if (remote->port_be != 0)
		s->state |= ABI_S_CONNECTED;
	else
		s->state &= ~ABI_S_CONNECTED;
	sock_set_addrs(s);
	dgram_limit(s);
	return 0;
}

int dgram_shutdown(struct sock *s, int how)
{
	if (how != SHUT_RD) {
		dgram_tx(s);
		s->state |= ABI_S_TX_SHUT;
	}
	if (how != SHUT_WR)
		s->state |= ABI_S_RX_EOF;
	sock_mark(s, ABI_EV_IN | ABI_EV_OUT | ABI_EV_RDHUP);
	return s->state & ABI_S_CONNECTED ? 0 : -ENOTCONN;
}

void dgram_close(struct sock *s)
{
	struct udp_pcb *pcb = s->udp;

	/* Linux has sent them before close() was called. A program that leaves thousands of full
	 * rings behind loses some: nobody else is served meanwhile. */
	while (sock_layer_of(s)->datagrams < SOCK_CLOSE_DATAGRAMS && !part_broken(s->part)) {
		uint32_t head = s->tx.head;

		dgram_tx(s);
		if (head == s->tx.head)
			break;
	}
	s->udp = NULL;
	udp_close(s->part->w, pcb);
	ring_drop(s->part, &s->rx);
	ring_drop(s->part, &s->tx);
}

void dgram_publish(struct sock *s)
{
	struct abi_sock *abi = s->abi;

	if (s->rx.tail != s->pub_rx_tail) {
		s->pub_rx_tail = s->rx.tail;
		atomic_store_explicit(&abi->rx_tail, s->rx.tail, memory_order_release);
	}
	if (s->tx.head != s->pub_tx_head) {
		s->pub_tx_head = s->tx.head;
		atomic_store_explicit(&abi->tx_head, s->tx.head, memory_order_release);
	}
	if (s->state != s->pub_state) {
		s->pub_state = s->state;
		atomic_store_explicit(&abi->state, s->state, memory_order_release);
	}
}

void dgram_error(struct worker *w, struct udp_pcb *pcb, const struct net_error *e)
{
	struct sock *s = pcb->user;

	if (s == NULL)
		return;
	if (pcb->recverr)
		errqueue_net_error(s, e);
	/* What is found here the call itself answers. */
	if (e->from != NET_ERROR_LOCAL)
		sock_set_error(s, e->error);
	if (e->error == EMSGSIZE)
		dgram_limit(s);
}

/* ---- send ---- */

/* Take the program's write position. */
static bool sync_tx(struct sock *s)
{
	uint32_t tail = atomic_load_explicit(&s->abi->tx_tail, memory_order_acquire);
	uint32_t fresh = tail - s->tx.tail;

	if (fresh > byte_ring_free(&s->tx) || (tail & 63) != 0) {
		sock_broken(s->part, "a send position is outside of its ring");
		return false;
	}
	s->tx.tail = tail;
	return true;
}

/* Nothing is wanted for this datagram alone. */
static bool plain(const struct abi_dgram *d)
{
	return d->flags == 0 && d->ifindex == 0 && d->segment_bytes == 0 &&
	       ipaddr_is_any(&d->local);
}

static void send_special(struct udp_send *send, const struct abi_dgram *d)
{
	send->src = d->local;
	send->ifindex = (uint8_t)(d->ifindex < UINT8_MAX ? d->ifindex : UINT8_MAX);
	send->ttl = d->ttl;
	send->tos = d->tos;
	send->segment_bytes = d->segment_bytes;
	if (d->flags & ABI_DGRAM_TTL)
		send->set |= UDP_SEND_TTL;
	if (d->flags & ABI_DGRAM_TOS)
		send->set |= UDP_SEND_TOS;
}

static int send_one(struct sock *s, const struct abi_dgram *d)
{
	struct endpoint to = { .addr = d->addr, .port_be = d->port_be };
	uint32_t pos = s->tx.head + (uint32_t)sizeof(*d), run = 0;
	const uint8_t *at = byte_ring_run(&s->tx, pos, d->len_bytes, &run);
	struct udp_send send = { .to = d->port_be != 0 ? &to : NULL,
				 .run = { at, s->tx.data },
				 .len = { run, d->len_bytes - run } };
	int ret;

	/* After shutdown() comes at most what was corked before, which Linux sends too. */
	if (unlikely(!plain(d)))
		send_special(&send, d);
	ret = udp_send_as(s->part->w, s->udp, &send);
	if (unlikely(s->opt->timestamping != 0) && ret == 0)
		txstamp_sent(s, d, &send);
	return ret;
}

int dgram_send_check(struct sock *s, const struct abi_dgram *d)
{
	struct endpoint to = { .addr = d->addr, .port_be = d->port_be };
	struct udp_send send = { .to = d->port_be != 0 ? &to : NULL, .len = { d->len_bytes, 0 } };
	uint16_t port = s->udp->local.port_be;
	int ret;

	send_special(&send, d);
	ret = udp_send_check(s->part->w, s->udp, &send);
	if (s->udp->local.port_be != port)
		sock_set_addrs(s);
	return ret;
}

/* Only who forbids fragmentation can send what is too long; then what fits the path to the peer, or
 * to those of before, need not be asked for. */
void dgram_limit(struct sock *s)
{
	const struct udp_pcb *pcb = s->udp;
	uint32_t limit = UINT32_MAX;

	if (pcb->pmtudisc >= UDP_PMTU_DO && pcb->pmtudisc <= UDP_PMTU_INTERFACE)
		limit = pcb->flow.generation != 0 ? pcb->flow.mtu_bytes - HEADERS_BYTES : 0;
	if (atomic_load_explicit(&s->abi->tx_limit_bytes, memory_order_relaxed) != limit)
		atomic_store_explicit(&s->abi->tx_limit_bytes, limit, memory_order_relaxed);
}

static unsigned int drain(struct sock *s)
{
	unsigned int n = 0;

	while (n < SOCK_DGRAM_BURST && s->tx.head != s->tx.tail) {
		struct abi_dgram d;
		uint32_t used = byte_ring_used(&s->tx);
		int ret;

		app_record_read(&d, s->tx.data, s->tx.size_bytes, s->tx.head);
		if (d.len_bytes > used - sizeof(d)) {
			sock_broken(s->part, "a datagram is longer than what was sent");
			return n;
		}
		ret = send_one(s, &d);
		/* Without room in a queue Linux loses datagrams in silence; the ledger has them. */
		if (ret != 0 && ret != -ENOBUFS)
			sock_set_error(s, -ret);
		s->tx.head += app_dgram_space(d.len_bytes);
		n++;
	}
	return n;
}

/* To the end of those who have more to send: the others' turn comes before its own. */
static void more_later(struct sock_layer *l, struct sock *s)
{
	if (s->tx_more)
		return;
	s->tx_more = true;
	s->tx_next = NULL;
	*l->tx_more_end = s;
	l->tx_more_end = &s->tx_next;
}

void dgram_tx(struct sock *s)
{
	struct sock_layer *l = sock_layer_of(s);
	uint16_t port = s->udp->local.port_be;

	atomic_exchange_explicit(&s->abi->tx_kick, 0, memory_order_seq_cst);
	if (!sync_tx(s) || s->tx.head == s->tx.tail)
		return;
	l->datagrams += drain(s);
	if (s->udp->local.port_be != port)
		sock_set_addrs(s);
	if (unlikely(s->udp->pmtudisc >= UDP_PMTU_DO))
		dgram_limit(s);
	s->acked = true;
	sock_mark(s, 0);
	if (s->tx.head != s->tx.tail)
		more_later(l, s);
}

unsigned int dgram_tx_more(struct worker *w)
{
	struct sock_layer *l = w->socks;
	unsigned int n = 0;

	while (l->tx_more != NULL && l->datagrams < SOCK_MORE_DATAGRAMS) {
		struct sock *s = l->tx_more;

		l->tx_more = s->tx_next;
		if (l->tx_more == NULL)
			l->tx_more_end = &l->tx_more;
		s->tx_more = false;
		n++;
		if (s->use == SLOT_DGRAM && !part_broken(s->part))
			dgram_tx(s);
	}
	return n;
}
