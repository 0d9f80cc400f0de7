/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What drivers share: how a driver is opened, and the parser of specifications ("key=value,...").
 * Only for files of dev/.
 */
#ifndef WEIR_DEV_DRIVER_H
#define WEIR_DEV_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/port.h"

struct port_open_ctx {
	const struct port_open_params *params;
	/* A fault link lies above: frames must be as on a wire, so no offloads, neither way. */
	bool plain;
	char *error; /* [PORT_ERROR_BYTES] */
};

/* rest: the specification behind "type,", or "". Returns 0 or -errno with words in ctx->error. */
typedef int (*port_open_fn)(const char *rest, const struct port_open_ctx *ctx, struct port **port);

int wire_open(const char *rest, const struct port_open_ctx *ctx, struct port **port);
int loop_open(const char *rest, const struct port_open_ctx *ctx, struct port **port);
int tap_open(const char *rest, const struct port_open_ctx *ctx, struct port **port);
int fault_open(const char *rest, const struct port_open_ctx *ctx, struct port **port);
int dpdk_open(const char *rest, const struct port_open_ctx *ctx, struct port **port);
/* type: "af_packet", "memif"...: net_<type>N with the first N that is free. */
int dpdk_open_short(const char *type, const char *rest, const struct port_open_ctx *ctx,
		    struct port **port);

/* The driver alone, without send queues: for a driver that wraps another. */
int port_open_driver(const char *spec, const struct port_open_ctx *ctx, struct port **port);

/* The port at the bottom of its wrappers (itself, where there are none). */
struct port *fault_inner(const struct port *port); /* NULL if port is not a fault link */

/* A zeroed port with its name and a random MAC address, or NULL. Freed by free(). */
struct port *port_new(const struct port_ops *ops, const char *name, uint16_t queues);

/* A random unicast, locally administered MAC address. */
void port_random_mac(uint8_t mac[6]);

/* Words for people, and the errno to return: return port_fail(error, -EINVAL, "..."). */
int port_fail(char *error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Counters of one worker that the control thread reads while it works. */
static inline void port_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t port_counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- specifications ---- */

#define SPEC_BYTES 512u
#define SPEC_MAX_OPTIONS 32u

struct spec {
	unsigned int count;
	const char *key[SPEC_MAX_OPTIONS];
	const char *value[SPEC_MAX_OPTIONS];
	char text[SPEC_BYTES];
};

/*
 * Split "key=value,key=value". known: the keys allowed, NULL-terminated. what: the type of port,
 * for messages. 0, or -EINVAL (unknown, repeated, without a value), -E2BIG.
 */
int spec_parse(struct spec *s, const char *what, const char *text, const char *const *known,
	       char *error);
const char *spec_get(const struct spec *s, const char *key); /* NULL: not given */

/* Each leaves *value as it is where the key is not given. 0 or -EINVAL with words. */
int spec_number(const struct spec *s, const char *key, uint64_t min, uint64_t max, uint64_t *value,
		char *error);
int spec_bool(const struct spec *s, const char *key, bool *value, char *error);
int spec_chance(const struct spec *s, const char *key, double *value, char *error); /* 0 to 1 */
int spec_mac(const struct spec *s, const char *key, uint8_t mac[6], char *error);
/* ADDR/LEN, IPv4; in network byte order. */
int spec_prefix(const struct spec *s, const char *key, uint32_t *addr_be, unsigned int *prefix_len,
		char *error);

#endif
