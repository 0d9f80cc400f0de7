/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program with raw and packet sockets, by its end of the channel, over an engine with a wire in
 * memory (198.18.0.2/24), in virtual time. Calls answer as the engine does: 0 or -errno.
 */
#ifndef WEIR_TESTS_UNIT_ENGINE_BELOW_H
#define WEIR_TESTS_UNIT_ENGINE_BELOW_H

#include <linux/filter.h>

#include "common/frames.h"
#include "engine/app_client.h"
#include "engine/engine.h"
#include "wire/app_packet.h"

#define US FRAME_IP(198, 18, 0, 2)
#define PEER FRAME_IP(198, 18, 0, 1)
#define WIRE 2u /* its ifindex */

#define BELOW_GROUP 1000u /* the program's, beside 7 */

struct program {
	struct engine *engine;
	struct session *session;
	struct port *port;
	struct app app;
};

/* ARP's announcements are out and gone. */
void below_begin(struct program *p, bool net_raw);
/* Nothing is left: no listener, no packet. */
void below_end(struct program *p);
void below_settle(struct program *p); /* until nothing moves; time stands still */

void below_wait(struct program *p, uint64_t ns); /* let time pass */

int below_packet_socket(struct program *p, int type, uint16_t protocol, struct app_sock *s);
int below_packet_bind(struct program *p, struct app_sock s, uint32_t ifindex, uint16_t protocol);

/* The next record: its header (64 bytes) and what follows it; false: none. */
bool below_take(struct program *p, struct app_sock s, void *header, uint8_t *bytes);
/* Send one. header: struct abi_packet or abi_dgram, with its len_bytes. */
int below_send(struct program *p, struct app_sock s, const void *header, const void *bytes);

/* The same of IPv4: type SOCK_RAW or SOCK_DGRAM; send to the address. */
int below_ip_socket(struct program *p, int type, uint32_t proto, struct app_sock *s);
int below_send_to(struct program *p, struct app_sock s, uint32_t ip, const void *bytes,
		  uint32_t len);

int below_attach(struct program *p, struct app_sock s, const struct sock_filter *f, uint32_t n);
/* op: ABI_CTL_SETSOCKOPT, ABI_CTL_GETSOCKOPT */
int below_option(struct program *p, struct app_sock s, uint32_t op, uint32_t level, uint32_t name,
		 uint32_t value);

#endif
