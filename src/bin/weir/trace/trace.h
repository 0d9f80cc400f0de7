/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir trace` from within: a watch (bin/weir/watch.h) brings records of packets that weird
 * follows; they are put together to packets, and each is printed when it has ended.
 *
 *   options.c   what the words of the command line say
 *   run.c       the trace itself: begin, loop, end
 *   store.c     records to packets; so many at a time
 *   words.c     what an event says, in words        headers.c   a packet's headers
 *   text.c      a packet as text                    json.c      as JSON
 *   summary.c   latency between stages, fates
 *
 * Threads: one.
 */
#ifndef WEIR_BIN_WEIR_TRACE_TRACE_H
#define WEIR_BIN_WEIR_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bin/weir/cli.h"
#include "wire/watch_abi.h"

#define TRACE_EVENTS_MAX 256u /* of one packet; more are counted */
#define TRACE_WORDS_BYTES 256

struct trace_options {
	char *filter;	     /* libpcap's words; NULL: every packet */
	uint64_t count;	     /* packets, then it ends; 0: no end */
	uint64_t for_ns;     /* so long; 0: no end */
	uint32_t ring_bytes; /* a worker's */
	uint32_t open_max;   /* packets that are put together at a time */
	bool drops_only, summary, json, verbose;
};

/* 0: go on (filter is to be freed); -1: the command is over with *status (help, misuse). */
int trace_options_read(struct trace_options *o, const struct cli_command *command, int argc,
		       char **argv, int *status);

/* The whole trace; returns the command's status. */
int trace_run(const struct trace_options *o);

/* ---- packets: store.c ---- */

/* A record without the packet's bytes. */
struct trace_event {
	uint64_t cycles;
	uint64_t arg[2];
	uint32_t site;
	uint16_t code; /* note, reason or fate, as kind says */
	uint8_t kind;  /* enum watch_kind */
	uint8_t stage, ifindex;
};

enum trace_end {
	TRACE_OPEN,	/* on its way, or held somewhere */
	TRACE_ENDED,	/* the last event is WATCH_END or WATCH_DROP */
	TRACE_GIVEN_UP, /* too many were open at a time, and it was the oldest */
	TRACE_CUT_OFF,	/* the trace ended before it did */
};

struct trace_packet {
	struct trace_packet *next;	    /* in its bucket */
	struct trace_packet *newer, *older; /* in a list of the store's */
	uint32_t id;
	enum trace_end end;
	bool begun;	   /* its first event is its beginning */
	uint64_t stamp_ns; /* time of day of the first event */
	uint64_t round;	   /* of the reader, in which it ended */
	struct trace_event *event;
	unsigned int count, room, more; /* more: events that were not kept */
	uint16_t flags;			/* WATCH_F_*, of the first event */
	uint8_t link;			/* enum watch_link: what bytes begin with */
	uint32_t len_bytes, data_bytes;
	uint8_t *data;
};

struct trace_list {
	struct trace_packet *oldest, *newest;
	unsigned int count;
};

struct trace_store;

/* about: watch_about()'s; it outlives the store. NULL: out of memory. */
struct trace_store *trace_store_new(const json_t *about, unsigned int open_max);
void trace_store_free(struct trace_store *s);

/* A record came. Those that are of no use (no memory; of a packet that was given up) are counted:
 * trace_store_forgot(). */
void trace_store_add(struct trace_store *s, const struct watch_record *r);

/* All records that are there were read; ends that came before this are final. */
void trace_store_round(struct trace_store *s);

/* The next packet that is done with, oldest first: the caller's (trace_packet_free()). NULL: none.
 * all: also those that ended in this round, and then those that did not end. */
struct trace_packet *trace_store_take(struct trace_store *s, bool all);
void trace_packet_free(struct trace_packet *p);

unsigned int trace_store_open(const struct trace_store *s);
uint64_t trace_store_forgot(const struct trace_store *s);

/* ---- words.c ---- */

const char *trace_stage(const json_t *about, unsigned int stage);
const char *trace_stage_linux(const json_t *about, unsigned int stage);
const char *trace_port(const json_t *about, unsigned int ifindex); /* "" where there is none */
const char *trace_fate(const json_t *about, unsigned int fate);
const json_t *trace_reason(const json_t *about, unsigned int reason);
const json_t *trace_site(const json_t *about, uint32_t site);
const char *trace_note_name(unsigned int note);

/* A note in words. Returns text. */
const char *trace_note(const json_t *about, const struct trace_event *e,
		       char text[TRACE_WORDS_BYTES]);

/* "nginx[123]"; "process 123" where it is gone; "no process". Returns text. */
const char *trace_program(uint64_t pid, char text[TRACE_WORDS_BYTES]);

/* The process that a packet's socket is of; 0: none is known. */
uint64_t trace_packet_pid(const struct trace_packet *p);
/* The last event, if the packet ended with one; else NULL. */
const struct trace_event *trace_packet_last(const struct trace_packet *p);
/* The fate in words: "delivered to nginx[123]". Returns text. */
const char *trace_packet_fate(const json_t *about, const struct trace_packet *p,
			      char text[TRACE_WORDS_BYTES]);
bool trace_packet_dropped(const struct trace_packet *p);

double trace_us(const json_t *about, uint64_t from_cycles, uint64_t to_cycles);

/* ---- headers.c ---- */

struct trace_headers {
	const char *protocol; /* "TCP", "UDP", "ICMP", "ARP"...; "?": not seen */
	char number[24];      /* what protocol points to, where it has no name */
	bool ip, ports;
	uint32_t src_be, dst_be;
	uint16_t src_port, dst_port;
	uint32_t len_bytes; /* of the IP packet; else of what there is */
	char detail[64];    /* "SYN,ACK", "echo request 3"; "" */
};

/* Whatever the bytes are, there is an answer. */
void trace_headers_read(const struct trace_packet *p, struct trace_headers *h);

/* ---- output ---- */

void trace_text(const json_t *about, const struct trace_packet *p, bool verbose, FILE *to);
/* A new reference. */
json_t *trace_json(const json_t *about, const struct trace_packet *p, bool verbose);

struct trace_summary;
struct trace_summary *trace_summary_new(const json_t *about);
void trace_summary_free(struct trace_summary *s);
void trace_summary_add(struct trace_summary *s, const struct trace_packet *p);
void trace_summary_text(const struct trace_summary *s, FILE *to);
json_t *trace_summary_json(const struct trace_summary *s);

#endif
