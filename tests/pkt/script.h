/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A script as it was read: a list of events. README.md has the grammar. Numbers are as the script
 * writes them (sequence numbers relative to the initial ones); run.h knows what they really are.
 */
#ifndef WEIR_TESTS_PKT_SCRIPT_H
#define WEIR_TESTS_PKT_SCRIPT_H

#include "cursor.h"

#define SCRIPT_URGENTS 16u
#define SCRIPT_SOCKS 64u /* names of sockets in a script */
#define SCRIPT_FLOWS 26u /* @a to @z */
#define SCRIPT_ERROR_BYTES 512u
#define SCRIPT_MAX_EVENTS 20000u
#define SCRIPT_MAX_LINE 1000u

enum event_kind {
	EV_IN,
	EV_OUT,
	EV_ICMP,
	EV_CALL,
	EV_STATE,
	EV_INFO,
	EV_DROP,
	EV_COUNTER,
	EV_SYSCTL,
	EV_FLOW,
	EV_QUIET,
	EV_TOLERANCE,
	EV_KIND_MAX
};

/* What a value must be. */
enum want_op { WANT_OK, WANT_EQ, WANT_NE, WANT_LT, WANT_LE, WANT_GT, WANT_GE, WANT_RANGE };

struct want {
	enum want_op op;
	int64_t a, b;
	bool a_time, b_time; /* in ns, because the script gave a unit */
	int error;	     /* not 0: this errno */
	char text[16];	     /* not "": a string (TCP_CONGESTION) */
};

struct seg_opts {
	bool given, none, any; /* `opt` was there; `opt none`; `opt any` */
	bool mss, wscale, sack_ok, ts, ts_val, ts_ecr, fastopen, md5;
	bool mss_any, wscale_any;
	uint16_t mss_value;
	uint8_t wscale_value;
	uint32_t val, ecr;
	unsigned int sack_n;
	int64_t sack[4][2];
	enum { COOKIE_REQUEST, COOKIE_BYTES, COOKIE_SEEN, COOKIE_ANY } cookie_kind;
	uint8_t cookie[16];
	unsigned int cookie_len;
	uint8_t raw[40];
	unsigned int raw_len;
};

struct seg {
	uint8_t flags;
	bool psh_any, burst; /* burst: the pieces arrive as one burst */
	int64_t seq, len;
	unsigned int pieces; /* so many segments of equal size, together len; 0: one */
	bool has_ack, has_win, has_urg, has_ecn, has_ttl, has_df;
	int64_t ack;
	uint32_t win;
	uint16_t urg;
	uint8_t ecn, ttl;
	bool bad_csum, bad_offset, df;
	struct seg_opts opt;
};

struct icmp {
	uint8_t type, code;
	uint32_t mtu;
	bool has_seq, wrong_seq;
	int64_t seq;
};

enum call_fn {
	CALL_SOCKET,
	CALL_BIND,
	CALL_LISTEN,
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_SEND,
	CALL_SENDTO,
	CALL_RECV,
	CALL_SHUTDOWN,
	CALL_CLOSE,
	CALL_SETSOCKOPT,
	CALL_GETSOCKOPT,
	CALL_POLL,
	CALL_SOCKATMARK,
	CALL_MAX
};

struct call {
	enum call_fn fn;
	int result; /* the name that gets the new socket, or -1 */
	int sock;
	int64_t arg, arg2;
	int flags;	/* of send and recv */
	int level, opt; /* of sockopts */
	char text[16];
	struct want want;
};

#define CHECKS_MAX 12u

struct check {
	int sock; /* or -1: flow */
	int state;
	unsigned int n;
	struct {
		int field;
		struct want want;
	} field[CHECKS_MAX];
	int reason;  /* of a drop */
	int counter; /* of mib.def */
	char name[CURSOR_WORD_BYTES];
	char text[CURSOR_WORD_BYTES];
	int64_t value;
};

struct event {
	enum event_kind kind;
	unsigned int line;
	const char *text; /* the line */
	uint64_t delay_ns, delay_max_ns, tolerance_ns;
	bool has_tolerance;
	unsigned int flow;
	union {
		struct seg seg;
		struct icmp icmp;
		struct call call;
		struct check check;
		struct {
			uint16_t peer, us;
			bool has_isn;
			uint32_t isn;
		} ports;
	};
};

struct script {
	char path[512];
	char **lines; /* what event.text points into */
	unsigned int lines_n;
	struct event *event;
	unsigned int events, room;
	char sock_name[SCRIPT_SOCKS][CURSOR_WORD_BYTES];
	unsigned int socks;
};

/* 0, or -1 with "file:line: what" in error. Free it in both cases. */
int script_read(struct script *s, const char *path, char error[SCRIPT_ERROR_BYTES]);
void script_free(struct script *s);
/* The same from memory: what script_read() does with a file's text (which it changes). */
int script_parse(struct script *s, const char *path, char *text, char error[SCRIPT_ERROR_BYTES]);

/* parse_*.c: the rest of a line of each kind into e. False: c->error says why. */
bool parse_seg(struct cursor *c, struct event *e, bool in);
bool parse_icmp(struct cursor *c, struct event *e);
bool parse_call(struct cursor *c, struct script *s, struct event *e, const char *first);
bool parse_want(struct cursor *c, struct want *want);	    /* what is behind the = of a call */
bool parse_flow_name(struct cursor *c, unsigned int *flow); /* @b; without one it stays */
int script_sock(struct cursor *c, struct script *s, const char *name, bool make);

#endif
