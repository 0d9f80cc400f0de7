/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The laboratory of reasons: a whole engine with two wires and sockets in virtual time, in which a
 * case provokes one reason for dropping, and the ledger is compared with what the case says.
 *
 *   peer 198.18.0.1 (02:..:01) ---- wire 0 ---- 198.18.0.2 (02:..:02)  weir  198.18.1.2 ---- wire 1
 *
 * A case sets the scene, calls lab_mark(), and provokes. What moved between mark and end must be
 * the case's drops, all of them and nothing else: place, reason, count, path; in the counters,
 * among the last drops, and in JSON.
 */
#ifndef WEIR_TESTS_UNIT_REASONS_LAB_H
#define WEIR_TESTS_UNIT_REASONS_LAB_H

#include "common/frames.h"
#include "common/testing.h"
#include "engine/app_client.h"
#include "engine/direct.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define FAR FRAME_IP(198, 18, 1, 1) /* on the second wire */
#define OFF FRAME_IP(10, 9, 8, 7)   /* there is no route to it */
#define MS 1000000ull
#define SEC 1000000000ull

/* Paths: one letter-free word a stage, to be or'ed. */
#define AT(stage) (1u << STAGE_##stage)
#define IN_ETH (AT(PORT_RX) | AT(ETH_INPUT))
#define IN_ARP (IN_ETH | AT(ARP_INPUT))
#define IN_IP (IN_ETH | AT(IP4_INPUT))
#define IN_FORWARD (IN_IP | AT(IP4_FORWARD))
#define IN_LOCAL (IN_IP | AT(IP4_LOCAL))
#define IN_FRAG (IN_LOCAL | AT(IP4_REASM))
#define IN_ICMP (IN_LOCAL | AT(ICMP_INPUT))
#define IN_IGMP (IN_LOCAL | AT(IGMP_INPUT))
#define IN_UDP (IN_LOCAL | AT(UDP_INPUT))
#define IN_SOCK (IN_UDP | AT(SOCK_DELIVER))
#define IN_TCP (IN_LOCAL | AT(TCP_INPUT))
#define OUT_UDP (AT(SOCK_SEND) | AT(UDP_OUTPUT) | AT(IP4_OUTPUT))
#define OUT_TCP (AT(TCP_OUTPUT) | AT(IP4_OUTPUT))

struct lab;

/* What is to be dropped. count 0: the end of the list. */
struct expected {
	enum drop_reason reason;
	const char *function;
	uint32_t path;
	unsigned int count;
};

#define CASE_DROPS 4u

struct reason_case {
	const char *name;
	void (*run)(struct lab *lab);
	struct expected drops[CASE_DROPS];
	/* Of the engine; NULL and 0: as usual. */
	const char *wire; /* the first port's specification */
	bool forwarding;
	unsigned int packets;
	uint64_t memory_bytes;
	unsigned int workers; /* 2: an engine of two, without sockets; lab->w is the first */
	bool bare;	      /* no engine: a worker alone (lab->w), and the case does the rest */
};

struct lab {
	const struct reason_case *rc;
	struct weir *weir;     /* NULL: it is bare, or has several workers */
	struct engine *engine; /* NULL: it is bare */
	struct worker *w;
	struct app app; /* the same channel, for raw and packet sockets */
	struct port *wire[2];
	struct ledger before;
	struct pkt **taken; /* buffers that lab_drain() keeps */
	unsigned int taken_count;
	uint8_t frame[FRAME_ROOM];
	struct frame_info info;
};

extern const uint8_t us_mac[6], peer_mac[6];

void lab_open(struct lab *lab, const struct reason_case *rc);
/* From here on every drop is to be one of the case's. Marked anew as often as need be. */
void lab_mark(struct lab *lab);
/* Compare, and mark in `sites` those that were reached. */
void lab_judge(struct lab *lab, bool *sites);
void lab_close(struct lab *lab);

/* All that can be done now; or let time pass. */
void lab_settle(struct lab *lab);
void lab_wait(struct lab *lab, uint64_t ns);

/* Put a frame on the first wire, and let weir look. */
void lab_put(struct lab *lab, const uint8_t *frame, size_t len);
/* The same, n times, of lab->frame. */
void lab_send(struct lab *lab, size_t len, unsigned int n);
/* The next frame of IPv4 that weir sent, in lab->frame and lab->info; false: none. */
bool lab_take(struct lab *lab, unsigned int wire);

struct frame_spec from_peer(void);
/* The peer is known to weir (it asked for us). */
void lab_meet(struct lab *lab);
void lab_udp(struct lab *lab, uint16_t dport, const void *data, size_t len, unsigned int n);

/* For bare cases. A port of the worker's; and a packet of ours, zeros behind an Ethernet header. */
struct port *lab_port(struct lab *lab, const char *spec);
struct pkt *lab_packet(struct lab *lab, uint32_t len);

/* Take all buffers but `leave` out of the pool. */
void lab_drain(struct lab *lab, unsigned int leave);
void lab_refill(struct lab *lab);

struct sockaddr_in lab_addr(uint32_t ip, uint16_t port);
/* A UDP socket bound to a port. */
int lab_udp_socket(struct lab *lab, uint16_t port);
int lab_udp_send(struct lab *lab, int fd, uint32_t ip, uint16_t port, const void *data, size_t len);
int lab_option(struct lab *lab, int fd, int level, int name, int value);
/* Raw, packet and ping sockets, through the channel. */
struct app_sock lab_below(struct lab *lab, uint32_t family, int type, uint32_t proto);
/* A record: its header of 64 bytes (abi_dgram, abi_packet), and len bytes. 0 or -errno. */
int lab_below_send(struct lab *lab, struct app_sock s, const void *header, const void *bytes,
		   uint32_t len);
/* A filter that lets nothing by. */
void lab_filter_all(struct lab *lab, struct app_sock s);
void lab_sysctl(struct lab *lab, const char *name, const char *value);

/* ---- TCP: the peer's side of a connection, by hand ---- */

struct talk {
	uint32_t src_ip;
	uint16_t sport;	   /* the peer's */
	uint16_t dport;	   /* ours */
	uint32_t seq, ack; /* the next that the peer sends, and expects */
	uint16_t window;
	bool ts; /* with time stamps */
	uint32_t ts_val, ts_ecr;
	int listener, fd;
};

struct talk talk_begin(struct lab *lab, int backlog);
/* A segment with this number (and the talk's ack): seq and ack are not moved. */
void talk_segment(struct lab *lab, const struct talk *t, uint8_t flags, uint32_t seq, uint32_t ack,
		  const void *data, size_t len);
/* SYN from the peer; true and t->ack set where a SYN,ACK came. */
bool talk_syn(struct lab *lab, struct talk *t);
/* The whole handshake; t->fd is what accept() gave, -1 where the program did not call it. */
void talk_open(struct lab *lab, struct talk *t, bool accept);
/* The peer's FIN, then ours, each acknowledged: weir is in TIME_WAIT where it closed first. */
void talk_time_wait(struct lab *lab, struct talk *t);

/* The tables, one a file. */
struct case_table {
	const struct reason_case *cases;
	unsigned int count;
};

extern const struct case_table cases_link, cases_ip, cases_icmp, cases_udp, cases_handshake,
	cases_segment, cases_nomem, cases_bare, cases_dpdk;

#endif
