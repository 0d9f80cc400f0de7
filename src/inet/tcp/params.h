/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's parameters (params.def), by name and by field. Each worker has its own copy, which the
 * engine keeps equal; a change counts from the next time that the parameter is looked at.
 *
 * Threads: the worker's, or any while it is parked.
 */
#ifndef WEIR_INET_TCP_PARAMS_H
#define WEIR_INET_TCP_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#define TCP_PARAM_TEXT_BYTES 64u /* room that the longest value needs */

struct tcp_params {
#define TCP_PARAM(name, initial, min, max, text) int32_t name;
#define TCP_PARAM_2(name, first, last, min, max, text) int32_t name[2];
#define TCP_PARAM_PAIR TCP_PARAM_2
#define TCP_PARAM_3(name, low, initial, high, text) int32_t name[3];
#include "inet/tcp/params.def"
#undef TCP_PARAM
#undef TCP_PARAM_2
#undef TCP_PARAM_PAIR
#undef TCP_PARAM_3
	char tcp_congestion_control[16]; /* always the name of a controller there is */
};

void tcp_params_init(struct tcp_params *params);

/*
 * Set one from words: "3", or "4096 131072 6291456". name as in Linux, with or without "net.ipv4."
 * or "net.core." in front. 0; -ENOENT: no such parameter (or controller); -EINVAL: no number, or
 * too few; -ERANGE: outside of its bounds; -EACCES: it can only be read. Nothing changes then.
 */
int tcp_params_set(struct tcp_params *params, const char *name, const char *value);

/* The value in words. 0, -ENOENT, -ENOSPC. */
int tcp_params_get(const struct tcp_params *params, const char *name, char *value, size_t room);

/* The name without "net.ipv4." or "net.core.", or as it is. */
const char *tcp_params_short(const char *name);

/* Name and meaning of the i-th; NULL behind the last. */
const char *tcp_params_name(unsigned int i, const char **text);

/* How many numbers it is (1 to 3, 0: words), and what each may be. -ENOENT. */
int tcp_params_bounds(const char *name, unsigned int *n, int32_t *min, int32_t *max);

#endif
