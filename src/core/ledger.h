/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger: where every packet's end is written down. It is always on; its cost is a counter.
 *
 *   entered + originated = delivered + transmitted + forwarded + absorbed + dropped + held
 *
 * entered: received from a port. originated: made by us. held: in a queue of ours now (neighbour,
 * reassembly, out-of-order, transmit backlog, delay line). `held` is counted by the queues
 * themselves (ledger_hold, ledger_release); the balance therefore shows every packet that was lost
 * between two owners. A packet that one worker hands to another is counted out of the one's ledger
 * (steered_out) and into the other's (steered_in), so each balances alone; what is between the two,
 * in a mailbox, is held by none of them and by the engine as a whole (ledger_fold_steered()).
 *
 * Each pkt_drop() leaves a static site (function, file, line) in the section weir_drop_sites, so
 * sites are enumerable without debug symbols, and a counter is an array look-up.
 *
 * Threads: one ledger for each worker, written by that worker only. Readers sum them up while the
 * workers are parked (exact), or whenever they like (every counter right, the sum perhaps between
 * two packets).
 */
#ifndef WEIR_CORE_LEDGER_H
#define WEIR_CORE_LEDGER_H

#include <stdint.h>

#include "core/pkt.h"

/* Counting compiled out (-Dledger=false): only to measure what it costs (tests/bench/ledger.py). */
#ifdef WEIR_NO_LEDGER
#define LEDGER_ON 0
#else
#define LEDGER_ON 1
#endif

enum drop_reason {
#define DROP(name, severity, linux, text) DROP_##name,
#include "core/drop.def"
#undef DROP
	DROP_REASON_MAX
};

enum drop_severity {
	DROP_SEVERITY_INFO,
	DROP_SEVERITY_WARN,
	DROP_SEVERITY_ERROR,
	DROP_SEVERITY_BUG
};

struct drop_reason_info {
	const char *name;
	enum drop_severity severity;
	const char *linux_name; /* "" where Linux has none */
	const char *text;
};

/* Never NULL: an unknown number answers NOT_SPECIFIED's. */
const struct drop_reason_info *drop_reason_info(unsigned int reason);

enum stage {
#define STAGE(name, label, linux) STAGE_##name,
#include "core/stage.def"
#undef STAGE
	STAGE_MAX
};

const char *stage_label(unsigned int stage);

/* How a packet ends well. */
enum fate {
	FATE_DELIVERED,	  /* its payload is in a socket's buffer */
	FATE_TRANSMITTED, /* a port took it (ours) */
	FATE_FORWARDED,	  /* a port took it (somebody else's, routed through us) */
	FATE_ABSORBED,	  /* it was for us and said all it had to say: an ACK, an ARP reply */
	FATE_MAX
};

struct drop_site {
	const char *function;
	const char *file;
	uint32_t line;
	uint32_t reserved;
};

/* Made by the linker. Weak: a program without any pkt_drop() links too, and has none. */
extern const struct drop_site __start_weir_drop_sites[] __attribute__((weak, visibility("hidden")));
extern const struct drop_site __stop_weir_drop_sites[] __attribute__((weak, visibility("hidden")));

uint32_t drop_site_count(void);

/* NULL behind the last. */
const struct drop_site *drop_site(uint32_t index);

/* The file's name from the top of the source tree ("src/inet/ip4.c"), wherever it was built. */
const char *drop_site_file(const struct drop_site *site);

struct stage_count {
	uint64_t packets;
	uint64_t bursts;
	uint64_t cycles;
	uint64_t drops;
};

/* One of the last drops, for who asks what it was. */
struct drop_record {
	uint64_t stamp_ns;
	uint32_t site;
	uint16_t reason;
	uint8_t ifindex;
	uint8_t stage;
	uint32_t path;
	uint32_t len_bytes;
	uint8_t head[64]; /* the packet's first bytes */
};

#define LEDGER_RECENT 256u

struct ledger {
	uint64_t entered;
	uint64_t originated;
	uint64_t fate[FATE_MAX];
	uint64_t dropped;
	uint64_t held;
	uint64_t steered_out, steered_in; /* handed to, and taken from, other workers */
	uint64_t alloc_failed; /* packets we wanted to make and could not: never existed */
	struct stage_count stage[STAGE_MAX];
	uint32_t site_count;
	uint64_t *drops;      /* [site_count][DROP_REASON_MAX] */
	uint32_t *drop_paths; /* [site_count]: stages that packets dropped there had gone through */
	uint64_t recent_total; /* the newest record is recent[(recent_total - 1) % LEDGER_RECENT] */
	struct drop_record *recent;
};

/* 0 or -ENOMEM (then nothing is left to free). */
int ledger_init(struct ledger *l);
void ledger_free(struct ledger *l);

/* entered + originated + steered_in - all ends - held - steered_out: 0 when it balances. */
int64_t ledger_balance(const struct ledger *l);

/* Add `from`'s counters to `sum` (which was initialised by ledger_init). */
void ledger_add(struct ledger *sum, const struct ledger *from);

/* `sum` is of all workers: what some handed on and others did not take yet is held. */
void ledger_fold_steered(struct ledger *sum);

/* Packets dropped for a reason, over all sites. */
uint64_t ledger_drops_of(const struct ledger *l, enum drop_reason reason);

/* The ways out. Each takes the packet. FATE_TRANSMITTED counts as forwarded where PKT_F_ROUTED. */
void pkt_consume(struct worker *w, struct pkt *p, enum fate fate);
void pkt_consume_burst(struct worker *w, struct pkt **pkts, unsigned int n, enum fate fate);
void pkt_drop_at(struct worker *w, struct pkt *p, uint16_t reason, const struct drop_site *site);

/* reason: a DROP_* constant or an expression. */
#define pkt_drop(w, p, reason)                                                                     \
	do {                                                                                       \
		static const struct drop_site pkt_drop_site                                        \
			__attribute__((section("weir_drop_sites"), used, aligned(8))) = {          \
				.function = __func__, .file = __FILE__, .line = __LINE__           \
			};                                                                         \
		pkt_drop_at((w), (p), (uint16_t)(reason), &pkt_drop_site);                         \
	} while (0)

/*
 * A port took the packet and its driver owns the buffer now: count its end (transmitted, or
 * forwarded where PKT_F_ROUTED) without freeing. Call before the buffer may be reused, so before
 * handing it over; where the port refuses it, call pkt_sent_undo().
 */
void pkt_sent(struct worker *w, const struct pkt *p);
void pkt_sent_undo(struct worker *w, const struct pkt *p);

/*
 * Another worker has a copy of the packet, and the packet with it: counted out here, the buffer is
 * given back. The other one counts its copy in: a buffer of pkt_alloc_raw(), of which it fills the
 * fields that came along after this call (as after pkt_entered(), but for PKT_F_ENTERED).
 */
void pkt_steered_out(struct worker *w, struct pkt *p);
void pkt_steered_in(struct worker *w, struct pkt *p);

/* A received packet becomes a packet of ours in the same buffer (an echo reply): absorbed there,
 * originated here. */
void pkt_reborn(struct worker *w, struct pkt *p);

#endif
