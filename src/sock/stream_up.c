/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's upcalls for stream sockets. A pcb whose user is NULL is an orphan (stream.c).
 */
#include <errno.h>

#include "sock/sock_priv.h"
#include "wire/app_urgent.h"

static struct sock *sock_of(struct tcp_pcb *pcb)
{
	return tcp_public(pcb)->user;
}

static void up_connected(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	if (s == NULL)
		return;
	s->state = (s->state & ~(ABI_S_CONNECTING | ABI_S_SYN_WAITS)) | ABI_S_CONNECTED;
	sock_set_addrs(s);
	stream_idle_watch(s);
	sock_mark(s, ABI_EV_OUT);
}

static void inherit_word(_Atomic uint32_t *to, _Atomic uint32_t *from)
{
	atomic_store_explicit(to, atomic_load_explicit(from, memory_order_relaxed),
			      memory_order_relaxed);
}

static int up_incoming(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *pcb)
{
	struct sock *l = sock_of(listener), *first, *s;
	struct tcp_public *pub = tcp_public(pcb);
	int ret;

	if (l == NULL)
		return -ECONNABORTED;
	l = accept_target(l);
	if (part_broken(l->part))
		return -ECONNABORTED;
	if (!accept_room(l))
		return -ENOBUFS;
	/* What the program writes is the first one's. */
	first = l->shard_first != ABI_SOCK_NONE ? &l->part->family->socks[l->shard_first] : l;
	ret = sock_slot_take(l->part, &s);
	if (ret != 0)
		return ret;
	s->use = SLOT_STREAM;
	s->family = l->family;
	s->abi->family = l->family;
	s->abi->protocol = l->abi->protocol;
	options_share(s, l);
	s->accepted = true;
	s->filter_locked = l->filter_locked;
	s->rx_want_bytes = l->rx_want_bytes;
	s->tx_want_bytes = l->tx_want_bytes;
	s->tx_locked = l->tx_locked;
	if (pub->snd.data == NULL && ring_make(s->part, &pub->snd, s->tx_want_bytes) != 0) {
		sock_slot_give(s);
		return -ENOMEM;
	}
	s->tcp = pcb;
	pub->user = s;
	options_apply(s);
	app_oob_inline_set(s->abi, s->opt->oobinline);
	inherit_word(&s->abi->recv_opts, &first->abi->recv_opts);
	inherit_word(&s->abi->peek_off, &first->abi->peek_off);
	s->pub_rx_tail = 0;
	s->pub_tx_head = 0;
	sock_publish_tx_ring(s, &pub->snd);
	sock_set_addrs(s);
	s->state = ABI_S_OPEN | ABI_S_STREAM | ABI_S_CONNECTED | (pub->rx_eof ? ABI_S_RX_EOF : 0);
	sock_publish(s);
	accept_push(l, s);
	return 0;
}

static bool up_backlog_room(struct worker *w, struct tcp_pcb *listener)
{
	struct sock *l = sock_of(listener);

	return l != NULL && accept_any_room(l);
}

static uint32_t rx_ring_size(struct tcp_pcb *pcb, uint32_t least)
{
	uint32_t space = tcp_public(pcb)->rcv_space_bytes;

	return sock_ring_size(space > least ? space : least, false);
}

static int up_need_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t least)
{
	struct sock *s = sock_of(pcb);
	struct byte_ring *rcv = &tcp_public(pcb)->rcv;

	if (s == NULL || s->state & ABI_S_LISTEN)
		return -ENOMEM;
	if (rcv->data != NULL)
		return 0;
	if (ring_make(s->part, rcv, rx_ring_size(pcb, least)) != 0)
		return -ENOMEM;
	sock_publish_rx_ring(s, rcv);
	stream_idle_watch(s);
	/* A question is answered, most often. */
	stream_need_tx(s);
	return 0;
}

static void up_grow_rcv(struct worker *w, struct tcp_pcb *pcb, uint32_t beyond)
{
	struct tcp_public *pub = tcp_public(pcb);
	struct sock *s = pub->user;

	if (s == NULL || s->tcp != pcb)
		return;
	/* Where there is no memory the buffer stays as it is, until the program reads more. */
	if (stream_resize_rx(s, rx_ring_size(pcb, 0), beyond) == -ENOMEM) {
		pub->rcv_space_bytes = pub->rcv.size_bytes;
		stream_rx_lowat(s);
	}
}

static int up_need_snd(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);
	struct byte_ring *snd = &tcp_public(pcb)->snd;

	if (snd->data != NULL)
		return 0;
	if (s == NULL || ring_make(s->part, snd, s->tx_want_bytes) != 0)
		return -ENOMEM;
	sock_publish_tx_ring(s, snd);
	return 0;
}

static void up_readable(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	if (s == NULL)
		return;
	if (tcp_public(pcb)->rx_eof && !(s->state & ABI_S_RX_EOF)) {
		s->state |= ABI_S_RX_EOF;
		sock_mark(s,
			  ABI_EV_IN | ABI_EV_RDHUP | (s->state & ABI_S_TX_SHUT ? ABI_EV_HUP : 0));
		return;
	}
	sock_mark(s, ABI_EV_IN);
}

/* How many marks there were; 0 is what a program has seen at first. */
static uint16_t mark_count(const struct abi_sock *abi)
{
	uint16_t count = (uint16_t)(atomic_load_explicit(&abi->urg, memory_order_relaxed) >> 16);

	return ++count ? count : 1;
}

/* The mark is told at once, and that there is one: before an rx_tail behind it is. */
static void up_urgent(struct worker *w, struct tcp_pcb *pcb)
{
	const struct tcp_public *pub = tcp_public(pcb);
	struct sock *s = sock_of(pcb);
	uint8_t flags = pub->urg_hole_bytes ? ABI_URG_HOLE : 0;
	uint16_t count;

	if (s == NULL)
		return;
	if (pub->urg == TCP_URG_ANNOUNCED) {
		count = mark_count(s->abi);
		atomic_store_explicit(&s->abi->urg_hole, pub->urg_hole, memory_order_relaxed);
		atomic_store_explicit(&s->abi->urg_hole_end, pub->urg_hole + pub->urg_hole_bytes,
				      memory_order_relaxed);
		sock_mark(s, ABI_EV_URG);
	} else {
		count = (uint16_t)(atomic_load_explicit(&s->abi->urg, memory_order_relaxed) >> 16);
		flags |= ABI_URG_HERE;
		sock_mark(s, ABI_EV_IN | ABI_EV_PRI);
	}
	atomic_store_explicit(&s->abi->urg, abi_urg_word(pub->urg_pos, count, flags, pub->urg_byte),
			      memory_order_release);
	if (s->state & ABI_S_URGENT)
		return;
	s->state |= ABI_S_URGENT;
	s->pub_state |= ABI_S_URGENT;
	atomic_store_explicit(&s->abi->state, s->pub_state, memory_order_release);
}

/* An orphan needs its send ring no more: all is acknowledged, or it goes. */
static void orphan_end(struct worker *w, struct tcp_pcb *pcb)
{
	struct byte_ring *snd = &tcp_public(pcb)->snd;
	struct part *part = part_of_address(w, snd->data);

	if (part == NULL)
		return;
	ring_drop(part, snd);
	part->orphans--;
	part_settle(part);
}

static void up_acked(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	if (s != NULL) {
		s->acked = true;
		sock_mark(s, 0);
		return;
	}
	if (tcp_public(pcb)->snd.data != NULL && byte_ring_used(&tcp_public(pcb)->snd) == 0)
		orphan_end(w, pcb);
}

static void up_sync_rcv(struct worker *w, struct tcp_pcb *pcb)
{
	struct sock *s = sock_of(pcb);

	if (s != NULL)
		stream_sync_rx(s);
}

static void up_error(struct worker *w, struct tcp_pcb *pcb, int error, bool soft)
{
	struct sock *s = sock_of(pcb);
	uint32_t events = ABI_EV_IN | ABI_EV_OUT | ABI_EV_HUP | ABI_EV_RDHUP;

	if (s == NULL || soft)
		return;
	if (error == 0) {
		/* Both directions ended in order: what is unread stays readable. */
		s->state |= ABI_S_RX_EOF | ABI_S_ENDED;
		sock_mark(s, events);
		return;
	}
	s->state = (s->state & ~(ABI_S_CONNECTING | ABI_S_SYN_WAITS)) | ABI_S_RESET | ABI_S_RX_EOF |
		   ABI_S_TX_SHUT | (tcp_public(pcb)->rx_eof ? ABI_S_ENDED : 0);
	sock_set_error(s, error);
	sock_mark(s, events);
}

static void up_gone(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_public *pub = tcp_public(pcb);
	struct sock *s = pub->user;

	if (w->socks == NULL)
		return;
	if (s != NULL && s->tcp == pcb) {
		/* The socket keeps what it can still be read from. */
		if (!(s->state & ABI_S_LISTEN))
			s->rx = pub->rcv;
		s->tx = pub->snd;
		s->tcp = NULL;
		sock_mark(s, 0);
		return;
	}
	if (w->socks->closing == pcb)
		w->socks->closing = NULL; /* stream_let_go() frees the rings */
	else if (pub->snd.data != NULL)
		orphan_end(w, pcb);
}

void stream_upcalls(struct inet_upcalls *up)
{
	up->tcp_connected = up_connected;
	up->tcp_incoming = up_incoming;
	up->tcp_backlog_room = up_backlog_room;
	up->tcp_need_rcv = up_need_rcv;
	up->tcp_grow_rcv = up_grow_rcv;
	up->tcp_need_snd = up_need_snd;
	up->tcp_readable = up_readable;
	up->tcp_urgent = up_urgent;
	up->tcp_acked = up_acked;
	up->tcp_sync_rcv = up_sync_rcv;
	up->tcp_error = up_error;
	up->tcp_gone = up_gone;
}
