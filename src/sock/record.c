/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings of raw and packet sockets: records of a 64-byte header and what follows it. */
#include <errno.h>

#include "sock/packet.h"
#include "wire/app_ring.h"

int record_open(struct sock *s)
{
	s->rx_want_bytes = sock_rmem_default(s);
	s->tx_want_bytes = SOCK_RING_DGRAM_BYTES;
	if (ring_make(s->part, &s->tx, s->tx_want_bytes) != 0)
		return -ENOBUFS;
	sock_publish_tx_ring(s, &s->tx);
	return 0;
}

void record_close(struct sock *s)
{
	filter_free(s);
	ring_drop(s->part, &s->rx);
	ring_drop(s->part, &s->tx);
}

bool record_room(struct sock *s, uint32_t len)
{
	uint32_t head;

	if (part_broken(s->part))
		return false;
	if (s->rx.data == NULL) {
		if (ring_make(s->part, &s->rx, s->rx_want_bytes) != 0)
			return false;
		sock_publish_rx_ring(s, &s->rx);
	}
	head = atomic_load_explicit(&s->abi->rx_head, memory_order_acquire);
	if (head - s->rx.head > s->pub_rx_tail - s->rx.head || (head & 63) != 0) {
		sock_broken(s->part, "a receive position is outside of its ring");
		return false;
	}
	s->rx.head = head;
	return app_dgram_space(len) <= byte_ring_free(&s->rx);
}

void record_put(struct sock *s, const void *header, const struct filter_packet *fp, uint32_t at,
		uint32_t len)
{
	uint32_t pos = s->rx.tail, left = len, run;

	app_ring_write(s->rx.data, s->rx.size_bytes, pos, header, sizeof(struct abi_dgram));
	for (pos += (uint32_t)sizeof(struct abi_dgram); left != 0; left -= run) {
		uint32_t room = s->rx.size_bytes - (pos & (s->rx.size_bytes - 1));

		run = left < room ? left : room;
		filter_packet_copy(fp, at, s->rx.data + (pos & (s->rx.size_bytes - 1)), run);
		pos += run;
		at += run;
	}
	s->rx.tail += app_dgram_space(len);
	s->excl_budget++;
	sock_mark(s, ABI_EV_IN);
}

int record_next(struct sock *s, void *header, uint32_t *len)
{
	uint32_t tail = atomic_load_explicit(&s->abi->tx_tail, memory_order_acquire);

	atomic_exchange_explicit(&s->abi->tx_kick, 0, memory_order_seq_cst);
	if (tail - s->tx.tail > byte_ring_free(&s->tx) || (tail & 63) != 0) {
		sock_broken(s->part, "a send position is outside of its ring");
		return -EAGAIN;
	}
	s->tx.tail = tail;
	if (s->tx.head == s->tx.tail)
		return -EAGAIN;
	app_ring_read(header, s->tx.data, s->tx.size_bytes, s->tx.head, sizeof(struct abi_dgram));
	*len = *(const uint32_t *)header; /* len_bytes is first in both forms */
	if (*len > byte_ring_used(&s->tx) - sizeof(struct abi_dgram)) {
		sock_broken(s->part, "a record is longer than what was sent");
		return -EAGAIN;
	}
	return 0;
}

void record_runs(const struct sock *s, uint32_t len, const void *run[2], uint32_t run_len[2])
{
	uint32_t pos = s->tx.head + (uint32_t)sizeof(struct abi_dgram);

	run[0] = byte_ring_run(&s->tx, pos, len, &run_len[0]);
	run[1] = s->tx.data;
	run_len[1] = len - run_len[0];
}

void record_sent(struct sock *s, uint32_t len)
{
	s->tx.head += app_dgram_space(len);
	s->acked = true;
	sock_mark(s, 0);
}
