/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports, addresses, routes and parameters in the words of the command line, for the daemon's start
 * and for its control commands alike.
 *
 * Every call: the control thread, workers parked or not yet started. Returns 0 (setup_port: the
 * ifindex) or a negative errno; then error says in words what was wrong and what to do.
 */
#ifndef WEIR_BIN_WEIRD_SETUP_H
#define WEIR_BIN_WEIRD_SETUP_H

#include "engine/engine.h"

/* "tap,name=weir0": a specification of dev/port.h. */
int setup_port(struct engine *engine, const char *spec, char error[ENGINE_ERROR_BYTES]);

/* "198.18.0.2/24", "198.18.0.2/24@weir0", "...@2": at the port of that name or interface number;
 * without it, at the port that was added last. */
int setup_addr(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES]);

/* "198.18.1.0/24 via 198.18.0.1", "default via 198.18.0.1", "198.18.1.0/24 dev weir0". */
int setup_route(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES]);

/* "tcp_ecn=1", "net.ipv4.tcp_rmem = 4096 131072 6291456": a parameter of TCP (sysctl.c). */
int setup_sysctl(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES]);
int setup_sysctl_set(struct engine *engine, const char *name, const char *value,
		     char error[ENGINE_ERROR_BYTES]);
/* There is none of that name: -ENOENT, and words that name the one that may be meant. */
int setup_sysctl_unknown(const char *name, char error[ENGINE_ERROR_BYTES]);

/* The addresses that setup_addr() gave, for weir stat: n-th, or NULL behind the last. */
struct setup_address {
	struct ipaddr addr;
	unsigned int prefix_len;
	unsigned int ifindex;
};

const struct setup_address *setup_address(unsigned int n);

/* Parse "198.18.0.0/24" (or without a length: 32). 0 or -EINVAL. */
int setup_parse_prefix(const char *text, struct ipaddr *addr, unsigned int *prefix_len);

#endif
