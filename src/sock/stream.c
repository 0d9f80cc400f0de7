/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stream sockets: a struct sock and a TCP pcb that work on the same two rings.
 *
 * The pcb's struct byte_ring is the engine's private, trusted copy of the positions. It is brought
 * in step with the program's words at these points only: stream_sync_tx() takes tx_tail,
 * stream_sync_rx() takes rx_head, both checked; stream_publish() gives rx_tail and tx_head.
 *
 * The socket and the pcb part in one of three ways:
 *   stream_close():  the program let go. The receive ring is freed at once, the send ring when all
 *                    is acknowledged or the pcb goes (the pcb is an orphan meanwhile).
 *   up_gone() with a socket: TCP has nothing left to do (reset, both directions ended). The
 *                    socket keeps the rings: data may still be read.
 *   up_gone() without: the orphan's end.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "inet/tcp/params.h"
#include "sock/sock_priv.h"

static void stream_let_go(struct sock *s, struct tcp_pcb *pcb, bool abort);

static struct byte_ring *rx_ring(struct sock *s)
{
	return s->tcp != NULL && !(s->state & ABI_S_LISTEN) ? &tcp_public(s->tcp)->rcv : &s->rx;
}

static struct byte_ring *tx_ring(struct sock *s)
{
	return s->tcp != NULL ? &tcp_public(s->tcp)->snd : &s->tx;
}

/* The program has sent something with MSG_OOB. Its bytes may be newer than the tail we have. */
static void sync_urgent(struct sock *s, uint32_t pos)
{
	struct byte_ring *snd = tx_ring(s);

	if (pos - snd->head > snd->size_bytes) {
		sock_broken(s->part, "an urgent position is outside of its ring");
		return;
	}
	tcp_push_urgent(s->tcp, pos);
}

/* Take the program's write position. False: there is nothing new. */
bool stream_sync_tx(struct sock *s)
{
	struct byte_ring *snd = tx_ring(s);
	uint32_t tail = atomic_load_explicit(&s->abi->tx_tail, memory_order_acquire);
	uint32_t fresh = tail - snd->tail;

	if (fresh == 0 || (s->state & ABI_S_TX_SHUT) || s->tcp == NULL)
		return false;
	if (fresh > byte_ring_free(snd)) {
		sock_broken(s->part, "a send position is outside of its ring");
		return false;
	}
	snd->tail = tail;
	/* Written before the tail that we have seen. */
	fresh = atomic_load_explicit(&s->abi->tx_urg, memory_order_relaxed);
	if (unlikely(fresh != tcp_public(s->tcp)->snd_urg))
		sync_urgent(s, fresh);
	return true;
}

/* Take the program's read position: it cannot be behind, nor beyond what was published. */
bool stream_sync_rx(struct sock *s)
{
	struct byte_ring *rcv = rx_ring(s);
	uint32_t head = atomic_load_explicit(&s->abi->rx_head, memory_order_acquire);
	uint32_t fresh = head - rcv->head;

	if (fresh == 0 || (s->state & ABI_S_LISTEN))
		return false;
	if (fresh > s->pub_rx_tail - rcv->head) {
		sock_broken(s->part, "a receive position is outside of its ring");
		return false;
	}
	rcv->head = head;
	return true;
}

void stream_tx(struct sock *s)
{
	/* An exchange is a full fence: whoever sees 0 after it has its tx_tail seen by the next
	 * look. */
	atomic_exchange_explicit(&s->abi->tx_kick, 0, memory_order_seq_cst);
	if (!stream_sync_tx(s))
		return;
	tcp_push(s->part->w, s->tcp);
	if (unlikely(s->state & ABI_S_SYN_WAITS)) {
		s->state &= ~ABI_S_SYN_WAITS;
		sock_mark(s, 0);
	}
}

void stream_rx(struct sock *s)
{
	if (s->tcp == NULL || (s->state & ABI_S_LISTEN))
		return;
	stream_sync_rx(s);
	tcp_consumed(s->part->w, s->tcp);
	stream_publish(s);
}

/* The reader is behind the mark: there is none any more, and TCP may forget it, too. */
static void settle_urgent(struct sock *s)
{
	struct tcp_public *pub;

	if (s->tcp == NULL)
		return;
	pub = tcp_public(s->tcp);
	if (pub->urg == TCP_URG_HERE && (int32_t)(pub->rcv.head - pub->urg_pos) > 0) {
		pub->urg = TCP_URG_NONE;
		s->state &= ~ABI_S_URGENT;
	}
}

void stream_publish(struct sock *s)
{
	struct abi_sock *abi = s->abi;
	uint32_t rx_tail = rx_ring(s)->tail;
	uint32_t tx_head = tx_ring(s)->head;
	uint32_t state;

	if (unlikely(s->state & ABI_S_URGENT))
		settle_urgent(s);
	state = s->state;

	if (rx_tail != s->pub_rx_tail) {
		s->pub_rx_tail = rx_tail;
		atomic_store_explicit(&abi->rx_tail, rx_tail, memory_order_release);
	}
	if (s->tx_lowat && s->tcp != NULL)
		atomic_store_explicit(&abi->tx_sent, tx_ring(s)->tail - tcp_unsent(s->tcp),
				      memory_order_relaxed);
	if (tx_head != s->pub_tx_head) {
		s->pub_tx_head = tx_head;
		atomic_store_explicit(&abi->tx_head, tx_head, memory_order_release);
	}
	if ((state & (ABI_S_CONNECTED | ABI_S_RESET | ABI_S_RX_EOF)) == ABI_S_CONNECTED &&
	    s->tcp != NULL && tcp_wants_consumed(s->tcp))
		state |= ABI_S_RX_KICK;
	if (state != s->pub_state) {
		s->pub_state = state;
		atomic_store_explicit(&abi->state, state, memory_order_release);
	}
}

/* After the flush's fence: the program may have read on before it saw ABI_S_RX_KICK. */
void stream_settle(struct sock *s)
{
	if (!(s->pub_state & ABI_S_RX_KICK) || s->tcp == NULL || !stream_sync_rx(s))
		return;
	tcp_consumed(s->part->w, s->tcp);
	sock_layer_of(s)->late_work = true;
	stream_publish(s);
}

int stream_open(struct sock *s)
{
	struct tcp_pcb *pcb;
	int ret = tcp_open(s->part->w, &pcb, s);

	if (ret != 0)
		return ret;
	s->tcp = pcb;
	if (!s->tx_locked)
		s->tx_want_bytes = sock_ring_size(tcp_snd_space(s->part->w, pcb), false);
	options_apply(s);
	return 0;
}

/* What bind() asked for. The program can write there: that is as if it had asked for that. */
static void bound_to(const struct sock *s, struct endpoint *at)
{
	*at = (struct endpoint){ .addr = ipaddr_any() };
	if (s->bound_addr)
		at->addr = s->abi->local_addr;
	if (s->bound_port)
		at->port_be = s->abi->local_port_be;
}

/* The connection that failed or ended leaves the socket, which may be used again. */
static int stream_reopen(struct sock *s)
{
	struct endpoint at;
	int ret;

	bound_to(s, &at);
	stream_close(s, true);
	s->state = ABI_S_OPEN | ABI_S_STREAM;
	s->rx = s->tx = (struct byte_ring){ 0 };
	s->pub_rx_tail = s->pub_tx_head = 0;
	atomic_store_explicit(&s->abi->rx_size_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_size_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->rx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->rx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_urg, 0, memory_order_relaxed);
	ret = stream_open(s);
	if (ret != 0 || (!s->bound_addr && !s->bound_port))
		return ret;
	ret = sock_port_check(s, at.port_be);
	return ret != 0 ? ret : tcp_bind(s->part->w, s->tcp, &at);
}

int stream_dissolve(struct sock *s)
{
	uint16_t port_be = s->abi->local_port_be;
	bool reset = s->state & (ABI_S_CONNECTED | ABI_S_CONNECTING) &&
		     !(s->state & (ABI_S_RESET | ABI_S_ENDED));
	int ret = stream_reopen(s);

	if (ret != 0)
		return ret;
	sock_set_addrs(s);
	if (s->abi->local_port_be == 0)
		s->abi->local_port_be = port_be; /* Linux still tells it */
	if (reset)
		sock_set_error(s, ECONNRESET);
	sock_mark(s, ABI_EV_OUT | ABI_EV_HUP | (reset ? ABI_EV_ERR : 0));
	return 0;
}

/* It has that port, by whichever way; local is what was asked for. */
static void bind_done(struct sock *s, const struct endpoint *local)
{
	s->bound_addr = !ipaddr_is_any(&local->addr);
	s->bound_port = local->port_be != 0;
	sock_set_addrs(s);
}

int stream_bind(struct sock *s, const struct endpoint *local)
{
	int ret;

	if (s->tcp == NULL || tcp_public(s->tcp)->local.port_be != 0)
		return -EINVAL;
	ret = sock_port_check(s, local->port_be);
	if (ret == 0)
		ret = tcp_bind(s->part->w, s->tcp, local);
	if (ret == 0)
		bind_done(s, local);
	return ret;
}

int stream_bind_twin(struct sock *s, const struct endpoint *local)
{
	int ret = tcp_bind_twin(s->part->w, s->tcp, local);

	if (ret == 0)
		bind_done(s, local);
	return ret;
}

static int send_ring_make(struct sock *s)
{
	struct byte_ring *snd = &tcp_public(s->tcp)->snd;

	if (snd->data != NULL)
		return 0;
	if (ring_make(s->part, snd, s->tx_want_bytes) != 0)
		return -ENOMEM;
	sock_publish_tx_ring(s, snd);
	return 0;
}

/* fastopen: MSG_FASTOPEN. */
int stream_connect(struct sock *s, const struct endpoint *remote, bool fastopen)
{
	int ret;

	if (s->state & ABI_S_CONNECTING)
		return -EALREADY;
	if (s->state & (ABI_S_CONNECTED | ABI_S_LISTEN) && !(s->state & ABI_S_RESET))
		return -EISCONN;
	if (s->state & ABI_S_RESET || s->tcp == NULL) {
		ret = stream_reopen(s);
		if (ret != 0)
			return ret;
	}
	if (fastopen && !(tcp_params(s->part->w)->tcp_fastopen & 1))
		return -EOPNOTSUPP;
	if (send_ring_make(s) != 0)
		return -ENOBUFS;
	tcp_public(s->tcp)->fastopen_connect = fastopen || s->opt->fastopen_connect;
	sock_clear_error(s);
	s->state |= ABI_S_CONNECTING;
	ret = tcp_connect(s->part->w, s->tcp, remote);
	if (ret != 0) {
		s->state &= ~ABI_S_CONNECTING;
		return ret;
	}
	sock_set_addrs(s);
	if (s->tcp != NULL && tcp_public(s->tcp)->syn_waits) {
		s->state |= ABI_S_SYN_WAITS;
		return 0;
	}
	return s->state & ABI_S_CONNECTED ? 0 : -EINPROGRESS;
}

int stream_listen(struct sock *s, uint32_t backlog)
{
	uint32_t bytes = SOCK_RING_MIN_BYTES;
	int ret;

	backlog = tcp_backlog_limit(s->part->w, backlog);
	if (s->tcp == NULL || s->state & (ABI_S_CONNECTING | ABI_S_CONNECTED | ABI_S_RESET))
		return -EINVAL;
	if (s->state & ABI_S_LISTEN) {
		s->backlog = backlog < s->rx.size_bytes / 8 ? backlog : s->rx.size_bytes / 8 - 1;
		if (tcp_public(s->tcp)->state != TCP_LISTEN) /* another one does: share.c */
			return 0;
		return tcp_listen(s->part->w, s->tcp, s->backlog);
	}
	while (bytes < (backlog + 1) * 8)
		bytes <<= 1;
	if (ring_make(s->part, &s->rx, bytes) != 0)
		return -ENOBUFS;
	s->rx.head = s->rx.tail = 0;
	ret = tcp_listen(s->part->w, s->tcp, backlog);
	if (ret != 0) {
		ring_drop(s->part, &s->rx);
		return ret;
	}
	s->backlog = backlog;
	s->state |= ABI_S_LISTEN;
	options_apply(s); /* some are a listener's only */
	accept_open(s);
	sock_set_addrs(s);
	sock_publish_rx_ring(s, &s->rx);
	return 0;
}

/* shutdown() of a listener: it stops listening (Linux: TCP_CLOSE), what waits is reset. */
static int listen_stop(struct sock *s)
{
	if (s->shard_next == ABI_SOCK_NONE)
		return stream_dissolve(s);
	accept_close(s);
	stream_let_go(s, s->tcp, false);
	s->state = ABI_S_OPEN | ABI_S_STREAM | ABI_S_RX_EOF;
	sock_mark(s, ABI_EV_IN | ABI_EV_HUP | ABI_EV_RDHUP);
	return 0;
}

int stream_shutdown(struct sock *s, int how)
{
	int ret = 0;

	if (s->state & ABI_S_LISTEN)
		return how == SHUT_WR ? 0 : listen_stop(s);
	if (s->state & ABI_S_CONNECTING && !(s->state & ABI_S_SYN_WAITS))
		return stream_dissolve(s);
	if (!(s->state & (ABI_S_CONNECTED | ABI_S_CONNECTING)) ||
	    s->state & (ABI_S_RESET | ABI_S_ENDED)) {
		/* Nothing to end, but that end of the socket is shut all the same. */
		s->state |= (how != SHUT_RD ? ABI_S_TX_SHUT : 0) |
			    (how != SHUT_WR ? ABI_S_RX_EOF : 0);
		sock_mark(s, ABI_EV_IN | ABI_EV_OUT | ABI_EV_RDHUP | ABI_EV_HUP);
		return -ENOTCONN;
	}
	if (how != SHUT_RD && !(s->state & ABI_S_TX_SHUT)) {
		/* The FIN goes behind everything that was written before this call. */
		if (stream_sync_tx(s))
			tcp_push(s->part->w, s->tcp);
		s->state |= ABI_S_TX_SHUT;
		if (s->tcp != NULL)
			ret = tcp_shutdown_write(s->part->w, s->tcp);
	}
	if (how != SHUT_WR)
		s->state |= ABI_S_RX_EOF;
	sock_mark(s, ABI_EV_IN | ABI_EV_OUT | ABI_EV_RDHUP |
			     ((s->state & ABI_S_TX_SHUT) && (s->state & ABI_S_RX_EOF) ? ABI_EV_HUP
										      : 0));
	return ret;
}

int stream_linger(struct sock *s)
{
	if (s->refs != 1 || s->tcp == NULL || !(s->state & ABI_S_CONNECTED) ||
	    s->state & (ABI_S_RESET | ABI_S_LISTEN))
		return -ENOTCONN;
	stream_sync_rx(s);
	if (byte_ring_used(rx_ring(s)) != 0)
		return -ENOTCONN;
	return stream_shutdown(s, SHUT_WR);
}

/* Part with the pcb. What it still needs after this call (unacknowledged data) is an orphan's. */
static void stream_let_go(struct sock *s, struct tcp_pcb *pcb, bool abort)
{
	struct part *part = s->part;
	struct sock_layer *l = part->w->socks;
	struct tcp_public *pub = tcp_public(pcb);
	struct byte_ring rcv = pub->rcv, snd = pub->snd;

	s->tcp = NULL;
	pub->user = NULL;
	l->closing = pcb;
	if (abort)
		tcp_abort(part->w, pcb);
	else
		tcp_close(part->w, pcb);
	if (l->closing == pcb) {
		l->closing = NULL;
		pub->rcv.data = NULL; /* nobody will read */
		pub->rcv.size_bytes = 0;
		if (byte_ring_used(&pub->snd) != 0) {
			part->orphans++;
			snd.data = NULL;
		} else {
			pub->snd.data = NULL;
			pub->snd.size_bytes = 0;
		}
	}
	ring_drop(part, &rcv);
	ring_drop(part, &snd);
}

void stream_close(struct sock *s, bool abort)
{
	struct part *part = s->part;
	struct tcp_pcb *pcb = s->tcp;

	if (s->state & ABI_S_LISTEN) {
		accept_close(s);
		pcb = s->tcp; /* another listener may have taken it: share.c */
	} else if (pcb != NULL && !abort && !part_broken(part)) {
		stream_sync_rx(s);
		if (stream_sync_tx(s))
			tcp_push(part->w, pcb);
		pcb = s->tcp; /* the push may have ended it */
	}
	if (pcb == NULL) {
		ring_drop(part, &s->rx);
		ring_drop(part, &s->tx);
		return;
	}
	stream_let_go(s, pcb, abort || part_broken(part));
}

/* An orphan whose bytes are all acknowledged (it waits for the peer's FIN) does not need its ring.
 */
static void sweep_one(const struct tcp_pcb *pcb, void *arg)
{
	struct tcp_public *pub = tcp_public((struct tcp_pcb *)pcb);
	struct part *part = arg;

	if (pub->user != NULL || pub->snd.data == NULL || byte_ring_used(&pub->snd) != 0 ||
	    part_of_address(part->w, pub->snd.data) != part)
		return;
	ring_drop(part, &pub->snd);
	part->orphans--;
}

/* Memory ran out: look for some. At most every 10 ms, for it walks over every connection. */
bool stream_sweep(struct part *part)
{
	uint32_t orphans = part->orphans;

	if (orphans == 0 || part->w->now_ns < part->sweep_ns)
		return false;
	part->sweep_ns = part->w->now_ns + 10 * 1000 * 1000;
	tcp_for_each(part->w, sweep_one, part);
	return part->orphans != orphans;
}
