/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What weird shows to somebody who watches packets (`weir dropwatch`, `trace`, `capture`): memory
 * that both map, laid out here. The daemon makes it (a sealed memfd) and hands the descriptor over
 * with its answer to the control command "watch"; the watch ends when that connection does.
 *
 *   struct watch_area | for each worker: struct watch_part | its sites | its ring
 *
 * Two things are in a worker's part:
 *   counts  exact, one cell a (site, reason): drops that the filter wanted. Never lost, never late.
 *   ring    records, each behind the other. A record that finds no room is counted in `lost`.
 *
 * Threads: the worker is the only writer of everything but `tail`, which is the watcher's. The
 * watcher is not trusted: what the worker needs of sizes and places it keeps for itself, and a
 * wrong `tail` costs the watcher its own records only.
 */
#ifndef WEIR_WIRE_WATCH_ABI_H
#define WEIR_WIRE_WATCH_ABI_H

#include <stdatomic.h>
#include <stdint.h>

#define WATCH_MAGIC 0x77615468u
#define WATCH_VERSION 1u

#define WATCH_RING_MIN_BYTES (256u << 10) /* any record fits, wherever the last one ended */
#define WATCH_RING_MAX_BYTES (64u << 20)
#define WATCH_SNAP_MAX_BYTES 65535u

/* What a record tells. */
enum watch_kind {
	WATCH_PAD,    /* nothing: the ring's end, to be skipped */
	WATCH_PACKET, /* a packet is at the beginning of a stage */
	WATCH_DROP,   /* a packet was dropped: reason, site */
	WATCH_NOTE,   /* something was decided about a packet that is followed */
	WATCH_END,    /* a packet that is followed ended well: fate */
};

/* What the bytes of a record begin with. */
enum watch_link {
	WATCH_LINK_NONE,     /* not a header that a filter knows: there are no bytes */
	WATCH_LINK_ETHERNET, /* LINKTYPE_ETHERNET */
	WATCH_LINK_IP,	     /* LINKTYPE_RAW */
};

/* watch_record.flags */
#define WATCH_F_CSUM_PARTIAL 0x0001u /* the L4 checksum is not filled in yet (offload) */
#define WATCH_F_GSO 0x0002u	     /* a super-segment: several packets on the wire */
#define WATCH_F_ORIGINATED 0x0004u   /* we made it; else a port received it */
#define WATCH_F_ROUTED 0x0008u	     /* it is being forwarded */

struct watch_record {
	uint32_t record_bytes; /* with its data and filling: a multiple of 8 */
	uint8_t kind;	       /* enum watch_kind */
	uint8_t stage;	       /* where it is (core/stage.def) */
	uint8_t ifindex;       /* where it came from; at port-tx where it goes; 0: none */
	uint8_t link;	       /* enum watch_link */
	uint64_t stamp_ns;     /* time of day (of the worker's loop) */
	uint64_t age_ns;       /* since it entered or was made */
	uint64_t cycles;       /* the processor's time stamp counter: finer than stamp_ns */
	uint32_t id;	       /* of a packet that is followed, for life; else 0 */
	uint32_t path;	       /* stages it has gone through, one bit each */
	uint32_t site;	       /* WATCH_DROP: index of the site */
	uint16_t code;	     /* WATCH_DROP: reason; WATCH_END: fate; WATCH_NOTE: enum watch_note */
	uint16_t flags;	     /* WATCH_F_* */
	uint64_t pc;	     /* WATCH_DROP: program counter, from the executable's beginning */
	uint64_t arg[2];     /* WATCH_NOTE: see enum watch_note */
	uint32_t len_bytes;  /* of the whole packet, from its first header */
	uint32_t data_bytes; /* of it that follow here */
	uint8_t data[];
};

_Static_assert(sizeof(struct watch_record) == 80, "watch records are shared");

struct watch_site {
	uint64_t pc;   /* of its last drop */
	uint32_t path; /* stages that packets dropped here had gone through */
	uint32_t reserved;
	uint64_t count[]; /* [reason_count] */
};

struct watch_part {
	_Atomic uint64_t head; /* bytes written to the ring, ever */
	_Atomic uint64_t lost; /* records that found no room */
	uint64_t seen;	       /* packets that the filter was asked about */
	uint64_t wanted;       /* those that it wanted */
	uint64_t pad0[4];
	_Atomic uint64_t tail; /* bytes read: the watcher's */
	uint64_t pad1[7];
};

_Static_assert(sizeof(struct watch_part) == 128, "two cache lines, one a writer");

struct watch_area {
	uint32_t magic, version;
	uint32_t worker_count;
	uint32_t site_count, reason_count;
	uint32_t site_bytes; /* of one struct watch_site with its counts */
	uint32_t ring_bytes; /* of one worker's ring: a power of two */
	uint32_t reserved;
	uint64_t area_bytes; /* of all */
	uint64_t part_at;    /* where the first worker's part begins, */
	uint64_t part_bytes; /* and how far from one to the next */
	uint64_t ring_at;    /* where in a part the ring begins */
};

static inline struct watch_part *watch_part_of(struct watch_area *a, uint32_t worker)
{
	return (struct watch_part *)((uint8_t *)a + a->part_at + worker * a->part_bytes);
}

static inline struct watch_site *watch_site_of(struct watch_area *a, uint32_t worker, uint32_t site)
{
	return (struct watch_site *)((uint8_t *)watch_part_of(a, worker) +
				     sizeof(struct watch_part) + (uint64_t)site * a->site_bytes);
}

/*
 * What was decided about a packet (WATCH_NOTE), with the two arguments of the record. An address is
 * IPv4, as in the packet (network order).
 */
enum watch_note {
#define NOTE(name, text) WATCH_NOTE_##name,
#include "wire/watch_note.def"
#undef NOTE
	WATCH_NOTE_MAX
};

#endif
