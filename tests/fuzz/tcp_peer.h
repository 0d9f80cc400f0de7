/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other end of one TCP connection, for fuzz targets: it knows the numbers and can say anything.
 * What it sends has right checksums; byte n of either stream is stream_byte(n), so that what the
 * host's program reads and what the host puts on the wire can be told right from wrong, whatever
 * segments overlapped. Each frame of the host is looked at (tcp_peer.c: watch()).
 */
#ifndef WEIR_TESTS_FUZZ_TCP_PEER_H
#define WEIR_TESTS_FUZZ_TCP_PEER_H

#include "host.h"
#include "inet/tcp/tcp.h"
#include "wire/tcp.h"

#define PEER_PORT 40000u
#define PEER_ISN 0xfffff000u /* wraps soon */
#define PEER_DATA_MAX 1400u

struct tcp_peer {
	uint16_t host_port;
	uint32_t snd_nxt;    /* what we would send next, were we honest */
	uint32_t host_iss;   /* its SYN's number */
	uint32_t host_una;   /* the oldest byte of the host's that we have not acknowledged */
	uint32_t host_nxt;   /* behind the newest that it sent */
	uint32_t right_edge; /* the furthest that we ever let it send */
	uint32_t syn_window; /* the widest of a SYN: Fast Open sends into it before any ACK */
	bool fastopen;
	uint32_t host_ack;  /* its newest acknowledgment */
	uint32_t ts_recent; /* its newest time stamp */
	bool syn_seen, acked, ts_ok, sack_ok, wscale_ok;
	bool hold; /* frames are put on the wire, and not yet received */
};

extern struct tcp_peer peer;

/* Our SYN's options; also whether segments carry a time stamp. */
#define PEER_TS 0x01u
#define PEER_SACK 0x02u
#define PEER_WSCALE 0x04u

void peer_begin(uint8_t options);

struct peer_seg {
	uint32_t seq, ack, len;
	uint8_t flags;
	uint16_t window, urgent;
	uint16_t port; /* 0: the connection's */
	bool no_ts;
	int32_t ts_shift; /* our clock is wrong by so much */
	uint8_t options_len;
	uint8_t options[40]; /* behind the time stamp */
};

void peer_send(const struct peer_seg *seg);
void peer_icmp(uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq);

/* The honest peer: at its place, all acknowledged. */
void peer_say(uint8_t flags, uint32_t len, uint16_t window);

/* The host's program. */
void peer_program_connect(void);
void peer_program_write(uint32_t max);
void peer_program_read(uint32_t max);

/* Bring the connection into the state number `which` of peer_states. */
#define PEER_STATES 22u
void peer_reach(uint8_t which);

#endif
