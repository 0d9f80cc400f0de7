/* SPDX-License-Identifier: BSD-3-Clause */
/* "ethtool": a port's statistics and what it is; "port-set"; the ports' lines of the ledger. */
#include <stdio.h>

#include "bin/weird/control/commands.h"
#include "engine/engine.h"
#include "inet/inet.h"
#include "obs/report.h"

json_t *control_no_port(const struct engine *engine, const char *name)
{
	char names[PORT_MAX * (PORT_NAME_BYTES + 2)] = "";
	size_t used = 0;

	for (unsigned int i = 0; i < engine->port_count; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 engine->port[i]->name);
	return json_pack("{s:o}", "error",
			 json_sprintf("there is no port '%.64s'; ports here: %s", name, names));
}

static const char *port_word(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "port"));

	return name ? name : "";
}

/* {"port": report_port(), "about": ..., "counters": [...]}; the workers go on meanwhile. */
json_t *control_ethtool(struct engine *engine, const json_t *request)
{
	unsigned int ifindex = inet_ifindex(engine->worker[0], port_word(request));
	struct port *port;

	if (!ifindex)
		return control_no_port(engine, port_word(request));
	port = engine->port[ifindex - 1];
	return json_pack("{s:o, s:o, s:o}", "port", report_port(port, ifindex), "about",
			 report_port_about(port), "counters", report_port_counters(port));
}

json_t *control_port_set(struct engine *engine, const json_t *request)
{
	unsigned int ifindex = inet_ifindex(engine->worker[0], port_word(request));
	const json_t *value = json_object_get(request, "txqueuelen");
	json_int_t n = json_integer_value(value);

	if (!ifindex)
		return control_no_port(engine, port_word(request));
	if (!json_is_integer(value) || n < 1 || n > PORT_BACKLOG_MAX)
		return json_pack("{s:o}", "error",
				 json_sprintf("txqueuelen: a number from 1 to %u is wanted",
					      PORT_BACKLOG_MAX));
	engine->port[ifindex - 1]->txqueuelen = (uint32_t)n;
	return json_pack("{s:b}", "ok", 1);
}

void control_ledger_ports(struct engine *engine, json_t *ledger)
{
	json_int_t before = 0, after = 0;
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < engine->port_count; i++) {
		json_t *line = report_port_ledger(engine->port[i], i + 1);

		before += json_integer_value(json_object_get(line, "lost_before"));
		after += json_integer_value(json_object_get(line, "lost_after"));
		json_array_append_new(list, line);
	}
	json_object_set_new(ledger, "lost_before", json_integer(before));
	json_object_set_new(ledger, "lost_after", json_integer(after));
	json_object_set_new(ledger, "ports", list);
}
