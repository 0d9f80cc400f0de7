/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams: whole records between the program and the two rings, with their ancillary data. */
#include "shim/call/names.h"

#include <netinet/in.h>

#define DGRAM_MAX_BYTES 65507u
#define SEGMENTS_MAX 128u /* of one send [UDP_MAX_SEGMENTS] */

static size_t iov_total(const struct iovec *iov, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* ---- send ---- */

static int to_address(struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d)
{
	int err;

	if (!msg->msg_name || msg->msg_namelen == 0) {
		if (!ws->shm || !(atomic_load(&ws->shm->state) & ABI_S_CONNECTED))
			return -EDESTADDRREQ;
		return 0;
	}
	err = addr_in(ws, msg->msg_name, msg->msg_namelen, &d->addr, &d->port_be);
	if (err)
		return err;
	if (d->port_be == 0)
		return -EINVAL;
	if (ipaddr_is_any(&d->addr))
		d->addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	return ipaddr_is_ip4(&d->addr) ? 0 : -ENETUNREACH;
}

/* As Linux: the first send of a socket without a port gives it one. With one worker the question
 * whether it may be sent does that. */
static int autobind(struct wsock *ws)
{
	struct ctl_args args = { .op = ABI_CTL_BIND };

	if (likely(ws->shm && ws->shm->local_port_be != 0))
		return 0;
	return ws->shm && session.workers == 1 ? 0 : ctl_call(ws, &args);
}

/* What cannot be known here is asked: whether there is a way, and one that is large enough. */
static bool must_ask(const struct wsock *ws, const struct abi_dgram *d)
{
	const struct abi_sock *shm = ws->shm;
	uint32_t segment = d->segment_bytes;
	uint32_t longest = segment && segment < d->len_bytes ? segment : d->len_bytes;

	if (shm->local_port_be == 0 ||
	    longest > atomic_load_explicit(&shm->tx_limit_bytes, memory_order_relaxed))
		return true;
	if (likely(!segment)) {
		if (d->port_be == 0 && d->ifindex == 0 && ipaddr_is_any(&d->local))
			return false; /* connected */
	} else if (d->len_bytes > segment * SEGMENTS_MAX) {
		return true;
	}
	return !known_to(ws, d);
}

static int ask(struct wsock *ws, const struct abi_dgram *d)
{
	struct ctl_args args = { .op = ABI_CTL_SEND_CHECK, .in = d, .in_len = sizeof(*d) };
	int err = ctl_call(ws, &args);

	if (!err)
		known_add(ws, d);
	return err;
}

static int send_check(struct wsock *ws, const struct abi_dgram *d)
{
	int err = autobind(ws);

	return err || likely(!must_ask(ws, d)) ? err : ask(ws, d);
}

/* A datagram in the send ring that is being put together. */
struct putting {
	uint8_t *ring;
	uint32_t size, tail;
	uint32_t before; /* payload bytes that are there already */
	bool begun;	 /* by an earlier call: its header is there too */
	bool more;	 /* and is not to be sent yet */
};

/* 0: it has room for total bytes of payload; -EAGAIN: not now; -EMSGSIZE: never. */
static int put_begin(struct wsock *ws, struct putting *put, uint32_t len, int flags)
{
	struct abi_sock *shm = ws->shm;
	uint32_t corked = atomic_load_explicit(&shm->tx_corked, memory_order_relaxed);
	uint32_t opts = atomic_load_explicit(&shm->tx_opts, memory_order_relaxed), space;

	put->size = atomic_load_explicit(&shm->tx_size_bytes, memory_order_acquire);
	put->ring = ring_at(atomic_load_explicit(&shm->tx_offset, memory_order_relaxed), put->size);
	put->tail = atomic_load_explicit(&shm->tx_tail, memory_order_relaxed) & ~63u;
	put->begun = corked != 0;
	put->before = corked ? corked - 1 : 0;
	put->more = (flags & MSG_MORE) || (opts & ABI_T_CORK);
	if (!put->ring)
		return -ENOBUFS;
	if (put->before > DGRAM_MAX_BYTES || len > DGRAM_MAX_BYTES - put->before)
		return -EMSGSIZE;
	space = app_dgram_space(put->before + len);
	if (space > put->size)
		return -EMSGSIZE;
	return app_sock_tx_free(shm) < space ? -EAGAIN : 0;
}

/* What was begun goes on as it began: the header is the first call's. */
static int put_header(struct wsock *ws, const struct putting *put, const struct abi_dgram *d)
{
	struct abi_dgram first;

	if (likely(!put->begun)) {
		*app_record(put->ring, put->size, put->tail) = *d;
		return 0;
	}
	app_ring_read(&first, put->ring, put->size, put->tail, sizeof(first));
	first.len_bytes = first.wire_bytes = put->before + d->len_bytes;
	app_ring_write(put->ring, put->size, put->tail, &first, sizeof(first));
	if (first.segment_bytes && put->more)
		return 0;
	return must_ask(ws, &first) ? ask(ws, &first) : 0;
}

/* 0: it is in the ring; -EAGAIN: no room. After another error nothing of it is. */
static int put_locked(struct wsock *ws, const struct abi_dgram *d, const struct msghdr *msg,
		      int flags)
{
	struct abi_sock *shm = ws->shm;
	struct putting put;
	int err = put_begin(ws, &put, d->len_bytes, flags);
	uint32_t pos = put.tail + (uint32_t)sizeof(*d) + put.before;

	if (!err)
		err = put_header(ws, &put, d);
	if (unlikely(err)) {
		if (put.begun && err != -EAGAIN) /* [udp_flush_pending_frames] */
			atomic_store(&shm->tx_corked, 0);
		return err;
	}
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		uint32_t n = (uint32_t)msg->msg_iov[i].iov_len;

		app_ring_write(put.ring, put.size, pos, msg->msg_iov[i].iov_base, n);
		pos += n;
	}
	if (unlikely(put.more)) {
		atomic_store(&shm->tx_corked, put.before + d->len_bytes + 1);
		return 0;
	}
	if (unlikely(put.begun))
		atomic_store(&shm->tx_corked, 0);
	stream_published(ws, put.tail + app_dgram_space(put.before + d->len_bytes));
	return 0;
}

/* What waits for more is sent as it is; errors are nobody's [udp_push_pending_frames]. */
void dgram_uncork(struct wsock *ws)
{
	static const struct abi_dgram nothing;
	static const struct msghdr no_bytes;

	if (shared_lock(&ws->shm->tx_lock))
		return;
	if (atomic_load(&ws->shm->tx_corked))
		(void)put_locked(ws, &nothing, &no_bytes, 0);
	shared_unlock(&ws->shm->tx_lock);
}

/* Does this send go on with a datagram that an earlier one began? */
static bool corked(const struct wsock *ws)
{
	return ws->shm && atomic_load_explicit(&ws->shm->tx_corked, memory_order_relaxed);
}

static int take_error(struct wsock *ws)
{
	int err = wsock_take_error(ws);

	if (unlikely(err))
		names_refused(ws->shm, err);
	return err;
}

static int send_errors(struct wsock *ws)
{
	uint32_t state = atomic_load(&ws->shm->state);
	int err;

	if (session_is_dead())
		return -ENETDOWN;
	if (state & ABI_S_DEAD)
		return dead_moved();
	err = take_error(ws);
	if (err)
		return -err;
	return (state & ABI_S_TX_SHUT) && !corked(ws) ? -EPIPE : 0;
}

/* To whom, how, and whether that is possible. */
static int prepare(struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d)
{
	int err = to_address(ws, msg, d);

	if (ws->shm)
		d->segment_bytes =
			(uint16_t)(atomic_load_explicit(&ws->shm->tx_opts, memory_order_relaxed) &
				   ABI_T_SEGMENT);
	if (!err && msg->msg_controllen)
		err = cmsg_in(ws, msg, d);
	return err ? err : send_check(ws, d);
}

ssize_t dgram_send(struct wsock *ws, const struct msghdr *msg, int flags)
{
	size_t len = iov_total(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d = { .len_bytes = (uint32_t)len, .wire_bytes = (uint32_t)len };
	int64_t deadline = 0;
	int err = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (len > DGRAM_MAX_BYTES && !(corked(ws) && len <= UINT16_MAX))
		return -EMSGSIZE;
	if (likely(!corked(ws)))
		err = prepare(ws, msg, &d);
	while (!err) {
		err = send_errors(ws);
		if (!err)
			err = shared_lock(&ws->shm->tx_lock);
		if (err)
			break;
		err = put_locked(ws, &d, msg, flags);
		shared_unlock(&ws->shm->tx_lock);
		if (err == 0 && unlikely(flags & MSG_ZEROCOPY))
			zerocopy_sent(ws);
		if (err == 0)
			return (ssize_t)len;
		if (err != -EAGAIN)
			break;
		atomic_fetch_or(&ws->shm->want, ABI_WANT_TX);
		if (wsock_nonblock(ws) || (flags & MSG_DONTWAIT))
			break;
		if (deadline == 0)
			deadline = deadline_after(ws->snd_timeout_ns);
		err = sock_wait_space(ws, app_dgram_space(d.len_bytes), deadline);
	}
	return err;
}

/* ---- receive ---- */

static void copy_out(uint8_t *ring, uint32_t size, uint32_t pos, uint32_t len, struct msghdr *msg)
{
	for (size_t i = 0; i < msg->msg_iovlen && len; i++) {
		uint32_t n = msg->msg_iov[i].iov_len < len ? (uint32_t)msg->msg_iov[i].iov_len
							   : len;

		app_ring_read(msg->msg_iov[i].iov_base, ring, size, pos, n);
		pos += n;
		len -= n;
	}
}

/* The record at *head, which a whole one is behind; false where there is none. */
static bool record_at(uint8_t *ring, uint32_t size, uint32_t head, uint32_t used,
		      struct abi_dgram *d)
{
	if (used < sizeof(*d))
		return false;
	app_record_read(d, ring, size, head);
	if (d->len_bytes > used - sizeof(*d))
		d->len_bytes = used - (uint32_t)sizeof(*d);
	return true;
}

/* SO_PEEK_OFF: step over what was peeked at before. Returns the offset in the record at *head. */
static uint32_t peek_skip(const struct abi_sock *shm, uint8_t *ring, uint32_t size, uint32_t *head,
			  uint32_t *used)
{
	uint32_t off = atomic_load_explicit(&shm->peek_off, memory_order_relaxed);
	struct abi_dgram d;

	while (off && record_at(ring, size, *head, *used, &d) && off >= d.len_bytes) {
		uint32_t space = app_dgram_space(d.len_bytes);

		off -= d.len_bytes;
		*head += space;
		*used = *used > space ? *used - space : 0;
	}
	return off;
}

/* What a read moves SO_PEEK_OFF by. */
static void peek_moved(struct abi_sock *shm, bool peek, uint32_t n)
{
	uint32_t off = atomic_load(&shm->peek_off);

	atomic_store(&shm->peek_off, peek ? off + n : off > n ? off - n : 0);
}

static void taken(struct abi_sock *shm, uint32_t head)
{
	atomic_exchange(&shm->rx_head, head);
	if (atomic_load(&shm->state) & ABI_S_RX_KICK)
		submit(shm->worker, ABI_OP_RX, shm_index(shm), atomic_load(&shm->gen), 0, 0);
}

static ssize_t take_shard(struct wsock *ws, struct abi_sock *shm, struct msghdr *msg, int flags)
{
	uint32_t tail = atomic_load_explicit(&shm->rx_tail, memory_order_acquire);
	uint32_t size = atomic_load_explicit(&shm->rx_size_bytes, memory_order_acquire);
	uint8_t *ring = ring_at(atomic_load_explicit(&shm->rx_offset, memory_order_relaxed), size);
	uint32_t head = atomic_load_explicit(&shm->rx_head, memory_order_relaxed) & ~63u;
	uint32_t used = app_ring_used(head, tail, size);
	bool peek_off = atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed) &
			ABI_R_PEEK_OFF;
	size_t room = iov_total(msg->msg_iov, msg->msg_iovlen);
	struct abi_dgram d;
	uint32_t n, off = 0;

	if (!ring)
		return -EAGAIN;
	if (unlikely(peek_off) && (flags & MSG_PEEK))
		off = peek_skip(ws->shm, ring, size, &head, &used);
	if (!record_at(ring, size, head, used, &d))
		return -EAGAIN;
	off = off < d.len_bytes ? off : d.len_bytes;
	n = d.len_bytes - off < room ? d.len_bytes - off : (uint32_t)room;
	copy_out(ring, size, head + (uint32_t)sizeof(d) + off, n, msg);
	msg->msg_flags = d.len_bytes - off > room ? MSG_TRUNC : 0;
	addr_out(ws, &d.addr, d.port_be, msg->msg_name, &msg->msg_namelen);
	cmsg_out(ws, msg, &d);
	known_from(ws, &d);
	if (!(flags & MSG_PEEK))
		taken(shm, head + app_dgram_space(d.len_bytes));
	if (flags & MSG_TRUNC)
		n = d.len_bytes;
	if (unlikely(peek_off))
		peek_moved(ws->shm, flags & MSG_PEEK, n);
	return (ssize_t)n;
}

static ssize_t take(struct wsock *ws, struct msghdr *msg, int flags)
{
	struct abi_sock *shm = ws->shm;
	ssize_t n = -EAGAIN;
	int err;

	if (session_is_dead())
		return -ENETDOWN;
	/* As Linux: before any data [__skb_recv_udp]. */
	err = take_error(ws);
	if (err)
		return -err;
	for (unsigned int i = 0; shm && n == -EAGAIN; i++) {
		err = shared_lock(&shm->rx_lock);
		if (err)
			return err;
		n = take_shard(ws, shm, msg, flags);
		shared_unlock(&shm->rx_lock);
		shm = wsock_next_shard(shm, i);
	}
	if (n != -EAGAIN)
		return n;
	if (atomic_load(&ws->shm->state) & ABI_S_DEAD)
		return dead_moved();
	/* Only who would wait is told that nothing will come. */
	return atomic_load(&ws->shm->state) & ABI_S_RX_EOF && !(flags & MSG_DONTWAIT) ? 0 : -EAGAIN;
}

ssize_t dgram_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	bool nonblock = (flags & MSG_DONTWAIT) || wsock_nonblock(ws);
	int64_t deadline = 0;
	bool waited = false;
	ssize_t n = 0;

	/* A receiver that was never bound waits as in Linux, and may be bound by its sends. */
	if (!ws->shm)
		n = ctl_create(ws);
	while (n == 0) {
		n = take(ws, msg, nonblock ? flags | MSG_DONTWAIT : flags);
		if (n != -EAGAIN || nonblock)
			break;
		if (deadline == 0)
			deadline = deadline_after(ws->rcv_timeout_ns);
		waited = true;
		n = sock_wait_turn(ws, deadline);
	}
	if (waited && !session_is_dead())
		sock_leave_turn(ws);
	if (unlikely(n == -ENETDOWN) && session_is_dead())
		n = dead_answer(nonblock);
	if (n == -EAGAIN && nonblock)
		asked_in_vain();
	else if (n >= 0)
		asked_with_success();
	return n;
}
