/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program as the socket layer sees it: a session, a thread channel, an epoll channel; and the
 * program's end of the calls, by wire/app_ring.h only. Everything runs in the test's one thread.
 */
#ifndef WEIR_TESTS_UNIT_SOCK_PROG_H
#define WEIR_TESTS_UNIT_SOCK_PROG_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/testing.h"
#include "fake_inet.h"
#include "sock/session.h"
#include "wire/app_ring.h"

struct prog {
	struct worker *w;
	struct session *session;
	struct abi_arena *arena;
	struct abi_channel *thread, *epoll;
};

struct psock {
	uint32_t index, gen;
};

/* socks, arena_bytes: 0 for the defaults. */
void prog_open(struct prog *p, struct worker *w, uint32_t socks, uint64_t arena_bytes);
void prog_channels(struct prog *p);
void prog_close(struct prog *p);

struct abi_sock *prog_sock(struct prog *p, struct psock s);
void prog_submit(struct prog *p, uint8_t op, struct psock s, uint16_t arg16, uint32_t arg32);
/* The engine's loop, until nothing moves. */
void prog_run(struct prog *p);
/* A control call; s may be { ABI_SOCK_NONE } and is filled then. */
int prog_ctl(struct prog *p, struct abi_ctl *ctl, struct psock *s);
int prog_socket(struct prog *p, int type, struct psock *s);
int prog_bind(struct prog *p, struct psock s, uint16_t port);
int prog_listen(struct prog *p, struct psock s, uint32_t backlog);
int prog_connect(struct prog *p, struct psock s, uint16_t port);
int prog_shutdown(struct prog *p, struct psock s, int how);
int prog_setopt(struct prog *p, struct psock s, int level, int name, int value);
int prog_getopt(struct prog *p, struct psock s, int level, int name, int *value);
bool prog_accept(struct prog *p, struct psock l, struct psock *s);
uint32_t prog_send(struct prog *p, struct psock s, const void *data, uint32_t len);
uint32_t prog_recv(struct prog *p, struct psock s, void *data, uint32_t room);
void prog_release(struct prog *p, struct psock s);
bool prog_sendto(struct prog *p, struct psock s, uint16_t port, const void *data, uint32_t len);
bool prog_sendto_segments(struct prog *p, struct psock s, uint16_t port, const void *data,
			  uint32_t len, uint16_t segment);
/* Length on the wire, or -1: nothing there. */
int prog_recvfrom(struct prog *p, struct psock s, void *data, uint32_t room, struct abi_dgram *d);
void prog_watch(struct prog *p, struct psock s, struct abi_channel *ch, uint32_t interest);
/* The next completion of a channel; false: none. */
bool prog_cqe(struct abi_channel *ch, struct psock *s);
/* A listener on port and a connection to it: both ends. */
void prog_pair(struct prog *p, uint16_t port, struct psock *l, struct psock *client,
	       struct psock *server);

#endif
