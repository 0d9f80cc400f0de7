/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/app_abi.h"

#define DEFAULT_SPIN_US 100u

const char config_help[] =
	"Usage: weird [OPTION]...\n"
	"Run a weir instance: a network stack of its own on the ports given, for programs that\n"
	"'weir run' starts.\n"
	"\n"
	"  --port SPEC          add a port: tap,name=weir0  af_packet,iface=X  memif,...\n"
	"  --addr A/L[@PORT]    give the port before it (or PORT) an address\n"
	"  --route 'NET via GW' add a route; also 'default via GW', 'NET dev PORT'\n"
	"  --sysctl NAME=VALUE  set a parameter of TCP by Linux's name: tcp_ecn=1\n"
	"                       ('weir sysctl' lists them)\n"
	"                       (each of these may be given several times)\n"
	"  --forward            route packets between ports\n"
	"  --instance NAME      name of this instance (default: default)\n"
	"  --rundir DIR         where instances have their sockets (default: $WEIR_RUNDIR, else\n"
	"                       /run/weir, or $XDG_RUNTIME_DIR/weir when not root)\n"
	"  --config FILE        read options from FILE, a line each: port = tap,name=weir0\n"
	"  --workers N          worker threads; every port needs as many queues (default: 1)\n"
	"  --packets N          packet buffers for each worker (default: 16384)\n"
	"  --sockets N          sockets of a program and what it forks (default: 65536)\n"
	"  --spin-us N          spin at most so long for work before sleeping (default: 100)\n"
	"  --user NAME          become this user once the ports are open\n"
	"  --allow-users        programs of any user may attach (default: our user's and root's)\n"
	"  --ready-fd N         write a line 'ready' to descriptor N when programs may attach\n"
	"  --pidfile FILE       write the process id to FILE\n"
	"  --log-level LEVEL    error, warn, info or debug (default: info)\n"
	"  --help, --version\n"
	"\n"
	"It runs in the foreground, prints 'weird: ready ...' when programs may attach, and ends\n"
	"in order on SIGTERM and SIGINT. See weird(8).\n";

__attribute__((format(printf, 2, 3))) static int fail(char error[CONFIG_ERROR_BYTES],
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, CONFIG_ERROR_BYTES, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- one option ---- */

static int set_number(const char *key, const char *value, unsigned long min, unsigned long max,
		      unsigned int *number, char *error)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || n < min || n > max)
		return fail(error, "%s: '%.64s' is not a number from %lu to %lu", key, value, min,
			    max);
	*number = (unsigned int)n;
	return 0;
}

static int set_text(const char *key, const char *value, char *text, size_t room, char *error)
{
	if (!*value || strlen(value) >= room)
		return fail(error, "%s: the value is %s", key, *value ? "too long" : "missing");
	strcpy(text, value);
	return 0;
}

static int set_flag(const char *key, const char *value, bool *flag, char *error)
{
	static const char *const yes[] = { "", "yes", "on", "true", "1" };
	static const char *const no[] = { "no", "off", "false", "0" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!value || strcmp(value, yes[i]) == 0) {
			*flag = true;
			return 0;
		}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (strcmp(value, no[i]) == 0) {
			*flag = false;
			return 0;
		}
	return fail(error, "%s: '%.64s' is neither yes nor no", key, value);
}

static int set_instance(const char *value, struct weird_config *config, char *error)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";

	if (value[0] == '.' || value[0] == '-' || value[strspn(value, allowed)])
		return fail(error,
			    "instance: '%.64s' is not a name: letters, digits, '_', '.' and "
			    "'-', beginning with a letter or digit",
			    value);
	return set_text("instance", value, config->instance, sizeof(config->instance), error);
}

static int set_log_level(const char *value, struct weird_config *config, char *error)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };

	for (unsigned int i = 0; i < 4; i++)
		if (strcmp(value, levels[i]) == 0) {
			config->log_level = (enum log_level)i;
			return 0;
		}
	return fail(error, "log-level: '%.64s' is none of error, warn, info, debug", value);
}

static int add_item(const char *key, enum config_kind kind, const char *value,
		    struct weird_config *config, char *error)
{
	struct config_item *item = &config->item[config->item_count];
	int err;

	if (config->item_count == CONFIG_ITEMS_MAX)
		return fail(error, "%s: more than %u ports, addresses, routes and parameters", key,
			    CONFIG_ITEMS_MAX);
	err = set_text(key, value, item->text, sizeof(item->text), error);
	if (err)
		return err;
	item->kind = kind;
	config->item_count++;
	return 0;
}

static int set_ready_fd(const char *value, struct weird_config *config, char *error)
{
	unsigned int fd;
	int err = set_number("ready-fd", value, 0, 1u << 20, &fd, error);

	if (!err)
		config->ready_fd = (int)fd;
	return err;
}

/* An option by its long name; value NULL for a flag without one. */
static int set_option(const char *key, const char *value, struct weird_config *c, char *error)
{
	if (strcmp(key, "forward") == 0)
		return set_flag(key, value, &c->forward, error);
	if (strcmp(key, "allow-users") == 0)
		return set_flag(key, value, &c->allow_users, error);
	if (!value)
		return fail(error, "%s: the value is missing", key);
	if (strcmp(key, "port") == 0)
		return add_item(key, CONFIG_PORT, value, c, error);
	if (strcmp(key, "addr") == 0)
		return add_item(key, CONFIG_ADDR, value, c, error);
	if (strcmp(key, "route") == 0)
		return add_item(key, CONFIG_ROUTE, value, c, error);
	if (strcmp(key, "sysctl") == 0)
		return add_item(key, CONFIG_SYSCTL, value, c, error);
	if (strcmp(key, "instance") == 0)
		return set_instance(value, c, error);
	if (strcmp(key, "rundir") == 0)
		return set_text(key, value, c->rundir, sizeof(c->rundir), error);
	if (strcmp(key, "user") == 0)
		return set_text(key, value, c->user, sizeof(c->user), error);
	if (strcmp(key, "pidfile") == 0)
		return set_text(key, value, c->pidfile, sizeof(c->pidfile), error);
	if (strcmp(key, "workers") == 0)
		return set_number(key, value, 1, ABI_MAX_WORKERS, &c->workers, error);
	if (strcmp(key, "packets") == 0)
		return set_number(key, value, 1024, 1u << 24, &c->packets, error);
	if (strcmp(key, "sockets") == 0)
		return set_number(key, value, 64, 1u << 20, &c->sockets, error);
	if (strcmp(key, "spin-us") == 0)
		return set_number(key, value, 0, 1000000, &c->spin_us, error);
	if (strcmp(key, "ready-fd") == 0)
		return set_ready_fd(value, c, error);
	if (strcmp(key, "log-level") == 0)
		return set_log_level(value, c, error);
	return fail(error, "there is no option '%.64s'; weird --help lists them", key);
}

/* ---- the file ---- */

struct file_reader {
	struct weird_config *config;
	char *error;
	int err;
};

static int file_line(void *user, const char *section, const char *name, const char *value)
{
	struct file_reader *reader = user;

	if (reader->err)
		return 1; /* the first one counts */
	if (*section && strcmp(section, "weird") != 0)
		reader->err = fail(reader->error, "there is no section [%.32s]", section);
	else
		reader->err = set_option(name, value, reader->config, reader->error);
	return reader->err == 0;
}

int config_read_file(const char *path, struct weird_config *config, char error[CONFIG_ERROR_BYTES])
{
	char words[CONFIG_ERROR_BYTES / 2] = "this line is not 'name = value'";
	char line_error[CONFIG_ERROR_BYTES] = "";
	struct file_reader reader = { .config = config, .error = line_error };
	int line = ini_parse(path, file_line, &reader);

	if (line == 0 && !reader.err)
		return 0;
	if (line == -1) {
		fail(error, "cannot read the configuration '%.128s': %s", path, strerror(errno));
		return -errno;
	}
	if (reader.err)
		snprintf(words, sizeof(words), "%.255s", line_error);
	return fail(error, "%.128s, line %d: %s", path, line, words);
}

/* ---- the command line ---- */

static const struct option options[] = {
	{ "port", required_argument, NULL, 0 },	     { "addr", required_argument, NULL, 0 },
	{ "route", required_argument, NULL, 0 },     { "sysctl", required_argument, NULL, 0 },
	{ "forward", no_argument, NULL, 0 },	     { "instance", required_argument, NULL, 0 },
	{ "rundir", required_argument, NULL, 0 },    { "config", required_argument, NULL, 'c' },
	{ "workers", required_argument, NULL, 0 },   { "packets", required_argument, NULL, 0 },
	{ "sockets", required_argument, NULL, 0 },   { "spin-us", required_argument, NULL, 0 },
	{ "user", required_argument, NULL, 0 },	     { "allow-users", no_argument, NULL, 0 },
	{ "ready-fd", required_argument, NULL, 0 },  { "pidfile", required_argument, NULL, 0 },
	{ "log-level", required_argument, NULL, 0 }, { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },	     { NULL, 0, NULL, 0 },
};

static void set_defaults(struct weird_config *config)
{
	const char *rundir = getenv("WEIR_RUNDIR"), *runtime = getenv("XDG_RUNTIME_DIR");

	memset(config, 0, sizeof(*config));
	strcpy(config->instance, "default");
	config->workers = 1;
	config->spin_us = DEFAULT_SPIN_US;
	config->ready_fd = -1;
	config->log_level = LOG_LEVEL_INFO;
	if (rundir && *rundir)
		snprintf(config->rundir, sizeof(config->rundir), "%s", rundir);
	else if (geteuid() == 0)
		strcpy(config->rundir, "/run/weir");
	else if (runtime && *runtime)
		snprintf(config->rundir, sizeof(config->rundir), "%s/weir", runtime);
	else
		snprintf(config->rundir, sizeof(config->rundir), "/tmp/weir-%u", geteuid());
}

/* --route may be given in three words: --route NET via GW. */
static int route_words(int argc, char **argv, char *text, size_t room)
{
	bool words = optind + 1 < argc &&
		     (strcmp(argv[optind], "via") == 0 || strcmp(argv[optind], "dev") == 0);

	if (!words)
		return snprintf(text, room, "%s", optarg);
	optind += 2;
	return snprintf(text, room, "%s %s %s", optarg, argv[optind - 2], argv[optind - 1]);
}

/* One pass over the arguments: the first reads the files, the second everything else. */
static int parse_pass(int argc, char **argv, bool files, struct weird_config *config, char *error)
{
	char route[CONFIG_TEXT_BYTES * 2];
	int err = 0, which = 0, option;

	optind = 0;
	opterr = 0;
	while (!err && (option = getopt_long(argc, argv, "+:hV", options, &which)) != -1) {
		bool is_route = option == 0 && strcmp(options[which].name, "route") == 0;

		if (is_route)
			route_words(argc, argv, route, sizeof(route));
		if (option == ':')
			err = fail(error, "%s: the value is missing", argv[optind - 1]);
		else if (option == '?')
			err = fail(error, "there is no option '%.64s'; weird --help lists them",
				   argv[optind - 1]);
		else if (option == 'h')
			config->help = true;
		else if (option == 'v' || option == 'V')
			config->version = true;
		else if (option == 'c')
			err = files ? config_read_file(optarg, config, error) : 0;
		else if (!files)
			err = set_option(options[which].name, is_route ? route : optarg, config,
					 error);
	}
	if (!err && optind < argc)
		err = fail(error, "'%.64s' is not an option; weird --help lists them",
			   argv[optind]);
	return err;
}

int config_parse(int argc, char **argv, struct weird_config *config, char error[CONFIG_ERROR_BYTES])
{
	int err;

	set_defaults(config);
	err = parse_pass(argc, argv, true, config, error);
	if (!err)
		err = parse_pass(argc, argv, false, config, error);
	return err;
}
