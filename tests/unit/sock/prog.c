/* SPDX-License-Identifier: BSD-3-Clause */
#include "prog.h"

#include <errno.h>

void prog_channels(struct prog *p)
{
	uint64_t offset;
	uint32_t index;

	assert_int_equal(session_channel(p->session, 0, -1, ABI_CQ_THREAD, &index, &offset), 0);
	p->thread = (struct abi_channel *)((uint8_t *)p->arena + offset);
	assert_int_equal(p->thread->index, index);
	assert_int_equal(session_channel(p->session, 0, -1, 64, &index, &offset), 0);
	p->epoll = (struct abi_channel *)((uint8_t *)p->arena + offset);
}

void prog_open(struct prog *p, struct worker *w, uint32_t socks, uint64_t arena_bytes)
{
	struct family_params params = {
		.name = "prog",
		.socks = socks,
		.arena_bytes = arena_bytes,
		.memfd = true,
		.workers = &w,
		.worker_count = 1,
	};

	p->w = w;
	assert_int_equal(session_create(&params, 1, &p->session), 0);
	p->arena = session_arena(p->session);
	assert_int_equal(p->arena->magic, ABI_MAGIC);
	prog_channels(p);
}

void prog_close(struct prog *p)
{
	session_destroy(p->session);
	p->session = NULL;
	fake_run(p->w);
}

struct abi_sock *prog_sock(struct prog *p, struct psock s)
{
	return (struct abi_sock *)((uint8_t *)p->arena + p->arena->sock_offset) + s.index;
}

void prog_submit(struct prog *p, uint8_t op, struct psock s, uint16_t arg16, uint32_t arg32)
{
	struct abi_sqe sqe = {
		.op = op, .arg16 = arg16, .sock = s.index, .gen = s.gen, .arg32 = arg32
	};

	while (!app_sq_push(p->arena, p->thread, &sqe))
		sock_poll(p->w);
}

void prog_run(struct prog *p)
{
	do {
		while (sock_poll(p->w) != 0)
			;
		fake_run(p->w);
		sock_flush(p->w);
	} while (sock_pending(p->w));
}

int prog_ctl(struct prog *p, struct abi_ctl *ctl, struct psock *s)
{
	struct abi_channel *ch = p->thread;
	uint32_t seq = atomic_load(&ch->ctl_seq) + 1;

	ctl->sock = s->index;
	ctl->gen = s->gen;
	memcpy(&ch->ctl, ctl, sizeof(*ctl));
	atomic_store(&ch->ctl_seq, seq);
	prog_submit(p, ABI_OP_CTL, *s, 0, 0);
	for (int i = 0; i < 100 && atomic_load(&ch->ctl_done) != seq; i++) {
		sock_poll(p->w);
		sock_flush(p->w);
	}
	if (atomic_load(&ch->ctl_done) != seq)
		return -ETIMEDOUT;
	memcpy(ctl, &ch->ctl, sizeof(*ctl));
	s->index = ctl->sock;
	s->gen = ctl->gen;
	return ctl->result;
}

int prog_socket(struct prog *p, int type, struct psock *s)
{
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN, .level = AF_INET, .optname = (uint32_t)type };

	*s = (struct psock){ ABI_SOCK_NONE, 0 };
	return prog_ctl(p, &ctl, s);
}

static struct ipaddr loopback(void)
{
	return ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
}

int prog_bind(struct prog *p, struct psock s, uint16_t port)
{
	struct abi_ctl ctl = { .op = ABI_CTL_BIND, .port_be = htons(port), .addr = loopback() };

	return prog_ctl(p, &ctl, &s);
}

int prog_listen(struct prog *p, struct psock s, uint32_t backlog)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = backlog };

	return prog_ctl(p, &ctl, &s);
}

int prog_connect(struct prog *p, struct psock s, uint16_t port)
{
	struct abi_ctl ctl = { .op = ABI_CTL_CONNECT, .port_be = htons(port), .addr = loopback() };

	return prog_ctl(p, &ctl, &s);
}

int prog_shutdown(struct prog *p, struct psock s, int how)
{
	struct abi_ctl ctl = { .op = ABI_CTL_SHUTDOWN, .optname = (uint32_t)how };

	return prog_ctl(p, &ctl, &s);
}

int prog_setopt(struct prog *p, struct psock s, int level, int name, int value)
{
	struct abi_ctl ctl = { .op = ABI_CTL_SETSOCKOPT,
			       .level = (uint32_t)level,
			       .optname = (uint32_t)name,
			       .len = sizeof(value) };

	memcpy(ctl.data, &value, sizeof(value));
	return prog_ctl(p, &ctl, &s);
}

int prog_getopt(struct prog *p, struct psock s, int level, int name, int *value)
{
	struct abi_ctl ctl = { .op = ABI_CTL_GETSOCKOPT,
			       .level = (uint32_t)level,
			       .optname = (uint32_t)name,
			       .len = sizeof(*value) };
	int ret = prog_ctl(p, &ctl, &s);

	memcpy(value, ctl.data, sizeof(*value));
	return ret;
}

bool prog_accept(struct prog *p, struct psock l, struct psock *s)
{
	struct abi_sock *abi = prog_sock(p, l);
	uint32_t head = atomic_load(&abi->rx_head), entries = abi->rx_size_bytes / 8;
	const uint64_t *ring = (uint64_t *)((uint8_t *)p->arena + abi->rx_offset);
	uint64_t entry;

	if (app_sock_rx_used(abi) == 0)
		return false;
	entry = ring[head & (entries - 1)];
	if (!atomic_compare_exchange_strong(&abi->rx_head, &head, head + 1))
		return false;
	*s = (struct psock){ (uint32_t)entry, (uint32_t)(entry >> 32) };
	prog_submit(p, ABI_OP_ACCEPTED, *s, 0, 0);
	return true;
}

static void kick(struct prog *p, struct psock s)
{
	if (atomic_exchange(&prog_sock(p, s)->tx_kick, 1) == 0)
		prog_submit(p, ABI_OP_TX, s, 0, 0);
}

uint32_t prog_send(struct prog *p, struct psock s, const void *data, uint32_t len)
{
	struct abi_sock *abi = prog_sock(p, s);
	uint32_t room = app_sock_tx_free(abi), tail = atomic_load(&abi->tx_tail);

	if (len > room)
		len = room;
	if (len == 0) {
		atomic_fetch_or(&abi->want, ABI_WANT_TX);
		return 0;
	}
	app_ring_write((uint8_t *)p->arena + abi->tx_offset, abi->tx_size_bytes, tail, data, len);
	atomic_store(&abi->tx_tail, tail + len);
	kick(p, s);
	return len;
}

uint32_t prog_recv(struct prog *p, struct psock s, void *data, uint32_t room)
{
	struct abi_sock *abi = prog_sock(p, s);
	uint32_t len = app_sock_rx_used(abi), head = atomic_load(&abi->rx_head);

	if (len > room)
		len = room;
	if (len == 0)
		return 0;
	app_ring_read(data, (uint8_t *)p->arena + abi->rx_offset, abi->rx_size_bytes, head, len);
	atomic_store(&abi->rx_head, head + len);
	if (atomic_load(&abi->state) & ABI_S_RX_KICK)
		prog_submit(p, ABI_OP_RX, s, 0, 0);
	return len;
}

void prog_release(struct prog *p, struct psock s)
{
	prog_submit(p, ABI_OP_RELEASE, s, 0, 0);
}

bool prog_sendto_segments(struct prog *p, struct psock s, uint16_t port, const void *data,
			  uint32_t len, uint16_t segment)
{
	struct abi_sock *abi = prog_sock(p, s);
	uint32_t tail = atomic_load(&abi->tx_tail), size = abi->tx_size_bytes;
	uint8_t *ring = (uint8_t *)p->arena + abi->tx_offset;
	struct abi_dgram d = { .len_bytes = len,
			       .addr = loopback(),
			       .port_be = htons(port),
			       .segment_bytes = segment };

	if (app_sock_tx_free(abi) < app_dgram_space(len))
		return false;
	app_ring_write(ring, size, tail, &d, sizeof(d));
	app_ring_write(ring, size, tail + (uint32_t)sizeof(d), data, len);
	atomic_store(&abi->tx_tail, tail + app_dgram_space(len));
	kick(p, s);
	return true;
}

bool prog_sendto(struct prog *p, struct psock s, uint16_t port, const void *data, uint32_t len)
{
	return prog_sendto_segments(p, s, port, data, len, 0);
}

int prog_recvfrom(struct prog *p, struct psock s, void *data, uint32_t room, struct abi_dgram *d)
{
	struct abi_sock *abi = prog_sock(p, s);
	uint32_t head = atomic_load(&abi->rx_head), size = abi->rx_size_bytes;
	const uint8_t *ring = (uint8_t *)p->arena + abi->rx_offset;

	if (app_sock_rx_used(abi) == 0)
		return -1;
	app_ring_read(d, ring, size, head, sizeof(*d));
	app_ring_read(data, ring, size, head + (uint32_t)sizeof(*d),
		      d->len_bytes < room ? d->len_bytes : room);
	atomic_store(&abi->rx_head, head + app_dgram_space(d->len_bytes));
	return (int)d->wire_bytes;
}

void prog_watch(struct prog *p, struct psock s, struct abi_channel *ch, uint32_t interest)
{
	prog_submit(p, ABI_OP_WATCH, s, ch->index, interest);
	prog_run(p);
}

bool prog_cqe(struct abi_channel *ch, struct psock *s)
{
	uint32_t head = atomic_load(&ch->cq_head);
	struct abi_cqe cqe;

	if (head == atomic_load(&ch->cq_tail))
		return false;
	cqe = ch->cq[head & (ch->cq_entries - 1)];
	atomic_store(&ch->cq_head, head + 1);
	*s = (struct psock){ cqe.sock & ~ABI_CQE_WATCHED, cqe.gen };
	return true;
}

void prog_pair(struct prog *p, uint16_t port, struct psock *l, struct psock *client,
	       struct psock *server)
{
	assert_int_equal(prog_socket(p, SOCK_STREAM, l), 0);
	assert_int_equal(prog_bind(p, *l, port), 0);
	assert_int_equal(prog_listen(p, *l, 8), 0);
	assert_int_equal(prog_socket(p, SOCK_STREAM, client), 0);
	assert_int_equal(prog_connect(p, *client, port), -EINPROGRESS);
	prog_run(p);
	assert_true(prog_accept(p, *l, server));
	prog_run(p);
}
