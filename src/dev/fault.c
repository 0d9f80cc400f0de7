/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault link; what it does is in fault.h.
 *
 * Theory of operation. Each queue has two directions, each a delay line: a heap of packets ordered
 * by the time at which they are due, then by the order in which they came. A frame goes through the
 * faults when it enters the line; it leaves when its time has come, to the stack (in) or to the
 * port below (out). Both lines move whenever the worker receives, so a line never waits for new
 * frames. The rate is a server that is busy until `busy_ns`; frames that it has not finished count
 * as its queue. Packets in a line are held in the ledger.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/driver.h"
#include "dev/fault_line.h"

#define NS_PER_US 1000ull

struct fault_queue {
	struct worker *w;
	struct fault_line in, out;
} __attribute__((aligned(64)));

struct fault {
	struct port *inner;
	struct fault_config config;
	struct fault_queue *queue; /* [queues] */
};

/* ---- the port ---- */

/* Give the port below what is due. What it refuses stays in front. */
static void fault_pump_out(struct worker *w, struct fault *f, uint16_t queue)
{
	struct fault_line *l = &f->queue[queue].out;
	struct pkt *p;

	while ((p = line_due_packet(w, l))) {
		if (!f->inner->ops->tx(w, f->inner, queue, &p, 1))
			return;
		line_leave(w, l);
	}
}

static uint16_t fault_tx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			 uint16_t n)
{
	struct fault *f = port->driver;
	struct fault_queue *q = &f->queue[queue];

	q->w = w;
	if (!q->out.active)
		return f->inner->ops->tx(w, f->inner, queue, pkts, n);
	for (uint16_t i = 0; i < n; i++)
		line_enter(w, &f->config, &q->out, pkts[i]);
	fault_pump_out(w, f, queue);
	return n;
}

static uint16_t fault_rx(struct worker *w, struct port *port, uint16_t queue, struct pkt **pkts,
			 uint16_t n)
{
	struct fault *f = port->driver;
	struct fault_queue *q = &f->queue[queue];
	uint16_t got;

	q->w = w;
	f->inner->ifindex = port->ifindex;
	fault_pump_out(w, f, queue);
	got = f->inner->ops->rx(w, f->inner, queue, pkts, n);
	if (!q->in.active)
		return got;
	for (uint16_t i = 0; i < got; i++)
		line_enter(w, &f->config, &q->in, pkts[i]);
	for (got = 0; got < n && (pkts[got] = line_due_packet(w, &q->in)); got++)
		line_leave(w, &q->in);
	return got;
}

static uint64_t fault_next_ns(struct port *port, uint16_t queue)
{
	struct fault *f = port->driver;
	uint64_t inner = f->inner->ops->next_ns ? f->inner->ops->next_ns(f->inner, queue)
						: TIMER_NEVER;

	return RTE_MIN(inner, RTE_MIN(line_next_ns(&f->queue[queue].in),
				      line_next_ns(&f->queue[queue].out)));
}

static int fault_sleep_fd(struct port *port, uint16_t queue)
{
	struct port *inner = ((struct fault *)port->driver)->inner;

	return inner->ops->sleep_fd ? inner->ops->sleep_fd(inner, queue) : -ENOTSUP;
}

static bool fault_arm(struct port *port, uint16_t queue, bool on)
{
	struct port *inner = ((struct fault *)port->driver)->inner;

	return inner->ops->arm && inner->ops->arm(inner, queue, on);
}

static void fault_port_stats(struct port *port, struct port_stats *stats)
{
	struct port *inner = ((struct fault *)port->driver)->inner;

	inner->ops->stats(inner, stats);
}

static void fault_counters_of(const struct port *port, bool in, port_counter_fn each, void *arg)
{
	const char *dir = in ? "in" : "out";
	struct fault_stats s;
	char name[48];

	fault_stats(port, in, &s);
#define EACH(member)                                                                               \
	do {                                                                                       \
		snprintf(name, sizeof(name), "fault_%s_" #member, dir);                            \
		each(arg, name, s.member);                                                         \
	} while (0)
	EACH(frames);
	EACH(lost);
	EACH(queue_full);
	EACH(duplicated);
	EACH(reordered);
	EACH(corrupted);
	EACH(waiting);
#undef EACH
}

static void fault_counters(struct port *port, port_counter_fn each, void *arg)
{
	struct port *inner = ((struct fault *)port->driver)->inner;

	fault_counters_of(port, true, each, arg);
	fault_counters_of(port, false, each, arg);
	if (inner->ops->counters)
		inner->ops->counters(inner, each, arg);
}

static void fault_about(struct port *port, struct port_about *about)
{
	struct port *inner = ((struct fault *)port->driver)->inner;

	strcpy(about->driver, inner->ops->type);
	if (inner->ops->about)
		inner->ops->about(inner, about);
}

static void fault_close(struct port *port)
{
	struct fault *f = port->driver;

	for (uint16_t q = 0; f->queue && q < port->queues; q++) {
		line_close(f->queue[q].w, &f->queue[q].in);
		line_close(f->queue[q].w, &f->queue[q].out);
	}
	f->inner->ops->close(f->inner);
	free(f->queue);
	free(f);
	free(port);
}

static const struct port_ops fault_ops = {
	.type = "fault",
	.rx = fault_rx,
	.tx = fault_tx,
	.sleep_fd = fault_sleep_fd,
	.arm = fault_arm,
	.next_ns = fault_next_ns,
	.stats = fault_port_stats,
	.counters = fault_counters,
	.about = fault_about,
	.close = fault_close,
};

struct port *fault_inner(const struct port *port)
{
	return port->ops == &fault_ops ? ((struct fault *)port->driver)->inner : NULL;
}

int fault_stats(const struct port *port, bool in, struct fault_stats *stats)
{
	const struct fault *f = port->driver;

	memset(stats, 0, sizeof(*stats));
	if (port->ops != &fault_ops)
		return -EINVAL;
	for (uint16_t q = 0; q < port->queues; q++) {
		const struct fault_line *l = in ? &f->queue[q].in : &f->queue[q].out;

		stats->frames += port_counted(&l->stats.frames);
		stats->lost += port_counted(&l->stats.lost);
		stats->queue_full += port_counted(&l->stats.queue_full);
		stats->duplicated += port_counted(&l->stats.duplicated);
		stats->reordered += port_counted(&l->stats.reordered);
		stats->corrupted += port_counted(&l->stats.corrupted);
		stats->waiting += __atomic_load_n(&l->count, __ATOMIC_RELAXED);
	}
	return 0;
}

/* ---- opening ---- */

static uint64_t chance_of_32(double chance)
{
	return (uint64_t)llround(chance * 4294967296.0);
}

static int fault_configure(const struct spec *s, struct fault_config *c, uint64_t *seed,
			   char *error)
{
	double loss = 0, dup = 0, reorder = 0, corrupt = 0;
	uint64_t delay_us = 0, jitter_us = 0, reorder_us = 1000;
	const uint64_t max_us = 60000000;
	const char *dir = spec_get(s, "dir");
	int err;

	*c = (struct fault_config){ .queue = 1000, .in = true, .out = true };
	*seed = 1;
	if ((err = spec_chance(s, "loss", &loss, error)) ||
	    (err = spec_chance(s, "dup", &dup, error)) ||
	    (err = spec_chance(s, "reorder", &reorder, error)) ||
	    (err = spec_chance(s, "corrupt", &corrupt, error)) ||
	    (err = spec_number(s, "delay_us", 0, max_us, &delay_us, error)) ||
	    (err = spec_number(s, "jitter_us", 0, max_us, &jitter_us, error)) ||
	    (err = spec_number(s, "reorder_us", 1, max_us, &reorder_us, error)) ||
	    (err = spec_number(s, "rate_mbit", 0, 1000000, &c->rate_mbit, error)) ||
	    (err = spec_number(s, "queue", 1, LINE_PACKETS, &c->queue, error)) ||
	    (err = spec_number(s, "seed", 0, UINT64_MAX, seed, error)))
		return err;
	if (dir && strcmp(dir, "both") && strcmp(dir, "in") && strcmp(dir, "out"))
		return port_fail(error, -EINVAL, "fault: dir=%.40s: must be both, in or out", dir);
	c->in = !dir || strcmp(dir, "out");
	c->out = !dir || strcmp(dir, "in");
	c->loss = chance_of_32(loss);
	c->dup = chance_of_32(dup);
	c->reorder = chance_of_32(reorder);
	c->corrupt = chance_of_32(corrupt);
	c->delay_ns = delay_us * NS_PER_US;
	c->jitter_ns = jitter_us * NS_PER_US;
	c->reorder_ns = reorder_us * NS_PER_US;
	return 0;
}

static int fault_open_lines(struct port *port, struct fault *f, uint64_t seed)
{
	const struct fault_config *c = &f->config;
	int err = 0;

	f->queue = aligned_alloc(64, port->queues * sizeof(f->queue[0]));
	if (!f->queue)
		return -ENOMEM;
	memset(f->queue, 0, port->queues * sizeof(f->queue[0]));
	for (uint16_t q = 0; q < port->queues && !err; q++) {
		err = line_open(&f->queue[q].in, c, c->in, seed * 2654435761u + 2 * q);
		if (!err)
			err = line_open(&f->queue[q].out, c, c->out,
					seed * 2654435761u + 2 * q + 1);
	}
	return err;
}

/* The options end at the first ':'; behind it stands the specification of the port below. */
int fault_open(const char *rest, const struct port_open_ctx *ctx, struct port **out)
{
	static const char *const known[] = { "loss",	 "dup",	      "reorder",    "corrupt",
					     "delay_us", "jitter_us", "reorder_us", "rate_mbit",
					     "queue",	 "seed",      "dir",	    NULL };
	const char *colon = strchr(rest, ':');
	struct port_open_ctx below = *ctx;
	char text[SPEC_BYTES];
	struct fault *f;
	struct port *port;
	struct spec spec;
	uint64_t seed;
	int err;

	/* "fault:SPEC": the ':' is gone already, and everything is the port below. */
	if (!colon || (size_t)(colon - rest) >= sizeof(text))
		return port_fail(ctx->error, -EINVAL,
				 "fault: which port? As in fault,loss=0.02:tap,name=weir0");
	memcpy(text, rest, (size_t)(colon - rest));
	text[colon - rest] = '\0';
	f = calloc(1, sizeof(*f));
	port = port_new(&fault_ops, "fault", 1);
	if (!f || !port) {
		err = port_fail(ctx->error, -ENOMEM, "fault: out of memory");
		goto fail;
	}
	if ((err = spec_parse(&spec, "fault", text, known, ctx->error)) ||
	    (err = fault_configure(&spec, &f->config, &seed, ctx->error)))
		goto fail;
	below.plain = true;
	err = port_open_driver(colon + 1, &below, &f->inner);
	if (err)
		goto fail;
	*port = *f->inner;
	port->ops = &fault_ops;
	port->driver = f;
	port->caps &= PORT_CAP_LOOP;
	if (fault_open_lines(port, f, seed)) {
		fault_close(port);
		return port_fail(ctx->error, -ENOMEM, "fault: out of memory");
	}
	*out = port;
	return 0;
fail:
	free(f);
	free(port);
	return err;
}
