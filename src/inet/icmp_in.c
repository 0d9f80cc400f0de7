/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP input (RFC 1122 section 3.2.2): echo is answered, errors are told to their transport. */
#include <errno.h>

#include "core/watch.h"
#include "inet/icmp.h"
#include "inet/ip4.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/icmp.h"

/* The request becomes its answer in the same buffer. */
static void echo_reply(struct worker *w, struct pkt *p)
{
	const struct ip4_hdr *h = pkt_header(p, p->l3, sizeof(*h));
	struct icmp_hdr *icmp = pkt_header(p, p->l4, sizeof(*icmp));
	struct ip_flow flow = { .proto = IP_PROTO_ICMP, .tos = h->tos };
	uint16_t old_be, new_be;

	flow.src = ipaddr_from_ip4(h->dst_be);
	flow.dst = ipaddr_from_ip4(h->src_be);
	watch_note(w, p, ANSWERED, 0, 0);
	pkt_reborn(w, p);
	memcpy(&old_be, icmp, sizeof(old_be)); /* type and code: one word of the sum */
	icmp->type = ICMP_TYPE_ECHO_REPLY;
	memcpy(&new_be, icmp, sizeof(new_be));
	icmp->csum_be = csum_update16(icmp->csum_be, old_be, new_be);
	rte_pktmbuf_adj(&p->mbuf, (uint16_t)(p->l4 - p->mbuf.data_off));
	stage_enter_one(w, STAGE_ICMP_OUTPUT, p);
	(void)ip_output(w, p, &flow);
}

/* What an "unreachable" means to a program, and whether UDP is told (as Linux has them). */
struct unreachable {
	int error;
	bool hard;
};

static const struct unreachable unreachables[] = {
	[ICMP_CODE_NET] = { ENETUNREACH, false },
	[ICMP_CODE_HOST] = { EHOSTUNREACH, false },
	[ICMP_CODE_PROTOCOL] = { ENOPROTOOPT, true },
	[ICMP_CODE_PORT] = { ECONNREFUSED, true },
	[ICMP_CODE_FRAG_NEEDED] = { EMSGSIZE, false },
	[ICMP_CODE_SOURCE_ROUTE] = { EOPNOTSUPP, false },
	[ICMP_CODE_NET_UNKNOWN] = { ENETUNREACH, true },
	[ICMP_CODE_HOST_UNKNOWN] = { EHOSTDOWN, true },
	[ICMP_CODE_HOST_ISOLATED] = { ENONET, true },
	[ICMP_CODE_NET_PROHIBITED] = { ENETUNREACH, true },
	[ICMP_CODE_HOST_PROHIBITED] = { EHOSTUNREACH, true },
	[ICMP_CODE_NET_TOS] = { ENETUNREACH, false },
	[ICMP_CODE_HOST_TOS] = { EHOSTUNREACH, false },
	[ICMP_CODE_ADMIN_PROHIBITED] = { EHOSTUNREACH, true },
	[14] = { EHOSTUNREACH, true }, /* precedence violation */
	[15] = { EHOSTUNREACH, true }, /* precedence cutoff */
};

/* An ICMP error, taken apart. */
struct icmp_error {
	struct net_error e;
	uint8_t proto;
	unsigned int quoted_len; /* as its header said */
	unsigned int mtu_bytes;	 /* 0 where it is not about that */
};

/* The quoted header. False where it cannot be one of ours. */
static bool error_quote(struct worker *w, const struct pkt *p, struct icmp_error *i)
{
	const struct ip4_hdr *outer = pkt_header(p, p->l3, sizeof(*outer));
	uint16_t at = (uint16_t)(p->l4 + ICMP_HDR_BYTES);
	const struct ip4_hdr *h = pkt_header(p, at, sizeof(*h));

	if (!h || ip4_version(h) != 4 || ip4_hdr_bytes(h) < IP4_HDR_BYTES ||
	    ip4_frag_offset(h) != 0)
		return false;
	at = (uint16_t)(at + ip4_hdr_bytes(h));
	i->proto = h->proto;
	i->quoted_len = ip4_len(h);
	i->e = (struct net_error){ .from = NET_ERROR_ICMP,
				   .local = ipaddr_from_ip4(h->src_be),
				   .remote = ipaddr_from_ip4(h->dst_be),
				   .offender = ipaddr_from_ip4(outer->src_be),
				   .l4 = pkt_header(p, at, 8),
				   .p = p,
				   .data_at = (uint16_t)(at + 8) };
	return i->e.l4 && inet_addr_is_local(w, &i->e.local);
}

/* RFC 1191 section 4: a router that does not say its MTU has us guess. */
static unsigned int error_mtu(const struct icmp_hdr *icmp, const struct icmp_error *i)
{
	unsigned int mtu = be16_to_host(icmp->frag.mtu_be);

	return mtu ? mtu : pmtu_plateau_below(i->quoted_len);
}

static bool unreachable_meaning(const struct icmp_hdr *icmp, struct icmp_error *i)
{
	if (icmp->code >= sizeof(unreachables) / sizeof(unreachables[0]))
		return false;
	i->e.error = unreachables[icmp->code].error;
	i->e.hard = unreachables[icmp->code].hard;
	if (icmp->code != ICMP_CODE_FRAG_NEEDED)
		return true;
	i->mtu_bytes = error_mtu(icmp, i);
	i->e.info = be16_to_host(icmp->frag.mtu_be);
	return true;
}

/* What it means. False for messages that nobody is told of. */
static bool error_meaning(const struct icmp_hdr *icmp, struct icmp_error *i)
{
	i->mtu_bytes = 0;
	i->e.type = icmp->type;
	i->e.code = icmp->code;
	switch (icmp->type) {
	case ICMP_TYPE_UNREACHABLE:
		return unreachable_meaning(icmp, i);
	case ICMP_TYPE_TIME_EXCEEDED:
		i->e.error = EHOSTUNREACH;
		i->e.hard = false;
		return true;
	case ICMP_TYPE_PARAMETER:
		i->e.error = EPROTO;
		i->e.hard = true;
		i->e.info = be32_to_host(icmp->rest_be) >> 24;
		return true;
	default:
		return false;
	}
}

/*
 * Tell the transport. TCP may end a connection that is being opened for any of them, as Linux does
 * (RFC 5461 section 4.1), but never for the MTU. A path MTU is learnt only where the transport
 * believes it, so that it takes more than a guess to slow us down.
 */
static enum icmp_told error_tell(struct worker *w, const struct icmp_error *i)
{
	uint16_t mtu = (uint16_t)(i->mtu_bytes > IP4_MAX_BYTES ? IP4_MAX_BYTES : i->mtu_bytes);
	const struct net_error *e = &i->e;

	bool raw = raw_icmp_error(w, e, i->proto);
	enum icmp_told told = ICMP_NOBODY;

	if (i->proto == IP_PROTO_TCP)
		told = tcp_icmp_error(w, &e->local, &e->remote, e->l4, e->error, mtu == 0, mtu);
	else if (i->proto == IP_PROTO_UDP && udp_icmp_error(w, e))
		told = ICMP_BELIEVED;
	return told == ICMP_NOBODY && raw ? ICMP_BELIEVED : told;
}

/* Is there somebody to be told, who would not learn the path's MTU by himself? */
static bool error_known(struct worker *w, const struct icmp_error *i)
{
	if (i->proto == IP_PROTO_TCP)
		return false;
	return (i->proto == IP_PROTO_UDP && udp_knows(w, &i->e)) || raw_knows(w, &i->e, i->proto);
}

static void icmp_error_input(struct worker *w, struct pkt *p)
{
	const struct icmp_hdr *icmp = pkt_header(p, p->l4, sizeof(*icmp));
	enum icmp_told told;
	struct icmp_error i;

	if (!pkt_header(p, p->l4, ICMP_HDR_BYTES + IP4_HDR_BYTES + 8)) {
		pkt_drop(w, p, DROP_ICMP_MALFORMED);
		return;
	}
	if (!error_quote(w, p, &i)) {
		pkt_drop(w, p, DROP_ICMP_NO_SOCKET);
		return;
	}
	if (!error_meaning(icmp, &i)) {
		pkt_drop(w, p, DROP_ICMP_UNKNOWN_TYPE);
		return;
	}
	/* Before anybody is told: who is told may ask for the path's MTU. TCP does it itself,
	 * where it believes it. */
	if (i.mtu_bytes && error_known(w, &i))
		pmtu_report(w, &i.e.local, &i.e.remote, i.mtu_bytes);
	told = error_tell(w, &i);
	if (told == ICMP_NOBODY) {
		if (inet_steer(w, p))
			return;
		if (p->flags & PKT_F_RAW)
			pkt_consume(w, p, FATE_DELIVERED);
		else
			pkt_drop(w, p, DROP_ICMP_NO_SOCKET);
		return;
	}
	pkt_consume(w, p, FATE_ABSORBED);
}

/* A ping of ours was answered. */
static void echo_answered(struct worker *w, struct pkt *p)
{
	unsigned int reason = ping_input(w, p);

	if (reason != 0 && p->flags & PKT_F_RAW)
		stage_enter_one(w, STAGE_SOCK_DELIVER, p);
	if (reason == 0 || p->flags & PKT_F_RAW)
		pkt_consume(w, p, FATE_DELIVERED);
	else
		pkt_drop(w, p, reason);
}

static void icmp_input_one(struct worker *w, struct pkt *p)
{
	const struct icmp_hdr *icmp = pkt_header(p, p->l4, sizeof(*icmp));

	if (!icmp) {
		pkt_drop(w, p, DROP_ICMP_MALFORMED);
		return;
	}
	if (!(p->flags & PKT_F_CSUM_OK) &&
	    csum_finish(pkt_csum(p, p->l4, pkt_len_from(p, p->l4), 0)) != 0) {
		pkt_drop(w, p, DROP_ICMP_CSUM);
		return;
	}
	switch (icmp->type) {
	case ICMP_TYPE_ECHO:
		/* As Linux: who pings everybody gets no answer (it would be an amplifier). */
		if (p->flags & (PKT_F_BROADCAST | PKT_F_MULTICAST))
			break;
		echo_reply(w, p);
		return;
	case ICMP_TYPE_UNREACHABLE:
	case ICMP_TYPE_TIME_EXCEEDED:
	case ICMP_TYPE_PARAMETER:
		icmp_error_input(w, p);
		return;
	case ICMP_TYPE_ECHO_REPLY:
		echo_answered(w, p);
		return;
	default:
		break;
	}
	pkt_drop(w, p, DROP_ICMP_UNKNOWN_TYPE);
}

void icmp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	stage_enter(w, STAGE_ICMP_INPUT, pkts, n);
	for (unsigned int i = 0; i < n; i++)
		icmp_input_one(w, pkts[i]);
}
