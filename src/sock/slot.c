/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket slots: taking, referencing, closing, giving back; and the small things that every kind of
 * socket needs (errors, addresses, rings).
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "inet/tcp/params.h"
#include "sock/packet.h"

static struct abi_sock *abi_sock_at(const struct family *f, uint32_t index)
{
	return (struct abi_sock *)(f->base + sizeof(struct abi_arena)) + index;
}

/* Everything that a program could have left in the slot is overwritten; state comes last. */
static void abi_sock_reset(struct abi_sock *abi)
{
	atomic_store_explicit(&abi->state, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->error, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_size_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_size_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_offset, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_offset, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_lowat_bytes, 1, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_sent, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_lowat_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_limit_bytes, UINT32_MAX, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->want, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->err_seen, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->rx_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_kick, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->file_flags, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->tx_urg, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->urg, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->urg_seen, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->recv_opts, 0, memory_order_relaxed);
	atomic_store_explicit(&abi->fd, 0, memory_order_relaxed);
	abi->local_addr = ipaddr_any();
	abi->peer_addr = ipaddr_any();
	abi->local_port_be = 0;
	abi->peer_port_be = 0;
	abi->shard_next = ABI_SOCK_NONE;
}

int sock_slot_take(struct part *part, struct sock **sock)
{
	struct family *f = part->family;
	uint32_t index = part->free_head;
	struct sock *s, old;

	if (index != ABI_SOCK_NONE) {
		s = &f->socks[index];
		part->free_head = s->next_free;
	} else if (part->fresh < part->first + part->count) {
		index = part->fresh++;
		s = &f->socks[index];
		s->gen = 1;
	} else {
		return -ENFILE;
	}
	part->used++;
	atomic_fetch_sub_explicit(&part->arena->socks_free, 1, memory_order_relaxed);
	/* What outlives the slot's owner: its generation, and its place in lists of the layer's. */
	old = *s;
	*s = (struct sock){
		.abi = abi_sock_at(f, index),
		.part = part,
		.index = index,
		.gen = old.gen,
		.dirty = old.dirty,
		.dirty_next = old.dirty_next,
		.tx_more = old.tx_more,
		.tx_next = old.tx_next,
		.shard_next = ABI_SOCK_NONE,
		.shard_first = ABI_SOCK_NONE,
	};
	abi_sock_reset(s->abi);
	s->abi->worker = part->w->id;
	atomic_store_explicit(&s->abi->gen, s->gen, memory_order_relaxed);
	*sock = s;
	return 0;
}

void sock_slot_give(struct sock *s)
{
	struct part *part = s->part;

	options_drop(s);
	errqueue_close(s);
	if (s->use != SLOT_STREAM)
		filter_free(s);
	s->use = SLOT_FREE;
	if (++s->gen == 0)
		s->gen = 1;
	s->state = s->pub_state = 0;
	s->events = 0;
	atomic_store_explicit(&s->abi->gen, s->gen, memory_order_release);
	atomic_store_explicit(&s->abi->state, part_broken(part) ? ABI_S_DEAD : 0,
			      memory_order_release);
	s->next_free = part->free_head;
	part->free_head = s->index;
	part->used--;
	atomic_fetch_add_explicit(&part->arena->socks_free, 1, memory_order_relaxed);
}

static int packet_check(const struct family *f, int type)
{
	if (!f->net_raw)
		return -EPERM;
	return type == SOCK_RAW || type == SOCK_DGRAM || type == SOCK_PACKET ? 0 : -ESOCKTNOSUPPORT;
}

static int raw_check(const struct family *f, int family, int protocol)
{
	if (protocol < 0 || protocol > IPPROTO_RAW)
		return -EINVAL;
	if (family != AF_INET || protocol == 0)
		return -EPROTONOSUPPORT;
	return f->net_raw ? 0 : -EPERM;
}

/* A ping: who has one of the groups, and who may have anything. */
static int ping_check(const struct part *part)
{
	const int32_t *range = tcp_params(part->w)->ping_group_range;
	const struct family *f = part->family;

	for (unsigned int i = 0; i < f->group_count; i++) {
		if (f->groups[i] >= (uint32_t)range[0] && f->groups[i] <= (uint32_t)range[1])
			return 0;
	}
	return -EACCES;
}

static bool is_ping(int family, int type, int protocol)
{
	return family == AF_INET && type == SOCK_DGRAM && protocol == IPPROTO_ICMP;
}

static int type_check(const struct part *part, int family, int type, int protocol)
{
	const struct family *f = part->family;

	if (is_ping(family, type, protocol))
		return ping_check(part);
	if (family == AF_PACKET)
		return packet_check(f, type);
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (type == SOCK_RAW)
		return raw_check(f, family, protocol);
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != 0 && protocol != (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return -EPROTONOSUPPORT;
	return 0;
}

static uint8_t slot_use(int family, int type, int protocol)
{
	if (family == AF_PACKET)
		return SLOT_PACKET;
	if (type == SOCK_RAW || is_ping(family, type, protocol))
		return SLOT_RAW;
	return type == SOCK_STREAM ? SLOT_STREAM : SLOT_DGRAM;
}

static int slot_open(struct sock *s, int type, int protocol)
{
	switch (s->use) {
	case SLOT_STREAM:
		return stream_open(s);
	case SLOT_RAW:
		return raw_open(s, protocol, type == SOCK_DGRAM);
	case SLOT_PACKET:
		return packet_open(s, type, protocol);
	default:
		return dgram_open(s);
	}
}

/* ABI_OP_TX of what is not a stream. */
void sock_tx(struct sock *s)
{
	int ret;

	if (s->use == SLOT_DGRAM) {
		dgram_tx(s);
		return;
	}
	ret = s->use == SLOT_RAW ? raw_flush(s) : packet_flush(s);
	if (ret != 0)
		sock_set_error(s, -ret);
}

int sock_new(struct part *part, int family, int type, int protocol, struct sock **sock)
{
	struct sock *s;
	int ret;

	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	ret = type_check(part, family, type, protocol);
	if (ret != 0)
		return ret;
	ret = sock_slot_take(part, &s);
	if (ret != 0)
		return ret;
	s->use = slot_use(family, type, protocol);
	s->family = (uint8_t)family;
	s->abi->family = (uint8_t)family;
	s->abi->protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	options_default(s);
	ret = slot_open(s, type, protocol);
	if (ret != 0) {
		sock_slot_give(s);
		return ret;
	}
	s->state = ABI_S_OPEN | (type == SOCK_STREAM ? ABI_S_STREAM : ABI_S_DGRAM);
	sock_publish(s);
	*sock = s;
	return 0;
}

void sock_ref(struct session *session, struct sock *s)
{
	uint64_t bit = 1ull << (s->index % 64);

	if (session->refs[s->index / 64] & bit)
		return;
	session->refs[s->index / 64] |= bit;
	s->refs++;
	s->shared_ref = true;
}

void sock_unref(struct session *session, struct sock *s)
{
	uint64_t bit = 1ull << (s->index % 64);

	if (!(session->refs[s->index / 64] & bit))
		return;
	session->refs[s->index / 64] &= ~bit;
	if (--s->refs == 0)
		sock_close(s, false);
}

void sock_close(struct sock *s, bool abort)
{
	struct worker *w = s->part->w;

	while (s->watches != NULL)
		watch_free(w, s->watches);
	timer_cancel(&w->timers, &s->timer);
	accept_unlink(s);
	shard_request_close(s);
	if (s->use == SLOT_STREAM)
		stream_close(s, abort);
	else if (s->use == SLOT_PACKET)
		packet_close(s);
	else if (s->use == SLOT_RAW)
		raw_close(s);
	else
		dgram_close(s);
	sock_slot_give(s);
}

struct sock *sock_find(struct part *part, uint32_t index, uint32_t gen)
{
	struct sock *s;

	if (index - part->first >= part->count) {
		sock_broken(part, "a submission names a socket that cannot be");
		return NULL;
	}
	s = &part->family->socks[index];
	return s->use != SLOT_FREE && s->gen == gen ? s : NULL;
}

void sock_broken(struct part *part, const char *why)
{
	struct sock_layer *l = part->w->socks;
	const char *none = NULL;

	if (!atomic_compare_exchange_strong(&part->family->broken, &none, why))
		return;
	if (l->hooks.wake_control != NULL)
		l->hooks.wake_control(l->hooks.arg);
}

void sock_set_error(struct sock *s, int error)
{
	if (++s->err_seq == 0)
		s->err_seq = 1;
	atomic_store_explicit(&s->abi->error, (uint32_t)s->err_seq << 16 | (uint16_t)error,
			      memory_order_release);
	sock_mark(s, ABI_EV_ERR);
}

/* Whatever is pending is not any more. */
void sock_clear_error(struct sock *s)
{
	atomic_store_explicit(&s->abi->error, (uint32_t)s->err_seq << 16, memory_order_release);
}

void sock_set_addrs(struct sock *s)
{
	const struct endpoint *local, *remote;

	if (s->tcp == NULL)
		return;
	if (s->use == SLOT_STREAM) {
		local = &tcp_public(s->tcp)->local;
		remote = &tcp_public(s->tcp)->remote;
	} else {
		local = &s->udp->local;
		remote = &s->udp->remote;
	}
	s->abi->local_addr = local->addr;
	s->abi->local_port_be = local->port_be;
	s->abi->peer_addr = remote->addr;
	s->abi->peer_port_be = remote->port_be;
}

int sock_port_check(const struct sock *s, uint16_t port_be)
{
	if (port_be == 0 || !s->part->family->unprivileged)
		return 0;
	return be16toh(port_be) < tcp_params(s->part->w)->ip_unprivileged_port_start ? -EACCES : 0;
}

uint32_t sock_ring_size(uint32_t bytes, bool dgram)
{
	uint32_t size = dgram ? SOCK_RING_DGRAM_MIN_BYTES : SOCK_RING_MIN_BYTES;

	while (size < bytes && size < SOCK_RING_MAX_BYTES)
		size <<= 1;
	return size;
}

uint32_t sock_rmem_default(const struct sock *s)
{
	return sock_ring_size((uint32_t)tcp_params(s->part->w)->rmem_default, true);
}

int ring_make(struct part *part, struct byte_ring *ring, uint32_t size_bytes)
{
	ring->data = arena_alloc(&part->heap, size_bytes);
	if (ring->data == NULL && stream_sweep(part))
		ring->data = arena_alloc(&part->heap, size_bytes);
	if (ring->data == NULL)
		return -ENOMEM;
	ring->size_bytes = size_bytes;
	return 0;
}

void ring_drop(struct part *part, struct byte_ring *ring)
{
	arena_release(&part->heap, ring->data);
	ring->data = NULL;
	ring->size_bytes = 0;
}

void sock_publish_rx_ring(struct sock *s, const struct byte_ring *ring)
{
	atomic_store_explicit(&s->abi->rx_offset, (uint64_t)(ring->data - s->part->family->base),
			      memory_order_relaxed);
	atomic_store_explicit(&s->abi->rx_size_bytes, ring->size_bytes, memory_order_release);
}

void sock_publish_tx_ring(struct sock *s, const struct byte_ring *ring)
{
	atomic_store_explicit(&s->abi->tx_offset, (uint64_t)(ring->data - s->part->family->base),
			      memory_order_relaxed);
	atomic_store_explicit(&s->abi->tx_size_bytes, ring->size_bytes, memory_order_release);
}
