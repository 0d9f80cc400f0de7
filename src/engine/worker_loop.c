/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One loop of one worker: the order in which everything happens.
 *
 *   1. receive   a burst from each port, through the protocols, into the sockets' rings; likewise
 *                what other workers handed over (steer.c)
 *   2. submit    what programs asked for: calls, bytes to send
 *   3. timers    retransmissions, delayed ACKs, ARP retries, ...
 *   4. loopback  packets for ourselves; they may make others (an ACK, an answer), so again, up to
 *                LOCAL_ROUNDS times: a request reaches the server within the call that took it
 *   5. transmit  give the ports what was queued for them
 *   6. publish   positions and readiness to the programs, bells to those that sleep
 *
 * A port whose empty poll is a system call (TAP) is polled as often as it pays: while it is busy in
 * each loop, and after a silence of t again after t / 16, at most COSTLY_POLL_MAX_NS. That is
 * NAPI's switch from interrupt to polling seen from the other side: a worker that is busy with
 * local traffic does not pay a system call a loop for a silent port. (A worker that goes to sleep
 * looks at every port before, and sleeps on the port's descriptor: thread.c.)
 *
 * Cycles are counted for the stages at which the loop hands work over, and include what is called
 * from there: port-rx, eth-input (the whole way in), sock-send (the whole way out from a program),
 * port-tx. The time stamp counter is read only where there was work.
 */
#include "engine/loop.h"
#include "engine/steer.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "inet/inet.h"
#include "sock/sock.h"

#define LOCAL_ROUNDS 16u
#define COSTLY_POLL_MAX_NS 500000u
/* A send ring that was full: look again after a quarter of the silence so far, within bounds. */
#define BACKLOG_RETRY_MIN_NS 50000u
#define BACKLOG_RETRY_MAX_NS 5000000u

int loop_new(struct engine *engine, struct worker *w, struct engine_loop **loop)
{
	struct engine_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->engine = engine;
	l->w = w;
	l->last_io_ns = w->now_ns;
	*loop = l;
	return 0;
}

void loop_port_add(struct engine_loop *loop, struct port *port)
{
	struct loop_port *lp;

	if (port->caps & PORT_CAP_LOOP && !loop->loop_port) {
		loop->loop_port = port;
		return;
	}
	lp = &loop->port[loop->port_count++];
	memset(lp, 0, sizeof(*lp));
	lp->port = port;
	lp->queue = (uint16_t)loop->w->id;
	lp->last_rx_ns = loop->w->now_ns;
	lp->costly = !loop->engine->virtual_time && port->sleep_how &&
		     strcmp(port->sleep_how, "fd") == 0;
}

bool loop_needs_timer(const struct engine_loop *loop)
{
	for (unsigned int i = 0; i < loop->port_count; i++) {
		struct port *port = loop->port[i].port;

		if (!port->ops->sleep_fd || port->ops->sleep_fd(port, loop->port[i].queue) < 0)
			return true;
	}
	return false;
}

/* One burst from one port, up through the protocols. */
static unsigned int receive_burst(struct worker *w, struct port *port, uint16_t queue)
{
	struct pkt *pkts[PORT_BURST];
	uint64_t begin = rte_rdtsc(), received, end;
	uint16_t n = port_rx(w, port, queue, pkts, PORT_BURST);

	if (n == 0)
		return 0;
	received = rte_rdtsc();
	eth_input(w, pkts, n);
	end = rte_rdtsc();
	w->ledger.stage[STAGE_PORT_RX].cycles += received - begin;
	w->ledger.stage[STAGE_ETH_INPUT].cycles += end - received;
	return n;
}

static unsigned int receive(struct engine_loop *loop)
{
	struct worker *w = loop->w;
	unsigned int work = 0;

	for (unsigned int i = 0; i < loop->port_count; i++) {
		struct loop_port *lp = &loop->port[i];
		unsigned int n;

		if (lp->costly && w->now_ns < lp->next_poll_ns)
			continue;
		n = receive_burst(w, lp->port, lp->queue);
		work += n;
		if (n) {
			lp->last_rx_ns = w->now_ns;
			lp->next_poll_ns = 0;
		} else if (lp->costly) {
			uint64_t wait_ns = (w->now_ns - lp->last_rx_ns) / 16;

			lp->next_poll_ns = w->now_ns + RTE_MIN(wait_ns, COSTLY_POLL_MAX_NS);
		}
	}
	return work;
}

static unsigned int submit(struct worker *w)
{
	uint64_t begin = rte_rdtsc();
	unsigned int n = sock_poll(w);

	if (n) {
		/* What programs submitted; it becomes packets in the stages behind. */
		w->ledger.stage[STAGE_SOCK_SEND].packets += n;
		w->ledger.stage[STAGE_SOCK_SEND].bursts++;
		w->ledger.stage[STAGE_SOCK_SEND].cycles += rte_rdtsc() - begin;
	}
	return n;
}

static unsigned int local_rounds(struct engine_loop *loop)
{
	unsigned int work = 0;

	for (unsigned int round = 0; round < LOCAL_ROUNDS; round++) {
		unsigned int n;

		port_flush(loop->w, loop->loop_port);
		n = receive_burst(loop->w, loop->loop_port, (uint16_t)loop->w->id);
		if (n == 0)
			break;
		work += n;
	}
	return work;
}

static void transmit(struct engine_loop *loop)
{
	struct worker *w = loop->w;
	uint64_t sent = w->ledger.stage[STAGE_PORT_TX].packets;
	uint64_t begin = rte_rdtsc();
	unsigned int backlog = 0;

	for (unsigned int i = 0; i < loop->port_count; i++)
		backlog += port_flush(w, loop->port[i].port);
	loop->backlog = backlog;
	if (w->ledger.stage[STAGE_PORT_TX].packets != sent)
		w->ledger.stage[STAGE_PORT_TX].cycles += rte_rdtsc() - begin;
}

unsigned int engine_poll(struct engine *engine, unsigned int worker, uint64_t now_ns)
{
	struct engine_loop *loop = engine->loop[worker];
	struct worker *w = loop->w;
	unsigned int io, timers;

	if (now_ns > w->now_ns)
		w->now_ns = now_ns;
	io = receive(loop);
	if (engine->steer)
		io += steer_receive(engine, worker);
	io += submit(w);
	timers = timer_run(w, &w->timers, w->now_ns);
	io += local_rounds(loop);
	transmit(loop);
	sock_flush(w);
	steer_flush(engine, worker);
	if (!engine->threads && engine->worker_count > 1)
		engine_control(engine);
	loop->stats.loops++;
	if (io + timers == 0)
		return 0;
	loop->stats.busy_loops++;
	loop->stats.work += io + timers;
	if (io)
		loop->last_io_ns = w->now_ns;
	return io + timers;
}

/* A port whose other side is not there (memif without a peer) must not keep the worker awake. */
static uint64_t backlog_wait_ns(const struct engine_loop *loop)
{
	uint64_t wait_ns = (loop->w->now_ns - loop->last_io_ns) / 4;

	return RTE_MAX(RTE_MIN(wait_ns, BACKLOG_RETRY_MAX_NS), BACKLOG_RETRY_MIN_NS);
}

uint64_t engine_next_ns(struct engine *engine, unsigned int worker)
{
	struct engine_loop *loop = engine->loop[worker];
	struct worker *w = loop->w;
	uint64_t next_ns = timer_next_ns(&w->timers);

	for (unsigned int i = 0; i < loop->port_count; i++) {
		struct port *port = loop->port[i].port;

		if (port->ops->next_ns)
			next_ns = RTE_MIN(next_ns, port->ops->next_ns(port, loop->port[i].queue));
	}
	if (steer_pending(engine, worker))
		next_ns = w->now_ns;
	if (loop->backlog)
		next_ns = RTE_MIN(next_ns, w->now_ns + backlog_wait_ns(loop));
	return next_ns;
}

void engine_loop_stats(const struct engine *engine, unsigned int worker,
		       struct engine_loop_stats *stats)
{
	*stats = engine->loop[worker]->stats;
}
