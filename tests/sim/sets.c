/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sets of runs. Each makes a run's parameters from its seed, so that a set of any size is the
 * same each time.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "params.h"

static uint64_t among(uint64_t *rng, uint64_t low, uint64_t high)
{
	return low + sim_below(rng, high - low + 1);
}

/* Between low and high, small ones as likely as large ones. */
static uint64_t scale(uint64_t *rng, uint64_t low, uint64_t high)
{
	double x = (double)(sim_random(rng) >> 11) * 0x1p-53;

	return (uint64_t)((double)low * pow((double)high / (double)low, x) + 0.5);
}

static void word(char *at, const char *value)
{
	snprintf(at, SIM_WORD_BYTES, "%s", value);
}

static void make_mixed(struct sim_params *p, uint64_t index)
{
	static const char *const apps[] = { "bulk", "bulk", "both", "both", "rr", "half", "abort" };
	uint64_t rng = p->seed;

	word(p->app, apps[index % 7]);
	word(p->cc, sim_chance(&rng, 0.6) ? "cubic" : sim_chance(&rng, 0.5) ? "reno" : "bbr");
	p->bytes = scale(&rng, 1, 1000000);
	p->flows = sim_chance(&rng, 0.6) ? 1 : scale(&rng, 1, 30);
	p->gap_us = sim_chance(&rng, 0.5) ? 0 : scale(&rng, 1, 300000);
	p->request = scale(&rng, 1, 20000);
	if (strcmp(p->app, "rr") == 0) {
		p->count = scale(&rng, 1, 50);
		p->bytes = p->bytes / p->count / p->flows + 1;
		p->think_us = sim_chance(&rng, 0.7) ? 0 : scale(&rng, 1, 2000000);
	}
	p->bytes = p->bytes / p->flows + 1;
	if (sim_chance(&rng, 0.15)) {
		p->read_us = scale(&rng, 100, 200000);
		p->read_bytes = p->bytes / 30 + scale(&rng, 1, 20000);
	}
	if (sim_chance(&rng, 0.05))
		p->pause_us = scale(&rng, 10000, 20000000);
	p->delay_us = sim_chance(&rng, 0.1) ? 0 : scale(&rng, 10, 200000);
	p->jitter_us = sim_chance(&rng, 0.7) ? 0 : among(&rng, 0, p->delay_us);
	if (sim_chance(&rng, 0.75))
		p->loss = (double)scale(&rng, 10, 20000) / 100000;
	if (sim_chance(&rng, 0.75))
		p->loss_back = (double)scale(&rng, 10, 20000) / 100000;
	if (sim_chance(&rng, 0.15)) {
		p->burst = (double)scale(&rng, 10, 3000) / 100000;
		p->burst_end = (double)among(&rng, 10, 90) / 100;
	}
	if (sim_chance(&rng, 0.4)) {
		p->reorder = (double)scale(&rng, 100, 50000) / 100000;
		p->reorder_us = scale(&rng, 10, 100000);
	}
	if (sim_chance(&rng, 0.3))
		p->dup = (double)scale(&rng, 100, 20000) / 100000;
	p->tso = sim_chance(&rng, 0.4);
	if (!p->tso && sim_chance(&rng, 0.2))
		p->corrupt = (double)scale(&rng, 10, 5000) / 100000;
	if (sim_chance(&rng, 0.6)) {
		p->rate_kbit = scale(&rng, 500, 1000000);
		p->buffer = scale(&rng, 5000, 1000000);
		if (sim_chance(&rng, 0.3)) {
			p->ecn = 1;
			p->mark = p->buffer / 3;
		}
	}
	if (sim_chance(&rng, 0.1)) {
		p->outage_ms = among(&rng, 1, 2000);
		p->outage_len_ms = scale(&rng, 10, 20000);
	}
	if (sim_chance(&rng, 0.1)) {
		p->change_ms = among(&rng, 1, 2000);
		p->rate2_kbit = p->rate_kbit ? scale(&rng, 500, 1000000) : 0;
		p->delay2_us = scale(&rng, 10, 200000);
	}
	p->sack = !sim_chance(&rng, 0.15);
	p->ts = !sim_chance(&rng, 0.15);
}

static void make_clean(struct sim_params *p, uint64_t index)
{
	static const char *const apps[] = { "bulk", "both", "rr", "half" };
	uint64_t rng = p->seed;

	word(p->app, apps[index % 4]);
	word(p->want, "clean");
	word(p->cc, sim_chance(&rng, 0.7) ? "cubic" : "reno");
	p->bytes = scale(&rng, 1, 2000000);
	p->flows = sim_chance(&rng, 0.7) ? 1 : scale(&rng, 1, 20);
	p->gap_us = scale(&rng, 1, 100000);
	p->request = scale(&rng, 1, 20000);
	p->delay_us = scale(&rng, 1, 200000);
	/* All initial windows together wait no longer than a round trip, or a millisecond: one that
	 * jumps to a multiple of itself looks like a loss to anybody. */
	if (sim_chance(&rng, 0.7)) {
		uint64_t least = p->flows * 15140 * 8000 / (p->delay_us * 2 + 1000);

		p->rate_kbit = scale(&rng, least, least + 1000000);
	}
	if (strcmp(p->app, "rr") == 0) {
		p->count = scale(&rng, 1, 50);
		p->think_us = sim_chance(&rng, 0.5) ? 0 : scale(&rng, 1, 2000000);
		p->bytes = p->bytes / p->count + 1;
	}
	p->bytes = p->bytes / p->flows + 1;
	if (sim_chance(&rng, 0.2)) {
		p->read_us = scale(&rng, 100, 200000);
		p->read_bytes = p->bytes / 30 + scale(&rng, 1, 20000);
	}
	p->tso = sim_chance(&rng, 0.5);
	p->sack = !sim_chance(&rng, 0.15);
	p->ts = !sim_chance(&rng, 0.15);
}

static const char *controller(uint64_t index)
{
	static const char *const names[] = { "cubic", "reno", "bbr" };

	return names[index % 3];
}

/* A pipe of so many bytes, at no more than 100 Mbit/s. */
static void pipe_of(struct sim_params *p, uint64_t *rng, uint64_t low, uint64_t high)
{
	uint64_t bdp = scale(rng, low, high);

	p->rate_kbit = bdp * 8000 / (2 * p->delay_us);
	if (p->rate_kbit > 100000) {
		p->rate_kbit = 100000;
		bdp = p->rate_kbit * 2 * p->delay_us / 8000;
	}
	p->buffer = bdp + 3000;
}

/* The link is full for a long flow. */
static void make_capacity(struct sim_params *p, uint64_t index)
{
	uint64_t rng = p->seed;

	word(p->want, "capacity");
	word(p->cc, controller(index));
	p->delay_us = scale(&rng, 1000, 100000);
	pipe_of(p, &rng, 30000, 2000000);
	p->seconds = 30;
	p->tso = sim_chance(&rng, 0.5);
}

static void make_response(struct sim_params *p, uint64_t index)
{
	static const double losses[] = { 0.001, 0.003, 0.01, 0.02 };
	uint64_t rng = p->seed;

	word(p->want, "response");
	word(p->cc, index % 2 ? "reno" : "cubic");
	p->loss = losses[index / 2 % 4];
	p->delay_us = scale(&rng, 5000, 50000);
	p->seconds = (uint64_t)(2000000.0 / 1.2 * p->loss * (double)p->delay_us * 1e-6) + 60;
}

static void make_fair(struct sim_params *p, uint64_t index)
{
	uint64_t rng = p->seed;

	word(p->want, "fair");
	word(p->cc, controller(index));
	p->flows = 2;
	p->gap_us = scale(&rng, 1, 3000000);
	p->delay_us = scale(&rng, 2000, 50000);
	pipe_of(p, &rng, 50000, 200000);
	p->seconds = 60 + 3000 * p->delay_us / 1000000; /* 1500 round trips */
}

/* The bottleneck marks long before it drops. */
static void make_marked(struct sim_params *p, uint64_t index)
{
	static const char *const names[] = { "cubic", "reno", "dctcp" };
	uint64_t rng = p->seed;

	word(p->want, "marked");
	word(p->cc, names[index % 3]);
	p->ecn = 1;
	p->flows = among(&rng, 1, 4);
	p->gap_us = scale(&rng, 1, 1000000);
	p->delay_us = scale(&rng, 200, index % 3 == 2 ? 2000 : 20000);
	pipe_of(p, &rng, 30000, 200000);
	p->mark = p->buffer / 2 + 20000;
	p->buffer = p->mark + 1000000;
	p->seconds = 20;
}

static const struct sim_set sets[] = {
	{ "clean", "a link without faults: nothing is sent again", make_clean, 200, 0 },
	{ "mixed", "everything at once, all programs", make_mixed, 730, 0 },
	{ "capacity", "a long flow fills the link", make_capacity, 20, 0 },
	{ "response", "random loss: goodput as the controller's response function says",
	  make_response, 20, 0 },
	{ "fair", "two flows share a bottleneck", make_fair, 12, 0 },
	{ "marked", "ECN: the bottleneck marks long before it drops: nothing is sent again",
	  make_marked, 15, 0 },
};

const struct sim_set *sim_set_at(unsigned int i)
{
	return i < sizeof(sets) / sizeof(sets[0]) ? &sets[i] : NULL;
}
