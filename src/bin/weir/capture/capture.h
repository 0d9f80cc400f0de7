/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir capture` from within. A watch (bin/weir/watch.h) brings records; run.c makes each a struct
 * captured, and hands it to one of three outputs: text as tcpdump has it, JSON, or files.
 *
 *   options.c   what the words of the command line say
 *   run.c       the capture itself: begin, loop, counts
 *   decode.c    one line about a packet         print.c   text and JSON
 *   file.c      capture files, one or many      fix.c     checksums that were left to the card
 *   extcap.c    the same as interfaces of Wireshark
 *
 * Threads: one.
 */
#ifndef WEIR_BIN_WEIR_CAPTURE_CAPTURE_H
#define WEIR_BIN_WEIR_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bin/weir/cli.h"

#define CAPTURE_PORTS_MAX 32u
#define CAPTURE_SNAP_DEFAULT 262144u /* tcpdump's: everything there is */
#define CAPTURE_RING_DEFAULT (16u << 20)
#define CAPTURE_ETH_BYTES 14u

struct capture_options {
	const char *port[CAPTURE_PORTS_MAX];
	unsigned int port_count; /* 0: any */
	const char *filter;	 /* libpcap's words, or NULL */
	char *filter_made;	 /* the same where it is ours to free */
	bool ingress, egress, drops;
	const char *stages; /* names with commas between, or NULL */
	uint32_t snap_bytes, ring_bytes;
	uint64_t count;	      /* packets, then it ends; 0: no end */
	uint64_t for_ns;      /* so long; 0: no end */
	const char *file;     /* "-": standard output; NULL: text */
	uint64_t file_bytes;  /* -C: the next file behind so much; 0: no limit */
	uint64_t file_s;      /* -G: the next file every so many seconds; 0: no */
	unsigned int file_nr; /* -W */
	bool old_format;      /* pcap, not pcapng */
	bool unbuffered, fix_checksums, json, quiet;
	bool macs;	 /* -e */
	char hex;	 /* 'x', 'X' or 0 */
	bool list_ports; /* -D */
};

enum capture_direction { CAPTURE_NO_DIRECTION, CAPTURE_IN, CAPTURE_OUT };

/* A packet, as the outputs take it. Strings live as long as the capture. */
struct captured {
	uint64_t time_ns;  /* CLOCK_REALTIME */
	const char *port;  /* "weir": of no port (yet) */
	const char *stage; /* NULL: at the port itself; "drops" for those dropped */
	enum capture_direction direction;
	bool ethernet;	    /* the bytes begin with an Ethernet header; else with IP */
	bool csum_partial;  /* its L4 checksum was left to the card */
	bool super_segment; /* several packets on the wire */
	uint8_t *bytes;	    /* the caller's */
	uint32_t caplen_bytes, len_bytes;
	const char *reason, *comment; /* of a drop; else NULL */
};

/* 0: go on; -1: the command is over with *status (help, misuse). */
int capture_options_read(struct capture_options *o, const struct cli_command *command, int argc,
			 char **argv, int *status);

/* The whole capture; returns the command's status. */
int capture_run(const struct capture_options *o);

/* Wireshark's calls; argv as Wireshark gave it, without our own words in front. */
int capture_extcap(const struct cli_command *command, int argc, char **argv);

/* ---- decode.c ---- */

#define CAPTURE_LINE_BYTES 512

/*
 * One line about a packet, without the time: "IP 198.18.0.1.80 > ...". Reads caplen bytes only;
 * whatever they are, there is a line. macs: the Ethernet header, too. Returns text.
 */
const char *capture_decode(const uint8_t *bytes, uint32_t caplen, uint32_t len, bool ethernet,
			   bool macs, char text[CAPTURE_LINE_BYTES]);

/* ---- fix.c ---- */

/* Fill in the TCP or UDP checksum of a packet that is there whole; others stay as they are. */
void capture_fix_checksum(uint8_t *bytes, uint32_t caplen, uint32_t len, bool ethernet);

/* ---- print.c ---- */

void capture_print(const struct capture_options *o, const struct captured *c);
void capture_print_json(const struct captured *c);

/* ---- file.c ---- */

struct capture_file;

/* Opens the first file. NULL after words on standard error. */
struct capture_file *capture_file_open(const struct capture_options *o);

/* A port's interface is in each file, though it has no packet (yet). */
void capture_file_port(struct capture_file *f, const char *port);

/* 0, -errno of the write (no words), or 1: the last file is full (-W with -G). */
int capture_file_packet(struct capture_file *f, const struct captured *c);
int capture_file_flush(struct capture_file *f);

/* Packets that weir's ring lost until now: they go into the files' statistics. */
void capture_file_lost(struct capture_file *f, uint64_t lost);

/* -errno of any write, or 0. NULL is none. */
int capture_file_close(struct capture_file *f);

#endif
