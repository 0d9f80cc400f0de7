/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where `weir dropwatch` gets its drops from: weir's own path (source_weir.c) or the host's kernel
 * (source_kernel.c). The front end knows only this table of functions; tests have a source of
 * their own.
 *
 * A source is opened, then started and stopped as often as the user likes, polled while it runs,
 * and closed. Counts are exact: what a source cannot show as a packet, or did not see at all, it
 * says in drop_stats, never in silence.
 *
 * In packet mode an event without a packet is of drops that were counted and are not shown, because
 * the queue was full. They come in the poll() behind stop() at the latest, so that the counts of
 * all events are the drops that there were.
 *
 * Errors: 0 or a negative errno; then `error` has words for people, without a newline: what
 * happened, to what, and what to do about it. `error` left empty: they are on standard error
 * already.
 * Threads: none of this is for more than one.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_SOURCE_H
#define WEIR_BIN_WEIR_DROPWATCH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DROP_ERROR_BYTES 512
#define DROP_TRUNC_DEFAULT 0u	 /* packets whole (as far as the source keeps them) */
#define DROP_QUEUE_DEFAULT 1000u /* packets */

/* What is chosen when a source is opened; strings belong to the caller and outlive the source. */
struct drop_options {
	const char *filter;	    /* a packet filter in libpcap's words; NULL: every packet */
	const char *const *reasons; /* only these, by name; reason_count 0: all */
	size_t reason_count;
	const char *netns; /* kernel: a namespace's name, path or pid; NULL or ".": ours */
	bool all_netns;	   /* kernel: every namespace */
};

/* What the user may change between a stop and the next start. */
struct drop_settings {
	bool packets;		/* a packet for each drop; else counts only */
	bool stack;		/* with the frames of the stack, where the source has them */
	bool software;		/* drops of the path itself */
	bool hardware;		/* drops of the network card */
	uint32_t trunc_bytes;	/* at most so much of each packet; 0: all there is */
	uint32_t queue_packets; /* how many packets may wait to be fetched */
};

struct drop_frame {
	uint64_t address;
	const char *function; /* NULL: not known */
	uint64_t offset_bytes;
	const char *file; /* NULL: not known */
	uint32_t line;
};

/* Of the packet itself; in packet mode. */
struct drop_packet {
	uint64_t time_ns; /* CLOCK_REALTIME, when it was dropped */
	uint32_t ifindex; /* 0: made here, or not known */
	const char *ifname;
	uint16_t protocol;     /* EtherType, host order; 0: not known */
	uint16_t link_type;    /* of the bytes: a LINKTYPE_* of libpcap (1: Ethernet, 101: IP) */
	uint32_t len_bytes;    /* as it was */
	uint32_t caplen_bytes; /* as much of it as `bytes` has */
	const uint8_t *bytes;
};

/*
 * Drops of one kind: a place and a reason; how many since the last poll, or, in packet mode, one.
 * Strings belong to the source and are good until the next poll. NULL: not known, unless it says
 * otherwise.
 */
struct drop_event {
	uint64_t count;
	bool hardware;
	uint64_t address;      /* of the drop: program counter; 0: not known */
	const char *function;  /* NULL: not known */
	uint64_t offset_bytes; /* from the function's start */
	const char *site;      /* the source's function, where the compiler made it part of
				  `function`; NULL: they are the same. Of hardware: the port */
	const char *file;
	uint32_t line;
	const char *reason;   /* never NULL: "NO_SOCKET"; "NOT_SPECIFIED" where it has none */
	const char *severity; /* "info", "warn", "error", "bug" */
	const char *meaning;  /* the reason in words */
	const char *advice;   /* what to do about it */
	const char *path;     /* the stages it went through: "port-rx > eth-input > ..." */
	const char *flow;     /* addresses of the packet, or of the last one of the count:
				 "udp 198.18.0.1:4000 > 198.18.0.2:53" */
	const char *socket;   /* concerned: "udp 198.18.0.2:53", with its state where it has one */
	const char *program;  /* that has it, or sent: "nginx (pid 4711)" */
	const char *netns;    /* kernel: the namespace, "blue", "pid 4711 (nginx)" */
	const struct drop_frame *frames; /* the innermost first */
	size_t frame_count;
	const struct drop_packet *packet; /* NULL: a count only */
};

/* Since the source was opened. */
struct drop_stats {
	uint64_t drops;		  /* that matched, exactly counted, packets of either mode */
	uint64_t packets;	  /* handed over as packets */
	uint64_t packets_skipped; /* counted in `drops`, not handed over: the queue was full */
	uint64_t lost_events; /* of which the source knows only that they were lost: not in drops */
	uint64_t hardware_drops; /* those of `drops` that the card said */
};

struct drop_source;

struct drop_source_ops {
	int (*start)(struct drop_source *s, const struct drop_settings *settings,
		     char error[DROP_ERROR_BYTES]);

	/* What came until now is there in poll()s with a timeout of 0, until one has none. */
	int (*stop)(struct drop_source *s, char error[DROP_ERROR_BYTES]);

	/*
	 * What came since the last poll. Waits up to timeout_ms for something to come, and returns
	 * early, with 0 events perhaps, when wake_fd (-1: none) is readable or a signal came.
	 * *events and *count: the source's, until the next poll. Counts of one kind are one event,
	 * not many; a source whose counts come at any time may gather them for as long as 100 ms.
	 */
	int (*poll)(struct drop_source *s, int timeout_ms, int wake_fd,
		    const struct drop_event **events, size_t *count, char error[DROP_ERROR_BYTES]);

	int (*stats)(struct drop_source *s, struct drop_stats *stats, char error[DROP_ERROR_BYTES]);
	void (*close)(struct drop_source *s);
};

/* The first member of each source's own struct. */
struct drop_source {
	const struct drop_source_ops *ops;
	const char *watches; /* whose drops: "instance 'default' of weir", "the kernel, ..." */
	const char *note;    /* what it cannot show here and why, to be said once; NULL: nothing */
};

/* Each: 0 and the source in *source (close it by ops->close), or a negative errno and words. */
int drop_source_weir_open(const struct drop_options *options, struct drop_source **source,
			  char error[DROP_ERROR_BYTES]);
int drop_source_kernel_open(const struct drop_options *options, struct drop_source **source,
			    char error[DROP_ERROR_BYTES]);

#endif
