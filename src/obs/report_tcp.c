/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP's parameters and counters. */
#include <string.h>

#include "inet/tcp/mib.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"
#include "obs/report.h"

#define VALUE_BYTES 256u /* the list of controllers is the longest */

static json_t *param_report(const struct tcp_params *params, const struct tcp_params *initial,
			    const char *name, const char *text)
{
	char value[VALUE_BYTES] = "", usual[VALUE_BYTES] = "";
	int32_t min = 0, max = 0;
	unsigned int n = 0;
	json_t *item;

	tcp_params_get(params, name, value, sizeof(value));
	tcp_params_get(initial, name, usual, sizeof(usual));
	tcp_params_bounds(name, &n, &min, &max);
	item = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "value", value, "default", usual,
			 "text", text);
	if (n) {
		json_object_set_new(item, "min", json_integer(min));
		json_object_set_new(item, "max", json_integer(max));
	}
	return item;
}

json_t *report_params(struct worker *w, const char *name)
{
	struct tcp_params initial;
	const char *each, *text;
	json_t *list = json_array();

	tcp_params_init(&initial);
	if (name != NULL)
		name = tcp_params_short(name);
	for (unsigned int i = 0; (each = tcp_params_name(i, &text)) != NULL; i++)
		if (name == NULL || strcmp(name, each) == 0)
			json_array_append_new(list,
					      param_report(tcp_params(w), &initial, each, text));
	return list;
}

json_t *report_counters(const uint64_t *counters)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < TCP_MIB_MAX; i++) {
		const struct tcp_mib_info *info = tcp_mib_info(i);

		json_array_append_new(list, json_pack("{s:s+, s:I, s:s}", "name", info->group,
						      info->name, "value", (json_int_t)counters[i],
						      "text", info->text));
	}
	return list;
}
