/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines, one clock. An engine is polled where frames came for it, a timer is due, or a
 * program did something; what it sends enters the link; what the link has brought by now is put on
 * the other's wire.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/eal.h"
#include "core/log.h"
#include "sim.h"
#include "sock/sock.h"

#define TURNS_MAX 100000u /* at one instant */
#define EVENTS_MAX 200000000ull
#define WIRE_BURST 1024u
#define REST_NS (400 * SIM_S_NS)
#define STREAM_RATE_MIN 2000u /* bytes a second: who is slower is stuck */
#define PATIENCE_NS (600 * SIM_S_NS)

static const char *const eal_args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };

bool sim_start(char *error)
{
	log_set_level(LOG_LEVEL_ERROR);
	if (core_eal_init(eal_args) == 0)
		return true;
	snprintf(error, SIM_ERROR_BYTES, "DPDK's EAL does not start");
	return false;
}

void sim_fail(struct sim *s, const char *format, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, format);
	vsnprintf(s->error, sizeof(s->error), format, ap);
	va_end(ap);
}

static void sysctl_set(struct sim *s, unsigned int i, const char *name, const char *value)
{
	if (weir_sysctl(s->side[i].weir, name, value) != 0)
		sim_fail(s, "parameter %s cannot be %s", name, value);
}

static void sysctl_number(struct sim *s, unsigned int i, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	sysctl_set(s, i, name, text);
}

static void side_open(struct sim *s, unsigned int i)
{
	const char *addrs[2][2] = { { "198.18.0.1/24", NULL }, { "198.18.0.2/24", NULL } };
	const char *plain[2] = { "wire,mac=02:00:00:00:00:01", "wire,mac=02:00:00:00:00:02" };
	const char *large[2] = { "wire,csum=1,tso=1,mac=02:00:00:00:00:01",
				 "wire,csum=1,tso=1,mac=02:00:00:00:00:02" };
	struct weir_port port = { .spec = s->p->tso ? large[i] : plain[i], .addrs = addrs[i] };
	struct weir_config config = {
		.ports = &port,
		.port_count = 1,
		.virtual_time = true,
		.start_ns = SIM_START_NS,
		.seed = s->p->seed * 2 + i + 1,
		.packets = 4096,
		.sockets = 1024,
		.memory_bytes = 1u << 30,
		.eal_args = eal_args,
	};
	struct side *side = &s->side[i];

	side->weir = weir_engine_open(&config, s->error);
	if (!side->weir) {
		s->failed = true;
		return;
	}
	sysctl_set(s, i, "tcp_congestion_control", s->p->cc);
	sysctl_number(s, i, "tcp_sack", s->p->sack);
	sysctl_number(s, i, "tcp_timestamps", s->p->ts);
	sysctl_number(s, i, "tcp_ecn", s->p->ecn);
	sysctl_number(s, i, "tcp_mtu_probing", s->p->mtu_probing);
	/* The worst of links must not be what ends a connection. */
	sysctl_number(s, i, "tcp_syn_retries", 20);
	sysctl_number(s, i, "tcp_synack_retries", 20);
	sysctl_number(s, i, "tcp_retries2", 60);
	sysctl_number(s, i, "tcp_orphan_retries", 60);
	side->poll = true;
}

/* What the engine has sent goes on its way. True: there was something. */
static bool collect(struct sim *s, unsigned int i)
{
	static uint8_t frame[66000];
	bool any = false;
	ssize_t n;

	while ((n = weir_wire_take(s->side[i].weir, 0, frame, sizeof(frame))) > 0) {
		link_enter(&s->line[i], s->now_ns, frame, (uint32_t)n, s->p->tso);
		any = true;
	}
	return any;
}

static void deliver(struct sim *s, unsigned int to)
{
	struct link_line *l = &s->line[!to];
	const struct link_frame *f;

	for (unsigned int n = 0; n < WIRE_BURST && (f = link_take(l, s->now_ns)); n++) {
		if (weir_wire_put(s->side[to].weir, 0, f->data, f->len) != 0)
			sim_fail(s, "the wire is full");
		s->side[to].poll = true;
	}
}

static void poll_side(struct sim *s, unsigned int i)
{
	struct weir *weir = s->side[i].weir;

	s->side[i].poll = false;
	for (unsigned int n = 0; n < TURNS_MAX; n++) {
		bool busy = engine_poll(weir->engine, 0, s->now_ns) || sock_pending(weir->w);

		collect(s, i);
		if (!busy)
			return;
	}
	sim_fail(s, "engine %u does not come to rest", i);
}

/* Everything that can happen without time going by. */
static void settle(struct sim *s)
{
	for (unsigned int n = 0; n < TURNS_MAX && !s->failed; n++) {
		for (unsigned int i = 0; i < 2; i++) {
			deliver(s, i);
			if (!s->side[i].poll)
				continue;
			poll_side(s, i);
			app_turn(s, i);
			/* what programs did may have made work */
			if (sock_pending(s->side[i].weir->w))
				s->side[i].poll = true;
		}
		if (!s->side[0].poll && !s->side[1].poll && link_next_ns(&s->line[0]) > s->now_ns &&
		    link_next_ns(&s->line[1]) > s->now_ns)
			return;
	}
	if (!s->failed)
		sim_fail(s, "the engines do not come to rest at one instant");
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* To the next event, end_ns at the latest. */
static void step(struct sim *s, uint64_t end_ns)
{
	uint64_t next = end_ns;

	for (unsigned int i = 0; i < 2; i++) {
		next = min64(next, link_next_ns(&s->line[i]));
		next = min64(next, s->side[i].next_ns);
	}
	s->now_ns = next > s->now_ns ? next : s->now_ns + 1;
	for (unsigned int i = 0; i < 2; i++) {
		if (s->side[i].next_ns <= s->now_ns)
			s->side[i].poll = true;
	}
	settle(s);
	for (unsigned int i = 0; i < 2; i++)
		s->side[i].next_ns = weir_engine_next_timer(s->side[i].weir);
	s->events++;
}

static void wake_programs(struct sim *s)
{
	app_start(s);
	for (unsigned int i = 0; i < 2; i++)
		s->side[i].poll = true;
	settle(s);
}

static void milestones(struct sim *s)
{
	if (s->warm_ns && s->now_ns >= s->warm_ns) {
		s->warm_ns = 0;
		judge_warm(s);
	}
	if (s->stop_ns && s->now_ns >= s->stop_ns) {
		s->stop_ns = 0;
		judge_stop(s);
		app_stop(s);
	}
	if (s->trace && s->now_ns >= s->sample_ns) {
		trace_sample(s);
		s->sample_ns = s->now_ns + s->every_ns;
	}
}

static uint64_t next_milestone(const struct sim *s)
{
	uint64_t at = min64(app_next_ns(s), s->limit_ns);

	if (s->warm_ns)
		at = min64(at, s->warm_ns);
	if (s->stop_ns)
		at = min64(at, s->stop_ns);
	if (s->trace && s->every_ns)
		at = min64(at, s->sample_ns);
	return at;
}

/* Till every program is through. */
static void play(struct sim *s)
{
	while (!s->failed && s->done < s->conns) {
		if (s->now_ns >= s->limit_ns) {
			sim_fail(s, "%u of %u connections were not through after %.1f s",
				 s->conns - s->done, s->conns,
				 (double)(s->now_ns - SIM_START_NS) / 1e9);
			return;
		}
		if (s->events > EVENTS_MAX) {
			sim_fail(s, "there is no end to it");
			return;
		}
		step(s, next_milestone(s));
		milestones(s);
		if (app_next_ns(s) <= s->now_ns)
			wake_programs(s);
		judge_watch(s);
	}
}

/* Programs are gone; TCP has to finish by itself. */
static void rest(struct sim *s)
{
	uint64_t end_ns = s->now_ns + REST_NS;

	for (unsigned int i = 0; i < 2; i++)
		s->side[i].poll = true;
	settle(s);
	while (!s->failed && s->now_ns < end_ns) {
		step(s, end_ns);
		s->side[0].poll = s->side[1].poll = s->now_ns >= end_ns;
	}
	settle(s);
}

static void run_open(struct sim *s, FILE *frames)
{
	for (unsigned int i = 0; i < 2; i++) {
		link_open(&s->line[i], s->p, i, SIM_START_NS);
		s->line[i].frames = frames;
		side_open(s, i);
		if (s->failed)
			return;
	}
	app_open(s);
	if (s->p->seconds) {
		s->stop_ns = s->now_ns + s->p->seconds * SIM_S_NS;
		s->warm_ns = s->now_ns + s->p->seconds * SIM_S_NS / 5;
	}
}

/* Who is not through by then never will be. */
static uint64_t patience_ns(const struct sim_params *p)
{
	uint64_t each = p->bytes > p->request ? p->bytes : p->request;
	uint64_t bytes = each * p->flows * (p->seconds ? 1 : p->count) * 2;
	uint64_t reads = p->read_bytes ? each * p->count / p->read_bytes + 1 : 1;

	return PATIENCE_NS + bytes / STREAM_RATE_MIN * SIM_S_NS + p->seconds * 4 * SIM_S_NS +
	       p->flows * (p->gap_us + p->count * (p->think_us + 4 * p->delay_us)) * SIM_US_NS +
	       p->pause_us * SIM_US_NS + reads * p->read_us * SIM_US_NS;
}

void sim_run(const struct sim_params *p, const struct sim_out *out, struct result *r)
{
	struct sim s = {
		.p = p,
		.now_ns = SIM_START_NS,
		.limit_ns = SIM_START_NS + patience_ns(p),
		.rng = p->seed,
		.trace = out->trace,
		.every_ns = out->every_ns,
	};

	*r = (struct result){ 0 };
	if (!app_find(p->app, &s.app))
		sim_fail(&s, "no such app: %s", p->app);
	if (!s.failed)
		run_open(&s, out->frames);
	if (s.trace)
		trace_head(s.trace, p);
	if (!s.failed) {
		wake_programs(&s);
		play(&s);
		judge_programs(&s, r);
		if (out->report)
			sim_report(&s, out->report);
		app_close(&s);
	}
	if (!s.failed) {
		rest(&s);
		judge_rest(&s);
	}
	for (unsigned int i = 0; i < 2; i++) {
		r->frames += s.line[i].stats.frames;
		link_close(&s.line[i]);
		weir_engine_close(s.side[i].weir);
	}
	free(s.conn);
	r->failed = s.failed;
	memcpy(r->error, s.error, sizeof(r->error));
}
