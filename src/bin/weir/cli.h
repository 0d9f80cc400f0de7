/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line `weir`: one main (weir.c) with a table of commands, one file a group of
 * commands, and a client (client.c) that asks the daemon. Nothing here touches the engine:
 * everything that is printed came as JSON over the control connection
 * (bin/weird/control/commands.h).
 *
 * Exit codes of every command: 0 done, 1 it failed (words on standard error), 2 wrong usage.
 */
#ifndef WEIR_BIN_WEIR_CLI_H
#define WEIR_BIN_WEIR_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_RUNDIR "/run/weir"
#define CLI_INSTANCE "default"
#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

/* What the global options said; set once by main. */
struct cli {
	const char *instance;
	const char *rundir;
	bool colour; /* standard output is a terminal that wants it */
};

extern struct cli cli;

/* Where weird has its sockets when it is not told. */
const char *cli_default_rundir(void);

struct cli_command {
	const char *name;
	const char *args;    /* "[--json]": what follows the name in the usage line */
	const char *summary; /* one line */
	const char *help;    /* options and an example; whole lines */
	int (*fn)(const struct cli_command *command, int argc, char **argv);
};

/* The table, in the order in which help prints it; ends with a NULL name. weir.c's. */
extern const struct cli_command cli_commands[];

/*
 * Options that every command has: --help (prints and answers 0 in *status), and --json where json
 * is not NULL. Returns the index in argv of the first word that is no option, or -1 when the
 * command is over with *status.
 */
int cli_options(const struct cli_command *command, int argc, char **argv, bool *json, int *status);

void cli_help(const struct cli_command *command, FILE *to);

/* "weir COMMAND: words" on standard error, and how to get help. Returns CLI_USAGE. */
int cli_misuse(const struct cli_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "weir: words" on standard error. Returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Ask the daemon: request is taken (released). Returns its answer, a new reference, or NULL after
 * the reason and what to do about it have been said on standard error.
 */
json_t *cli_ask(json_t *request);

/*
 * The same, of a daemon that goes on with something until the connection ends: *fd is the
 * connection and *passed the descriptor that came along, both the caller's.
 */
json_t *cli_ask_open(json_t *request, int *fd, int *passed);

/* Print a document as --json does, and release it. Returns CLI_OK, or CLI_FAILED when writing
 * fails. */
int cli_print_json(json_t *document);

/* ---- text: cli_text.c ---- */

enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_YELLOW };

/* The escape sequence, "" where there is no colour. CLI_PLAIN ends any other. */
const char *cli_colour(enum cli_colour colour);

#define CLI_NUMBER_BYTES 32

/* 1234567 as "1,234,567", in text; returns text. */
const char *cli_number(json_int_t value, char text[CLI_NUMBER_BYTES]);

/* Members of a JSON object, with an answer where there is none: 0, "". */
json_int_t cli_int(const json_t *object, const char *name);
const char *cli_string(const json_t *object, const char *name);

/* The words of an array of strings with a separator between, cut to room_bytes; returns text. */
const char *cli_join(const json_t *array, const char *separator, char *text, size_t room_bytes);

/* A number's decimal digits at the beginning of a word, and what follows them; false where there
 * are none, or it is more than most. */
bool cli_digits(const char *text, uint64_t most, uint64_t *value, const char **rest);

/* A word that is a number from least to most, and nothing else. */
bool cli_unsigned(const char *text, uint64_t least, uint64_t most, uint64_t *value);

/* "10s", "500ms", "2m", "1h", "10" (seconds): 1 to most of the unit. False: it is none. */
bool cli_duration(const char *text, uint64_t most, uint64_t *ns);

/* A table whose columns are as wide as their widest cell. */
struct cli_table;

/* align: one letter a column, 'l' or 'r'; heads: as many names. NULL when memory is out. */
struct cli_table *cli_table_new(const char *align, const char *const *heads);
void cli_table_cell(struct cli_table *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void cli_table_number(struct cli_table *t, json_int_t value);
/* Print with two spaces in front of each line, and free. */
void cli_table_print(struct cli_table *t, FILE *to);
void cli_table_free(struct cli_table *t);

/* ---- the commands ---- */
int cmd_stat(const struct cli_command *command, int argc, char **argv);
int cmd_sockets(const struct cli_command *command, int argc, char **argv);
int cmd_path(const struct cli_command *command, int argc, char **argv);
int cmd_ledger(const struct cli_command *command, int argc, char **argv);
int cmd_drops(const struct cli_command *command, int argc, char **argv);
int cmd_dropwatch(const struct cli_command *command, int argc, char **argv);
int cmd_addr(const struct cli_command *command, int argc, char **argv);
int cmd_route(const struct cli_command *command, int argc, char **argv);
int cmd_port(const struct cli_command *command, int argc, char **argv);
int cmd_forward(const struct cli_command *command, int argc, char **argv);
int cmd_sysctl(const struct cli_command *command, int argc, char **argv);
int cmd_trace(const struct cli_command *command, int argc, char **argv);
int cmd_nstat(const struct cli_command *command, int argc, char **argv);
int cmd_ethtool(const struct cli_command *command, int argc, char **argv);
int cmd_capture(const struct cli_command *command, int argc, char **argv);
int cmd_why(const struct cli_command *command, int argc, char **argv);
int cmd_stop(const struct cli_command *command, int argc, char **argv);

/* `weir run`, cmd_run.c: argv[0] is "run". */
int cmd_run(int argc, char **argv);

#endif
