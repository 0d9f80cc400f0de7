/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A script that runs: an engine in virtual time (weir.h, so with real sockets), a wire whose other
 * end we are, and what was seen on it so far.
 *
 * Time: an event happens at the time of the one before it plus its delay. The clock stops at every
 * timer on the way, so each segment is noted at the time at which it was sent. Segments wait in
 * r->seen till a line of the script expects them; time goes by only while none waits.
 */
#ifndef WEIR_TESTS_PKT_RUN_H
#define WEIR_TESTS_PKT_RUN_H

#include "common/frames.h"
#include "common/testing.h"
#include "engine/direct.h"
#include "inet/tcp/mib.h"
#include "script.h"

#define PKT_US FRAME_IP(198, 18, 0, 2)
#define PKT_PEER FRAME_IP(198, 18, 0, 1)
#define PKT_START_NS 10000000000ull
#define PKT_TS_BASE 1000u /* what scripts call the first time stamp that weir sent */

struct flow {
	bool known;	       /* its ports are fixed */
	bool peer_ts, ts_seen; /* the peer's SYN had a time stamp; weir's had: both: in use */
	uint16_t peer, us;
	uint32_t isn, iss; /* the peer's initial number, and weir's */
	uint32_t ts_base, ts_last;
	uint32_t ts_ahead; /* the peer's clock beside ours */
	uint32_t win;	   /* sent where a line names none */
	uint8_t cookie[16];
	unsigned int cookie_len;
	uint8_t last[60]; /* the beginning of the last packet that weir sent: for ICMP */
	unsigned int last_len;
};

struct seen {
	struct seen *next;
	uint64_t at_ns;
	struct frame_info info;
	uint8_t frame[];
};

struct run_sock {
	bool open;
	int fd;
	uint64_t tx, rx; /* where in the stream the program is */
};

struct run {
	const struct script *script;
	const struct event *event; /* now */
	struct weir *weir;
	uint64_t at_ns; /* of the event before */
	uint64_t tolerance_ns;
	struct flow flow[SCRIPT_FLOWS];
	struct run_sock sock[SCRIPT_SOCKS];
	struct seen *seen, **seen_last;
	uint64_t drops[DROP_REASON_MAX]; /* that the script named */
	uint64_t counter[TCP_MIB_MAX];	 /* when the script named it last */
	int64_t urgent[SCRIPT_URGENTS];	 /* bytes of streams that the script pointed at */
	unsigned int urgents;
	char *trace;
	size_t trace_len, trace_room;
	bool verbose, done;
};

/* run.c */
void run_script(struct run *r);
void run_open(struct run *r);
void run_close(struct run *r);
__attribute__((format(printf, 2, 3))) void run_trace(struct run *r, const char *format, ...);
/* The script fails here: what, and the trace. Does not return (cmocka). */
__attribute__((format(printf, 2, 3), noreturn)) void run_fail(struct run *r, const char *format,
							      ...);
double run_seconds(uint64_t ns); /* since the start */

/* net.c: the wire */
void net_poll(struct run *r);		       /* what weir sends now goes to r->seen */
bool net_step(struct run *r, uint64_t end_ns); /* to the next event till end_ns; false: none */
void net_until(struct run *r, uint64_t end_ns);
void net_forget(struct run *r); /* the first of r->seen */
void net_inject(struct run *r, const struct event *e);
void net_icmp(struct run *r, const struct event *e);
uint8_t net_byte(int64_t position); /* of every stream */
bool net_is_urgent(const struct run *r, int64_t position);
/* The connection that a segment of weir's belongs to, or NULL. */
struct flow *net_flow(struct run *r, const struct frame_info *i);

/* match.c */
void match_out(struct run *r, const struct event *e);
void match_print(struct run *r, const struct frame_info *i, char *text, size_t room);

/* calls.c, check.c */
void run_call(struct run *r, const struct event *e);
void check_state(struct run *r, const struct event *e);
void check_info(struct run *r, const struct event *e);
void check_drop(struct run *r, const struct event *e);
void check_counter(struct run *r, const struct event *e);
void check_sysctl(struct run *r, const struct event *e);
void check_end(struct run *r);
bool want_met(const struct want *want, int64_t value, uint64_t unit_ns);

#endif
