/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket layer of a worker: its beginning and end, its upcalls, and its list of sockets.
 */
#include <errno.h>
#include <stdlib.h>

#include "sock/packet.h"

int sock_layer_init(struct worker *w)
{
	struct sock_layer *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	l->dirty_end = &l->dirty;
	l->tx_more_end = &l->tx_more;
	options_init(l);
	w->socks = l;
	return 0;
}

void sock_layer_hooks(struct worker *w, const struct sock_hooks *hooks)
{
	w->socks->hooks = *hooks;
}

void sock_layer_free(struct worker *w)
{
	struct sock_layer *l = w->socks;
	struct watch *batch;

	if (l == NULL)
		return;
	/* Families that only wait for orphans: nobody will acknowledge any more. */
	while (l->parts != NULL) {
		struct part *part = l->parts;

		ready_forget(part);
		part_unlist(part);
		if (atomic_fetch_sub(&part->family->live_parts, 1) == 1)
			family_free(part->family);
	}
	shard_free(l);
	while ((batch = l->watch_batches) != NULL) {
		l->watch_batches = batch->ch_next;
		free(batch);
	}
	free(l);
	w->socks = NULL;
}

static pid_t pid_of(const struct family *f, const struct sock *s)
{
	for (const struct session *session = f->sessions; session != NULL; session = session->next)
		if (session->pid != 0 && session->refs[s->index / 64] & 1ull << (s->index % 64))
			return session->pid;
	return 0;
}

uint32_t sock_program(const void *user)
{
	const struct sock *s = user;
	const struct session *session;
	pid_t pid = s != NULL ? pid_of(s->part->family, s) : 0;

	if (s == NULL || pid != 0)
		return (uint32_t)pid;
	/* It waits to be accepted, or is a sibling: any of the program's processes stands for it.
	 */
	for (session = s->part->family->sessions; session != NULL; session = session->next)
		if (session->pid != 0)
			return (uint32_t)session->pid;
	return 0;
}

void sock_upcalls(struct inet_upcalls *upcalls)
{
	stream_upcalls(upcalls);
	upcalls->udp_deliver = dgram_deliver;
	upcalls->udp_error = dgram_error;
	upcalls->raw_deliver = raw_deliver;
	upcalls->raw_error = raw_error;
	upcalls->program = sock_program;
}

/* ---- weir stat ---- */

struct info_visit {
	void (*fn)(const struct sock_info *info, void *arg);
	void *arg;
	struct worker *w;
};

static int fd_of(const struct sock *s)
{
	uint32_t word = atomic_load_explicit(&s->abi->fd, memory_order_relaxed);

	return word != 0 && word <= INT32_MAX ? (int)word - 1 : -1;
}

/* What the program has not read, and what it wrote that is not sent or not acknowledged. The engine
 * hears late of what a program reads, so its own words are asked; they are believed where they can
 * be true. */
static void info_queues(const struct sock *s, const struct byte_ring *rx,
			const struct byte_ring *tx, struct sock_info *info)
{
	uint32_t head = atomic_load_explicit(&s->abi->rx_head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&s->abi->tx_tail, memory_order_relaxed);

	info->rx_queue_bytes = byte_ring_used(rx);
	if (rx->tail - head < info->rx_queue_bytes)
		info->rx_queue_bytes = rx->tail - head;
	info->tx_queue_bytes = byte_ring_used(tx);
	if (tail - tx->head <= tx->size_bytes)
		info->tx_queue_bytes = tail - tx->head;
}

static void info_stream(struct sock *s, struct sock_info *info)
{
	const struct tcp_public *pub = s->tcp != NULL ? tcp_public(s->tcp) : NULL;

	info->proto = "tcp";
	info->tcp = s->tcp;
	info->state = pub != NULL ? pub->state : TCP_CLOSED;
	if (s->state & ABI_S_LISTEN) {
		uint32_t head = atomic_load_explicit(&s->abi->rx_head, memory_order_relaxed);
		uint32_t waiting = s->rx.tail - head;

		info->rx_queue_bytes = waiting <= s->rx.size_bytes / 8 ? waiting : 0;
		info->tx_queue_bytes = s->backlog;
		info->drops = s->tcp != NULL ? tcp_listener_drops(s->tcp) : 0;
	} else if (pub != NULL) {
		info_queues(s, &pub->rcv, &pub->snd, info);
	}
	if (pub != NULL) {
		info->local = pub->local;
		info->remote = pub->remote;
	}
}

static void info_dgram(struct sock *s, struct sock_info *info)
{
	info->proto = "udp";
	info->state = s->state & ABI_S_CONNECTED ? TCP_ESTABLISHED : TCP_CLOSED;
	info_queues(s, &s->rx, &s->tx, info);
	info->local = s->udp->local;
	info->remote = s->udp->remote;
	info->drops = s->udp->drops;
}

static void info_raw(struct sock *s, struct sock_info *info)
{
	info->proto = s->raw->pcb.ping ? "ping" : "raw";
	info->state = s->state & ABI_S_CONNECTED ? TCP_ESTABLISHED : TCP_CLOSED;
	info_queues(s, &s->rx, &s->tx, info);
	info->local.addr = s->raw->pcb.local;
	info->local.port_be = s->raw->pcb.ident_be;
	info->remote.addr = s->raw->pcb.remote;
	info->drops = s->raw->drops;
}

static void info_packet(struct sock *s, struct sock_info *info)
{
	info->proto = "packet";
	info->state = TCP_CLOSED;
	info_queues(s, &s->rx, &s->tx, info);
	info->drops = s->packet->drops_total;
}

static void info_orphan(const struct tcp_pcb *pcb, void *arg)
{
	const struct tcp_public *pub = (const struct tcp_public *)pcb;
	struct info_visit *visit = arg;
	struct sock_info info = {
		.worker = visit->w->id, .fd = -1, .program = "", .proto = "tcp", .tcp = pcb
	};

	if (pub->user != NULL)
		return;
	info.state = pub->state;
	info.local = pub->local;
	info.remote = pub->remote;
	info.tx_queue_bytes = byte_ring_used(&pub->snd);
	visit->fn(&info, visit->arg);
}

void sock_for_each(struct worker *w, void (*fn)(const struct sock_info *info, void *arg), void *arg)
{
	struct info_visit visit = { fn, arg, w };

	for (struct part *part = w->socks->parts; part != NULL; part = part->next) {
		struct family *f = part->family;

		for (uint32_t index = part->first; index < part->fresh; index++) {
			struct sock *s = &f->socks[index];
			struct sock_info info = { .worker = w->id,
						  .id = f->id,
						  .program = f->name };

			if (s->use == SLOT_FREE)
				continue;
			info.pid = pid_of(f, s);
			if (s->use != SLOT_STREAM) {
				info.rx_room_bytes = s->rx_want_bytes;
				info.rx_room_set = s->rx_asked;
			}
			info.fd = fd_of(s);
			if (s->use == SLOT_STREAM)
				info_stream(s, &info);
			else if (s->use == SLOT_RAW)
				info_raw(s, &info);
			else if (s->use == SLOT_PACKET)
				info_packet(s, &info);
			else
				info_dgram(s, &info);
			fn(&info, arg);
		}
	}
	tcp_for_each(w, info_orphan, &visit);
}
