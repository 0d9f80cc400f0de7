/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The direct placement's inside: an engine, one family with one session and one thread channel, and
 * a table from descriptors to sockets. Shared by direct*.c. Threads: the caller's.
 */
#ifndef WEIR_ENGINE_DIRECT_H
#define WEIR_ENGINE_DIRECT_H

#include "engine/engine.h"
#include "sock/session.h"
#include "weir.h"
#include "wire/app_ring.h"

struct direct_fd {
	bool used;
	uint8_t type; /* SOCK_STREAM, SOCK_DGRAM */
	uint32_t sock, gen;
	uint32_t next_free;
};

struct weir {
	struct engine *engine;
	struct worker *w;
	struct session *session;
	struct abi_arena *arena;
	struct abi_channel *channel;
	struct direct_fd *fd;
	uint32_t fd_count, fd_free;
	unsigned int port_count;
	unsigned int ifindex[PORT_MAX]; /* of weir_config.ports[] */
	bool is_wire[PORT_MAX];
	bool virtual_time;
};

#define DIRECT_FD_NONE UINT32_MAX

/* -1 with errno set. */
int direct_fail(int error);

/* A descriptor for a socket, or -1 (EMFILE, ENOMEM). */
int direct_fd_new(struct weir *weir, int type, uint32_t sock, uint32_t gen);
struct direct_fd *direct_fd_get(struct weir *weir, int fd);
void direct_fd_free(struct weir *weir, int fd);
struct abi_sock *direct_sock(struct weir *weir, const struct direct_fd *d);

/* Submit, and let the socket layer look. */
void direct_submit(struct weir *weir, uint8_t op, const struct direct_fd *d);
/* A control call: 0 or a negative errno. */
int direct_ctl(struct weir *weir, struct abi_ctl *ctl);

/* connect(), with data to come: MSG_FASTOPEN. 0, or -1 and errno. */
int direct_fastopen(struct weir *weir, int fd, const struct sockaddr *addr, socklen_t len);

/* sockaddr to ours: 0, -EINVAL, -EAFNOSUPPORT. */
int direct_addr_in(const struct sockaddr *addr, socklen_t len, struct ipaddr *ip,
		   uint16_t *port_be);
void direct_addr_out(uint8_t family, const struct ipaddr *ip, uint16_t port_be,
		     struct sockaddr *addr, socklen_t *len);

#endif
