/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-memory wire port: the caller is the other side of the cable. Single thread;
 * where an engine has worker threads, while they are parked.
 *
 * csum=1: the cable cannot corrupt and both ends know it: frames are taken as the stack left them,
 * checksums partial, and frames put are received as PKT_F_CSUM_OK. tso=1 (with csum=1): frames
 * taken and put may be TCP super-segments of up to 64 KB. queues=N: as for a card with RSS, where
 * the caller is the hash. A wire below a fault link has neither.
 * `port` may also be a fault link around a wire.
 */
#ifndef WEIR_DEV_WIRE_H
#define WEIR_DEV_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "dev/port.h"

#define WIRE_MAX_FRAME_BYTES 262144u

/* Put one Ethernet frame on the wire, to be received by the port's next rx. The bytes are copied.
 * 0, -ENOBUFS when 4096 frames wait (or memory is out), or -EMSGSIZE. */
int wire_put(struct port *port, const void *frame, size_t len_bytes);

/* The same to be received by another queue than 0, so by worker `queue`. -EINVAL: no such queue. */
int wire_put_queue(struct port *port, unsigned int queue, const void *frame, size_t len_bytes);

/* Take the oldest frame that the port sent: copies up to room_bytes, returns the frame's length
 * (which may be larger), or 0 when there is none. With several queues: the oldest of the first that
 * has one. */
size_t wire_take(struct port *port, void *frame, size_t room_bytes);

/* Frames that wait to be taken. */
size_t wire_waiting(const struct port *port);

#endif
