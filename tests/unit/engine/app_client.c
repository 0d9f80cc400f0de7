/* SPDX-License-Identifier: BSD-3-Clause */
#include "app_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

static struct abi_arena *arena(const struct app *app)
{
	return (struct abi_arena *)app->base;
}

struct abi_sock *app_slot(const struct app *app, struct app_sock s)
{
	return (struct abi_sock *)(app->base + arena(app)->sock_offset) + s.index;
}

void app_submit(struct app *app, uint8_t op, struct app_sock s, uint16_t arg16, uint32_t arg32)
{
	struct abi_sqe sqe = {
		.op = op, .arg16 = arg16, .sock = s.index, .gen = s.gen, .arg32 = arg32
	};

	while (!app_sq_push(arena(app), app->channel, &sqe))
		app->run(app->arg);
}

int app_call(struct app *app, struct app_sock *s, const struct abi_ctl *ctl)
{
	struct abi_channel *ch = app->channel;
	uint32_t seq = atomic_load(&ch->ctl_seq) + 1;

	ch->ctl = *ctl;
	ch->ctl.sock = s->index;
	ch->ctl.gen = s->gen;
	atomic_store(&ch->ctl_seq, seq);
	app_submit(app, ABI_OP_CTL, *s, 0, 0);
	for (unsigned int i = 0; atomic_load(&ch->ctl_done) != seq; i++) {
		if (i == APP_TRIES)
			return -ETIME;
		app->run(app->arg);
	}
	s->index = ch->ctl.sock;
	s->gen = ch->ctl.gen;
	return ch->ctl.result;
}

static int call_addr(struct app *app, struct app_sock *s, uint32_t op, int type, uint32_t ip,
		     uint16_t port)
{
	struct abi_ctl ctl = {
		.op = op,
		.create_type = (uint32_t)type,
		.level = AF_INET,
		.port_be = htons(port),
		.addr = ipaddr_from_ip4(htonl(ip)),
	};

	return app_call(app, s, &ctl);
}

int app_bind(struct app *app, struct app_sock *s, int type, uint32_t ip, uint16_t port)
{
	return call_addr(app, s, ABI_CTL_BIND, type, ip, port);
}

int app_connect(struct app *app, struct app_sock *s, int type, uint32_t ip, uint16_t port)
{
	return call_addr(app, s, ABI_CTL_CONNECT, type, ip, port);
}

int app_listen(struct app *app, struct app_sock s, unsigned int backlog)
{
	struct abi_ctl ctl = { .op = ABI_CTL_LISTEN, .optname = backlog };

	return app_call(app, &s, &ctl);
}

uint32_t app_wait(struct app *app, struct app_sock s, uint32_t events)
{
	for (unsigned int i = 0; i < APP_TRIES; i++) {
		uint32_t there = app_sock_events(app_slot(app, s)) & events;

		if (there)
			return there;
		app->run(app->arg);
	}
	return 0;
}

bool app_accept(struct app *app, struct app_sock listener, struct app_sock *s)
{
	struct abi_sock *slot = app_slot(app, listener);
	uint32_t head = atomic_load(&slot->rx_head), size = atomic_load(&slot->rx_size_bytes) / 8;
	const uint64_t *ring = (const uint64_t *)(app->base + atomic_load(&slot->rx_offset));
	uint64_t entry;

	if (size == 0 || app_sock_rx_used(slot) == 0)
		return false;
	entry = ring[head & (size - 1)];
	atomic_store(&slot->rx_head, head + 1);
	s->index = (uint32_t)entry;
	s->gen = (uint32_t)(entry >> 32);
	app_submit(app, ABI_OP_ACCEPTED, *s, 0, 0);
	return true;
}

uint32_t app_write(struct app *app, struct app_sock s, const void *bytes, uint32_t len)
{
	struct abi_sock *slot = app_slot(app, s);
	uint32_t room, tail;

	if (!app_try_lock(&slot->tx_lock, 1))
		return 0;
	room = app_sock_tx_free(slot);
	tail = atomic_load(&slot->tx_tail);
	if (len > room)
		len = room;
	if (len != 0)
		app_ring_write(app->base + atomic_load(&slot->tx_offset),
			       atomic_load(&slot->tx_size_bytes), tail, bytes, len);
	atomic_store(&slot->tx_tail, tail + len);
	app_unlock(&slot->tx_lock);
	if (len == 0)
		return 0;
	if (!atomic_exchange(&slot->tx_kick, 1))
		app_submit(app, ABI_OP_TX, s, 0, 0);
	return len;
}

uint32_t app_read(struct app *app, struct app_sock s, void *bytes, uint32_t room)
{
	struct abi_sock *slot = app_slot(app, s);
	uint32_t used, head, len;

	if (!app_try_lock(&slot->rx_lock, 1))
		return 0;
	used = app_sock_rx_used(slot);
	len = used < room ? used : room;
	head = atomic_load(&slot->rx_head);
	if (len != 0)
		app_ring_read(bytes, app->base + atomic_load(&slot->rx_offset),
			      atomic_load(&slot->rx_size_bytes), head, len);
	atomic_store(&slot->rx_head, head + len);
	app_unlock(&slot->rx_lock);
	if (len == 0)
		return 0;
	if (atomic_load(&slot->state) & ABI_S_RX_KICK)
		app_submit(app, ABI_OP_RX, s, 0, 0);
	return len;
}

void app_release(struct app *app, struct app_sock s)
{
	app_submit(app, ABI_OP_RELEASE, s, 0, 0);
}
