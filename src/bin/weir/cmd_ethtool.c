/* SPDX-License-Identifier: BSD-3-Clause */
/* weir ethtool: a port's statistics and what it is, in the words and layout of ethtool(8). */
#include <string.h>

#include "bin/weir/cli.h"

static bool is_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

static bool has_cap(const json_t *port, const char *cap)
{
	const json_t *each;
	size_t i;

	json_array_foreach(json_object_get(port, "caps"), i, each)
	{
		if (strcmp(json_string_value(each), cap) == 0)
			return true;
	}
	return false;
}

static const char *on_off(bool on)
{
	return on ? "on" : "off";
}

static void print_settings(const json_t *answer)
{
	const json_t *port = json_object_get(answer, "port");
	const json_t *about = json_object_get(answer, "about");
	json_int_t speed = cli_int(about, "speed_mbit");

	printf("Settings for %s:\n", cli_string(port, "name"));
	if (speed)
		printf("\tSpeed: %lldMb/s\n", (long long)speed);
	else
		printf("\tSpeed: Unknown!\n");
	printf("\tDuplex: %s\n", is_true(about, "full_duplex") ? "Full" : "Unknown! (255)");
	printf("\tAuto-negotiation: %s\n", on_off(is_true(about, "autoneg")));
	printf("\tPort: %s\n", is_true(about, "twisted_pair") ? "Twisted Pair" : "Other");
	printf("\tLink detected: %s\n", is_true(port, "up") ? "yes" : "no");
}

static void print_statistics(const json_t *answer)
{
	const json_t *counter;
	size_t i;

	printf("NIC statistics:\n");
	json_array_foreach(json_object_get(answer, "counters"), i, counter)
		printf("     %s: %lld\n", cli_string(counter, "name"),
		       (long long)cli_int(counter, "value"));
}

static void print_features(const json_t *answer)
{
	const json_t *port = json_object_get(answer, "port");
	bool csum = has_cap(port, "tx-csum"), tso = has_cap(port, "tx-tso4");

	printf("Features for %s:\n", cli_string(port, "name"));
	printf("rx-checksumming: %s [fixed]\n",
	       on_off(is_true(json_object_get(answer, "about"), "rx_csum")));
	printf("tx-checksumming: %s\n\ttx-checksum-ipv4: %s [fixed]\n", on_off(csum), on_off(csum));
	printf("scatter-gather: on\n\ttx-scatter-gather: on [fixed]\n");
	printf("tcp-segmentation-offload: %s\n\ttx-tcp-segmentation: %s [fixed]\n", on_off(tso),
	       on_off(tso));
	printf("generic-segmentation-offload: on [fixed]\n");
	printf("loopback: %s [fixed]\n", on_off(has_cap(port, "loop")));
}

static void print_or_na(const char *name, json_int_t value)
{
	if (value)
		printf("%s:\t\t%lld\n", name, (long long)value);
	else
		printf("%s:\t\tn/a\n", name);
}

static void print_rings(const json_t *answer)
{
	const json_t *about = json_object_get(answer, "about");

	printf("Ring parameters for %s:\nPre-set maximums:\n",
	       cli_string(json_object_get(answer, "port"), "name"));
	print_or_na("RX", cli_int(about, "rx_ring_max"));
	print_or_na("TX", cli_int(about, "tx_ring_max"));
	printf("Current hardware settings:\n");
	print_or_na("RX", cli_int(about, "rx_ring"));
	print_or_na("TX", cli_int(about, "tx_ring"));
}

static void print_channels(const json_t *answer)
{
	const json_t *port = json_object_get(answer, "port");

	printf("Channel parameters for %s:\nPre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\n"
	       "Other:\t\tn/a\nCombined:\t%lld\n",
	       cli_string(port, "name"),
	       (long long)cli_int(json_object_get(answer, "about"), "queues_max"));
	printf("Current hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\tn/a\n"
	       "Combined:\t%lld\n",
	       (long long)cli_int(port, "queues"));
}

static void print_driver(const json_t *answer)
{
	const json_t *about = json_object_get(answer, "about");

	printf("driver: %s\nversion: \nfirmware-version: %s\nexpansion-rom-version: \n"
	       "bus-info: %s\nsupports-statistics: yes\nsupports-test: no\n",
	       cli_string(about, "driver"), cli_string(about, "firmware"),
	       cli_string(about, "bus"));
}

static const struct view {
	const char *option, *long_option;
	void (*print)(const json_t *answer);
} views[] = {
	{ "-S", "--statistics", print_statistics }, { "-k", "--show-features", print_features },
	{ "-g", "--show-ring", print_rings },	    { "-l", "--show-channels", print_channels },
	{ "-i", "--driver", print_driver },
};

static const struct view *view_find(const char *word)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		if (strcmp(word, views[i].option) == 0 || strcmp(word, views[i].long_option) == 0)
			return &views[i];
	}
	return NULL;
}

/* The option is taken out of the words, wherever it stands. */
static const struct view *take_view(int *argc, char **argv)
{
	const struct view *view = NULL;

	for (int i = 1; i < *argc; i++) {
		const struct view *found = view_find(argv[i]);

		if (!found)
			continue;
		view = found;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
		--*argc;
		i--;
	}
	return view;
}

int cmd_ethtool(const struct cli_command *command, int argc, char **argv)
{
	const struct view *view = take_view(&argc, argv);
	bool as_json = false;
	int status, at = cli_options(command, argc, argv, &as_json, &status);
	json_t *answer;

	if (at < 0)
		return status;
	if (at == argc)
		return cli_misuse(command, "which port? (weir port lists them)");
	if (at + 1 < argc)
		return cli_misuse(command, "what is '%s'?", argv[at + 1]);
	answer = cli_ask(json_pack("{s:s, s:s}", "cmd", "ethtool", "port", argv[at]));
	if (!answer)
		return CLI_FAILED;
	if (as_json)
		return cli_print_json(answer);
	(view ? view->print : print_settings)(answer);
	json_decref(answer);
	return CLI_OK;
}
