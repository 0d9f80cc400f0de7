/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP under test, in virtual time: the real inet with a loop port and a wire (or fault) port; a
 * plain socket layer made of malloc()ed rings; and either the test itself as the peer, segment by
 * segment (peer_*), or a second host at the other end of the cable (net_*).
 */
#ifndef WEIR_TESTS_UNIT_TCP_FIXTURE_H
#define WEIR_TESTS_UNIT_TCP_FIXTURE_H

#include "common/frames.h"
#include "common/testing.h"
#include "dev/port.h"
#include "dev/wire.h"
#include "inet/inet.h"
#include "inet/tcp/tcp_impl.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define LOCALHOST FRAME_IP(127, 0, 0, 1)
#define MS 1000000ull
#define SEC 1000000000ull
#define SOCKS 64u

struct host;

/* A socket: what the upcalls told, and its rings. */
struct sock {
	struct host *h;
	struct tcp_pcb *pcb; /* NULL: gone */
	uint8_t *rx, *tx;
	uint32_t rx_size, tx_size;
	bool connected, gone, eof, errored, closed;
	int error, soft_error;
	unsigned int readable, acked;
	/* a listener's */
	struct sock *queue[SOCKS];
	unsigned int queued, backlog;
	bool refuse;	/* tcp_incoming says no */
	bool no_memory; /* tcp_need_rcv fails */
};

struct host {
	struct worker *w;
	struct port *lo, *wire;
	int ifindex;
	uint32_t ip;
	bool plain; /* the test is the peer, and answers ARP */
	struct sock *sock[SOCKS * 4];
	unsigned int socks;
	uint8_t *frame; /* the frame last taken, FRAME_ROOM bytes */
	struct frame_info info;
};

struct host *host_open(uint32_t ip, unsigned int packets, const char *spec);
struct host *host_plain(void); /* US on a wire, PEER is known by ARP */
void host_close(struct host *h);
void host_run(struct host *h);
void host_wait(struct host *h, uint64_t ns);

struct endpoint ep(uint32_t ip, uint16_t port);
struct sock *sock_open(struct host *h);
struct sock *sock_listen(struct host *h, uint32_t ip, uint16_t port);
struct sock *sock_connect(struct host *h, uint32_t ip, uint16_t port);
struct sock *sock_accept(struct sock *listener);		     /* NULL: none waits */
uint32_t sock_write(struct sock *s, const void *data, uint32_t len); /* what fitted */
uint32_t sock_read(struct sock *s, void *data, uint32_t room);
void sock_close(struct sock *s);
#define sock_state(s) (tcp_public((s)->pcb)->state)

/* The test as peer: one connection, numbers in host order. */
struct peer {
	struct host *h;
	uint16_t port, to;
	uint32_t seq, ack; /* the next we send, the next we expect */
	uint16_t window;
	bool ts;
	uint32_t ts_val, ts_ecr;
	uint8_t opt[40];
	size_t opt_len; /* sent instead of what ts says where not 0 */
};

/* Send a segment at p->seq with p->ack; seq moves by what it takes. */
void peer_send(struct peer *p, uint8_t flags, const void *data, size_t len);
/* Send one at another place; nothing moves. */
void peer_send_at(struct peer *p, uint32_t seq, uint32_t ack, uint8_t flags, const void *data,
		  size_t len);
/* The next segment that we get, into h->info; fails where there is none. ack moves by what it takes
 * when it begins there. */
void peer_expect(struct peer *p, uint8_t flags, uint32_t len);
void peer_silent(struct peer *p); /* there is none */
/* A connection to weir's port `to` (which listens), or from weir (s connects to us). */
void peer_connect(struct peer *p, struct host *h, uint16_t port, uint16_t to);
void peer_accept(struct peer *p, struct host *h, struct sock **s, uint16_t port);
/* One established connection, passive on weir's side. */
struct sock *peer_established(struct peer *p, struct host *h, struct sock **listener);

/* Assert that what follows is dropped for the reason, once. */
#define drops_of(h, reason) test_drops((h)->w, reason)

/* Two hosts on one cable. */
struct net {
	struct host *a, *b;
	uint64_t now_ns;
};

/* specs of a's and b's port: "wire,..." or "fault,...:wire,..." */
void net_open(struct net *n, const char *a, const char *b, unsigned int packets);
void net_close(struct net *n);
void net_run(struct net *n); /* until nothing moves, time stands still */
/* Advance to the next event, at most until end_ns. False: nothing happens before it. */
bool net_step(struct net *n, uint64_t end_ns);
void net_wait(struct net *n, uint64_t ns);

#endif
