/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain of a socket's siblings on other workers: made, bound, connected, closed. All workers
 * stand still. shard.c has the theory.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "inet/mcast.h"
#include "sock/packet.h"

static int below_make(struct sock *first, struct part *part, struct sock **sibling)
{
	bool raw = first->use == SLOT_RAW;
	int type = !raw ? first->packet->type : first->raw->pcb.ping ? SOCK_DGRAM : SOCK_RAW;
	int protocol = raw ? first->raw->pcb.proto : 0;
	int ret = sock_new(part, first->family, type, protocol, sibling);

	if (ret != 0)
		return ret;
	(*sibling)->rx_want_bytes = first->rx_want_bytes;
	(*sibling)->rx_asked = first->rx_asked;
	(*sibling)->shared_ref = true;
	(*sibling)->shard_first = first->index;
	return 0;
}

static int sibling_make(struct sock *first, struct part *part, struct sock **sibling)
{
	struct endpoint local = first->use == SLOT_STREAM ? tcp_public(first->tcp)->local
							  : first->udp->local;
	struct sock *s;
	int type = first->use == SLOT_STREAM ? 1 : 2; /* SOCK_STREAM, SOCK_DGRAM */
	int ret = sock_new(part, first->family, type, 0, &s);

	if (ret != 0)
		return ret;
	ret = options_copy(s, first);
	if (ret != 0) {
		sock_close(s, true);
		return ret;
	}
	s->rx_want_bytes = first->rx_want_bytes;
	s->rx_asked = first->rx_asked;
	s->tx_want_bytes = first->tx_want_bytes;
	s->tx_locked = first->tx_locked;
	s->shared_ref = true;
	s->shard_first = first->index;
	options_apply(s);
	ret = s->use == SLOT_STREAM ? 0 : filter_copy(s, first);
	if (ret == 0 && s->use == SLOT_DGRAM)
		ret = mcast_copy(part->w, &s->udp->mcast, first->udp->mcast);
	if (ret == 0 && local.port_be != 0)
		ret = s->use == SLOT_STREAM ? stream_bind_twin(s, &local) : dgram_bind(s, &local);
	if (ret == 0 && s->use == SLOT_STREAM)
		ret = stream_listen(s, first->backlog);
	if (ret != 0) {
		sock_close(s, true);
		return ret;
	}
	sock_publish(s);
	*sibling = s;
	return 0;
}

void shard_chain_close(struct family *f, uint32_t index)
{
	while (index != ABI_SOCK_NONE) {
		struct sock *s = &f->socks[index];

		index = s->shard_next;
		s->shard_next = ABI_SOCK_NONE;
		sock_close(s, true);
	}
}

void shard_chain_end(struct sock *first)
{
	shard_chain_close(first->part->family, first->shard_next);
	first->shard_next = ABI_SOCK_NONE;
	first->abi->shard_next = ABI_SOCK_NONE;
}

int shard_chain_make(struct sock *first)
{
	struct family *f = first->part->family;
	struct sock *last = first;

	for (unsigned int i = 0; i < f->parts; i++) {
		struct sock *s;
		int ret;

		if (f->part[i] == first->part)
			continue;
		ret = first->use >= SLOT_RAW ? below_make(first, f->part[i], &s)
					     : sibling_make(first, f->part[i], &s);
		if (ret != 0) {
			shard_chain_end(first);
			return ret;
		}
		last->shard_next = s->index;
		last->abi->shard_next = s->index;
		last = s;
	}
	return 0;
}

/* A ping's identifier is another's on another worker. */
static void chain_unbind(struct sock *first)
{
	const struct family *f = first->part->family;

	for (uint32_t i = first->index; i != ABI_SOCK_NONE; i = f->socks[i].shard_next)
		raw_unbind(&f->socks[i]);
}

/* A raw or packet socket was made or set, or a datagram socket got a filter: its siblings are as it
 * is. */
int shard_below_all(struct sock *first)
{
	struct family *f = first->part->family;
	int ret = first->use >= SLOT_RAW && shard_wanted(first) ? shard_chain_make(first) : 0;

	for (uint32_t i = first->shard_next; i != ABI_SOCK_NONE && ret == 0;) {
		struct sock *s = &f->socks[i];

		if (s->use == SLOT_PACKET)
			packet_copy(s, first);
		else if (s->use == SLOT_RAW)
			ret = raw_copy(s, first);
		if (ret == 0)
			ret = filter_copy(s, first);
		sock_publish(s);
		i = s->shard_next;
	}
	if (ret == -EADDRINUSE)
		chain_unbind(first);
	return ret;
}

static void unbind_siblings(struct sock *first)
{
	struct family *f = first->part->family;

	for (uint32_t i = first->shard_next; i != ABI_SOCK_NONE; i = f->socks[i].shard_next)
		udp_unbind(f->socks[i].part->w, f->socks[i].udp);
}

/* Siblings that were there before the socket had a port, or had another one that it gave back. */
static int bind_siblings(struct sock *first)
{
	struct family *f = first->part->family;
	int ret = 0;

	for (uint32_t i = first->shard_next; i != ABI_SOCK_NONE && ret == 0;) {
		struct sock *s = &f->socks[i];

		if (s->use == SLOT_DGRAM && s->udp->local.port_be == 0)
			ret = dgram_bind(s, &first->udp->local);
		sock_publish(s);
		i = s->shard_next;
	}
	if (ret != 0)
		unbind_siblings(first);
	return ret;
}

/* The siblings could not be made, or not have the port: as before the call. */
int shard_make(struct sock *first)
{
	int ret = shard_wanted(first)	     ? shard_chain_make(first)
		  : first->use == SLOT_DGRAM ? bind_siblings(first)
					     : 0;

	if (ret != 0 && first->use == SLOT_DGRAM) {
		udp_unbind(first->part->w, first->udp);
		sock_set_addrs(first);
	}
	return ret;
}

int shard_chain_connect(struct sock *first)
{
	struct family *f = first->part->family;
	/* Dissolved, and its port given back: what came before is read all the same. */
	bool gone = first->udp->local.port_be == 0;
	int ret = gone ? 0 : bind_siblings(first);

	for (uint32_t i = first->shard_next; i != ABI_SOCK_NONE && ret == 0;) {
		struct sock *s = &f->socks[i];

		ret = dgram_connect(s, &first->udp->remote);
		if (gone)
			udp_unbind(s->part->w, s->udp);
		sock_publish(s);
		i = s->shard_next;
	}
	return ret;
}
