/* SPDX-License-Identifier: BSD-3-Clause */
/* What weird answers on its control connection (bin/weird/control/commands.h): figures, and
 * changes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weird/control/commands.h"
#include "bin/weird/setup.h"
#include "engine/engine.h"
#include "inet/inet.h"
#include "inet/tcp/mib.h"
#include "obs/report.h"
#include "sock/session.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

#define REQUEST_TEXT_BYTES 256

static json_t *refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static json_t *refuse(const char *format, ...)
{
	char words[PORT_ERROR_BYTES + ENGINE_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	return json_pack("{s:s}", "error", words);
}

static json_t *done(void)
{
	return json_pack("{s:b}", "ok", 1);
}

/* ---- figures ---- */

/* All workers' ledgers in one, as report_fn shows it. */
static json_t *ledger_answer(struct engine *engine, json_t *(*report_fn)(const struct ledger *l))
{
	json_t *answer = NULL;
	struct ledger sum;

	if (ledger_init(&sum))
		return NULL;
	engine_ledger(engine, &sum);
	answer = report_fn(&sum);
	ledger_free(&sum);
	return answer;
}

static json_t *control_ledger(struct engine *engine, const json_t *request)
{
	json_t *answer = ledger_answer(engine, report_ledger);

	(void)request;
	if (answer)
		control_ledger_ports(engine, answer);
	return answer;
}

static void append_all(json_t *list, json_t *more)
{
	json_array_extend(list, more);
	json_decref(more);
}

static int recent_compare(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "age_us"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "age_us"));

	return x < y ? -1 : x > y;
}

/* The workers' lists are sorted each by itself: make one of them, newest first, cut to count. */
static json_t *merge_recent(json_t *all, size_t count)
{
	size_t n = json_array_size(all);
	json_t **sorted = calloc(n ? n : 1, sizeof(*sorted)), *list = json_array();

	for (size_t i = 0; sorted && i < n; i++)
		sorted[i] = json_array_get(all, i);
	if (sorted)
		qsort(sorted, n, sizeof(*sorted), recent_compare);
	for (size_t i = 0; sorted && i < n && i < count; i++)
		json_array_append(list, sorted[i]);
	free(sorted);
	json_decref(all);
	return list;
}

static json_t *control_drops(struct engine *engine, const json_t *request)
{
	json_int_t count = json_integer_value(json_object_get(request, "count"));
	json_t *all = json_array();

	if (count <= 0)
		count = LEDGER_RECENT;
	for (unsigned int i = 0; i < engine->worker_count; i++) {
		struct worker *w = engine->worker[i];

		append_all(all, report_recent(&w->ledger, w->now_ns, LEDGER_RECENT));
	}
	return json_pack("{s:o}", "recent", merge_recent(all, (size_t)count));
}

static json_t *ports_answer(struct engine *engine)
{
	json_t *addresses = report_addresses(engine->worker[0]), *list = json_array();

	for (unsigned int i = 0; i < engine->port_count; i++) {
		json_t *port = report_port(engine->port[i], i + 1), *mine = json_array(), *a;
		size_t j;

		json_array_foreach(addresses, j, a)
		{
			if (json_integer_value(json_object_get(a, "ifindex")) == (json_int_t)i + 1)
				json_array_append(mine, json_object_get(a, "address"));
		}
		json_object_set_new(port, "addresses", mine);
		json_array_append_new(list, port);
	}
	json_decref(addresses);
	return list;
}

static json_t *workers_answer(struct engine *engine)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < engine->worker_count; i++) {
		json_t *worker = report_worker(engine->worker[i]);
		struct engine_loop_stats s = { 0 };

		engine_loop_stats(engine, i, &s);
		json_object_set_new(
			worker, "loop",
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "loops", (json_int_t)s.loops,
				  "busy_loops", (json_int_t)s.busy_loops, "work",
				  (json_int_t)s.work, "sleeps", (json_int_t)s.sleeps, "parks",
				  (json_int_t)s.parks, "spin_ns", (json_int_t)s.spin_ns));
		json_array_append_new(list, worker);
	}
	return list;
}

struct sockets {
	json_t *list;
	struct engine *engine;
	bool tcp; /* with report_tcp()'s object as member "tcp" */
};

static void socket_append(const struct sock_info *info, void *arg)
{
	char local[REPORT_ADDR_BYTES], remote[REPORT_ADDR_BYTES];
	struct sockets *all = arg;
	json_t *sock, *tcp = NULL;

	sock = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:i, s:I, s:I, s:b}", "proto",
			 info->proto, "state", tcp_state_name(info->state), "local",
			 report_endpoint(&info->local, local), "remote",
			 report_endpoint(&info->remote, remote), "recv_q",
			 (json_int_t)info->rx_queue_bytes, "send_q",
			 (json_int_t)info->tx_queue_bytes, "pid", (json_int_t)info->pid, "program",
			 info->program ? info->program : "", "worker", (int)info->worker, "drops",
			 (json_int_t)info->drops, "rcvbuf", (json_int_t)info->rx_room_bytes,
			 "rcvbuf_asked", (int)info->rx_room_set);
	if (all->tcp)
		tcp = report_tcp(all->engine->worker[info->worker], info->tcp);
	if (tcp)
		json_object_set_new(sock, "tcp", tcp);
	json_array_append_new(all->list, sock);
}

static json_t *sockets_answer(struct engine *engine, bool tcp)
{
	struct sockets all = { json_array(), engine, tcp };

	for (unsigned int i = 0; all.list && i < engine->worker_count; i++)
		sock_for_each(engine->worker[i], socket_append, &all);
	return all.list;
}

static json_t *control_stat(struct engine *engine, const json_t *request)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "version", WEIR_VERSION, "stages",
			 ledger_answer(engine, report_stages), "ports", ports_answer(engine),
			 "workers", workers_answer(engine), "sockets",
			 sockets_answer(engine, json_is_true(json_object_get(request, "tcp"))),
			 "ledger", ledger_answer(engine, report_ledger));
}

/* {"counters": [...]}: TCP's, of all workers. */
static json_t *control_counters(struct engine *engine, const json_t *request)
{
	uint64_t sum[TCP_MIB_MAX];

	(void)request;
	for (unsigned int i = 0; i < TCP_MIB_MAX; i++)
		sum[i] = engine_tcp_counter(engine, i);
	return json_pack("{s:o}", "counters", report_counters(sum));
}

/* {"parameters": [...]}: all of TCP's, or the one called "name". */
static json_t *control_sysctl(struct engine *engine, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	json_t *list = report_params(engine->worker[0], name);
	char error[ENGINE_ERROR_BYTES];

	if (name == NULL || json_array_size(list) > 0)
		return json_pack("{s:o}", "parameters", list);
	json_decref(list);
	setup_sysctl_unknown(name, error);
	return refuse("%s", error);
}

static json_t *control_addr(struct engine *engine, const json_t *request)
{
	(void)request;
	return json_pack("{s:o}", "addresses", report_addresses(engine->worker[0]));
}

static json_t *control_route(struct engine *engine, const json_t *request)
{
	(void)request;
	return json_pack("{s:o}", "routes", report_routes(engine->worker[0]));
}

/* ---- changes ---- */

static const char *word(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text ? text : "";
}

static json_t *control_addr_add(struct engine *engine, const json_t *request)
{
	char text[REQUEST_TEXT_BYTES], error[ENGINE_ERROR_BYTES] = "";
	const char *dev = word(request, "dev");

	if (!inet_ifindex(engine->worker[0], dev))
		return control_no_port(engine, dev);
	snprintf(text, sizeof(text), "%s@%s", word(request, "address"), dev);
	return setup_addr(engine, text, error) ? refuse("%s", error) : done();
}

/* Every worker has the same configuration, so the first answers for all. */
static json_t *control_addr_del(struct engine *engine, const json_t *request)
{
	const char *text = word(request, "address"), *dev = word(request, "dev");
	unsigned int len, ifindex = inet_ifindex(engine->worker[0], dev);
	struct ipaddr addr;
	int rc = 0;

	if (!ifindex)
		return control_no_port(engine, dev);
	if (setup_parse_prefix(text, &addr, &len) || !strchr(text, '/'))
		return refuse("'%s' is not an address with its prefix length, as 198.18.0.2/24",
			      text);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		rc = inet_addr_del(engine->worker[i], ifindex, &addr, len);
	if (rc)
		return refuse("%s is not an address of %s (weir addr lists them)", text, dev);
	return done();
}

/* Over a gateway and a port that are both named, which a line of weird's options cannot say. */
static json_t *route_add_both(struct engine *engine, const json_t *request)
{
	const char *via = word(request, "via"), *dev = word(request, "dev");
	const char *to = word(request, "prefix");
	unsigned int len, bits, ifindex = inet_ifindex(engine->worker[0], dev);
	struct ipaddr prefix, gateway;
	int rc;

	if (!ifindex)
		return control_no_port(engine, dev);
	if (setup_parse_prefix(strcmp(to, "default") ? to : "0.0.0.0/0", &prefix, &len))
		return refuse("'%s' is not a prefix, as 192.0.2.0/24 or default", to);
	if (strchr(via, '/') || setup_parse_prefix(via, &gateway, &bits))
		return refuse("'%s' is not a gateway's address", via);
	rc = engine_route_add(engine, &prefix, len, &gateway, ifindex);
	return rc ? refuse("the route to %s could not be added: %s", to, strerror(-rc)) : done();
}

static json_t *control_route_add(struct engine *engine, const json_t *request)
{
	const char *via = word(request, "via"), *dev = word(request, "dev");
	char text[REQUEST_TEXT_BYTES], error[ENGINE_ERROR_BYTES] = "";

	if (via[0] && dev[0])
		return route_add_both(engine, request);
	if (!via[0] && !dev[0])
		return refuse("a route needs a gateway or a port: say via ADDRESS, or dev PORT");
	snprintf(text, sizeof(text), "%s %s %s", word(request, "prefix"), via[0] ? "via" : "dev",
		 via[0] ? via : dev);
	return setup_route(engine, text, error) ? refuse("%s", error) : done();
}

static json_t *control_route_del(struct engine *engine, const json_t *request)
{
	const char *to = word(request, "prefix");
	struct ipaddr prefix;
	unsigned int len;
	int rc = 0;

	if (setup_parse_prefix(strcmp(to, "default") ? to : "0.0.0.0/0", &prefix, &len))
		return refuse("'%s' is not a prefix, as 192.0.2.0/24 or default", to);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		rc = inet_route_del(engine->worker[i], &prefix, len);
	if (rc)
		return refuse(
			"there is no route to %s that could be deleted (routes of an address go "
			"with "
			"it: weir addr del)",
			to);
	return done();
}

static json_t *control_port_add(struct engine *engine, const json_t *request)
{
	char error[ENGINE_ERROR_BYTES] = "";
	const char *spec = word(request, "spec");
	int rc = setup_port(engine, spec, error);

	if (rc < 0)
		return refuse("port '%s': %s", spec, error[0] ? error : strerror(-rc));
	return json_pack("{s:b, s:i}", "ok", 1, "ifindex", rc);
}

static json_t *control_forward(struct engine *engine, const json_t *request)
{
	engine_forwarding(engine, json_is_true(json_object_get(request, "on")));
	return done();
}

static json_t *control_sysctl_set(struct engine *engine, const json_t *request)
{
	char error[ENGINE_ERROR_BYTES] = "";

	if (setup_sysctl_set(engine, word(request, "name"), word(request, "value"), error) != 0)
		return refuse("%s", error);
	return control_sysctl(engine, request);
}

static json_t *control_stop(struct engine *engine, const json_t *request)
{
	(void)engine;
	(void)request;
	control_request_stop();
	return done();
}

static json_t *control_version(struct engine *engine, const json_t *request)
{
	(void)request;
	return json_pack("{s:s, s:i}", "version", WEIR_VERSION, "workers",
			 (int)engine->worker_count);
}

const struct control_command control_commands[] = {
	{ "ledger", control_ledger, true },
	{ "stat", control_stat, true },
	{ "drops", control_drops, true },
	{ "sockets", control_sockets, true },
	{ "addr", control_addr, true },
	{ "addr-add", control_addr_add, true },
	{ "addr-del", control_addr_del, true },
	{ "route", control_route, true },
	{ "route-add", control_route_add, true },
	{ "route-del", control_route_del, true },
	{ "port-add", control_port_add, true },
	{ "forward", control_forward, true },
	{ "sysctl", control_sysctl, true },
	{ "sysctl-set", control_sysctl_set, true },
	{ "counters", control_counters, true },
	{ "ethtool", control_ethtool, false },
	{ "port-set", control_port_set, true },
	{ "stop", control_stop, false },
	{ "version", control_version, false },
	{ "watch", control_observe, true },
	{ 0 },
};
