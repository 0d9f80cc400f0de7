/* SPDX-License-Identifier: BSD-3-Clause */
#include "below.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bin/weird/setup.h"
#include "common/engine.h"
#include "inet/inet.h"

static char error[ENGINE_ERROR_BYTES];

void below_settle(struct program *p)
{
	while (engine_poll(p->engine, 0, p->engine->worker[0]->now_ns))
		;
}

void below_wait(struct program *p, uint64_t ns)
{
	for (uint64_t end = p->engine->worker[0]->now_ns + ns; p->engine->worker[0]->now_ns < end;)
		while (engine_poll(p->engine, 0, p->engine->worker[0]->now_ns + 10000000))
			;
}

static void run_engine(void *arg)
{
	below_settle(arg);
}

void below_begin(struct program *p, bool net_raw)
{
	static const uint32_t groups[] = { 7, BELOW_GROUP };
	struct family_params params = { .groups = groups, .group_count = 2, .net_raw = net_raw };

	memset(p, 0, sizeof(*p));
	p->engine = test_engine_open();
	assert_int_equal(setup_port(p->engine, "wire,name=cable", error), WIRE);
	assert_int_equal(setup_addr(p->engine, "198.18.0.2/24", error), 0);
	p->port = p->engine->port[WIRE - 1];
	p->session = test_program(p->engine, params, &p->app, run_engine, p);
	below_settle(p);
	frame_take_all(p->port);
}

void below_end(struct program *p)
{
	below_settle(p);
	session_destroy(p->session);
	assert_true(p->engine->worker[0]->watchers == NULL);
	assert_int_equal(ledger_balance(&p->engine->worker[0]->ledger), 0);
	engine_close(p->engine);
}

int below_packet_socket(struct program *p, int type, uint16_t protocol, struct app_sock *s)
{
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN,
			       .level = AF_PACKET,
			       .optname = (uint32_t)type,
			       .len = htons(protocol) };

	*s = (struct app_sock){ ABI_SOCK_NONE, 0 };
	return app_call(&p->app, s, &ctl);
}

int below_packet_bind(struct program *p, struct app_sock s, uint32_t ifindex, uint16_t protocol)
{
	struct abi_ctl ctl = { .op = ABI_CTL_BIND, .optname = ifindex, .port_be = htons(protocol) };

	return app_call(&p->app, &s, &ctl);
}

bool below_take(struct program *p, struct app_sock s, void *header, uint8_t *bytes)
{
	struct abi_packet *h = header;
	struct abi_sock *shm = app_slot(&p->app, s);
	uint32_t size = shm->rx_size_bytes, head = shm->rx_head;

	below_settle(p);
	if (app_sock_rx_used(shm) == 0)
		return false;
	size = shm->rx_size_bytes;
	app_ring_read(h, p->app.base + shm->rx_offset, size, head, sizeof(*h));
	app_ring_read(bytes, p->app.base + shm->rx_offset, size, head + sizeof(*h), h->len_bytes);
	atomic_store(&shm->rx_head, head + app_dgram_space(h->len_bytes));
	return true;
}

int below_send(struct program *p, struct app_sock s, const void *header, const void *bytes)
{
	const struct abi_packet *h = header;
	struct abi_sock *shm = app_slot(&p->app, s);
	struct abi_ctl ctl = { .op = ABI_CTL_SEND };
	uint32_t tail = shm->tx_tail;

	app_ring_write(p->app.base + shm->tx_offset, shm->tx_size_bytes, tail, h, sizeof(*h));
	app_ring_write(p->app.base + shm->tx_offset, shm->tx_size_bytes, tail + sizeof(*h), bytes,
		       h->len_bytes);
	atomic_store(&shm->tx_tail, tail + app_dgram_space(h->len_bytes));
	return app_call(&p->app, &s, &ctl);
}

int below_attach(struct program *p, struct app_sock s, const struct sock_filter *f, uint32_t n)
{
	struct abi_ctl ctl = { .op = ABI_CTL_FILTER, .optname = n };
	uint32_t room = sizeof(ctl.data) / sizeof(*f), piece;
	int ret = 0;

	for (uint32_t at = 0; at < n && ret == 0; at += piece) {
		piece = n - at < room ? n - at : room;
		ctl.level = at;
		ctl.len = piece * (uint32_t)sizeof(*f);
		memcpy(ctl.data, f + at, ctl.len);
		ret = app_call(&p->app, &s, &ctl);
	}
	return ret;
}

int below_option(struct program *p, struct app_sock s, uint32_t op, uint32_t level, uint32_t name,
		 uint32_t value)
{
	struct abi_ctl ctl = { .op = op, .level = level, .optname = name, .len = sizeof(value) };

	memcpy(ctl.data, &value, sizeof(value));
	return app_call(&p->app, &s, &ctl);
}

int below_ip_socket(struct program *p, int type, uint32_t proto, struct app_sock *s)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_OPEN, .level = AF_INET, .optname = (uint32_t)type, .len = proto
	};

	*s = (struct app_sock){ ABI_SOCK_NONE, 0 };
	return app_call(&p->app, s, &ctl);
}

int below_send_to(struct program *p, struct app_sock s, uint32_t ip, const void *bytes,
		  uint32_t len)
{
	struct abi_dgram d = { .len_bytes = len, .addr = ipaddr_from_ip4(htonl(ip)) };

	return below_send(p, s, &d, bytes);
}
