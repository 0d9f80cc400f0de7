/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conservation: whatever comes over a wire, and whatever programs do meanwhile, every packet has
 * one end, and the ledger says which. See README.md.
 *
 *   a bad world 198.18.0.0/24 ---- wire 0, behind a fault link ---- weir ---- wire 1 ----
 * 198.18.1.0/24
 */
#ifndef WEIR_TESTS_CONSERVE_H
#define WEIR_TESTS_CONSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/engine.h"
#include "sock/session.h"
#include "unit/engine/app_client.h"

#define US_IP 0xc6120002u /* 198.18.0.2 */
#define PEER_IP 0xc6120001u
#define FAR_IP 0xc6120101u  /* 198.18.1.1, behind the second wire */
#define NEAR_IP 0xc6120102u /* 198.18.1.2: ours there */
#define GROUP_IP 0xef010101u
#define PORTS_FROM 80u /* programs listen on these, TCP and UDP */
#define PORTS 6u
#define FRAME_MOST 9000u
#define PROGRAMS 6u
#define PROGRAM_SOCKS 12u
#define ERROR_BYTES 300u
#define MAX_WORKERS 2u

extern const uint8_t mac_us[6], mac_peer[6];

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);
/* Below n; n > 0. */
uint32_t rng_below(struct rng *r, uint32_t n);
/* Once in n times. */
bool rng_once(struct rng *r, uint32_t n);

/* A conversation that weir takes part in, as its frames show it: what TCP would expect next. */
#define TALKS 64u
struct talk {
	uint32_t peer_ip, our_ip;
	uint16_t peer_port, our_port;
	uint32_t seq, ack; /* the peer's next, and what it has seen of ours */
	uint32_t ts_ours;
	bool ts;
	bool opening; /* weir sent a SYN, and no answer was given yet */
};

struct program {
	struct session *session; /* NULL: none runs */
	struct app app[MAX_WORKERS];
	struct app_sock sock[PROGRAM_SOCKS];
	uint8_t kind[PROGRAM_SOCKS]; /* enum sock_kind */
};

struct world {
	struct rng rng;
	struct engine *engine;
	struct port *wire[2];
	unsigned int workers;
	bool from_port; /* wire 0 is a port that plays a file by itself */
	struct talk talk[TALKS];
	uint32_t talk_next;
	uint16_t frag_id;
	struct program program[PROGRAMS];
	uint64_t starts, deaths;    /* of programs */
	uint8_t before[FRAME_MOST]; /* a frame that was sent before */
	uint32_t before_len;
	char error[ERROR_BYTES];
};

/* One run: a loss setting, one or two workers, frames from here or from a file. */
struct run {
	const char *name;
	const char *fault; /* "fault,loss=0.1:", or "" */
	const char *pcap;  /* path: its frames; NULL: made ones */
	bool pcap_port;	   /* weir's own port plays it */
	unsigned int workers;
	unsigned int packets; /* buffers of each worker */
	uint64_t frames, seed;
};

struct outcome {
	uint64_t frames, bursts, starts, deaths;
	struct ledger sum;
};

/* world.c. False: w->error says why; the outcome is of what was seen up to then. */
bool world_run(const struct run *run, struct outcome *out);
bool world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_settle(struct world *w);

/* programs.c: start and kill programs, let them do something. */
void programs_turn(struct world *w);
void programs_kill(struct world *w);

/* make.c: the next frame of the bad world. Returns its length. */
uint32_t make_frame(struct world *w, uint8_t *frame);
uint32_t make_arp(uint8_t *frame, uint16_t op, const uint8_t mac[6], uint32_t sender_ip,
		  uint32_t target_ip);
/* Make lengths and checksums right, as far as there are headers. */
void make_fix(uint8_t *frame, uint32_t len);
/* Turn bits over, cut, lengthen, splice; leaves half of the frames as they are. */
uint32_t make_mutate(struct world *w, uint8_t *frame, uint32_t len);

/* make_tcp.c */
uint32_t make_tcp(struct world *w, uint8_t *frame);
/* Look at a frame that weir sent, and remember the conversation. */
void talk_seen(struct world *w, const uint8_t *frame, uint32_t len);

/* pcaps.c: write n made frames into a file; read files. */
bool pcaps_write(const char *path, uint64_t seed, uint32_t n, char *error);
struct pcaps;
struct pcaps *pcaps_open(const char *path, char *error);
/* The next frame (from the beginning again behind the last); its length, 0: the file is empty. */
uint32_t pcaps_next(struct pcaps *p, uint8_t *frame);
void pcaps_close(struct pcaps *p);

#endif
