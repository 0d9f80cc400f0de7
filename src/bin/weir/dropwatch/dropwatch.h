/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir dropwatch`: the parts of its front end.
 *
 *   options.c  what the command line said
 *   input.c    lines and signals while something else goes on
 *   prompt.c   the commands behind "dropwatch> "
 *   session.c  starting, stopping, and what happens between
 *   tally.c    drops of one kind, summed up
 *   print.c    the lines that dropwatch prints, and those that it never had
 *   json.c     the same for programs
 *   sink.c     the packets as a pcapng file
 *
 * The words and lines are dropwatch 1.5's where it has some, because people's scripts read them;
 * what weir adds stands in indented lines below, and goes away with --classic.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_H
#define WEIR_BIN_WEIR_DROPWATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "bin/weir/cli.h"
#include "bin/weir/dropwatch/source.h"
#include "bin/weir/pcapng.h"

#define DROPWATCH_REASONS_MAX 64

/* ---- options.c ---- */

struct dropwatch_options {
	struct drop_options source;
	struct drop_settings settings;
	const char *reasons[DROPWATCH_REASONS_MAX];
	bool kernel;
	bool lookup_kas;  /* -l kas: weir knows names anyway, but says the words */
	bool lookup_list; /* -l list */
	bool classic;	  /* only what dropwatch prints */
	bool json;
	bool top_given;
	unsigned int top;     /* with --top: so many lines */
	uint64_t for_ms;      /* 0: until it is stopped */
	uint64_t alert_limit; /* 0: none */
	const char *pcap;
};

/* true, or false when the command is over with *status. reasons' memory is argv's. */
bool dropwatch_options(const struct cli_command *command, int argc, char **argv,
		       struct dropwatch_options *o, int *status);

/* Without a prompt: the command line says all. */
bool dropwatch_batch(const struct dropwatch_options *o);

/* ---- input.c ---- */

#define INPUT_LINE_BYTES 512

struct input {
	int epoll_fd, signal_fd;
	bool lines; /* commands are read */
	bool ready; /* standard input is a file: always readable, and no epoll would have it */
	bool eof;
	int signal; /* the last one, 0: none */
	size_t len;
	char text[INPUT_LINE_BYTES];
};

/* SIGINT and SIGTERM come by input_wait() from now on. 0 or -errno. */
int input_open(struct input *in, bool lines);
void input_close(struct input *in);

/* Wait until something is there, timeout_ms at most (-1: for ever); then take what there is. */
void input_wait(struct input *in, int timeout_ms);

/* The signal that came since the last question, 0: none. */
int input_signal(struct input *in);

/* A line without its newline, cut to fit; false: none is whole (at the end of input: none will be).
 */
bool input_line(struct input *in, char line[INPUT_LINE_BYTES]);

/* ---- tally.c ---- */

/* Drops of one kind. The event and its strings are the tally's; no packet, no frames. */
struct tally_entry {
	struct drop_event event; /* count: since tally_flushed() */
	uint64_t total;
	uint64_t hash;
	bool told; /* its details were printed */
};

struct tally {
	struct tally_entry *entries;
	size_t count, room;
};

/* NULL: memory is out. */
struct tally_entry *tally_add(struct tally *t, const struct drop_event *event);

/* By total, the largest first. */
void tally_sort(struct tally *t);
void tally_free(struct tally *t);

/* ---- print.c ---- */

void print_summary(FILE *to, const struct drop_event *event);
void print_packet(FILE *to, const struct drop_event *event);
void print_frames(FILE *to, const struct drop_event *event);

/* What dropwatch never had; brief: only the reason, for a kind that was told of before. */
void print_detail(FILE *to, const struct drop_event *event, bool brief);

/* "function+offset" in hex as dropwatch's %s+%llx, or "location". Returns text. */
#define PRINT_PLACE_BYTES 256
const char *print_place(const struct drop_event *event, char text[PRINT_PLACE_BYTES]);

/* A table of the first `top` of a sorted tally, and what it leaves out. */
void print_top(FILE *to, const struct tally *t, const struct drop_stats *stats, unsigned int top,
	       double seconds);

/* ---- json.c ---- */

json_t *json_drop(const struct drop_event *event, bool packet);
json_t *json_stats(const struct drop_stats *stats);
json_t *json_top(const struct tally *t, const struct drop_stats *stats, unsigned int top,
		 double seconds);

/* ---- sink.c ---- */

#define SINK_INTERFACES 64

struct sink {
	struct pcapng file;
	const char *name;
	const char *filter;
	struct {
		uint32_t ifindex;
		uint16_t link_type;
	} interface[SINK_INTERFACES];
	uint64_t written;
};

/* name "-": standard output. 0, or CLI_FAILED after words. */
int sink_open(struct sink *sink, const char *name, const char *filter);
int sink_packet(struct sink *sink, const struct drop_event *event);

/* With the counts of what was not written. 0, or CLI_FAILED after words. */
int sink_close(struct sink *sink, const struct drop_stats *stats);

/* ---- session.c ---- */

struct session {
	const struct dropwatch_options *options;
	struct input *input;
	struct drop_source *source; /* NULL: not open */
	struct drop_settings settings;
	struct tally tally;
	struct sink *sink; /* NULL: none */
	struct drop_stats stats;
	bool running;
	bool detail;
	bool over;   /* the command is to end */
	bool failed; /* and with an error */
	uint64_t alert_limit, alerts;
	uint64_t started_ns, flushed_ns, progress_ns;
};

/* Open the source where it is not. false after words. */
bool session_open(struct session *s);

/* false after words. */
bool session_start(struct session *s);

/* Take the last events, print them, and stop. */
void session_stop(struct session *s);

/* Once: wait for drops, input or a signal, timeout_ms at most; print what came. */
void session_turn(struct session *s, int timeout_ms);

/* Fetch s->stats; false after words. */
bool session_stats(struct session *s);
void session_close(struct session *s);

/* ---- prompt.c ---- */

/* One command. */
void prompt_command(struct session *s, const char *line);

/* Until exit, the end of input or SIGTERM. */
void prompt_run(struct session *s);

#endif
