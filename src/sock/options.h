/* SPDX-License-Identifier: BSD-3-Clause */
/* What options.c (all levels) and options_tcp.c (IPPROTO_TCP) share. */
#ifndef WEIR_SOCK_OPTIONS_H
#define WEIR_SOCK_OPTIONS_H

#include <string.h>

#include "sock/sock_priv.h"

/* What a group of options answers to a name that is none of its own; never an errno. */
#define NOT_MINE 1

/* getsockopt(): what fits of value. */
static inline int give(void *data, uint32_t *len, const void *value, uint32_t bytes)
{
	if (*len > bytes)
		*len = bytes;
	memcpy(data, value, *len);
	return 0;
}

/* An interface as pcbs know it: there is none with the highest number. */
static inline uint8_t option_ifindex(int32_t ifindex)
{
	return (uint8_t)(ifindex < UINT8_MAX ? ifindex : UINT8_MAX);
}

static inline int give_int(void *data, uint32_t *len, int32_t value)
{
	return give(data, len, &value, sizeof(value));
}

/* Of the IP level: where there is no room for an int, what fits a byte is one. */
static inline int give_ip_int(void *data, uint32_t *len, int32_t value)
{
	uint8_t byte = (uint8_t)value;

	if (*len == 0 || *len >= sizeof(value) || value < 0 || value > UINT8_MAX)
		return give_int(data, len, value);
	return give(data, len, &byte, 1);
}

#define OPT_BOOL 1u /* any value but 0 is 1 */
#define OPT_BYTE 2u /* one byte is enough, and none is 0 */
#define OPT_RO 4u   /* setsockopt: ENOPROTOOPT */
#define OPT_STREAM 8u
#define OPT_NOT_0 16u
#define OPT_NOT_STREAM 32u /* setsockopt on a stream: EINVAL */

struct int_option {
	uint16_t level, name;
	uint16_t offset;
	uint16_t flags;
	int32_t min, max, initial;
};

static inline int32_t *option_int_at(struct sock_options *opt, const struct int_option *o)
{
	return (int32_t *)((uint8_t *)opt + o->offset);
}

/* options_table.c: the option, or NULL where there is none, or none for this kind of socket. */
const struct int_option *int_option_find(const struct sock *s, uint32_t level, uint32_t name);

/* The block to write to, of this socket alone, or NULL: no memory. */
struct sock_options *options_own(struct sock *s);

/* The pcb learns of them, and what waited because of one is looked at again. */
void options_changed(struct sock *s);

/* options_tcp.c: of a stream; NOT_MINE: options.c's table has it, or nobody. */
int tcp_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int tcp_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len);

/* options_socket.c, options_ip.c: those that are not one int. NOT_MINE: none of these. */
int socket_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int socket_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len);
bool mcast_option_is(uint32_t level, uint32_t name); /* options_mcast.c */
int mcast_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int mcast_option_get(const struct sock *s, uint32_t name, void *data, uint32_t *len);
int ip_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len);
int ip_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len);

#endif
