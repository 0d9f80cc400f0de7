/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir why: from two readings of what weir says about itself, what is being lost, why, and what to
 * change.
 *
 * A reading is {time_ns, stat, counters, recent, parameters, routes}: the answers of the control
 * commands of these names (recent: of "drops"), as JSON. A detector is a line in a table: which
 * reasons to drop and which counters it knows, and a function that says in words what they mean.
 * What no detector knows gets the sentence of advice.def, and what Linux would drop in peace too
 * (severity info) is listed as normal. Everything here is a function of the two readings.
 *
 * Threads: one.
 */
#ifndef WEIR_BIN_WEIR_WHY_H
#define WEIR_BIN_WEIR_WHY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define WHY_TEXT_BYTES 512
#define WHY_REASONS_MAX 6

struct why {
	const json_t *before, *after; /* the readings */
	double seconds;		      /* between them */
};

struct why_detector {
	const char *name;
	unsigned int rank;		      /* the higher, the earlier it is told */
	const char *reasons[WHY_REASONS_MAX]; /* NULL behind the last */
	/* What it counts beside drops, as of a reading; NULL: nothing. */
	json_int_t (*count)(const json_t *reading);
	/* Fill the finding, which has name, lost, rate, total, reasons and where. */
	void (*explain)(const struct why *w, json_t *finding);
};

/* Each ends with a NULL name: detect_port.c, detect_ip.c, detect_sock.c, detect_tcp.c. */
extern const struct why_detector why_detectors_port[], why_detectors_ip[], why_detectors_sock[],
	why_detectors_tcp[];

/*
 * {seconds, findings: [...], normal: [...]}: a new reference, NULL: out of memory. findings, the
 * most important first: {name, title, lost, rate, total, reasons: [...], where: [{function, file,
 * line, reason, count}], who: [words], why, change, commands: [words]}; lost: between the readings,
 * rate: a second, total: since weir began. normal: [{reason, count, text}].
 */
json_t *why_find(const json_t *before, const json_t *after);

/* ---- for detectors ---- */

/* Set "title", "why" or "change"; add a line to "who" or "commands". */
void why_say(json_t *finding, const char *member, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void why_add(json_t *finding, const char *list, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

bool why_has_reason(const json_t *finding, const char *reason);

/* Of a reading: a counter of TCP; the n-th number of a parameter (0: none); a list of stat. */
json_int_t why_counter(const json_t *reading, const char *name);
json_int_t why_param(const json_t *reading, const char *name, unsigned int n);
const json_t *why_list(const json_t *reading, const char *part);

/* A member of a list's item in "after" minus the same in "before": the item whose members of the
 * names in keys (NULL behind the last) are equal; all of it where it was not there before. */
json_int_t why_grown(const struct why *w, const char *part, const json_t *item,
		     const char *const *keys, const char *member);

/* A loss of a port by its name, and of all ports together. */
json_int_t why_port_loss(const json_t *port, const char *name);
json_int_t why_ports_loss(const json_t *reading, const char *name);

/* The power of two that is at least n. */
json_int_t why_round_up(json_int_t n);

/* ---- packets that were dropped: packet.c ---- */

struct why_packet {
	bool ethernet, ip;
	char mac[18]; /* the sender's */
	char src[16], dst[16];
	const char *proto;	     /* "TCP", "UDP", "ICMP", "IP" */
	uint16_t src_port, dst_port; /* 0: there are none */
	unsigned int ifindex;
};

/* From the first bytes, as hex. */
void why_packet_parse(const char *hex, struct why_packet *p);

/*
 * What the packets that were dropped between the readings, for the finding's reasons, most often
 * have in common: key() says a packet's (false: it has none). "" where there are no such packets.
 * Returns how many of those remembered have it.
 */
unsigned int why_most(const struct why *w, const json_t *finding,
		      bool (*key)(const struct why_packet *p, char *text, size_t room), char *text,
		      size_t room);

/* Keys: addresses, "198.18.0.1" and "198.18.0.1 port 80 (TCP)", the MAC address, the interface. */
bool why_key_src(const struct why_packet *p, char *text, size_t room);
bool why_key_dst(const struct why_packet *p, char *text, size_t room);
bool why_key_dst_port(const struct why_packet *p, char *text, size_t room);
bool why_key_mac(const struct why_packet *p, char *text, size_t room);
bool why_key_ifindex(const struct why_packet *p, char *text, size_t room);

/* The route that weir takes to an address: the longest prefix. NULL: there is none. */
const json_t *why_route(const json_t *reading, const char *addr);

/* The port with an address's subnet, and that subnet's length; NULL: none has it. */
const json_t *why_subnet(const json_t *reading, const char *addr, unsigned int *len);

/* The port of an interface number as text, or of a name. NULL. */
const json_t *why_port(const json_t *reading, const char *name_or_ifindex);

#endif
