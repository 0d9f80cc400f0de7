/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ordered start and stop of the engine, and configuration repeated for each worker.
 *
 * Start: EAL, then for each worker: packets and timers (worker_init), protocols (inet_init),
 * sockets (sock_layer_init), its loop; then the mailboxes between workers, the loopback port and
 * its address. Stop is the same backwards: sockets first, so that they can still close their
 * connections; ports last, because what they hold is dropped into the workers' ledgers; then the
 * workers with their ledgers.
 */
#include "engine/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/eal.h"
#include "engine/clock.h"
#include "engine/loop.h"
#include "engine/steer.h"
#include "engine/thread.h"
#include "inet/inet.h"
#include "inet/tcp/tcp.h"
#include "sock/sock.h"

#define DEFAULT_PACKETS 16384u

_Static_assert(ENGINE_ERROR_BYTES >= PORT_ERROR_BYTES, "a port's words fit into the engine's");

__attribute__((format(printf, 2, 3))) static void say(char error[ENGINE_ERROR_BYTES],
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, ENGINE_ERROR_BYTES, format, args);
	va_end(args);
}

static uint64_t wall_offset_ns(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec - clock_now_ns();
}

static int worker_start(struct engine *engine, const struct engine_config *config, unsigned int id)
{
	unsigned int packets = config->packets ? config->packets : DEFAULT_PACKETS;
	uint64_t now_ns = config->now_ns;
	struct inet_upcalls upcalls;
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	if (!config->virtual_time && now_ns == 0)
		now_ns = clock_now_ns();
	err = worker_init(w, id, packets, now_ns, config->seed);
	if (err) {
		free(w);
		return err;
	}
	w->engine = engine;
	w->siblings = config->workers ? config->workers : 1;
	if (!config->virtual_time)
		w->wall_offset_ns = wall_offset_ns();
	engine->worker[id] = w;
	engine->worker_count = id + 1;
	memset(&upcalls, 0, sizeof(upcalls));
	sock_upcalls(&upcalls);
	if (w->siblings > 1)
		steer_upcalls(&upcalls);
	err = inet_init(w, &upcalls);
	if (!err)
		tcp_fastopen_share(w, engine->worker[0]);
	if (!err)
		err = sock_layer_init(w);
	if (!err)
		err = loop_new(engine, w, &engine->loop[id]);
	return err;
}

static int loopback_start(struct engine *engine, char error[ENGINE_ERROR_BYTES])
{
	struct ipaddr addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	int ifindex = engine_port_add(engine, "loop", error);

	if (ifindex < 0)
		return ifindex;
	ifindex = engine_addr_add(engine, IFINDEX_LOOP, &addr, 8);
	if (ifindex && ifindex != -EEXIST) { /* inet may have given the loop its address already */
		say(error, "cannot give the loopback 127.0.0.1/8: %s", strerror(-ifindex));
		return ifindex;
	}
	return 0;
}

int engine_open(const struct engine_config *config, struct engine **result,
		char error[ENGINE_ERROR_BYTES])
{
	unsigned int workers = config->workers ? config->workers : 1;
	struct engine *engine;
	int err;

	if (workers > ABI_MAX_WORKERS) {
		say(error, "%u workers are too many: at most %u", workers, ABI_MAX_WORKERS);
		return -EINVAL;
	}
	err = core_eal_init(config->eal_args);
	if (err) {
		say(error, "DPDK's environment does not start: %s (see the lines above)",
		    strerror(-err));
		return err;
	}
	engine = calloc(1, sizeof(*engine));
	if (!engine) {
		say(error, "out of memory");
		return -ENOMEM;
	}
	engine->virtual_time = config->virtual_time;
	for (unsigned int i = 0; i < workers && !err; i++) {
		err = worker_start(engine, config, i);
		if (err)
			say(error,
			    "cannot make worker %u: %s; each needs %u packet buffers, which "
			    "--packets changes",
			    i, strerror(-err), config->packets ? config->packets : DEFAULT_PACKETS);
	}
	if (!err && (err = steer_init(engine)))
		say(error, "no memory for the mailboxes of %u workers", workers);
	if (!err)
		err = loopback_start(engine, error);
	if (err) {
		engine_close(engine);
		return err;
	}
	*result = engine;
	return 0;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	engine_stop(engine);
	steer_free(engine);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		if (engine->worker[i]->socks)
			sock_layer_free(engine->worker[i]);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		if (engine->worker[i]->inet)
			inet_free(engine->worker[i]);
	for (unsigned int i = engine->port_count; i > 0; i--)
		port_close(engine->port[i - 1]);
	for (unsigned int i = 0; i < engine->worker_count; i++) {
		worker_free(engine->worker[i]);
		free(engine->worker[i]);
		free(engine->loop[i]);
	}
	free(engine);
}

/* Make the port known to each worker's protocols and loop. Returns its ifindex or -errno. */
static int port_attach(struct engine *engine, struct port *port)
{
	int ifindex = -EINVAL;

	for (unsigned int i = 0; i < engine->worker_count; i++) {
		ifindex = inet_netif_add(engine->worker[i], port);
		if (ifindex < 0)
			return ifindex;
	}
	for (unsigned int i = 0; i < engine->worker_count; i++) {
		loop_port_add(engine->loop[i], port);
		threads_port_added(engine, i, port);
	}
	engine->port[engine->port_count++] = port;
	return ifindex;
}

int engine_port_add(struct engine *engine, const char *spec, char error[ENGINE_ERROR_BYTES])
{
	struct port_open_params params = {
		.workers = (uint16_t)engine->worker_count,
		.worker = engine->worker,
	};
	char words[PORT_ERROR_BYTES] = "";
	struct port *port;
	int err;

	if (engine->port_count == PORT_MAX) {
		say(error, "port '%s' is one too many: at most %u", spec, PORT_MAX - 1);
		return -ENOSPC;
	}
	err = port_open(spec, &params, &port, words);
	if (err) {
		if (words[0])
			say(error, "%s", words);
		else
			say(error, "port '%s' does not open: %s", spec, strerror(-err));
		return err;
	}
	if (port->queues < engine->worker_count) {
		say(error,
		    "port '%s' has %u queue(s) for %u workers: start with --workers %u, or "
		    "give the port more queues",
		    spec, port->queues, engine->worker_count, port->queues);
		port_close(port);
		return -EINVAL;
	}
	err = port_attach(engine, port);
	if (err < 0) {
		say(error, "port '%s' cannot become an interface: %s", spec, strerror(-err));
		port_close(port);
	}
	return err;
}

int engine_addr_add(struct engine *engine, unsigned int ifindex, const struct ipaddr *addr,
		    unsigned int prefix_len)
{
	int err = 0;

	for (unsigned int i = 0; i < engine->worker_count && !err; i++)
		err = inet_addr_add(engine->worker[i], ifindex, addr, prefix_len);
	return err;
}

int engine_route_add(struct engine *engine, const struct ipaddr *prefix, unsigned int prefix_len,
		     const struct ipaddr *gateway, unsigned int ifindex)
{
	int err = 0;

	for (unsigned int i = 0; i < engine->worker_count && !err; i++)
		err = inet_route_add(engine->worker[i], prefix, prefix_len, gateway, ifindex);
	return err;
}

void engine_forwarding(struct engine *engine, bool on)
{
	engine->forwarding = on;
	for (unsigned int i = 0; i < engine->worker_count; i++)
		inet_forwarding(engine->worker[i], on);
}

int engine_param_set(struct engine *engine, const char *name, const char *value)
{
	int ret = 0;

	/* Whether it may be does not depend on the worker: the first one says it. */
	for (unsigned int i = 0; i < engine->worker_count && ret == 0; i++)
		ret = tcp_param_set(engine->worker[i], name, value);
	return ret;
}

uint64_t engine_tcp_counter(const struct engine *engine, unsigned int i)
{
	uint64_t sum = 0;

	for (unsigned int worker = 0; worker < engine->worker_count; worker++)
		sum += tcp_counter(engine->worker[worker], i);
	return sum;
}

void engine_ledger(struct engine *engine, struct ledger *sum)
{
	for (unsigned int i = 0; i < engine->worker_count; i++)
		ledger_add(sum, &engine->worker[i]->ledger);
	ledger_fold_steered(sum);
}

void engine_control(struct engine *engine)
{
	for (unsigned int i = 0; i < engine->worker_count; i++)
		sock_control(engine->worker[i]);
}
