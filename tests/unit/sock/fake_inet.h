/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport beneath the socket layer that a test drives by hand: connections between pcbs of one
 * worker, without packets, in as many steps as the test wants. It does what tcp.h and udp.h
 * promise.
 */
#ifndef WEIR_TESTS_UNIT_SOCK_FAKE_INET_H
#define WEIR_TESTS_UNIT_SOCK_FAKE_INET_H

#include "sock/sock.h"
#include "inet/tcp/tcp.h"
#include "inet/udp.h"

struct tcp_pcb {
	struct tcp_public pub;
	struct worker *w;
	struct tcp_pcb *next, *peer;
	struct tcp_pcb *dial; /* connecting to this listener */
	bool fin, fin_seen;   /* ours is behind snd; the peer was told */
	bool closed;	      /* tcp_close() was called */
	uint32_t told_free;   /* receive space at the last look, for tcp_wants_consumed() */
	unsigned int pushes, consumed, resets;
};

extern struct inet_upcalls fake_up;
extern struct tcp_pcb *fake_pcbs;
extern unsigned int fake_pcb_count, fake_udp_count, fake_aborts;
extern uint32_t fake_snd_space, fake_unsent; /* what tcp_snd_space(), tcp_unsent() answer */
extern bool fake_hold_acks;		     /* bytes are moved, but not acknowledged */
extern int fake_udp_result;		     /* what udp_send() answers */
extern unsigned int fake_udp_sent;
extern uint8_t fake_udp_last[65536];
extern uint32_t fake_udp_last_len;
extern struct udp_send fake_udp_last_send;

uint16_t fake_port_be(void); /* the next free one */
void fake_init(struct worker *w);
/* Everything that can happen happens: connections, bytes, FINs. */
void fake_run(struct worker *w);
void fake_reset(struct worker *w, struct tcp_pcb *pcb, int error);
/* A datagram for the socket that is bound to port. */
void fake_udp_deliver(struct worker *w, uint16_t port, const void *data, uint32_t len);
void fake_udp_error(struct worker *w, uint16_t port, int error);
struct tcp_pcb *fake_pcb_of_port(uint16_t port, bool remote);

#endif
