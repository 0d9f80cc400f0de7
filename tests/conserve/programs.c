/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs by their ends of the channel: they start, open sockets of every kind, send, read some of
 * what comes, close, and die in the middle of it.
 */
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conserve.h"
#include "wire/app_packet.h"
#include "wire/byteorder.h"

#define PROTO_OTHER 200u
#define SEND_BYTES 20000u
#define SOCKS 256u /* of a program, all workers' */

enum sock_kind { KIND_NONE, KIND_LISTENER, KIND_STREAM, KIND_DGRAM, KIND_RAW, KIND_PACKET };

static uint8_t bytes[SEND_BYTES];

static void run_engine(void *arg)
{
	struct world *w = arg;

	for (unsigned int i = 0; i < w->workers; i++)
		engine_poll(w->engine, i, w->engine->worker[i]->now_ns);
}

static bool program_start(struct world *w, struct program *p)
{
	static const uint32_t group = 0;
	struct family_params params = { .name = "program",
					.groups = &group,
					.group_count = 1,
					.arena_bytes = 64u << 20,
					.socks = SOCKS,
					.net_raw = true,
					.workers = w->engine->worker,
					.worker_count = w->workers };
	uint64_t offset;
	uint32_t index;
	int ret;

	memset(p, 0, sizeof(*p));
	ret = session_create(&params, getpid(), &p->session);
	if (ret)
		return world_fail(w, "a session: %s", strerror(-ret));
	for (unsigned int i = 0; i < w->workers; i++) {
		ret = session_channel(p->session, i, -1, ABI_CQ_THREAD, &index, &offset);
		if (ret)
			return world_fail(w, "a channel: %s", strerror(-ret));
		p->app[i].base = (uint8_t *)session_arena(p->session);
		p->app[i].channel = (struct abi_channel *)(p->app[i].base + offset);
		p->app[i].run = run_engine;
		p->app[i].arg = w;
	}
	w->starts++;
	return true;
}

static void program_kill(struct world *w, struct program *p)
{
	session_destroy(p->session);
	p->session = NULL;
	w->deaths++;
}

void programs_kill(struct world *w)
{
	for (unsigned int i = 0; i < PROGRAMS; i++)
		if (w->program[i].session)
			program_kill(w, &w->program[i]);
}

/* ---- opening ---- */

static int open_below(struct app *app, struct app_sock *s, uint32_t family, int type,
		      uint32_t proto)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_OPEN, .level = family, .optname = (uint32_t)type, .len = proto
	};

	return app_call(app, s, &ctl);
}

static void option(struct app *app, struct app_sock *s, uint32_t level, uint32_t name,
		   const void *value, uint32_t len)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_SETSOCKOPT, .level = level, .optname = name, .len = len
	};

	memcpy(ctl.data, value, len);
	(void)app_call(app, s, &ctl);
}

/* A filter that lets nothing by. */
static void deaf(struct app *app, struct app_sock *s)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct abi_ctl ctl = { .op = ABI_CTL_FILTER, .optname = 1, .len = sizeof(none) };

	memcpy(ctl.data, &none, sizeof(none));
	(void)app_call(app, s, &ctl);
}

/* A datagram socket's: a group, all of it or one source's; a small buffer; nothing at all. */
static void wishes(struct world *w, struct app *app, struct app_sock *s)
{
	uint32_t mreq[3] = { host_to_be32(GROUP_IP), host_to_be32(US_IP),
			     host_to_be32(PEER_IP + 2) };
	uint32_t small = 2304;

	if (rng_once(&w->rng, 3))
		option(app, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, 8);
	else if (rng_once(&w->rng, 2))
		option(app, s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, mreq, 12);
	if (rng_once(&w->rng, 2))
		option(app, s, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (rng_once(&w->rng, 8))
		deaf(app, s);
}

static uint16_t any_port(struct world *w)
{
	return (uint16_t)(PORTS_FROM + rng_below(&w->rng, PORTS));
}

static uint8_t sock_open(struct world *w, struct app *app, struct app_sock *s)
{
	*s = (struct app_sock){ ABI_SOCK_NONE, 0 };
	switch (rng_below(&w->rng, 10)) {
	case 0:
	case 1:
	case 2:
		if (app_bind(app, s, SOCK_STREAM, 0, any_port(w)) == 0)
			(void)app_listen(app, *s, 1 + rng_below(&w->rng, 8));
		return KIND_LISTENER;
	case 3:
	case 4:
		(void)app_connect(app, s, SOCK_STREAM, rng_once(&w->rng, 4) ? FAR_IP : PEER_IP,
				  any_port(w));
		return KIND_STREAM;
	case 5:
		(void)app_connect(app, s, SOCK_STREAM, 0x7f000001u, any_port(w));
		return KIND_STREAM;
	case 6:
		(void)open_below(app, s, AF_INET, SOCK_RAW, rng_once(&w->rng, 2) ? 1 : PROTO_OTHER);
		return KIND_RAW;
	case 7:
		(void)open_below(app, s, AF_PACKET, SOCK_RAW, 0x0300 /* ETH_P_ALL */);
		return KIND_PACKET;
	default:
		(void)app_bind(app, s, SOCK_DGRAM, 0, any_port(w));
		if (s->index != ABI_SOCK_NONE)
			wishes(w, app, s);
		return KIND_DGRAM;
	}
}

/* ---- using ---- */

/* All that there is. */
static void read_all(struct app *app, struct app_sock s)
{
	struct abi_sock *slot = app_slot(app, s);

	if (app_sock_rx_used(slot))
		atomic_store(&slot->rx_head, atomic_load(&slot->rx_tail));
}

static void send_record(struct world *w, struct app *app, struct app_sock s, uint8_t kind)
{
	struct abi_sock *slot = app_slot(app, s);
	struct abi_ctl ctl = { .op = ABI_CTL_SEND };
	uint32_t size = slot->tx_size_bytes, tail = slot->tx_tail;
	uint32_t len = rng_once(&w->rng, 8) ? rng_below(&w->rng, 3000) : rng_below(&w->rng, 200);
	static const uint32_t to[] = {
		PEER_IP, PEER_IP, 0xc6120055u, FAR_IP, GROUP_IP, 0x7f000001u
	};
	union {
		struct abi_dgram dgram;
		struct abi_packet packet;
	} h;

	memset(&h, 0, sizeof(h));
	if (kind == KIND_PACKET) {
		len = 60;
		memcpy(bytes, mac_peer, 6);
		memcpy(bytes + 6, mac_us, 6);
		bytes[12] = 0x88;
		h.packet.len_bytes = len;
		h.packet.ifindex = 2;
	} else {
		h.dgram.len_bytes = len;
		h.dgram.addr = ipaddr_from_ip4(host_to_be32(to[rng_below(&w->rng, 6)]));
		h.dgram.port_be = host_to_be16(any_port(w));
	}
	if (size == 0 || app_sock_tx_free(slot) < app_dgram_space(len))
		return;
	app_ring_write(app->base + slot->tx_offset, size, tail, &h, 64);
	app_ring_write(app->base + slot->tx_offset, size, tail + 64, bytes, len);
	atomic_store(&slot->tx_tail, tail + app_dgram_space(len));
	(void)app_call(app, &s, &ctl);
}

static struct app_sock *slot_free(struct program *p, uint8_t **kind)
{
	for (unsigned int i = 0; i < PROGRAM_SOCKS; i++) {
		if (p->kind[i] == KIND_NONE) {
			*kind = &p->kind[i];
			return &p->sock[i];
		}
	}
	return NULL;
}

static void accept_some(struct program *p, struct app *app, struct app_sock listener)
{
	struct app_sock *s;
	uint8_t *kind;

	while ((s = slot_free(p, &kind)) && app_accept(app, listener, s))
		*kind = KIND_STREAM;
}

static void stream_use(struct world *w, struct app *app, struct app_sock s)
{
	static uint8_t in[8192];

	if (!rng_once(&w->rng, 3))
		(void)app_read(app, s, in, sizeof(in));
	if (app_slot(app, s)->tx_size_bytes && rng_once(&w->rng, 2))
		(void)app_write(app, s, bytes, 1 + rng_below(&w->rng, SEND_BYTES));
}

/* Each worker has its part of the table, and is told of its sockets by its own channel. */
static struct app *app_of(struct world *w, struct program *p, struct app_sock s)
{
	return &p->app[s.index / (SOCKS / w->workers)];
}

static void sock_use(struct world *w, struct program *p, unsigned int i)
{
	struct app *app = app_of(w, p, p->sock[i]);

	if (p->kind[i] == KIND_LISTENER)
		accept_some(p, app, p->sock[i]);
	else if (p->kind[i] == KIND_STREAM)
		stream_use(w, app, p->sock[i]);
	else if (rng_once(&w->rng, 2))
		send_record(w, app, p->sock[i], p->kind[i]);
	else if (!rng_once(&w->rng, 4)) /* else its buffer fills */
		read_all(app, p->sock[i]);
}

static void program_turn(struct world *w, struct program *p)
{
	unsigned int i = rng_below(&w->rng, PROGRAM_SOCKS);

	if (p->kind[i] == KIND_NONE) {
		p->kind[i] = sock_open(w, &p->app[i % w->workers], &p->sock[i]);
		if (p->sock[i].index == ABI_SOCK_NONE)
			p->kind[i] = KIND_NONE;
		return;
	}
	if (rng_once(&w->rng, 12)) {
		app_release(app_of(w, p, p->sock[i]), p->sock[i]);
		p->kind[i] = KIND_NONE;
		return;
	}
	sock_use(w, p, i);
}

void programs_turn(struct world *w)
{
	struct program *p = &w->program[rng_below(&w->rng, PROGRAMS)];

	if (!p->session) {
		(void)program_start(w, p);
		return;
	}
	for (unsigned int i = 0; i < 3; i++)
		program_turn(w, p);
	/* They keep to the rules. */
	if (session_broken(p->session))
		world_fail(w, "a program broke a rule: %s", session_broken(p->session));
	if (rng_once(&w->rng, 40))
		program_kill(w, p);
}
