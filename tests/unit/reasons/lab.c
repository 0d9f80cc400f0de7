/* SPDX-License-Identifier: BSD-3-Clause */
#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>

#include "dev/wire.h"
#include "engine/engine.h"
#include "sock/session.h"

const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 2 };
const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

/* ---- begin and end ---- */

static const char *const eal_args[] = { "--no-huge", "--no-pci", "-m", "256", NULL };

static void run_engine(void *arg)
{
	lab_settle(arg);
}

static void open_engine(struct lab *lab, const struct reason_case *rc)
{
	const char *addrs[2][2] = { { "198.18.0.2/24", NULL }, { "198.18.1.2/24", NULL } };
	struct weir_port ports[] = {
		{ rc->wire ? rc->wire : "wire,mac=02:00:00:00:00:02", addrs[0] },
		{ "wire,mac=02:00:00:00:01:02", addrs[1] },
	};
	struct weir_config config = { .ports = ports,
				      .port_count = 2,
				      .virtual_time = true,
				      .start_ns = TEST_START_NS,
				      .seed = TEST_SEED,
				      .forwarding = rc->forwarding,
				      .packets = rc->packets ? rc->packets : 4096,
				      .sockets = 4096,
				      .memory_bytes = rc->memory_bytes,
				      .eal_args = eal_args };
	char error[WEIR_ERROR_BYTES];

	lab->weir = weir_engine_open(&config, error);
	if (!lab->weir)
		fail_msg("%s", error);
	lab->w = lab->weir->w;
	lab->engine = lab->weir->engine;
	lab->wire[0] = lab->weir->engine->port[1];
	lab->wire[1] = lab->weir->engine->port[2];
	lab->app.base = (uint8_t *)lab->weir->arena;
	lab->app.channel = lab->weir->channel;
	lab->app.run = run_engine;
	lab->app.arg = lab;
	lab_wait(lab, 5 * SEC); /* addresses are announced */
	frame_take_all(lab->wire[0]);
	frame_take_all(lab->wire[1]);
}

static void open_workers(struct lab *lab, const struct reason_case *rc)
{
	struct engine_config config = { .workers = rc->workers,
					.packets = 4096,
					.eal_args = eal_args,
					.virtual_time = true,
					.seed = TEST_SEED,
					.now_ns = TEST_START_NS };
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(US));
	char error[ENGINE_ERROR_BYTES];

	if (engine_open(&config, &lab->engine, error))
		fail_msg("%s", error);
	assert_int_equal(engine_port_add(lab->engine, "wire,mac=02:00:00:00:00:02,queues=2", error),
			 2);
	assert_int_equal(engine_addr_add(lab->engine, 2, &addr, 24), 0);
	lab->wire[0] = lab->engine->port[1];
	lab->w = lab->engine->worker[0];
}

void lab_open(struct lab *lab, const struct reason_case *rc)
{
	memset(lab, 0, sizeof(*lab));
	lab->rc = rc;
	log_set_level(LOG_LEVEL_ERROR);
	if (rc->bare)
		lab->w = test_worker();
	else if (rc->workers)
		open_workers(lab, rc);
	else
		open_engine(lab, rc);
	lab_mark(lab);
}

void lab_mark(struct lab *lab)
{
	ledger_free(&lab->before);
	assert_int_equal(ledger_init(&lab->before), 0);
	ledger_add(&lab->before, &lab->w->ledger);
}

void lab_close(struct lab *lab)
{
	lab_refill(lab);
	ledger_free(&lab->before);
	if (lab->rc->bare) {
		test_worker_done(lab->w);
		return;
	}
	if (lab->weir)
		lab_settle(lab);
	assert_int_equal(ledger_balance(&lab->w->ledger), 0);
	if (lab->weir)
		weir_engine_close(lab->weir);
	else
		engine_close(lab->engine);
}

/* ---- time and frames ---- */

void lab_settle(struct lab *lab)
{
	assert_int_equal(weir_engine_advance(lab->weir, 0), 0);
}

void lab_wait(struct lab *lab, uint64_t ns)
{
	assert_int_equal(weir_engine_advance(lab->weir, ns), 0);
}

void lab_put(struct lab *lab, const uint8_t *frame, size_t len)
{
	assert_int_equal(wire_put(lab->wire[0], frame, len), 0);
	lab_settle(lab);
}

void lab_send(struct lab *lab, size_t len, unsigned int n)
{
	while (n--)
		lab_put(lab, lab->frame, len);
}

bool lab_take(struct lab *lab, unsigned int wire)
{
	return frame_take(lab->wire[wire], ETH_TYPE_IP4, lab->frame, &lab->info) != 0;
}

struct frame_spec from_peer(void)
{
	struct frame_spec s = { .src_ip = PEER, .dst_ip = US };

	memcpy(s.dst_mac, us_mac, sizeof(us_mac));
	memcpy(s.src_mac, peer_mac, sizeof(peer_mac));
	return s;
}

void lab_meet(struct lab *lab)
{
	lab_send(lab, frame_arp(lab->frame, us_mac, ARP_OP_REQUEST, peer_mac, PEER, NULL, US), 1);
	frame_take_all(lab->wire[0]);
}

void lab_udp(struct lab *lab, uint16_t dport, const void *data, size_t len, unsigned int n)
{
	struct frame_spec s = from_peer();

	lab_send(lab, frame_udp(lab->frame, &s, 4000, dport, data, len), n);
}

struct port *lab_port(struct lab *lab, const char *spec)
{
	struct worker *workers[1] = { lab->w };
	struct port_open_params params = { .workers = 1, .worker = workers };
	char error[PORT_ERROR_BYTES];
	struct port *port;

	if (port_open(spec, &params, &port, error))
		fail_msg("%s", error);
	return port;
}

struct pkt *lab_packet(struct lab *lab, uint32_t len)
{
	static const uint8_t bytes[70000] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	struct pkt *p = pkt_alloc(lab->w);

	assert_non_null(p);
	assert_int_equal(pkt_append(lab->w, p, bytes, len), 0);
	return p;
}

void lab_drain(struct lab *lab, unsigned int leave)
{
	unsigned int room = 65536;

	lab->taken = calloc(room, sizeof(struct pkt *));
	assert_non_null(lab->taken);
	while (lab->taken_count < room &&
	       pkt_alloc_raw(lab->w, &lab->taken[lab->taken_count], 1) == 0)
		lab->taken_count++;
	lab->taken_count -= leave;
	pkt_free_raw(&lab->taken[lab->taken_count], leave);
}

void lab_refill(struct lab *lab)
{
	if (lab->taken)
		pkt_free_raw(lab->taken, lab->taken_count);
	free(lab->taken);
	lab->taken = NULL;
	lab->taken_count = 0;
}

/* ---- sockets ---- */

struct sockaddr_in lab_addr(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(ip) };
}

int lab_udp_socket(struct lab *lab, uint16_t port)
{
	struct sockaddr_in a = lab_addr(0, port);
	int fd = weir_socket(lab->weir, AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(weir_bind(lab->weir, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

int lab_udp_send(struct lab *lab, int fd, uint32_t ip, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in a = lab_addr(ip, port);
	ssize_t n = weir_sendto(lab->weir, fd, data, len, 0, (struct sockaddr *)&a, sizeof(a));
	int ret = n < 0 ? -errno : 0;

	lab_settle(lab);
	return ret;
}

int lab_option(struct lab *lab, int fd, int level, int name, int value)
{
	return weir_setsockopt(lab->weir, fd, level, name, &value, sizeof(value));
}

struct app_sock lab_below(struct lab *lab, uint32_t family, int type, uint32_t proto)
{
	struct abi_ctl ctl = {
		.op = ABI_CTL_OPEN, .level = family, .optname = (uint32_t)type, .len = proto
	};
	struct app_sock s = { ABI_SOCK_NONE, 0 };

	assert_int_equal(app_call(&lab->app, &s, &ctl), 0);
	return s;
}

int lab_below_send(struct lab *lab, struct app_sock s, const void *header, const void *bytes,
		   uint32_t len)
{
	struct abi_sock *shm = app_slot(&lab->app, s);
	struct abi_ctl ctl = { .op = ABI_CTL_SEND };
	uint8_t *ring = lab->app.base + shm->tx_offset;
	uint32_t tail = shm->tx_tail;

	app_ring_write(ring, shm->tx_size_bytes, tail, header, 64);
	app_ring_write(ring, shm->tx_size_bytes, tail + 64, bytes, len);
	atomic_store(&shm->tx_tail, tail + app_dgram_space(len));
	return app_call(&lab->app, &s, &ctl);
}

void lab_filter_all(struct lab *lab, struct app_sock s)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct abi_ctl ctl = { .op = ABI_CTL_FILTER, .optname = 1, .len = sizeof(none) };

	memcpy(ctl.data, &none, sizeof(none));
	assert_int_equal(app_call(&lab->app, &s, &ctl), 0);
}

void lab_sysctl(struct lab *lab, const char *name, const char *value)
{
	assert_int_equal(weir_sysctl(lab->weir, name, value), 0);
}

/* ---- TCP ---- */

struct talk talk_begin(struct lab *lab, int backlog)
{
	struct sockaddr_in a = lab_addr(0, 80);
	struct talk t = { .src_ip = PEER,
			  .sport = 5000,
			  .dport = 80,
			  .seq = 1000,
			  .window = 65535,
			  .ts_val = 100000,
			  .fd = -1 };

	lab_meet(lab);
	t.listener = weir_socket(lab->weir, AF_INET, SOCK_STREAM, 0);
	assert_true(t.listener >= 0);
	assert_int_equal(weir_bind(lab->weir, t.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(weir_listen(lab->weir, t.listener, backlog), 0);
	lab_settle(lab);
	return t;
}

void talk_segment(struct lab *lab, const struct talk *t, uint8_t flags, uint32_t seq, uint32_t ack,
		  const void *data, size_t len)
{
	struct frame_spec s = from_peer();
	uint8_t stamps[12] = { TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_TIMESTAMP, 10 };
	struct frame_tcp f = { .sport = t->sport,
			       .dport = t->dport,
			       .seq = seq,
			       .ack = flags & TCP_F_ACK ? ack : 0,
			       .flags = flags,
			       .window = t->window };

	s.src_ip = t->src_ip;
	be32_store(stamps + 4, t->ts_val);
	be32_store(stamps + 8, t->ts_ecr);
	if (t->ts) {
		f.options = stamps;
		f.options_len = sizeof(stamps);
	}
	lab_send(lab, frame_tcp(lab->frame, &s, &f, data, len), 1);
}

static void stamps_seen(struct lab *lab, struct talk *t)
{
	const uint8_t *ts = frame_tcp_option(&lab->info, TCP_OPT_TIMESTAMP);

	if (t->ts && ts)
		t->ts_ecr = be32_load(ts);
}

bool talk_syn(struct lab *lab, struct talk *t)
{
	frame_take_all(lab->wire[0]);
	talk_segment(lab, t, TCP_F_SYN, t->seq, 0, NULL, 0);
	if (!lab_take(lab, 0) || lab->info.flags != (TCP_F_SYN | TCP_F_ACK))
		return false;
	t->seq++;
	t->ack = lab->info.seq + 1;
	stamps_seen(lab, t);
	return true;
}

void talk_open(struct lab *lab, struct talk *t, bool accept)
{
	assert_true(talk_syn(lab, t));
	talk_segment(lab, t, TCP_F_ACK, t->seq, t->ack, NULL, 0);
	if (accept) {
		t->fd = weir_accept(lab->weir, t->listener, NULL, NULL);
		assert_true(t->fd >= 0);
		lab_settle(lab);
	}
	frame_take_all(lab->wire[0]);
}

void talk_time_wait(struct lab *lab, struct talk *t)
{
	assert_int_equal(weir_shutdown(lab->weir, t->fd, SHUT_WR), 0);
	lab_settle(lab);
	t->ack++;
	talk_segment(lab, t, TCP_F_FIN | TCP_F_ACK, t->seq, t->ack, NULL, 0);
	t->seq++;
	weir_close(lab->weir, t->fd);
	lab_settle(lab);
	frame_take_all(lab->wire[0]);
}
