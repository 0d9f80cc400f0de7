/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <stdio.h>
#include <string.h>

static const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

double run_seconds(uint64_t ns)
{
	return (double)(int64_t)(ns - PKT_START_NS) / 1e9;
}

void run_trace(struct run *r, const char *format, ...)
{
	char line[1200];
	va_list ap;
	size_t n;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	n = strlen(line);
	if (r->trace_len + n + 1 > r->trace_room) {
		r->trace_room = (r->trace_len + n + 1) * 2;
		r->trace = realloc(r->trace, r->trace_room);
		assert_non_null(r->trace);
	}
	memcpy(r->trace + r->trace_len, line, n + 1);
	r->trace_len += n;
}

void run_fail(struct run *r, const char *format, ...)
{
	const struct event *e = r->event;
	char text[900];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (e)
		print_error("%s:%u: %s\n  %s\n", r->script->path, e->line, e->text, text);
	else
		print_error("%s: at the end: %s\n", r->script->path, text);
	fail();
	abort(); /* fail() does not return */
}

void run_open(struct run *r)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "96", NULL };
	const char *addrs[] = { "198.18.0.2/24", NULL };
	struct weir_port port = { .spec = "wire,mac=02:00:00:00:00:02", .addrs = addrs };
	struct weir_config config = {
		.ports = &port,
		.port_count = 1,
		.virtual_time = true,
		.start_ns = PKT_START_NS,
		.seed = TEST_SEED,
		.packets = 4096,
		.sockets = 256,
		.memory_bytes = 256u << 20,
		.eal_args = args,
	};
	char error[WEIR_ERROR_BYTES];
	uint8_t frame[64];
	size_t len = frame_arp(frame, us_mac, ARP_OP_REQUEST, peer_mac, PKT_PEER, NULL, PKT_US);

	r->weir = weir_engine_open(&config, error);
	if (!r->weir)
		fail_msg("%s", error);
	r->tolerance_ns = 1000000;
	r->seen_last = &r->seen;
	for (unsigned int i = 0; i < SCRIPT_FLOWS; i++) {
		r->flow[i].isn = 1000000 * (i + 1);
		r->flow[i].win = 65535;
	}
	assert_int_equal(weir_wire_put(r->weir, 0, frame, len), 0);
	weir_engine_advance(r->weir, 0);
	while (weir_wire_take(r->weir, 0, frame, sizeof(frame)) > 0)
		; /* the answer */
	r->at_ns = r->weir->w->now_ns;
}

void run_close(struct run *r)
{
	while (r->seen)
		net_forget(r);
	weir_engine_close(r->weir);
	r->weir = NULL;
	free(r->trace);
	r->trace = NULL;
}

static void flow_set(struct run *r, const struct event *e)
{
	struct flow *f = &r->flow[e->flow];

	if (e->ports.peer)
		f->peer = e->ports.peer;
	if (e->ports.us)
		f->us = e->ports.us;
	f->known = f->peer && f->us;
	if (e->ports.has_isn)
		f->isn = e->ports.isn;
}

/* Segments that no line expects, before time goes by or the peer says more. */
static void none_waits(struct run *r)
{
	char text[400];

	if (!r->seen)
		return;
	match_print(r, &r->seen->info, text, sizeof(text));
	run_fail(r, "before this a segment came that no line expects:\n  seen:     > %s  (at %.6f)",
		 text, run_seconds(r->seen->at_ns));
}

static void go_to(struct run *r, const struct event *e)
{
	uint64_t end_ns = r->at_ns + e->delay_ns;

	if (e->delay_ns || e->kind == EV_IN || e->kind == EV_ICMP || e->kind == EV_QUIET)
		none_waits(r);
	net_until(r, end_ns);
	if (e->delay_ns)
		none_waits(r);
	r->at_ns = end_ns;
}

static void run_event(struct run *r, const struct event *e)
{
	r->event = e;
	if (e->kind == EV_OUT) {
		match_out(r, e);
		return;
	}
	go_to(r, e);
	run_trace(r, "%12.6f  %s\n", run_seconds(r->at_ns), e->text);
	switch (e->kind) {
	case EV_IN:
		net_inject(r, e);
		return;
	case EV_ICMP:
		net_icmp(r, e);
		return;
	case EV_CALL:
		run_call(r, e);
		return;
	case EV_STATE:
		check_state(r, e);
		return;
	case EV_INFO:
		check_info(r, e);
		return;
	case EV_DROP:
		check_drop(r, e);
		return;
	case EV_COUNTER:
		check_counter(r, e);
		return;
	case EV_SYSCTL:
		check_sysctl(r, e);
		return;
	case EV_FLOW:
		flow_set(r, e);
		return;
	case EV_TOLERANCE:
		r->tolerance_ns = e->tolerance_ns;
		return;
	default: /* EV_QUIET: go_to() has done it */
		return;
	}
}

void run_script(struct run *r)
{
	for (unsigned int i = 0; i < r->script->events; i++)
		run_event(r, &r->script->event[i]);
	r->event = NULL;
	net_poll(r);
	none_waits(r);
	check_end(r);
	r->done = true;
}
