/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-memory wire port: the caller is the other side of the cable. Single thread.
 */
#ifndef WEIR_DEV_WIRE_H
#define WEIR_DEV_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "dev/port.h"

/* Put one Ethernet frame on the wire, to be received by the port's next rx. The bytes are copied.
 * 0, or -ENOBUFS when 4096 frames wait. */
int wire_put(struct port *port, const void *frame, size_t len_bytes);

/* Take the oldest frame that the port sent: copies up to room_bytes, returns the frame's length
 * (which may be larger), or 0 when there is none. */
size_t wire_take(struct port *port, void *frame, size_t room_bytes);

/* Frames that wait to be taken. */
size_t wire_waiting(const struct port *port);

#endif
