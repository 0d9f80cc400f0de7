/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fake_source fake;
struct cli cli = { .instance = "test", .rundir = "/nowhere" };
char fake_errors[4096];

static int fake_start(struct drop_source *s, const struct drop_settings *settings, char *error)
{
	fake.settings = *settings;
	fake.starts++;
	return 0;
}

static int fake_stop(struct drop_source *s, char *error)
{
	fake.stops++;
	return 0;
}

static int fake_poll(struct drop_source *s, int timeout_ms, int wake_fd,
		     const struct drop_event **events, size_t *count, char *error)
{
	*events = fake.events;
	*count = fake.count;
	fake.count = 0;
	fake.polls++;
	if (fake.dies_at && fake.polls >= fake.dies_at) {
		snprintf(error, DROP_ERROR_BYTES, "the weird of instance 'test' has ended");
		return -EPIPE;
	}
	return 0;
}

static int fake_stats(struct drop_source *s, struct drop_stats *stats, char *error)
{
	*stats = fake.stats;
	return 0;
}

static void fake_close(struct drop_source *s)
{
	fake.closes++;
}

static const struct drop_source_ops ops = { fake_start, fake_stop, fake_poll, fake_stats,
					    fake_close };

static int fake_open(struct drop_source **source, char *error, const char *watches)
{
	fake.source = (struct drop_source){ .ops = &ops, .watches = watches };
	fake.opens++;
	if (fake.refuses) {
		snprintf(error, DROP_ERROR_BYTES, "%s", fake.refuses);
		return -EACCES;
	}
	*source = &fake.source;
	return 0;
}

int drop_source_weir_open(const struct drop_options *options, struct drop_source **source,
			  char error[DROP_ERROR_BYTES])
{
	return fake_open(source, error, "instance 'test' of weir");
}

int drop_source_kernel_open(const struct drop_options *options, struct drop_source **source,
			    char error[DROP_ERROR_BYTES])
{
	return fake_open(source, error, "the kernel");
}

/* ---- what weir.c has in the program ---- */

static void say(const char *format, va_list args)
{
	size_t used = strlen(fake_errors);

	vsnprintf(fake_errors + used, sizeof(fake_errors) - used, format, args);
	strncat(fake_errors, "\n", sizeof(fake_errors) - strlen(fake_errors) - 1);
}

int cli_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_misuse(const struct cli_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_USAGE;
}

json_t *cli_ask(json_t *request)
{
	json_decref(request);
	return NULL;
}

void cli_help(const struct cli_command *command, FILE *to)
{
	fputs("help\n", to);
}

int cli_print_json(json_t *document)
{
	json_dumpf(document, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(document);
	return CLI_OK;
}
