/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole engine in virtual time: ports, protocols, sockets, and a program, in one thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bin/weird/setup.h"
#include "common/engine.h"
#include "dev/wire.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"

#define LOOPBACK 0x7f000001u
#define NONE ((struct app_sock){ ABI_SOCK_NONE, 0 })

static char error[ENGINE_ERROR_BYTES];

/* Poll until there is no work; time stands still. */
static void settle(struct engine *engine)
{
	unsigned int loops = 0;

	while (engine_poll(engine, 0, engine->worker[0]->now_ns))
		assert_true(++loops < 1000);
}

/* Let time pass, from timer to timer. */
static void pass(struct engine *engine, uint64_t ns)
{
	uint64_t end_ns = engine->worker[0]->now_ns + ns;

	for (uint64_t next; (next = engine_next_ns(engine, 0)) <= end_ns;) {
		engine_poll(engine, 0, next);
		settle(engine);
	}
	engine_poll(engine, 0, end_ns);
}

static void close_quiet(struct engine *engine)
{
	settle(engine);
	assert_int_equal(ledger_balance(&engine->worker[0]->ledger), 0);
	engine_close(engine);
}

/* ---- configuration in words ---- */

static void refused(int err, const char *words)
{
	assert_true(err < 0);
	if (!strstr(error, words))
		fail_msg("'%s' does not say '%s'", error, words);
}

static void test_setup(void **state)
{
	struct engine *engine = test_engine_open();

	refused(setup_port(engine, "nonsense", error), "nonsense");
	assert_int_equal(setup_port(engine, "wire,name=cable", error), 2);
	refused(setup_addr(engine, "198.18.0.2", error), "not an address");
	refused(setup_addr(engine, "198.18.0.300/24", error), "not an address");
	refused(setup_addr(engine, "198.18.0.2/33", error), "not an address");
	refused(setup_addr(engine, "198.18.0.2/24@other", error), "cable");
	assert_int_equal(setup_addr(engine, "198.18.0.2/24", error), 0);
	refused(setup_addr(engine, "198.18.0.2/24@2", error), "there already");
	refused(setup_route(engine, "198.18.1.0/24", error), "not a route");
	refused(setup_route(engine, "198.18.1.0/24 over 198.18.0.1", error), "not a route");
	refused(setup_route(engine, "198.18.1.0/24 via 198.18.0.1 x", error), "not a route");
	refused(setup_route(engine, "198.18.1.0/24 via 198.18.7.1", error), "no network of ours");
	refused(setup_route(engine, "198.18.1.0/24 dev other", error), "there is no port");
	assert_int_equal(setup_route(engine, "198.18.1.0/24 via 198.18.0.1", error), 0);
	refused(setup_route(engine, "198.18.1.0/24 via 198.18.0.1", error), "there already");
	assert_int_equal(setup_route(engine, "default via 198.18.0.1", error), 0);
	assert_int_equal(setup_route(engine, "198.18.2.0/24 dev cable", error), 0);
	refused(setup_sysctl(engine, "tcp_ecn", error), "NAME=VALUE");
	refused(setup_sysctl(engine, "=1", error), "NAME=VALUE");
	refused(setup_sysctl(engine, "tcp_enc=1", error), "did you mean tcp_ecn?");
	refused(setup_sysctl(engine, "net.ipv4.tcp_syn_retry=1", error), "tcp_syn_retries?");
	refused(setup_sysctl(engine, "moderate=1", error), "tcp_moderate_rcvbuf?");
	refused(setup_sysctl(engine, "colour=blue", error), "weir sysctl lists them");
	refused(setup_sysctl(engine, "tcp_syn_retries=200", error), "from 1 to 127");
	refused(setup_sysctl(engine, "tcp_syn_retries=", error), "from 1 to 127");
	refused(setup_sysctl(engine, "tcp_rmem=4096", error), "3 numbers from 1");
	refused(setup_sysctl(engine, "tcp_congestion_control=vegas", error), "there are: cubic");
	refused(setup_sysctl(engine, "tcp_available_congestion_control=reno", error),
		"only be read");
	assert_int_equal(setup_sysctl(engine, "net.ipv4.tcp_syn_retries = 3", error), 0);
	assert_int_equal(tcp_params(engine->worker[0])->tcp_syn_retries, 3);
	assert_int_equal(setup_sysctl(engine, "tcp_rmem=4096 5000 6000", error), 0);
	assert_int_equal(tcp_params(engine->worker[0])->tcp_rmem[2], 6000);
	assert_true(ipaddr_ip4(&setup_address(0)->addr) == htonl(0xc6120002));
	assert_null(setup_address(1));
	close_quiet(engine);
}

static void test_open_errors(void **state)
{
	struct engine_config config = { .workers = ABI_MAX_WORKERS + 1, .virtual_time = true };
	struct engine *engine;

	refused(engine_open(&config, &engine, error), "too many");
}

/* ---- frames ---- */

static const uint8_t arp_request[60] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,	 0,  0, 0, 0, 1, 8, 6, /* to all, ARP */
	0,    1,    8,	  0,	6,    4,    0,	 1,  2, 0, 0, 0, 0, 1,
	198,  18,   0,	  1,				   /* who-has, from .1 */
	0,    0,    0,	  0,	0,    0,    198, 18, 0, 2, /* .2 */
};

static void test_answer_in_one_poll(void **state)
{
	struct engine *engine = test_engine_open();
	struct ipaddr addr = ipaddr_from_ip4(htonl(0xc6120002));
	struct worker *w = engine->worker[0];
	uint8_t frame[128];
	struct port *port;

	assert_int_equal(setup_port(engine, "wire", error), 2);
	assert_int_equal(engine_addr_add(engine, 2, &addr, 24), 0);
	port = engine->port[1];
	while (wire_take(port, frame, sizeof(frame)))
		; /* what it says of itself at the start */
	assert_int_equal(wire_put(port, arp_request, sizeof(arp_request)), 0);
	assert_true(engine_poll(engine, 0, w->now_ns) > 0);
	assert_true(wire_take(port, frame, sizeof(frame)) >= 42);
	assert_memory_equal(frame, arp_request + 6, 6); /* to the asker */
	assert_int_equal(frame[21], 2);			/* a reply */
	assert_int_equal(w->ledger.entered, 1);
	close_quiet(engine);
}

static void test_time_never_goes_back(void **state)
{
	struct engine *engine = test_engine_open();

	engine_poll(engine, 0, TEST_START_NS + 500);
	engine_poll(engine, 0, TEST_START_NS);
	assert_int_equal(engine->worker[0]->now_ns, TEST_START_NS + 500);
	close_quiet(engine);
}

static unsigned int fired;

static void on_timer(struct worker *w, struct timer *t)
{
	fired++;
}

static void test_next_time(void **state)
{
	struct engine *engine = test_engine_open();
	struct worker *w = engine->worker[0];
	struct timer t = { .fn = on_timer };
	uint64_t at = TEST_START_NS + 3000000;

	timer_set(&w->timers, &t, at);
	assert_true(engine_next_ns(engine, 0) <= at);
	pass(engine, 2000000);
	assert_int_equal(fired, 0);
	pass(engine, 1000000);
	assert_int_equal(fired, 1);
	close_quiet(engine);
}

/* ---- a program ---- */

struct program {
	struct engine *engine;
	struct session *session;
	struct app app;
};

static void run_engine(void *arg)
{
	struct program *p = arg;

	if (!engine_poll(p->engine, 0, p->engine->worker[0]->now_ns))
		pass(p->engine, 1000000);
}

static void program_start(struct program *p)
{
	memset(p, 0, sizeof(*p));
	p->engine = test_engine_open();
	p->session = test_program(p->engine, (struct family_params){ 0 }, &p->app, run_engine, p);
}

static void program_end(struct program *p)
{
	settle(p->engine);
	session_destroy(p->session);
	close_quiet(p->engine);
}

/* A connection over 127.0.0.1; client and server are sockets of the same program. */
static void connect_pair(struct program *p, struct app_sock *client, struct app_sock *server,
			 struct app_sock *listener)
{
	int err;

	*listener = *client = NONE;
	assert_int_equal(app_bind(&p->app, listener, SOCK_STREAM, LOOPBACK, 8080), 0);
	assert_int_equal(app_listen(&p->app, *listener, 16), 0);
	err = app_connect(&p->app, client, SOCK_STREAM, LOOPBACK, 8080);
	assert_true(err == 0 || err == -EINPROGRESS);
	assert_true(app_wait(&p->app, *client, ABI_EV_OUT));
	assert_true(app_wait(&p->app, *listener, ABI_EV_IN));
	assert_true(app_accept(&p->app, *listener, server));
	settle(p->engine);
}

/* "a request goes client -> server in one engine_poll without leaving it", and the answer back. */
static void test_request_in_one_poll(void **state)
{
	struct app_sock client, server, listener;
	struct program p;
	char bytes[16];

	program_start(&p);
	connect_pair(&p, &client, &server, &listener);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(app_write(&p.app, client, "ping", 4), 4);
		assert_true(engine_poll(p.engine, 0, p.engine->worker[0]->now_ns + 1000) > 0);
		assert_int_equal(app_read(&p.app, server, bytes, sizeof(bytes)), 4);
		assert_memory_equal(bytes, "ping", 4);
		assert_int_equal(app_write(&p.app, server, "pong!", 5), 5);
		assert_true(engine_poll(p.engine, 0, p.engine->worker[0]->now_ns + 1000) > 0);
		assert_int_equal(app_read(&p.app, client, bytes, sizeof(bytes)), 5);
		assert_memory_equal(bytes, "pong!", 5);
	}
	program_end(&p);
}

static void test_bulk(void **state)
{
	static uint8_t out[65536], in[65536];
	struct app_sock client, server, listener;
	uint64_t sent = 0, got = 0, total = 4u << 20;
	struct program p;

	program_start(&p);
	connect_pair(&p, &client, &server, &listener);
	for (unsigned int idle = 0; got < total && idle < 10000; idle++) {
		uint32_t n;

		for (uint32_t i = 0; i < sizeof(out); i++)
			out[i] = (uint8_t)((sent + i) * 7);
		n = (uint32_t)(total - sent < sizeof(out) ? total - sent : sizeof(out));
		sent += app_write(&p.app, client, out, n);
		run_engine(&p);
		n = app_read(&p.app, server, in, sizeof(in));
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(in[i], (uint8_t)((got + i) * 7));
		got += n;
		if (n)
			idle = 0;
	}
	assert_int_equal(got, total);
	program_end(&p);
}

static void test_loop_stats(void **state)
{
	struct engine_loop_stats stats;
	struct program p;

	program_start(&p);
	settle(p.engine);
	engine_loop_stats(p.engine, 0, &stats);
	assert_true(stats.loops > 0);
	assert_true(stats.busy_loops <= stats.loops);
	assert_int_equal(stats.sleeps, 0);
	program_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setup),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_answer_in_one_poll),
		cmocka_unit_test(test_time_never_goes_back),
		cmocka_unit_test(test_next_time),
		cmocka_unit_test(test_request_in_one_poll),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_loop_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
