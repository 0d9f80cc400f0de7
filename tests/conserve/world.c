/* SPDX-License-Identifier: BSD-3-Clause */
/* One run: an engine in virtual time, bursts of frames, programs, and the sums after every burst.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conserve.h"
#include "dev/wire.h"
#include "wire/arp.h"
#include "wire/eth.h"

#define BURST 64u
#define POLLS_MAX 200u
#define START_NS 1000000000ull
#define S_NS 1000000000ull
#define MS_NS 1000000ull
#define END_NS (1200 * S_NS) /* the longest that TCP tries for a program that is gone */

bool world_fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->error[0])
		return false;
	va_start(ap, format);
	vsnprintf(w->error, sizeof(w->error), format, ap);
	va_end(ap);
	return false;
}

/* ---- begin ---- */

static bool port_add(struct world *w, const char *spec, uint32_t ip, unsigned int i)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));
	char error[ENGINE_ERROR_BYTES] = "";
	int ifindex = engine_port_add(w->engine, spec, error);

	if (ifindex < 0)
		return world_fail(w, "port %s: %s", spec, error);
	w->wire[i] = w->engine->port[ifindex - 1];
	return engine_addr_add(w->engine, (unsigned int)ifindex, &addr, 24) == 0;
}

static bool world_open(struct world *w, const struct run *run)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "256", NULL };
	struct engine_config config = { .workers = run->workers,
					.packets = run->packets,
					.eal_args = args,
					.virtual_time = true,
					.seed = run->seed | 1,
					.now_ns = START_NS };
	char error[ENGINE_ERROR_BYTES] = "", spec[4400];

	if (engine_open(&config, &w->engine, error))
		return world_fail(w, "%s", error);
	if (run->pcap_port)
		snprintf(spec, sizeof(spec), "%spcap,rx_pcap=%s", run->fault, run->pcap);
	else
		snprintf(spec, sizeof(spec), "%swire,mac=02:00:00:00:00:02,queues=%u", run->fault,
			 run->workers);
	if (!port_add(w, spec, US_IP, 0))
		return false;
	memcpy(w->wire[0]->mac, mac_us, 6); /* for whom the files' frames are */
	snprintf(spec, sizeof(spec), "wire,mac=02:00:00:00:01:02,queues=%u", run->workers);
	if (!port_add(w, spec, NEAR_IP, 1))
		return false;
	engine_forwarding(w->engine, true);
	return true;
}

/* ---- time ---- */

/* The other side: who asks for an address is told, most times; TCP's numbers are looked at. */
static void take_frames(struct world *w, unsigned int i)
{
	uint8_t frame[FRAME_MOST], reply[64];
	struct arp_msg m;
	size_t len;

	while ((len = wire_take(w->wire[i], frame, sizeof(frame))) > 0) {
		if (i == 0 && len <= sizeof(frame))
			talk_seen(w, frame, (uint32_t)len);
		if (len < ETH_HDR_BYTES + ARP_MSG_BYTES || be16_load(frame + 12) != ETH_TYPE_ARP)
			continue;
		memcpy(&m, frame + ETH_HDR_BYTES, sizeof(m));
		/* 198.18.x.64 and above are not there. */
		if (arp_op(&m) != ARP_OP_REQUEST || be32_to_host(m.target_ip_be) % 256 >= 64 ||
		    rng_once(&w->rng, 5))
			continue;
		len = make_arp(reply, ARP_OP_REPLY, mac_peer, be32_to_host(m.target_ip_be),
			       be32_to_host(m.sender_ip_be));
		memcpy(reply, m.sender_mac, 6);
		(void)wire_put(w->wire[i], reply, len);
	}
}

static unsigned int poll_all(struct world *w, uint64_t now_ns)
{
	unsigned int work = 0;

	for (unsigned int i = 0; i < w->workers; i++)
		work += engine_poll(w->engine, i, now_ns);
	if (!w->from_port)
		take_frames(w, 0);
	take_frames(w, 1);
	return work;
}

static void settle_at(struct world *w, uint64_t now_ns)
{
	unsigned int polls = 0;

	while (poll_all(w, now_ns))
		if (++polls == POLLS_MAX)
			return; /* it goes on later: the next burst finds it */
}

static uint64_t now(const struct world *w)
{
	return w->engine->worker[0]->now_ns;
}

void world_settle(struct world *w)
{
	settle_at(w, now(w));
}

static void pass(struct world *w, uint64_t ns)
{
	uint64_t end_ns = now(w) + ns;

	while (now(w) < end_ns) {
		uint64_t next_ns = end_ns;

		for (unsigned int i = 0; i < w->workers; i++)
			next_ns = RTE_MIN(next_ns, engine_next_ns(w->engine, i));
		settle_at(w, next_ns > now(w) ? next_ns : now(w) + 1000);
	}
}

/* ---- the sums ---- */

/* Packets that went over the ports, as those counted them. */
static void port_sums(struct world *w, uint64_t *rx, uint64_t *tx)
{
	*rx = *tx = 0;
	for (unsigned int i = 0; i < w->engine->port_count; i++) {
		struct port_stats stats;

		port_stats(w->engine->port[i], &stats);
		*rx += stats.rx_packets;
		*tx += stats.tx_packets;
	}
}

static uint64_t cells(const struct ledger *l)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < (size_t)l->site_count * DROP_REASON_MAX; i++)
		sum += l->drops[i];
	return sum;
}

static uint64_t stage_drops(const struct ledger *l)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < STAGE_MAX; i++)
		sum += l->stage[i].drops;
	return sum;
}

static bool check_tables(struct world *w, const struct ledger *l)
{
	if (cells(l) != l->dropped)
		return world_fail(w, "places and reasons have %" PRIu64 " drops of %" PRIu64,
				  cells(l), l->dropped);
	if (stage_drops(l) != l->dropped)
		return world_fail(w, "stages have %" PRIu64 " drops of %" PRIu64, stage_drops(l),
				  l->dropped);
	return true;
}

/* Every worker balances, all of them together do, and the ports counted the same. */
static bool check(struct world *w, bool thorough)
{
	uint64_t entered = 0, sent = 0, out = 0, in = 0, rx, tx;

	for (unsigned int i = 0; i < w->workers; i++) {
		const struct ledger *l = &w->engine->worker[i]->ledger;

		if (ledger_balance(l) != 0)
			return world_fail(w, "worker %u does not balance: %" PRId64, i,
					  ledger_balance(l));
		entered += l->entered;
		sent += l->fate[FATE_TRANSMITTED] + l->fate[FATE_FORWARDED];
		out += l->steered_out;
		in += l->steered_in;
		if (thorough && !check_tables(w, l))
			return false;
	}
	if (in > out)
		return world_fail(w, "workers took %" PRIu64 " of %" PRIu64 " packets", in, out);
	port_sums(w, &rx, &tx);
	if (entered != rx)
		return world_fail(w, "%" PRIu64 " entered, ports received %" PRIu64, entered, rx);
	if (!w->from_port && sent != tx)
		return world_fail(w, "%" PRIu64 " left, ports sent %" PRIu64, sent, tx);
	return true;
}

/* The programs are gone, and time has gone by: nothing is held, no buffer is missing. */
static bool check_end(struct world *w)
{
	programs_kill(w);
	pass(w, END_NS);
	if (!check(w, true))
		return false;
	for (unsigned int i = 0; i < w->workers; i++) {
		const struct worker *worker = w->engine->worker[i];

		if (worker->ledger.held)
			return world_fail(w, "worker %u holds %" PRIu64 " packets at the end", i,
					  worker->ledger.held);
		/* A TAP keeps some; no port here does. */
		if (!worker_pool_is_full(worker))
			return world_fail(w, "worker %u misses buffers at the end", i);
	}
	return true;
}

/* ---- bursts ---- */

/* A frame of a file, as it is or made to be for us. */
static uint32_t file_frame(struct world *w, struct pcaps *file, uint8_t *frame)
{
	uint32_t len = pcaps_next(file, frame);

	if (len < 34 || rng_once(&w->rng, 4))
		return len;
	if (!(frame[0] & 1))
		memcpy(frame, mac_us, 6);
	if (be16_load(frame + 12) == ETH_TYPE_IP4 && rng_once(&w->rng, 2)) {
		be32_store(frame + 30, US_IP);
		make_fix(frame, len);
	}
	return make_mutate(w, frame, len);
}

static bool put_burst(struct world *w, struct pcaps *file, uint32_t n)
{
	uint8_t frame[FRAME_MOST + 64];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = file ? file_frame(w, file, frame) : make_frame(w, frame);
		int err = wire_put_queue(w->wire[0], rng_below(&w->rng, w->workers), frame, len);

		if (err == -ENOBUFS) {
			/* The wire is full: weir has to look first. Where it has no buffers left,
			 * what it holds has to come to an end before that. */
			pass(w, S_NS);
			i--;
			continue;
		}
		if (err)
			return world_fail(w, "a frame of %u bytes: %s", len, strerror(-err));
	}
	return true;
}

static uint64_t some_time(struct world *w)
{
	if (rng_once(&w->rng, 400))
		return 40 * S_NS;
	if (rng_once(&w->rng, 20))
		return rng_below(&w->rng, 1000) * MS_NS;
	return rng_once(&w->rng, 2) ? rng_below(&w->rng, 2000000) : 0;
}

static bool burst(struct world *w, struct pcaps *file, uint32_t n, bool thorough)
{
	if (!put_burst(w, file, n))
		return false;
	for (unsigned int i = 0; i < 4; i++)
		programs_turn(w);
	world_settle(w);
	pass(w, some_time(w));
	return !w->error[0] && check(w, thorough);
}

static bool play(struct world *w, const struct run *run, struct outcome *out)
{
	struct pcaps *file = NULL;
	bool ok = true;

	if (run->pcap) {
		file = pcaps_open(run->pcap, w->error);
		if (!file)
			return false;
	}
	while (ok && out->frames < run->frames) {
		uint32_t n = (uint32_t)RTE_MIN(run->frames - out->frames, (uint64_t)BURST);

		ok = burst(w, file, n, out->bursts % 64 == 0);
		out->frames += n;
		out->bursts++;
	}
	pcaps_close(file);
	return ok;
}

/* weir's own port reads the file: until nothing comes any more. */
static bool play_port(struct world *w, struct outcome *out)
{
	uint64_t rx, tx, before = UINT64_MAX;

	for (port_sums(w, &rx, &tx); rx != before; port_sums(w, &rx, &tx)) {
		before = rx;
		for (unsigned int i = 0; i < 16; i++)
			poll_all(w, now(w));
		programs_turn(w);
		pass(w, some_time(w));
		out->bursts++;
		if (!check(w, out->bursts % 64 == 0))
			return false;
	}
	out->frames = rx;
	return true;
}

bool world_run(const struct run *run, struct outcome *out)
{
	struct world *w = calloc(1, sizeof(*w));
	bool ok;

	if (!w)
		return false;
	w->rng.state = run->seed * 0x9e3779b97f4a7c15ull + run->workers;
	w->workers = run->workers;
	w->from_port = run->pcap_port;
	ok = world_open(w, run);
	if (ok)
		ok = run->pcap_port ? play_port(w, out) : play(w, run, out);
	ok = ok && check_end(w);
	if (!ok)
		printf("conserve: %s, seed %" PRIu64 ", behind %" PRIu64 " frames: %s\n", run->name,
		       run->seed, out->frames, w->error);
	out->starts = w->starts;
	out->deaths = w->deaths;
	if (w->engine) {
		engine_ledger(w->engine, &out->sum);
		programs_kill(w);
		engine_close(w->engine);
	}
	free(w);
	return ok;
}
