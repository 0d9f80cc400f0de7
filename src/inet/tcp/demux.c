/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which connection, or which listener, is a segment for?
 *
 * Connections (and TIME_WAIT) are in a chained hash table over the 4-tuple, keyed with the worker's
 * secret (SipHash-1-3 of three words for IPv4), so that nobody can choose addresses that collide.
 * It has 65,536 buckets and grows in a timer, never for a segment. Listeners are in a table by
 * port.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inet/state.h"
#include "inet/tcp/tcp_impl.h"

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = ROTL(s->v1, 13) ^ s->v0;
	s->v0 = ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTL(s->v1, 17) ^ s->v2;
	s->v2 = ROTL(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint32_t tcp_tuple_hash(const struct worker *w, const struct endpoint *local,
			const struct endpoint *remote)
{
	uint64_t key[2], ports = (uint64_t)local->port_be << 16 | remote->port_be;
	struct sip s;

	memcpy(key, w->secret, sizeof(key));
	s = (struct sip){ key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
			  key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull };
	if (!ipaddr_is_ip4(&local->addr)) {
		sip_word(&s, local->addr.q[0]);
		sip_word(&s, remote->addr.q[0]);
	}
	sip_word(&s, local->addr.q[1]);
	sip_word(&s, remote->addr.q[1]);
	sip_word(&s, ports);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return (uint32_t)(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

/* Twice as many connections as buckets: make it four times as large. Old and new are one list, so
 * nothing else changes; in a timer, because it takes a while. */
static void demux_grow(struct worker *w, struct timer *t)
{
	struct tcp_stack *s = w->tcp;
	uint32_t size = (s->bucket_mask + 1) * 4;
	struct tcp_node **bucket = calloc(size, sizeof(*bucket));

	if (!bucket)
		return; /* slower, not wrong */
	for (uint32_t i = 0; i <= s->bucket_mask; i++) {
		struct tcp_node *node, *next;

		for (node = s->bucket[i]; node; node = next) {
			struct tcp_node **head = &bucket[node->hash & (size - 1)];

			next = node->next;
			node->next = *head;
			if (*head)
				(*head)->pprev = &node->next;
			*head = node;
			node->pprev = head;
		}
	}
	free(s->bucket);
	s->bucket = bucket;
	s->bucket_mask = size - 1;
}

int tcp_demux_init(struct tcp_stack *s)
{
	s->bucket = calloc(TCP_MIN_BUCKETS, sizeof(*s->bucket));
	if (!s->bucket)
		return -ENOMEM;
	s->bucket_mask = TCP_MIN_BUCKETS - 1;
	s->grow_timer.fn = demux_grow;
	return 0;
}

void tcp_demux_free(struct worker *w)
{
	timer_cancel(&w->timers, &w->tcp->grow_timer);
	free(w->tcp->bucket);
	w->tcp->bucket = NULL;
}

static inline bool node_is(struct tcp_node *node, const struct endpoint *local,
			   const struct endpoint *remote)
{
	const struct endpoint *l, *r;

	if (node->kind == TCP_NODE_PCB) {
		l = &tcp_node_pcb(node)->pub.local;
		r = &tcp_node_pcb(node)->pub.remote;
	} else {
		l = &tcp_node_tw(node)->local;
		r = &tcp_node_tw(node)->remote;
	}
	return tcp_endpoint_equal(l, local) && tcp_endpoint_equal(r, remote);
}

struct tcp_node *tcp_lookup(struct worker *w, const struct endpoint *local,
			    const struct endpoint *remote)
{
	struct tcp_stack *s = w->tcp;
	struct tcp_node *node;
	uint32_t hash;

	/* Segments come in trains. */
	if (s->last && node_is(&s->last->node, local, remote))
		return &s->last->node;
	hash = tcp_tuple_hash(w, local, remote);
	for (node = s->bucket[hash & s->bucket_mask]; node; node = node->next) {
		if (node->hash == hash && node_is(node, local, remote)) {
			s->last = node->kind == TCP_NODE_PCB ? tcp_node_pcb(node) : NULL;
			return node;
		}
	}
	return NULL;
}

static void node_insert(struct tcp_node **head, struct tcp_node *node)
{
	node->next = *head;
	if (*head)
		(*head)->pprev = &node->next;
	*head = node;
	node->pprev = head;
}

static void node_remove(struct tcp_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
	node->pprev = NULL;
}

void tcp_hash_insert(struct worker *w, struct tcp_node *node, uint32_t hash)
{
	struct tcp_stack *s = w->tcp;

	node->hash = hash;
	node_insert(&s->bucket[hash & s->bucket_mask], node);
	if (++s->connections > 2 * s->bucket_mask && !timer_armed(&s->grow_timer))
		timer_set(&w->timers, &s->grow_timer, w->now_ns);
}

void tcp_hash_remove(struct worker *w, struct tcp_node *node)
{
	node_remove(node);
	w->tcp->connections--;
	if (w->tcp->last && &w->tcp->last->node == node)
		w->tcp->last = NULL;
}

static uint32_t listen_bucket(uint16_t port_be)
{
	return be16_to_host(port_be) % TCP_LISTEN_BUCKETS;
}

void tcp_listener_insert(struct worker *w, struct tcp_pcb *pcb)
{
	node_insert(&w->tcp->listener[listen_bucket(pcb->pub.local.port_be)], &pcb->node);
}

void tcp_listener_remove(struct worker *w, struct tcp_pcb *pcb)
{
	node_remove(&pcb->node);
}

/* How well a listener on the port fits; 0: not at all. */
static unsigned int listener_score(const struct worker *w, const struct tcp_pcb *pcb,
				   const struct tcp_seg *seg)
{
	const struct endpoint *local = &seg->local;
	unsigned int score;

	if (ipaddr_equal(&pcb->pub.local.addr, &local->addr))
		score = 3;
	else if (ipaddr_is_any(&pcb->pub.local.addr))
		score = 1;
	else
		return 0;
	if (likely(!pcb->pub.bound_if))
		return score;
	return inet_came_by(w, pcb->pub.bound_if, seg->p, &local->addr) ? score + 1 : 0;
}

/* The most exact address wins, then who is bound to the interface; among equals with reuse_port the
 * 4-tuple chooses. */
struct tcp_pcb *tcp_lookup_listener(struct worker *w, const struct tcp_seg *seg)
{
	const struct endpoint *local = &seg->local, *remote = &seg->remote;
	struct tcp_node *node = w->tcp->listener[listen_bucket(local->port_be)];
	struct tcp_pcb *best = NULL;
	unsigned int best_score = 0, same = 0;
	uint32_t hash = 0;

	for (; node; node = node->next) {
		struct tcp_pcb *pcb = tcp_node_pcb(node);
		unsigned int score;

		if (pcb->pub.local.port_be != local->port_be)
			continue;
		score = listener_score(w, pcb, seg);
		if (score == 0)
			continue;
		if (score > best_score) {
			best = pcb;
			best_score = score;
			same = 1;
		} else if (score == best_score && pcb->pub.reuse_port) {
			/* Each of n gets one in n, the same one for the same tuple. */
			if (same == 1)
				hash = tcp_tuple_hash(w, local, remote);
			else
				hash = hash * 1664525u + 1013904223u;
			if ((uint64_t)hash * ++same >> 32 == 0)
				best = pcb;
		}
	}
	return best;
}
