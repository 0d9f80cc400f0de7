/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands behind "dropwatch> ", in dropwatch's words. Unlike there, lines are read while drops
 * are watched, too (so `printf 'start\nstop\n'` ends), and what is not understood is answered.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/weir/dropwatch/dropwatch.h"

#define TURN_MS 250
#define WORDS_MAX 4

static void activate(struct session *s)
{
	if (s->running) {
		printf("Monitoring is on already (stop ends it)\n");
		return;
	}
	printf("Enabling monitoring...\nWaiting for activation ack....\n");
	fflush(stdout);
	if (!session_start(s)) {
		s->failed = true;
		return;
	}
	printf("Kernel monitoring activated.\nIssue Ctrl-C to stop monitoring\n");
	if (s->detail)
		printf("    watching %s\n", s->source->watches);
	fflush(stdout);
}

static void deactivate(struct session *s)
{
	printf("Waiting for deactivation ack...\n");
	session_stop(s);
	printf("Got a stop message\n");
}

static void help(void)
{
	printf("Command Syntax:\n"
	       "exit\t\t\t\t - leave\n"
	       "help\t\t\t\t - show this text\n"
	       "set:\n"
	       "\talertlimit <number>\t - stop by itself after so many alerts (0: never)\n"
	       "\talertmode <mode>\t - \"summary\": counts by place; \"packet\": each packet\n"
	       "\ttrunc <len>\t\t - keep so many bytes of each packet (0: all); packet mode\n"
	       "\tqueue <len>\t\t - so many packets may wait to be shown; packet mode\n"
	       "\tsw <true | false>\t - drops of the network stack\n"
	       "\thw <true | false>\t - drops of the network card\n"
	       "\tdetail <on | off>\t - reason, advice, source, socket and path of each drop\n"
	       "stack\t\t\t\t - turn the stack of each drop on or off\n"
	       "start\t\t\t\t - begin to watch\n"
	       "stop\t\t\t\t - end it (as Ctrl-C does)\n"
	       "show\t\t\t\t - what is set\n"
	       "stats\t\t\t\t - how many drops there were, and how many could not be shown\n");
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static void show(const struct session *s)
{
	const struct drop_options *o = &s->options->source;

	printf("Getting existing configuration\n"
	       "Waiting for existing configuration query response\n"
	       "Alert mode: %s\nTruncation length: %" PRIu32 "\nQueue length: %" PRIu32 "\n",
	       s->settings.packets ? "Packet" : "Summary", s->settings.trunc_bytes,
	       s->settings.queue_packets);
	if (s->options->classic)
		return;
	if (s->source)
		printf("Watching: %s\n", s->source->watches);
	printf("Alert limit: %" PRIu64 "\nSoftware drops: %s\nHardware drops: %s\nStack: %s\n"
	       "Detail: %s\nMonitoring: %s\n",
	       s->alert_limit, truth(s->settings.software), truth(s->settings.hardware),
	       truth(s->settings.stack), truth(s->detail), truth(s->running));
	if (o->filter)
		printf("Filter: %s\n", o->filter);
	for (size_t i = 0; i < o->reason_count; i++)
		printf("%s%s%s", i ? "," : "Reasons: ", o->reasons[i],
		       i + 1 == o->reason_count ? "\n" : "");
}

static void stats(struct session *s)
{
	const struct drop_stats *t = &s->stats;

	printf("Getting statistics\nWaiting for statistics query response\n");
	if (!session_stats(s))
		return;
	printf("Software statistics:\nTail dropped: %" PRIu64 "\n"
	       "Hardware statistics:\nTail dropped: 0\n",
	       t->packets_skipped + t->lost_events);
	if (!s->options->classic)
		printf("Counted: %" PRIu64 "\nShown as packets: %" PRIu64
		       "\nNot shown as packets: %" PRIu64 "\nLost events: %" PRIu64
		       "\nOf the network card: %" PRIu64 "\n",
		       t->drops, t->packets, t->packets_skipped, t->lost_events, t->hardware_drops);
}

static void stack(struct session *s)
{
	s->settings.stack = !s->settings.stack;
	printf("Stack traces are %s%s\n", s->settings.stack ? "on" : "off",
	       s->running && s->settings.stack ? " (from the next start on)" : "");
}

/* ---- set ---- */

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	if (cli_unsigned(text, 0, max, value))
		return true;
	printf("'%s' is not a number from 0 to %" PRIu64 "\n", text, max);
	return false;
}

static bool boolean(const char *text, bool *value)
{
	static const char *const words[2][4] = { { "false", "off", "0", "no" },
						 { "true", "on", "1", "yes" } };

	for (size_t i = 0; i < 4; i++) {
		if (strcmp(text, words[0][i]) == 0 || strcmp(text, words[1][i]) == 0) {
			*value = strcmp(text, words[1][i]) == 0;
			return true;
		}
	}
	printf("invalid boolean value: '%s' (true or false)\n", text);
	return false;
}

static void set_alertmode(struct session *s, const char *value)
{
	if (strcmp(value, "summary") && strcmp(value, "packet")) {
		printf("Invalid alert mode: '%s' (summary or packet)\n", value);
		return;
	}
	s->settings.packets = strcmp(value, "packet") == 0;
	printf("Setting alert mode\nWaiting for alert mode setting ack...\n"
	       "Alert mode successfully set\n");
}

static void set_trunc(struct session *s, const char *value)
{
	uint64_t n;

	if (!number(value, UINT32_MAX, &n))
		return;
	s->settings.trunc_bytes = (uint32_t)n;
	printf("Setting truncation length to %" PRIu64
	       "\nWaiting for truncation length setting ack...\n"
	       "Truncation length successfully set\n",
	       n);
}

static void set_queue(struct session *s, const char *value)
{
	uint64_t n;

	if (!number(value, UINT32_MAX, &n))
		return;
	s->settings.queue_packets = (uint32_t)n;
	printf("Setting queue length to %" PRIu64 "\nWaiting for queue length setting ack...\n"
	       "Queue length successfully set\n",
	       n);
}

static void set_alertlimit(struct session *s, const char *value)
{
	if (number(value, UINT64_MAX, &s->alert_limit))
		printf("setting alert capture limit to %" PRIu64 "\n", s->alert_limit);
}

static void set_sw(struct session *s, const char *value)
{
	if (boolean(value, &s->settings.software))
		printf("setting software drops monitoring to %d\n", s->settings.software);
}

static void set_hw(struct session *s, const char *value)
{
	if (boolean(value, &s->settings.hardware))
		printf("setting hardware drops monitoring to %d\n", s->settings.hardware);
}

static void set_detail(struct session *s, const char *value)
{
	if (boolean(value, &s->detail))
		printf("Details are %s\n", s->detail ? "on" : "off");
}

static void set(struct session *s, const char *name, const char *value)
{
	static const struct {
		const char *name;
		void (*fn)(struct session *s, const char *value);
		bool idle; /* the source takes it at its start */
	} settings[] = {
		{ "alertlimit", set_alertlimit, false },
		{ "alertmode", set_alertmode, true },
		{ "trunc", set_trunc, true },
		{ "queue", set_queue, true },
		{ "sw", set_sw, true },
		{ "hw", set_hw, true },
		{ "detail", set_detail, false },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (!name || strcmp(name, settings[i].name))
			continue;
		if (!value)
			printf("set %s: to what? (help says)\n", name);
		else if (settings[i].idle && s->running)
			printf("set %s: not while monitoring: stop first\n", name);
		else
			settings[i].fn(s, value);
		return;
	}
	if (name)
		printf("There is no setting '%s': ", name);
	printf("set alertlimit, alertmode, trunc, queue, sw, hw or detail\n");
}

/* ---- lines ---- */

static unsigned int split(char *line, char *words[WORDS_MAX])
{
	unsigned int n = 0;
	char *state = NULL;

	for (char *word = strtok_r(line, " \t\r", &state); word && n < WORDS_MAX;
	     word = strtok_r(NULL, " \t\r", &state))
		words[n++] = word;
	return n;
}

void prompt_command(struct session *s, const char *line)
{
	char text[INPUT_LINE_BYTES], *words[WORDS_MAX] = { NULL };
	unsigned int n;

	snprintf(text, sizeof(text), "%s", line);
	n = split(text, words);
	if (n == 0)
		return;
	if (strcmp(words[0], "set") == 0 && n <= 3) {
		set(s, words[1], words[2]);
	} else if (n > 1) {
		printf("Too many words: '%s' (help lists the commands)\n", line);
	} else if (strcmp(words[0], "start") == 0) {
		activate(s);
	} else if (strcmp(words[0], "stop") == 0) {
		printf("Deactivation requested, turning off monitoring\n");
		if (s->running)
			deactivate(s);
		else
			printf("Monitoring was not on\n");
	} else if (strcmp(words[0], "stack") == 0) {
		stack(s);
	} else if (strcmp(words[0], "show") == 0) {
		show(s);
	} else if (strcmp(words[0], "stats") == 0) {
		stats(s);
	} else if (strcmp(words[0], "help") == 0) {
		help();
	} else if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0) {
		s->over = true;
	} else {
		printf("There is no command '%s' (help lists them)\n", words[0]);
	}
	fflush(stdout);
}

static void on_signal(struct session *s, int signal)
{
	if (signal == SIGTERM)
		s->over = true;
	else if (s->running)
		deactivate(s);
	else
		printf("Got a sigint while not receiving (exit leaves)\n");
}

/* A line, a signal, or the end. */
static void step(struct session *s)
{
	char line[INPUT_LINE_BYTES];
	int signal;

	input_wait(s->input, s->running ? 0 : -1);
	signal = input_signal(s->input);
	if (signal) {
		on_signal(s, signal);
	} else if (input_line(s->input, line)) {
		prompt_command(s, line);
	} else if (s->running) {
		session_turn(s, TURN_MS);
	} else if (s->input->eof) {
		printf("\nTerminating dropwatch...\n");
		s->over = true;
	}
}

void prompt_run(struct session *s)
{
	while (!s->over) {
		if (!s->running) {
			printf("dropwatch> ");
			fflush(stdout);
		}
		step(s);
		while (s->running && !s->over)
			step(s);
	}
	if (s->running)
		session_stop(s);
	printf("Shutting down ...\n");
	fflush(stdout);
}
