/* SPDX-License-Identifier: BSD-3-Clause */
/* weir capture: the command, and the list of ports (-D). */
#include <stdlib.h>
#include <string.h>

#include "bin/weir/capture/capture.h"

static int list_ports(bool as_json)
{
	json_t *stat = cli_ask(json_pack("{s:s}", "cmd", "stat")), *names = json_array();
	const json_t *port;
	size_t i;

	if (!stat)
		return CLI_FAILED;
	json_array_foreach(json_object_get(stat, "ports"), i, port)
		json_array_append_new(names, json_string(cli_string(port, "name")));
	json_decref(stat);
	json_array_append_new(names, json_string("any"));
	if (as_json)
		return cli_print_json(names);
	json_array_foreach(names, i, port) printf("%zu.%s\n", i + 1, json_string_value(port));
	json_decref(names);
	return CLI_OK;
}

int cmd_capture(const struct cli_command *command, int argc, char **argv)
{
	struct capture_options o;
	int status;

	if (argc > 1 && strcmp(argv[1], "--extcap") == 0)
		return capture_extcap(command, argc - 1, argv + 1);
	if (capture_options_read(&o, command, argc, argv, &status))
		return status;
	status = o.list_ports ? list_ports(o.json) : capture_run(&o);
	free(o.filter_made);
	return status;
}
