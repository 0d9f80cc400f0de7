/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets as they were taken out of the BPF program's ring, kept until the next poll.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_KERNEL_PACKETS_H
#define WEIR_BIN_WEIR_DROPWATCH_KERNEL_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bin/weir/dropwatch/source.h"
#include "bpf/kdrop.h"

struct kernel_packets;

/* stacks: records have frames. NULL: no memory. */
struct kernel_packets *kernel_packets_new(bool stacks);
void kernel_packets_free(struct kernel_packets *packets);
void kernel_packets_clear(struct kernel_packets *packets);

/* Copy a record of the ring. False: it is too short to be one, or there is no memory. */
bool kernel_packets_add(struct kernel_packets *packets, const void *record, size_t bytes);
size_t kernel_packets_count(const struct kernel_packets *packets);

/* The one at an index below the count. What it points to is good until the next add or clear;
 * `bytes` has caplen_bytes bytes, `frames` frames_bytes. */
const struct kdrop_packet *kernel_packets_at(const struct kernel_packets *packets, size_t index);

/* As the front end has it; realtime_ns: CLOCK_REALTIME minus CLOCK_MONOTONIC. */
void kernel_packet_show(const struct kdrop_packet *from, int64_t realtime_ns,
			struct drop_packet *to);

#define KERNEL_SOCKET_BYTES 160

/* "tcp 198.18.0.2:80 198.18.0.1:4711 ESTABLISHED"; NULL: no socket. Returns text. */
const char *kernel_socket_text(const struct kdrop_socket *socket, char text[KERNEL_SOCKET_BYTES]);

#endif
