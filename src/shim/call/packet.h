/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw and packet sockets, as the rest of the shim calls them. Each answers a count or -errno. */
#ifndef WEIR_SHIM_CALL_PACKET_H
#define WEIR_SHIM_CALL_PACKET_H

#include <netinet/in.h>

#include "shim/shim.h"
#include "wire/app_packet.h"

/* record.c: sends of raw and packet sockets wait for the engine's word, as Linux's have it. header:
 * 64 bytes, struct abi_packet or struct abi_dgram, whose len_bytes is that of iov. */
ssize_t record_send(struct wsock *ws, const void *header, const struct iovec *iov, size_t iovcnt);
/* The next record of any shard; calls take() under the lock. -EAGAIN: none. */
typedef ssize_t (*record_take_fn)(void *arg, const void *header, const uint8_t *ring, uint32_t size,
				  uint32_t pos);
ssize_t record_take(struct wsock *ws, bool peek, record_take_fn take, void *arg);
size_t record_iov_bytes(const struct iovec *iov, size_t iovcnt);
/* SO_ATTACH_FILTER */
int filter_attach(struct wsock *ws, const void *value, socklen_t len);

/* raw.c: raw sockets, and ICMP datagram sockets, which are like them */
static inline bool wsock_is_raw(const struct wsock *ws)
{
	return ws->type == SOCK_RAW || ws->protocol == IPPROTO_ICMP;
}
ssize_t raw_send(struct wsock *ws, const struct msghdr *msg, int flags);

/* packet.c */
int packet_bind(struct wsock *ws, const struct sockaddr *sa, socklen_t len);
int packet_getname(struct wsock *ws, bool peer, struct sockaddr *sa, socklen_t *len);
ssize_t packet_send(struct wsock *ws, const struct msghdr *msg, int flags);
ssize_t packet_recv(struct wsock *ws, struct msghdr *msg, int flags);
int packet_setsockopt(struct wsock *ws, int name, const void *value, socklen_t len);
int packet_getsockopt(struct wsock *ws, int name, void *value, socklen_t *len);
void packet_ll(const struct abi_packet *h, void *sockaddr_ll);

/* packet_ring.c: PACKET_RX_RING */
int packet_ring_set(struct wsock *ws, int name, const void *value, socklen_t len);
int packet_ring_get(struct wsock *ws, int name, void *value, socklen_t *len); /* 1: not its own */
bool packet_ring_has_blocks(const struct wsock *ws);			      /* version 3 */
uint32_t packet_ring_events(struct wsock *ws, uint32_t events);
/* The same by the socket's slot, where any ring is there at all. */
extern _Atomic uint32_t packet_rings;
uint32_t packet_ring_slot_events(uint32_t index, uint32_t gen, uint32_t events);
/* mmap() of a packet socket: its ring. MAP_FAILED with errno. */
void *packet_ring_map(struct wsock *ws, size_t len, int prot, int flags, off64_t offset);

#endif
