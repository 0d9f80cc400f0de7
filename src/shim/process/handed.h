/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the shim itself keeps of a socket, in a form that one image of a program can give to
 * another: behind exec (exec.c, adopt.c), or over a UNIX socket (pass.c). Which descriptor it is
 * about is said by the inode of the placeholder, so that it does not matter which numbers it has
 * got meanwhile.
 */
#ifndef WEIR_SHIM_PROCESS_HANDED_H
#define WEIR_SHIM_PROCESS_HANDED_H

#include "shim/shim.h"

struct handed {
	uint64_t inode;
	uint32_t index, gen; /* ABI_SOCK_NONE: the engine does not have it (WS_QUIET) */
	uint32_t opts;
	int32_t linger_s;
	int64_t rcv_timeout_ns, snd_timeout_ns;
	uint32_t file_flags;
	uint16_t quiet_port_be;
	uint8_t quiet_listen;
	uint8_t family;
	uint8_t type;
	uint8_t protocol;
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct handed) == 56, "no bytes that nobody has written");

/* 0: there is no such descriptor, or it is no socket. */
uint64_t handed_inode(int fd);
/* Fill it from the socket that fd stands for; the engine makes it if need be. False: it has no
 * room for it, or is gone. */
bool handed_from(struct handed *h, int fd, struct wsock *ws);
/* A socket made of it, with one reference; NULL: no memory. Its words are checked. */
struct wsock *handed_wsock(const struct handed *h);

#endif
