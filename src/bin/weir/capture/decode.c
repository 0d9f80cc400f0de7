/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line about a packet, as tcpdump words it, but without state: sequence numbers are the
 * packet's own. Every byte is read through have().
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "bin/weir/capture/capture.h"
#include "wire/arp.h"
#include "wire/byteorder.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define IP6_HDR_BYTES 40u

struct line {
	char *text;
	size_t used;
	const uint8_t *bytes;
	uint32_t caplen;
	uint32_t len; /* as it was on the wire */
};

static void say(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct line *l, const char *format, ...)
{
	size_t room = CAPTURE_LINE_BYTES - l->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(l->text + l->used, room, format, args);
	va_end(args);
	if (n > 0)
		l->used += (size_t)n < room ? (size_t)n : room - 1;
}

/* len bytes at an offset, or NULL where they were not captured. */
static const void *have(const struct line *l, uint32_t at, uint32_t len)
{
	return at <= l->caplen && l->caplen - at >= len ? l->bytes + at : NULL;
}

static void cut(struct line *l, const char *what)
{
	say(l, "[|%s]", what);
}

/* The ports of TCP and UDP stand at the same place. */
static const uint8_t *ports_at(const struct line *l, unsigned int proto, uint32_t at)
{
	return proto == IP_PROTO_TCP || proto == IP_PROTO_UDP ? have(l, at, 4) : NULL;
}

static const char *ip4_text(uint32_t ip_be, char text[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &ip_be, text, INET_ADDRSTRLEN);
}

/* ---- TCP ---- */

static void tcp_flags(struct line *l, uint8_t flags)
{
	static const struct {
		uint8_t bit;
		char letter;
	} letters[] = { { TCP_F_FIN, 'F' }, { TCP_F_SYN, 'S' }, { TCP_F_RST, 'R' },
			{ TCP_F_PSH, 'P' }, { TCP_F_ACK, '.' }, { TCP_F_URG, 'U' },
			{ TCP_F_ECE, 'E' }, { TCP_F_CWR, 'W' } };

	say(l, "Flags [");
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (flags & letters[i].bit)
			say(l, "%c", letters[i].letter);
	}
	say(l, flags ? "]" : "none]");
}

static void tcp_option(struct line *l, const uint8_t *o, unsigned int len)
{
	if (o[0] == TCP_OPT_MSS && len == TCP_OPT_MSS_BYTES)
		say(l, "mss %u", be16_load(o + 2));
	else if (o[0] == TCP_OPT_WSCALE && len == TCP_OPT_WSCALE_BYTES)
		say(l, "wscale %u", o[2]);
	else if (o[0] == TCP_OPT_SACK_OK)
		say(l, "sackOK");
	else if (o[0] == TCP_OPT_SACK)
		say(l, "sack %u", (len - TCP_OPT_SACK_BASE_BYTES) / TCP_OPT_SACK_BLOCK_BYTES);
	else if (o[0] == TCP_OPT_TIMESTAMP && len == TCP_OPT_TIMESTAMP_BYTES)
		say(l, "TS val %u ecr %u", be32_load(o + 2), be32_load(o + 6));
	else if (o[0] == TCP_OPT_FASTOPEN)
		say(l, "tfo");
	else
		say(l, "unknown-%u", o[0]);
}

static void tcp_options(struct line *l, uint32_t at, uint32_t end)
{
	const char *before = ", options [";

	while (at < end) {
		const uint8_t *o = have(l, at, 1), *whole;
		unsigned int len = 1;

		if (!o || o[0] == TCP_OPT_END)
			break;
		if (o[0] == TCP_OPT_NOP) {
			say(l, "%snop", before);
		} else {
			o = have(l, at, 2);
			len = o ? o[1] : 0;
			whole = len >= 2 && at + len <= end ? have(l, at, len) : NULL;
			if (!whole)
				break;
			say(l, "%s", before);
			tcp_option(l, whole, len);
		}
		before = ",";
		at += len;
	}
	if (before[1] == '\0')
		say(l, "]");
}

/* payload: bytes behind IP's header, as it says. */
static void tcp(struct line *l, uint32_t at, uint32_t payload)
{
	const struct tcp_hdr *h = have(l, at, TCP_HDR_BYTES);
	uint32_t head, data, seq;

	if (!h) {
		cut(l, "tcp");
		return;
	}
	head = tcp_hdr_bytes(h);
	if (head < TCP_HDR_BYTES || head > payload) {
		tcp_flags(l, h->flags);
		say(l, ", [bad header length %u, too %s]", head,
		    head < TCP_HDR_BYTES ? "short" : "long");
		return;
	}
	data = payload - head;
	seq = be32_to_host(h->seq_be);
	tcp_flags(l, h->flags);
	if (data)
		say(l, ", seq %u:%u", seq, seq + data);
	else if (h->flags & (TCP_F_SYN | TCP_F_FIN | TCP_F_RST))
		say(l, ", seq %u", seq);
	if (h->flags & TCP_F_ACK)
		say(l, ", ack %u", be32_to_host(h->ack_be));
	say(l, ", win %u", be16_to_host(h->window_be));
	if (h->flags & TCP_F_URG)
		say(l, ", urg %u", be16_to_host(h->urgent_be));
	tcp_options(l, at + TCP_HDR_BYTES, at + head);
	say(l, ", length %u", data);
}

/* ---- ICMP ---- */

/* About which packet: its header and the first bytes behind it stand behind ICMP's. */
static void unreachable(struct line *l, const struct icmp_hdr *h, uint32_t at)
{
	static const char *const whats[] = {
		"net", "host", "protocol", "port", "", "source route"
	};
	const struct ip4_hdr *inner = have(l, at + ICMP_HDR_BYTES, IP4_HDR_BYTES);
	uint32_t behind = inner ? at + ICMP_HDR_BYTES + ip4_hdr_bytes(inner) : 0;
	const uint8_t *ports = inner ? ports_at(l, inner->proto, behind) : NULL;
	char dst[INET_ADDRSTRLEN] = "?";

	if (inner)
		ip4_text(inner->dst_be, dst);
	if (h->code == ICMP_CODE_FRAG_NEEDED)
		say(l, "%s unreachable - need to frag (mtu %u)", dst, be16_to_host(h->frag.mtu_be));
	else if (h->code == ICMP_CODE_PORT && ports)
		say(l, "%s %s port %u unreachable", dst,
		    inner->proto == IP_PROTO_TCP ? "tcp" : "udp", be16_load(ports + 2));
	else if (h->code == ICMP_CODE_PROTOCOL && inner)
		say(l, "%s protocol %u unreachable", dst, inner->proto);
	else if (h->code < sizeof(whats) / sizeof(whats[0]))
		say(l, "%s %s unreachable", whats[h->code], dst);
	else
		say(l, "%s unreachable, code %u", dst, h->code);
}

static void icmp(struct line *l, uint32_t at, uint32_t payload)
{
	const struct icmp_hdr *h = have(l, at, ICMP_HDR_BYTES);

	if (!h) {
		cut(l, "icmp");
		return;
	}
	say(l, "ICMP ");
	switch (h->type) {
	case ICMP_TYPE_ECHO:
	case ICMP_TYPE_ECHO_REPLY:
		say(l, "echo %s, id %u, seq %u", h->type == ICMP_TYPE_ECHO ? "request" : "reply",
		    be16_to_host(h->echo.id_be), be16_to_host(h->echo.seq_be));
		break;
	case ICMP_TYPE_UNREACHABLE:
		unreachable(l, h, at);
		break;
	case ICMP_TYPE_TIME_EXCEEDED:
		say(l, "%s time exceeded",
		    h->code == ICMP_CODE_TTL ? "in-transit" : "ip reassembly");
		break;
	case ICMP_TYPE_REDIRECT:
		say(l, "redirect");
		break;
	default:
		say(l, "type %u code %u", h->type, h->code);
		break;
	}
	say(l, ", length %u", payload);
}

/* ---- IP ---- */

static void fragment(struct line *l, const struct ip4_hdr *h, uint32_t payload)
{
	say(l, "proto %u, fragment id %u, offset %u%s, length %u", h->proto, be16_to_host(h->id_be),
	    ip4_frag_offset(h), ip4_more_fragments(h) ? ", more follow" : "", payload);
}

static void transport(struct line *l, unsigned int proto, uint32_t at, uint32_t payload)
{
	const struct udp_hdr *udp;

	switch (proto) {
	case IP_PROTO_TCP:
		tcp(l, at, payload);
		break;
	case IP_PROTO_UDP:
		udp = have(l, at, UDP_HDR_BYTES);
		if (udp && udp_len(udp) >= UDP_HDR_BYTES)
			say(l, "UDP, length %u", udp_len(udp) - UDP_HDR_BYTES);
		else
			cut(l, "udp");
		break;
	case IP_PROTO_ICMP:
		icmp(l, at, payload);
		break;
	case 2:
		say(l, "igmp, length %u", payload);
		break;
	case IP_PROTO_ICMP6:
		say(l, "ICMP6, length %u", payload);
		break;
	default:
		say(l, "ip-proto-%u, length %u", proto, payload);
		break;
	}
}

/* "address" or "address.port" */
static void ends(struct line *l, const char *src, const char *dst, const uint8_t *ports)
{
	if (ports)
		say(l, "%s.%u > %s.%u: ", src, be16_load(ports), dst, be16_load(ports + 2));
	else
		say(l, "%s > %s: ", src, dst);
}

static void ip4(struct line *l, uint32_t at)
{
	const struct ip4_hdr *h = have(l, at, IP4_HDR_BYTES);
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	uint32_t head, payload;
	bool later;

	say(l, "IP ");
	if (!h) {
		cut(l, "ip");
		return;
	}
	head = ip4_hdr_bytes(h);
	if (ip4_version(h) != 4 || head < IP4_HDR_BYTES) {
		say(l, "bad header: version %u, header length %u", ip4_version(h), head);
		return;
	}
	later = h->frag_be & WIRE_BE16(IP4_OFFSET_MASK);
	payload = ip4_len(h) > head ? ip4_len(h) - head : 0;
	ends(l, ip4_text(h->src_be, src), ip4_text(h->dst_be, dst),
	     later ? NULL : ports_at(l, h->proto, at + head));
	if (ip4_is_fragment(h))
		fragment(l, h, payload);
	else
		transport(l, h->proto, at + head, payload);
}

static void ip6(struct line *l, uint32_t at)
{
	const uint8_t *h = have(l, at, IP6_HDR_BYTES);
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	say(l, "IP6 ");
	if (!h) {
		cut(l, "ip6");
		return;
	}
	inet_ntop(AF_INET6, h + 8, src, sizeof(src));
	inet_ntop(AF_INET6, h + 24, dst, sizeof(dst));
	ends(l, src, dst, ports_at(l, h[6], at + IP6_HDR_BYTES));
	transport(l, h[6], at + IP6_HDR_BYTES, be16_load(h + 4));
}

/* ---- Ethernet ---- */

static void mac(struct line *l, const uint8_t *m)
{
	say(l, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void arp(struct line *l, uint32_t at)
{
	const struct arp_msg *m = have(l, at, ARP_MSG_BYTES);
	char sender[INET_ADDRSTRLEN], target[INET_ADDRSTRLEN];

	say(l, "ARP, ");
	if (!m || !arp_is_eth_ip4(m)) {
		cut(l, "arp");
		return;
	}
	ip4_text(m->sender_ip_be, sender);
	ip4_text(m->target_ip_be, target);
	if (arp_op(m) == ARP_OP_REQUEST) {
		say(l, "Request who-has %s tell %s", target, sender);
	} else if (arp_op(m) == ARP_OP_REPLY) {
		say(l, "Reply %s is-at ", sender);
		mac(l, m->sender_mac);
	} else {
		say(l, "operation %u", arp_op(m));
	}
	say(l, ", length %u", l->len - at);
}

static void by_type(struct line *l, uint16_t type, uint32_t at)
{
	if (type == ETH_TYPE_IP4)
		ip4(l, at);
	else if (type == ETH_TYPE_IP6)
		ip6(l, at);
	else if (type == ETH_TYPE_ARP)
		arp(l, at);
	else if (type < ETH_TYPE_MIN)
		say(l, "802.3, length %u", l->len);
	else
		say(l, "ethertype 0x%04x, length %u", type, l->len);
}

static void ethernet(struct line *l, bool macs)
{
	const struct eth_hdr *h = have(l, 0, ETH_HDR_BYTES);
	uint32_t at = ETH_HDR_BYTES;
	uint16_t type;

	if (!h) {
		cut(l, "ether");
		return;
	}
	if (macs) {
		mac(l, h->src);
		say(l, " > ");
		mac(l, h->dst);
		say(l, ", ethertype 0x%04x, length %u: ", eth_type(h), l->len);
	}
	type = eth_type(h);
	while (type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ) {
		const struct eth_vlan *tag = have(l, at, ETH_VLAN_BYTES);

		if (!tag) {
			cut(l, "vlan");
			return;
		}
		say(l, "vlan %u, ", be16_to_host(tag->tci_be) & 0xfffu);
		type = be16_to_host(tag->type_be);
		at += ETH_VLAN_BYTES;
	}
	by_type(l, type, at);
}

const char *capture_decode(const uint8_t *bytes, uint32_t caplen, uint32_t len, bool is_ethernet,
			   bool macs, char text[CAPTURE_LINE_BYTES])
{
	struct line l = { .text = text, .bytes = bytes, .caplen = caplen, .len = len };

	text[0] = '\0';
	if (is_ethernet)
		ethernet(&l, macs);
	else if (caplen && bytes[0] >> 4 == 6)
		ip6(&l, 0);
	else
		ip4(&l, 0);
	return text;
}
