/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program's end of the channel (wire/app_abi.h), as small as a test needs it: one thread, one
 * channel. Whoever uses it says how to let the engine run (engine_poll(), or ring and wait).
 */
#ifndef WEIR_TESTS_UNIT_ENGINE_APP_CLIENT_H
#define WEIR_TESTS_UNIT_ENGINE_APP_CLIENT_H

#include "wire/app_ring.h"

struct app {
	uint8_t *base; /* of the arena */
	struct abi_channel *channel;
	void (*run)(void *arg); /* let the engine do something */
	void *arg;
};

/* Handle of a socket: its index and generation. */
struct app_sock {
	uint32_t index, gen;
};

#define APP_TRIES 2000000u /* runs until something must have happened */

struct abi_sock *app_slot(const struct app *app, struct app_sock s);
void app_submit(struct app *app, uint8_t op, struct app_sock s, uint16_t arg16, uint32_t arg32);

/* A synchronous call: fill *ctl but sock and gen (those come from *s, NONE makes one; it is
 * filled). */
int app_call(struct app *app, struct app_sock *s, const struct abi_ctl *ctl);

/* socket() with bind(), connect(): port in host order. 0 or -errno. */
int app_bind(struct app *app, struct app_sock *s, int type, uint32_t ip, uint16_t port);
int app_connect(struct app *app, struct app_sock *s, int type, uint32_t ip, uint16_t port);
int app_listen(struct app *app, struct app_sock s, unsigned int backlog);

/* Run until one of the events (ABI_EV_*) is there; returns those that are, 0: it never came. */
uint32_t app_wait(struct app *app, struct app_sock s, uint32_t events);

/* False: nothing waits. */
bool app_accept(struct app *app, struct app_sock listener, struct app_sock *s);

/* Stream: as much as fits (is there); returns the number of bytes. */
uint32_t app_write(struct app *app, struct app_sock s, const void *bytes, uint32_t len);
uint32_t app_read(struct app *app, struct app_sock s, void *bytes, uint32_t room);

void app_release(struct app *app, struct app_sock s);

#endif
