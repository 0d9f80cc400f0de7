/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragmentation (RFC 791 section 3.2). The packet's own buffer becomes the first fragment; the
 * others are made from copies of its tail, so that every fragment is one packet in the ledger.
 */
#include <errno.h>

#include "core/watch.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"

/* Options that are not copied into every fragment become no-operations. */
static void options_for_later(uint8_t *header, unsigned int header_len)
{
	unsigned int i = IP4_HDR_BYTES;

	while (i < header_len && header[i] != IP4_OPT_END) {
		unsigned int len = header[i] == IP4_OPT_NOP || i + 1 == header_len ? 1
										   : header[i + 1];

		if (len == 0 || len > header_len - i)
			len = header_len - i;
		if (!(header[i] & IP4_OPT_COPIED))
			memset(header + i, IP4_OPT_NOP, len);
		i += len;
	}
}

/* Append len bytes of src, from offset on, to dst. */
static int copy_range(struct worker *w, struct pkt *dst, const struct pkt *src, uint32_t offset,
		      uint32_t len)
{
	const struct rte_mbuf *m = &src->mbuf;

	while (m && offset >= m->data_len) {
		offset -= m->data_len;
		m = m->next;
	}
	while (m && len) {
		uint32_t run = m->data_len - offset < len ? m->data_len - offset : len;
		int err = pkt_append(w, dst, rte_pktmbuf_mtod_offset(m, const uint8_t *, offset),
				     run);

		if (err)
			return err;
		len -= run;
		offset = 0;
		m = m->next;
	}
	return len ? -EINVAL : 0;
}

/* The checksum must cover the whole datagram, so it cannot be left to the port. */
static void finish_csum(struct pkt *p)
{
	uint32_t len = pkt_len_from(p, p->l4);
	uint16_t *at = pkt_header(p, (uint16_t)(p->l4 + p->csum_at), sizeof(*at));
	uint16_t csum;

	if (!at)
		return;
	csum = csum_finish_udp(pkt_csum(p, p->l4, len, 0));
	memcpy(at, &csum, sizeof(csum));
	p->flags &= (uint16_t)~PKT_F_CSUM_PARTIAL;
}

/* A fragment of its own: header, and len bytes of p's payload from offset on. */
static struct pkt *fragment_make(struct worker *w, const struct pkt *p, uint32_t offset,
				 uint32_t len, bool last)
{
	unsigned int header_len = (unsigned int)(p->l4 - p->l3);
	uint8_t header[IP4_HDR_MAX_BYTES];
	struct ip4_hdr *h = (struct ip4_hdr *)header;
	struct pkt *f = pkt_alloc(w);
	uint32_t units;

	if (!f)
		return NULL;
	memcpy(header, pkt_at(p, p->l3), header_len);
	options_for_later(header, header_len);
	units = (be16_to_host(h->frag_be) & IP4_OFFSET_MASK) + offset / 8;
	h->len_be = host_to_be16((uint16_t)(header_len + len));
	h->frag_be = host_to_be16(
		(uint16_t)((last ? be16_to_host(h->frag_be) & IP4_MF : IP4_MF) | units));
	ip4_csum_fill(h, header_len);
	f->flags |= p->flags & PKT_F_ROUTED;
	f->path = p->path;
	f->stage = p->stage;
	f->ifindex = p->ifindex;
	f->l3 = f->mbuf.data_off;
	f->l4 = (uint16_t)(f->l3 + header_len);
	f->l7 = f->l4;
	if (pkt_append(w, f, header, header_len) ||
	    copy_range(w, f, p, (uint32_t)(p->l4 - p->mbuf.data_off) + offset, len)) {
		pkt_drop(w, f, DROP_NOMEM);
		return NULL;
	}
	watch_derive(w, p, f);
	return f;
}

/* Make p its own first fragment. */
static void fragment_first(struct pkt *p, uint32_t len)
{
	unsigned int header_len = (unsigned int)(p->l4 - p->l3);
	struct ip4_hdr *h = pkt_header(p, p->l3, header_len);

	pkt_trim(p, header_len + len);
	h->len_be = host_to_be16((uint16_t)(header_len + len));
	h->frag_be |= WIRE_BE16(IP4_MF);
	ip4_csum_fill(h, header_len);
}

/* All fragments behind the first, in order; NULL (and nothing made) when out of buffers. */
static struct pkt *fragments_make(struct worker *w, const struct pkt *p, uint32_t total,
				  uint32_t step)
{
	struct pkt *rest = NULL, **tail = &rest, *f;

	for (uint32_t at = step; at < total; at += step) {
		uint32_t len = total - at < step ? total - at : step;

		f = fragment_make(w, p, at, len, at + len == total);
		if (!f)
			break;
		f->next = NULL;
		*tail = f;
		tail = &f->next;
		if (at + len == total)
			return rest;
	}
	while (rest) { /* all or none: a datagram with a hole helps nobody */
		f = rest;
		rest = f->next;
		f->next = NULL;
		pkt_drop(w, f, DROP_NOMEM);
	}
	return NULL;
}

int frag_output(struct worker *w, struct pkt *p, const struct ip_flow *flow, unsigned int mtu_bytes)
{
	unsigned int header_len = (unsigned int)(p->l4 - p->l3);
	uint32_t total = pkt_len_from(p, p->l4), step = (mtu_bytes - header_len) & ~7u;
	struct pkt *rest, *f;
	int err, err_one;

	stage_enter_one(w, STAGE_IP4_FRAG, p);
	if (p->flags & PKT_F_CSUM_PARTIAL)
		finish_csum(p);
	rest = fragments_make(w, p, total, step);
	if (!rest) {
		pkt_drop(w, p, DROP_NOMEM);
		return -ENOBUFS;
	}
	watch_note(w, p, FRAGMENTED, (total + step - 1) / step, step);
	fragment_first(p, step);
	err = ip4_finish(w, p, flow);
	while (rest) {
		f = rest;
		rest = f->next;
		f->next = NULL;
		err_one = ip4_finish(w, f, flow);
		if (!err)
			err = err_one;
	}
	return err;
}
