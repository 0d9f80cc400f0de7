/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing pcapng files (draft-ietf-opsawg-pcapng), with what Wireshark shows of them: interface
 * names, time in nanoseconds, a comment on a packet (frame.comment), counts at the end.
 *
 * A file is: one section header, an interface block for each interface before its first packet,
 * packets, and interface statistics. Nothing is buffered but by the FILE that it is written to;
 * flush that where a reader waits (a FIFO).
 *
 * Errors: 0, or -errno of the write, from then on by each call: check at the end is enough.
 * Threads: one writer at a time.
 */
#ifndef WEIR_BIN_WEIR_PCAPNG_H
#define WEIR_BIN_WEIR_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

#define PCAPNG_LINKTYPE_ETHERNET 1
#define PCAPNG_LINKTYPE_RAW 101 /* begins with an IP header */

struct pcapng {
	FILE *to; /* the caller's */
	int error;
	uint32_t interfaces;
	uint64_t written_bytes; /* since pcapng_begin() */
};

/* The section header. `application`: what wrote it, as "weir capture". */
int pcapng_begin(struct pcapng *p, FILE *to, const char *application);

/*
 * An interface; description and filter may be NULL. snaplen_bytes 0: no limit.
 * Returns its number for packets (0 for the first), or -errno.
 */
int pcapng_interface(struct pcapng *p, const char *name, const char *description,
		     const char *filter, uint16_t link_type, uint32_t snaplen_bytes);

struct pcapng_packet {
	uint32_t interface;
	uint64_t time_ns; /* CLOCK_REALTIME */
	const uint8_t *bytes;
	uint32_t caplen_bytes, len_bytes; /* written; as it was on the wire */
	uint32_t flags;			  /* PCAPNG_*; 0: not said */
	const char *comment;		  /* UTF-8, may have newlines; NULL: none */
};

#define PCAPNG_INBOUND 1u
#define PCAPNG_OUTBOUND 2u

int pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet);

/* Counts of an interface: received by it, not written for want of room; at any time, last at the
 * end. */
int pcapng_statistics(struct pcapng *p, uint32_t interface, uint64_t time_ns, uint64_t received,
		      uint64_t dropped);

#endif
