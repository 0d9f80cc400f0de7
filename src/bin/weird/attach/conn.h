/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One program's control connection: what attach.c (its life) and do.c (what it
 * asks for) share. Threads: the control thread.
 */
#ifndef WEIR_BIN_WEIRD_ATTACH_CONN_H
#define WEIR_BIN_WEIRD_ATTACH_CONN_H

#include "bin/weird/loop.h"
#include "bin/weird/notes.h"
#include "bin/weird/peer.h"
#include "sock/session.h"

struct attach {
	struct control_watch watch; /* first: control_watch_free() */
	struct attach *next, **pprev;
	struct session *session; /* NULL until HELLO */
	struct peer peer;
	uint64_t opened_ns;
	uint64_t tokens_ns; /* when the bucket was filled last */
	unsigned int tokens;
	bool paused;
	struct notes notes;
	struct passed *passed; /* no program's, but a descriptor's that is passed; else NULL */
};

/* A connection with its session, or without one until HELLO. Owns fd from here on, closes it where
 * it answers NULL: no memory, or too many connections. */
struct attach *attach_new(int fd, struct session *session, const struct peer *peer);

/* The first one of which it is true, or NULL; and of how many it is. */
struct attach *attach_find(bool (*is)(const struct attach *a, uint64_t arg), uint64_t arg);
unsigned int attach_count(bool (*is)(const struct attach *a, uint64_t arg), uint64_t arg);

/*
 * Do what a judged message (msg.h) says; fds are its descriptors, owned here.
 * NULL, or words for why the connection must end.
 */
const char *attach_do(struct engine *engine, struct attach *a, const struct abi_msg *msg,
		      const int *fds);
/* How many sockets a family that begins from now on may have; 0: the default. */
void attach_do_socks(unsigned int socks);

/* An answer. False: the program does not read what it is told; its connection is over. */
struct abi_msg attach_answer_to(uint32_t type, int error);
bool attach_answer(const struct attach *a, const struct abi_msg *msg, const int *fds,
		   unsigned int n);
bool attach_is_unix_socket(int fd, int type);

/* pass.c: PASS and RECEIVE; descriptors are owned there. False: as attach_answer(), or
 * descriptors of the wrong kind. */
bool attach_pass(struct attach *a, const struct abi_msg *msg, const int fds[2]);
bool attach_receive(struct attach *a, const struct abi_msg *msg, int fd);
void attach_passed_free(struct attach *a);

/* Tell a program why it cannot attach, if it listens. */
void attach_tell(int fd, int error, const char *text);

#endif
