/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold. Always: every byte arrives once and in order (app.c looks at each), both ledgers
 * balance and hold nothing, all buffers are back, no connection is left over and no timer runs once
 * the programs are gone. Then what the run wants.
 */
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>

#include "sim.h"

#define WEIR_NO_TCP_STATES
#include "inet/tcp/tcp_impl.h"

/* ---- while it goes ---- */

static void watch(struct sim *s, struct end *e)
{
	const struct tcp_pcb *pcb = app_pcb(s, e);

	if (!pcb || pcb->pub.state < TCP_ESTABLISHED || pcb->pub.state == TCP_TIME_WAIT)
		return;
	if (pcb->recovery == TCP_LOSS && (e->ca_state != TCP_LOSS || pcb->retries > e->retries))
		e->rtos++;
	if (pcb->recovery == TCP_RECOVERY && e->ca_state < TCP_RECOVERY)
		e->recoveries++;
	if (e->ca_state == TCP_LOSS && pcb->undone > e->undone)
		e->spurious_rtos++;
	e->ca_state = pcb->recovery;
	e->retries = pcb->retries;
	e->undone = pcb->undone;
	e->retrans = pcb->total_retrans;
	e->retrans_bytes = pcb->bytes_retrans;
	e->dsacks = pcb->dsack_dups;
	e->tlps = pcb->tlp_probes;
}

void judge_watch(struct sim *s)
{
	for (uint32_t i = 0; i < s->opened; i++) {
		struct conn *c = &s->conn[i];

		if (c->done_ns)
			continue;
		watch(s, &c->end[0]);
		watch(s, &c->end[1]);
	}
}

void judge_warm(struct sim *s)
{
	for (uint32_t i = 0; i < s->conns; i++) {
		s->conn[i].rx_warm[0] = s->conn[i].end[0].rx;
		s->conn[i].rx_warm[1] = s->conn[i].end[1].rx;
	}
}

void judge_stop(struct sim *s)
{
	for (uint32_t i = 0; i < s->conns; i++) {
		s->conn[i].rx_stop[0] = s->conn[i].end[0].rx;
		s->conn[i].rx_stop[1] = s->conn[i].end[1].rx;
	}
}

/* ---- what was wanted ---- */

static double measured_s(const struct sim *s)
{
	return (double)s->p->seconds * 0.8;
}

static uint64_t measured_bytes(const struct conn *c)
{
	return c->rx_stop[0] - c->rx_warm[0] + c->rx_stop[1] - c->rx_warm[1];
}

static void fairness(struct sim *s, struct result *r)
{
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < s->conns; i++) {
		double x = (double)measured_bytes(&s->conn[i]);

		sum += x;
		squares += x * x;
	}
	r->jain = squares > 0 ? sum * sum / (s->conns * squares) : 0;
}

/* Payload of a full frame, and the frame. */
static uint32_t segment_bytes(const struct sim_params *p)
{
	return p->ts ? 1448 : 1460;
}

static double capacity(const struct sim_params *p)
{
	return (double)p->rate_kbit * 125 * segment_bytes(p) / 1514;
}

/* Segments on the way on average where each is lost with chance p: RFC 9438 section 5.1 (C = 0.4,
 * beta = 0.7; its Reno-friendly region below), Mathis and others 1997 for Reno, where losses are
 * independent. */
static double response_window(const struct sim_params *p, double rtt_s)
{
	double sqrt_p = sqrt(p->loss);

	if (strcmp(p->cc, "cubic") != 0)
		return 1.31 / sqrt_p;
	return fmax(1.22 / sqrt_p, 1.054 * pow(rtt_s / p->loss, 0.75));
}

static double response(const struct sim_params *p)
{
	double rtt_s = (double)p->delay_us * 2e-6;

	return response_window(p, rtt_s) * segment_bytes(p) / rtt_s;
}

static void wants_capacity(struct sim *s, struct result *r)
{
	r->wanted = capacity(s->p);
	if (r->goodput < 0.95 * r->wanted)
		sim_fail(s, "goodput %.0f bytes/s is %.1f %% of the link's %.0f", r->goodput,
			 100 * r->goodput / r->wanted, r->wanted);
}

static void wants_response(struct sim *s, struct result *r)
{
	r->wanted = response(s->p);
	if (r->goodput < 0.75 * r->wanted || r->goodput > 1.6 * r->wanted)
		sim_fail(s,
			 "goodput %.0f bytes/s is %.2f of what the response function says (%.0f)",
			 r->goodput, r->goodput / r->wanted, r->wanted);
}

static void wants_clean(struct sim *s, struct result *r)
{
	if (r->retrans)
		sim_fail(s, "%" PRIu64 " segments were sent again, though none was lost or late",
			 r->retrans);
	if (r->rtos)
		sim_fail(s, "%" PRIu64 " time-outs, though nothing was lost or late", r->rtos);
}

static void wants_fair(struct sim *s, struct result *r)
{
	r->wanted = capacity(s->p);
	if (r->jain < 0.9)
		sim_fail(s, "Jain's index is %.3f", r->jain);
	if (r->goodput < 0.95 * r->wanted)
		sim_fail(s, "together %.1f %% of the link's capacity",
			 100 * r->goodput / r->wanted);
}

/* Marks are answered with a smaller window: the queue never runs over. */
static void wants_marked(struct sim *s, struct result *r)
{
	double least = strcmp(s->p->cc, "dctcp") == 0 ? 0.95 : 0.8;

	wants_clean(s, r);
	r->wanted = capacity(s->p);
	if (r->goodput < least * r->wanted)
		sim_fail(s, "together %.1f %% of the link's capacity",
			 100 * r->goodput / r->wanted);
}

static void sums(struct sim *s, struct result *r)
{
	for (uint32_t i = 0; i < s->conns; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			const struct end *e = &s->conn[i].end[k];

			r->bytes += e->rx;
			r->retrans += e->retrans;
			r->rtos += e->rtos;
			r->spurious_rtos += e->spurious_rtos;
			r->undone += e->undone;
			if (e->stall_ns > r->stall_ns)
				r->stall_ns = e->stall_ns;
		}
		if (s->p->seconds)
			r->goodput += (double)measured_bytes(&s->conn[i]) / measured_s(s);
	}
	r->virtual_ns = s->now_ns - SIM_START_NS;
	if (!s->p->seconds && r->virtual_ns)
		r->goodput = (double)r->bytes / ((double)r->virtual_ns / 1e9);
	r->data_lost = s->line[0].stats.data_lost + s->line[1].stats.data_lost;
}

/* Every connection ended as it should, and all was read that was written. */
static void complete(struct sim *s)
{
	for (uint32_t i = 0; i < s->conns && s->app != APP_ABORT; i++) {
		const struct conn *c = &s->conn[i];

		for (unsigned int k = 0; k < 2; k++) {
			if (c->end[k].rx != c->end[!k].tx)
				sim_fail(s,
					 "connection %u: %" PRIu64 " bytes were written, %" PRIu64
					 " read",
					 i, c->end[!k].tx, c->end[k].rx);
		}
	}
}

void judge_programs(struct sim *s, struct result *r)
{
	sums(s, r);
	fairness(s, r);
	if (s->failed)
		return;
	complete(s);
	if (strcmp(s->p->want, "capacity") == 0)
		wants_capacity(s, r);
	else if (strcmp(s->p->want, "response") == 0)
		wants_response(s, r);
	else if (strcmp(s->p->want, "clean") == 0)
		wants_clean(s, r);
	else if (strcmp(s->p->want, "fair") == 0)
		wants_fair(s, r);
	else if (strcmp(s->p->want, "marked") == 0)
		wants_marked(s, r);
}

/* ---- at the end ---- */

struct count {
	unsigned int n;
	const char *state;
	unsigned int port;
};

static void count_pcb(const struct tcp_pcb *pcb, void *arg)
{
	const struct tcp_public *pub = (const struct tcp_public *)pcb;
	struct count *c = arg;

	c->n++;
	c->state = tcp_state_name(pub->state);
	c->port = be16_to_host(pub->remote.port_be);
}

static void rest_side(struct sim *s, unsigned int i)
{
	struct weir *weir = s->side[i].weir;
	struct count left = { 0 };
	struct weir_ledger l;

	tcp_for_each(weir->w, count_pcb, &left);
	if (left.n)
		sim_fail(s, "engine %u: %u connections are left, one in %s (port %u)", i, left.n,
			 left.state, left.port);
	weir_ledger(weir, &l);
	if (l.balance)
		sim_fail(s, "engine %u: the ledger's balance is %" PRId64, i, l.balance);
	if (l.held)
		sim_fail(s, "engine %u: %" PRIu64 " packets are held", i, l.held);
	if (l.alloc_failed)
		sim_fail(s, "engine %u: %" PRIu64 " packets could not be made", i, l.alloc_failed);
	if (!weir_pool_is_full(weir))
		sim_fail(s, "engine %u: a packet buffer is missing", i);
	if (weir_engine_next_timer(weir) != WEIR_NEVER)
		sim_fail(s, "engine %u: a timer still runs, for %.3f s from now", i,
			 (double)(weir_engine_next_timer(weir) - s->now_ns) / 1e9);
}

void judge_rest(struct sim *s)
{
	rest_side(s, 0);
	rest_side(s, 1);
}
