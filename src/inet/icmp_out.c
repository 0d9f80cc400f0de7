/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors that we send (RFC 1122 section 3.2.2, RFC 1812 section 4.3), and their limit. */
#include "core/watch.h"
#include "inet/icmp.h"

#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/icmp.h"

#define ICMP_ERROR_MAX_BYTES 576u /* of the whole packet (RFC 1812 section 4.3.2.3) */

void icmp_limit_init(struct icmp_limit *limit, uint64_t now_ns)
{
	limit->all = (struct icmp_bucket){ .filled_ns = now_ns, .tokens = ICMP_LIMIT_BURST };
	for (unsigned int i = 0; i < ICMP_LIMIT_PEERS; i++)
		limit->peer[i] = (struct icmp_bucket){ .filled_ns = now_ns,
						       .tokens = ICMP_LIMIT_PEER_BURST };
}

static void bucket_fill(struct icmp_bucket *b, uint64_t now_ns, uint64_t token_ns, uint32_t burst)
{
	uint64_t tokens = (now_ns - b->filled_ns) / token_ns;

	if (b->tokens + tokens >= burst) {
		b->tokens = burst;
		b->filled_ns = now_ns;
	} else {
		b->tokens += (uint32_t)tokens;
		b->filled_ns += tokens * token_ns;
	}
}

/* May an error go to dst now? Takes the tokens. */
static bool limit_allows(struct worker *w, uint32_t dst_be, bool frag_needed)
{
	struct icmp_limit *limit = &w->inet->icmp_limit;
	struct icmp_bucket *peer =
		&limit->peer[worker_hash(w, &dst_be, sizeof(dst_be)) % ICMP_LIMIT_PEERS];

	bucket_fill(&limit->all, w->now_ns, 1000000000ull / ICMP_LIMIT_RATE, ICMP_LIMIT_BURST);
	if (!limit->all.tokens)
		return false;
	if (!frag_needed) {
		bucket_fill(peer, w->now_ns, ICMP_LIMIT_PEER_NS, ICMP_LIMIT_PEER_BURST);
		if (!peer->tokens)
			return false;
		peer->tokens--;
	}
	limit->all.tokens--;
	return true;
}

/* Nothing is said about errors. */
static bool is_icmp_error(const struct pkt *p, const struct ip4_hdr *h)
{
	const uint8_t *type;

	if (h->proto != IP_PROTO_ICMP)
		return false;
	type = pkt_header(p, (uint16_t)(p->l3 + ip4_hdr_bytes(h)), 1);
	return !type || icmp_type_is_error(*type);
}

/* May p be answered with an error at all (RFC 1122 section 3.2.2)? */
static bool may_answer(struct worker *w, const struct pkt *p, const struct ip4_hdr *h)
{
	unsigned int dst_kinds = inet_addr_kinds(w->inet, h->dst_be);
	unsigned int src_kinds = inet_addr_kinds(w->inet, h->src_be);

	if (p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST) ||
	    dst_kinds & (ADDR_BROADCAST | ADDR_MULTICAST) ||
	    src_kinds & (ADDR_BROADCAST | ADDR_MULTICAST) || ip4_is_zeronet(h->src_be))
		return false;
	if (!(p->flags & PKT_F_LOOPBACK) && src_kinds & (ADDR_LOCAL | ADDR_LOOPBACK))
		return false;
	return ip4_frag_offset(h) == 0 && !is_icmp_error(p, h);
}

/* ICMP header and quote of p, to be sent along flow; NULL when out of buffers. */
static struct pkt *error_make(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code,
			      uint32_t info)
{
	uint8_t message[ICMP_ERROR_MAX_BYTES - IP4_HDR_BYTES];
	struct icmp_hdr *icmp = (struct icmp_hdr *)message;
	uint32_t quote = pkt_len_from(p, p->l3);
	struct pkt *e = pkt_alloc(w);
	uint16_t csum;

	if (!e)
		return NULL;
	if (quote > sizeof(message) - ICMP_HDR_BYTES)
		quote = sizeof(message) - ICMP_HDR_BYTES;
	icmp->type = type;
	icmp->code = code;
	icmp->csum_be = 0;
	icmp->rest_be = host_to_be32(info);
	pkt_copy_out(p, p->l3, message + ICMP_HDR_BYTES, quote);
	csum = csum_of(message, ICMP_HDR_BYTES + quote);
	icmp->csum_be = csum;
	if (pkt_append(w, e, message, ICMP_HDR_BYTES + quote)) {
		pkt_drop(w, e, DROP_NOMEM);
		return NULL;
	}
	e->l4 = e->mbuf.data_off;
	return e;
}

void icmp_send_error(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code,
		     uint32_t info)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	struct ip_flow flow = { .proto = IP_PROTO_ICMP,
				.tos = 0xc0 }; /* RFC 1812: internetwork control */
	struct pkt *e;

	if (!h || !may_answer(w, p, h))
		return;
	e = error_make(w, p, type, code, info);
	if (!e)
		return;
	stage_enter_one(w, STAGE_ICMP_OUTPUT, e);
	if (!(p->flags & PKT_F_LOOPBACK) &&
	    !limit_allows(w, h->src_be,
			  type == ICMP_TYPE_UNREACHABLE && code == ICMP_CODE_FRAG_NEEDED)) {
		pkt_drop(w, e, DROP_ICMP_RATELIMIT);
		return;
	}
	watch_note(w, p, ICMP_ERROR, type, code);
	flow.dst = ipaddr_from_ip4(h->src_be);
	if (inet_addr_kinds(w->inet, h->dst_be) & ADDR_LOCAL)
		flow.src = ipaddr_from_ip4(h->dst_be);
	(void)ip_output(w, e, &flow);
}

bool icmp_send_self(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	struct ip_flow flow = { .proto = IP_PROTO_ICMP, .tos = 0xc0 };
	struct pkt *e;

	if (!(inet_addr_kinds(w->inet, h->src_be) & ADDR_LOCAL) || is_icmp_error(p, h))
		return false;
	e = error_make(w, p, type, code, 0);
	if (!e)
		return false;
	stage_enter_one(w, STAGE_ICMP_OUTPUT, e);
	flow.src = flow.dst = ipaddr_from_ip4(h->src_be);
	return ip_output(w, e, &flow) == 0;
}
