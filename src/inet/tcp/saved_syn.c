/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP_SAVE_SYN: the headers of the SYN that made a connection, kept for the program that accepts it
 * (TCP_SAVED_SYN) until it has read them once, or the connection ends. They are in chunks of a
 * worker's, by number: few connections have any, and a pcb has no room for a pointer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inet/tcp/tcp_impl.h"
#include "wire/eth.h"

#define CHUNK_SYNS 256u
#define CHUNKS_MAX (TCP_MAX_PCBS / CHUNK_SYNS)
#define SYN_BYTES (ETH_HDR_BYTES + 60u + 60u) /* both headers with all options */

struct saved_syn {
	uint32_t next; /* a free one: the number of the next, 0: none */
	uint32_t len;
	uint8_t bytes[SYN_BYTES];
};

struct tcp_saved_syns {
	uint32_t chunks;
	uint32_t free; /* number, from 1 on */
	struct saved_syn *chunk[CHUNKS_MAX];
};

static struct saved_syn *syn_at(const struct tcp_saved_syns *syns, uint32_t number)
{
	number--;
	return &syns->chunk[number / CHUNK_SYNS][number % CHUNK_SYNS];
}

static bool grow(struct tcp_saved_syns *syns)
{
	uint32_t first = syns->chunks * CHUNK_SYNS + 1;
	struct saved_syn *chunk;

	if (syns->chunks == CHUNKS_MAX)
		return false;
	chunk = malloc(CHUNK_SYNS * sizeof(*chunk));
	if (!chunk)
		return false;
	for (uint32_t i = 0; i < CHUNK_SYNS; i++)
		chunk[i].next = i + 1 < CHUNK_SYNS ? first + i + 1 : 0;
	syns->chunk[syns->chunks++] = chunk;
	syns->free = first;
	return true;
}

/* The place of a number, where there is one left. */
static struct saved_syn *syn_take(struct worker *w, uint32_t *number)
{
	struct tcp_saved_syns *syns = w->tcp->saved_syns;
	struct saved_syn *syn;

	if (!syns)
		syns = w->tcp->saved_syns = calloc(1, sizeof(*syns));
	if (!syns || (!syns->free && !grow(syns)))
		return NULL;
	*number = syns->free;
	syn = syn_at(syns, *number);
	syns->free = syn->next;
	return syn;
}

/* The link's header was taken off, not away. Loopback has none, and shows Linux's. */
static void link_header(const struct pkt *p, uint8_t *to)
{
	struct eth_hdr eth = { .type_be = WIRE_BE16(ETH_TYPE_IP4) };

	if (p->l3 == p->l2 + ETH_HDR_BYTES)
		memcpy(&eth, pkt_at(p, p->l2), sizeof(eth));
	memcpy(to, &eth, sizeof(eth));
}

/* Where memory is out the program is told of none, as where it did not ask. */
void tcp_syn_save(struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg)
{
	const struct pkt *p = seg->p;
	const struct tcp_hdr *tcp;
	struct saved_syn *syn;
	uint32_t len, link;

	if (likely(!child->pub.save_syn))
		return;
	tcp = pkt_header(p, p->l4, sizeof(*tcp));
	if (!tcp)
		return;
	len = (uint32_t)(p->l4 - p->l3) + tcp_hdr_bytes(tcp);
	link = child->pub.save_syn == 2 ? ETH_HDR_BYTES : 0;
	if (!pkt_header(p, p->l3, len) || link + len > SYN_BYTES)
		return;
	syn = syn_take(w, &child->pub.saved_syn);
	if (!syn)
		return;
	syn->len = link + len;
	if (link)
		link_header(p, syn->bytes);
	memcpy(syn->bytes + link, pkt_at(p, p->l3), len);
}

void tcp_syn_forget(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_saved_syns *syns = w->tcp->saved_syns;

	if (likely(!pcb->pub.saved_syn))
		return;
	syn_at(syns, pcb->pub.saved_syn)->next = syns->free;
	syns->free = pcb->pub.saved_syn;
	pcb->pub.saved_syn = 0;
}

int tcp_saved_syn_take(struct worker *w, struct tcp_pcb *pcb, void *data, uint32_t *len)
{
	const struct saved_syn *syn;
	uint32_t room = *len;

	*len = 0;
	if (!pcb->pub.saved_syn)
		return 0;
	syn = syn_at(w->tcp->saved_syns, pcb->pub.saved_syn);
	*len = syn->len;
	if (room < syn->len)
		return -EINVAL;
	memcpy(data, syn->bytes, syn->len);
	tcp_syn_forget(w, pcb);
	return 0;
}

void tcp_saved_syns_free(struct worker *w)
{
	struct tcp_saved_syns *syns = w->tcp->saved_syns;

	for (uint32_t i = 0; syns && i < syns->chunks; i++)
		free(syns->chunk[i]);
	free(syns);
}
