/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One host under attack: a worker with the loop port and a wire, the protocols on them, and a small
 * program above: a TCP listener whose connections take what comes, and UDP sockets. The other side
 * of the wire is the fuzz target's.
 *
 *   attacker 198.18.0.1 (HOST_PEER_MAC) ---- wire ---- 198.18.0.2 the host
 *
 * host_open() and host_close() enclose one input; host_close() checks that the ledger balances,
 * that nothing is held and that every buffer is back.
 */
#ifndef WEIR_TESTS_FUZZ_HOST_H
#define WEIR_TESTS_FUZZ_HOST_H

#include "core/worker.h"
#include "dev/port.h"
#include "fuzz.h"
#include "inet/inet.h"

#define HOST_IP 0xc6120002u
#define HOST_PEER_IP 0xc6120001u
#define HOST_TCP_PORT 80u
#define HOST_UDP_PORT 53u
#define HOST_CONNS 16u
#define HOST_RING_BYTES 8192u
#define HOST_FRAME_BYTES 2048u

extern const uint8_t host_mac[6], host_peer_mac[6];

struct host {
	struct worker w;
	struct port *loop, *wire;
	struct tcp_pcb *listener;
	struct tcp_pcb *conn[HOST_CONNS]; /* accepted or connecting; NULL: free */
	bool broken[HOST_CONNS];	  /* an error was told: to be closed */
	bool closing;			  /* in host_conn_close() */
	struct udp_pcb *udp;
	/* What a target wants to see. */
	void (*on_frame)(const uint8_t *frame, size_t len); /* the host sent it */
	void (*on_datagram)(struct pkt *p); /* the UDP socket got it; p stays ours */
};

extern struct host host;

void host_setup(void); /* once a process */
void host_open(void);
void host_close(void);

/* Receive, fire timers, send, and hand what was sent to on_frame, until nothing moves. */
void host_poll(void);
void host_advance(uint64_t ns);

/* The program closes connection i (there is one): TCP gives up the receive ring at once, the send
 * ring when it is done. */
void host_conn_close(unsigned int i);

/* Put a frame on the wire. host_fix_frame() makes its lengths and checksums right before. */
void host_put(const uint8_t *frame, size_t len);
void host_fix_frame(uint8_t *frame, size_t len);

/* Frame of IPv4 from the attacker to the host, headers filled in; returns the length in all. */
size_t host_ip_frame(uint8_t *frame, uint8_t proto, const void *payload, size_t len);

#endif
