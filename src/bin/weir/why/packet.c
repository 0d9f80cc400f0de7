/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets that were dropped: their first bytes, and what they have in common. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"
#include "wire/ip4.h"

#define HEAD_BYTES 64u
#define ETH_BYTES 14u
#define KEYS_MAX 64u
#define KEY_BYTES 64u

/* ---- one packet ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t unhex(const char *hex, uint8_t bytes[HEAD_BYTES])
{
	size_t n = 0;

	for (; n < HEAD_BYTES && hex[2 * n] && hex[2 * n + 1]; n++) {
		int high = digit(hex[2 * n]), low = digit(hex[2 * n + 1]);

		if (high < 0 || low < 0)
			break;
		bytes[n] = (uint8_t)(high << 4 | low);
	}
	return n;
}

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case IP_PROTO_TCP:
		return "TCP";
	case IP_PROTO_UDP:
		return "UDP";
	case IP_PROTO_ICMP:
		return "ICMP";
	default:
		return "IP";
	}
}

static void parse_ip(const uint8_t *ip, size_t n, struct why_packet *p)
{
	size_t len;
	bool first;

	if (n < IP4_HDR_BYTES || ip[0] >> 4 != 4)
		return;
	p->ip = true;
	p->proto = proto_name(ip[9]);
	snprintf(p->src, sizeof(p->src), "%u.%u.%u.%u", ip[12], ip[13], ip[14], ip[15]);
	snprintf(p->dst, sizeof(p->dst), "%u.%u.%u.%u", ip[16], ip[17], ip[18], ip[19]);
	len = (size_t)(ip[0] & 15) * 4;
	first = ((ip[6] & 0x1f) << 8 | ip[7]) == 0;
	if (!first || n < len + 4 || (ip[9] != IP_PROTO_TCP && ip[9] != IP_PROTO_UDP))
		return;
	p->src_port = (uint16_t)(ip[len] << 8 | ip[len + 1]);
	p->dst_port = (uint16_t)(ip[len + 2] << 8 | ip[len + 3]);
}

/* Received packets begin with their Ethernet header, those that weir makes or passes on with IP. */
void why_packet_parse(const char *hex, struct why_packet *p)
{
	uint8_t b[HEAD_BYTES];
	size_t n = unhex(hex, b);

	*p = (struct why_packet){ .proto = "IP" };
	if (n >= ETH_BYTES + IP4_HDR_BYTES && b[12] == 8 && b[13] == 0 && b[14] >> 4 == 4) {
		p->ethernet = true;
		parse_ip(b + ETH_BYTES, n - ETH_BYTES, p);
	} else if (n >= ETH_BYTES + 28 && b[12] == 8 && b[13] == 6) { /* ARP: who says it is who */
		p->ethernet = true;
		snprintf(p->src, sizeof(p->src), "%u.%u.%u.%u", b[28], b[29], b[30], b[31]);
		p->proto = "ARP";
	} else {
		parse_ip(b, n, p);
	}
	if (p->ethernet)
		snprintf(p->mac, sizeof(p->mac), "%02x:%02x:%02x:%02x:%02x:%02x", b[6], b[7], b[8],
			 b[9], b[10], b[11]);
}

/* ---- many of them ---- */

bool why_key_src(const struct why_packet *p, char *text, size_t room)
{
	snprintf(text, room, "%s", p->src);
	return p->src[0];
}

bool why_key_dst(const struct why_packet *p, char *text, size_t room)
{
	snprintf(text, room, "%s", p->dst);
	return p->dst[0];
}

bool why_key_dst_port(const struct why_packet *p, char *text, size_t room)
{
	snprintf(text, room, "%s port %u (%s)", p->dst, p->dst_port, p->proto);
	return p->dst_port;
}

bool why_key_mac(const struct why_packet *p, char *text, size_t room)
{
	snprintf(text, room, "%s", p->mac);
	return p->mac[0];
}

bool why_key_ifindex(const struct why_packet *p, char *text, size_t room)
{
	snprintf(text, room, "%u", p->ifindex);
	return p->ifindex;
}

struct keys {
	char text[KEYS_MAX][KEY_BYTES];
	unsigned int count[KEYS_MAX];
	unsigned int n;
};

static void key_count(struct keys *keys, const char *text)
{
	unsigned int i = 0;

	while (i < keys->n && strcmp(keys->text[i], text))
		i++;
	if (i == KEYS_MAX)
		return;
	if (i == keys->n) {
		snprintf(keys->text[i], KEY_BYTES, "%s", text);
		keys->n++;
	}
	keys->count[i]++;
}

unsigned int why_most(const struct why *w, const json_t *finding,
		      bool (*key)(const struct why_packet *p, char *text, size_t room), char *text,
		      size_t room)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	const json_t *record;
	unsigned int best = 0;
	size_t i;

	text[0] = '\0';
	json_array_foreach(json_object_get(w->after, "recent"), i, record)
	{
		char one[KEY_BYTES];
		struct why_packet p;

		if (!keys || !why_has_reason(finding, cli_string(record, "reason")) ||
		    (double)cli_int(record, "age_us") > w->seconds * 1e6)
			continue;
		why_packet_parse(cli_string(record, "head"), &p);
		p.ifindex = (unsigned int)cli_int(record, "ifindex");
		if (key(&p, one, sizeof(one)))
			key_count(keys, one);
	}
	for (unsigned int k = 0; keys && k < keys->n; k++) {
		if (keys->count[k] <= best)
			continue;
		best = keys->count[k];
		snprintf(text, room, "%s", keys->text[k]);
	}
	free(keys);
	return best;
}

/* ---- where addresses belong ---- */

/* "198.18.0.0/24" or "default"; false: it is none. */
static bool prefix_parse(const char *text, uint32_t *net, unsigned int *len)
{
	char copy[INET_ADDRSTRLEN + 4];
	struct in_addr addr;
	char *slash;

	if (strcmp(text, "default") == 0) {
		*net = *len = 0;
		return true;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (!slash)
		return false;
	*slash = '\0';
	*len = (unsigned int)strtoul(slash + 1, NULL, 10);
	if (inet_pton(AF_INET, copy, &addr) != 1 || *len > 32)
		return false;
	*net = ntohl(addr.s_addr);
	return true;
}

static bool holds(const char *prefix, const char *addr, unsigned int *len)
{
	struct in_addr a;
	uint32_t net;

	if (inet_pton(AF_INET, addr, &a) != 1 || !prefix_parse(prefix, &net, len))
		return false;
	return *len == 0 || ((ntohl(a.s_addr) ^ net) >> (32 - *len)) == 0;
}

const json_t *why_route(const json_t *reading, const char *addr)
{
	const json_t *route, *best = NULL;
	unsigned int len, longest = 0;
	size_t i;

	json_array_foreach(json_object_get(reading, "routes"), i, route)
	{
		if (!holds(cli_string(route, "prefix"), addr, &len) || (best && len < longest))
			continue;
		best = route;
		longest = len;
	}
	return best;
}

const json_t *why_subnet(const json_t *reading, const char *addr, unsigned int *len)
{
	const json_t *port, *address;
	size_t i, j;

	json_array_foreach(why_list(reading, "ports"), i, port)
	{
		json_array_foreach(json_object_get(port, "addresses"), j, address)
		{
			if (holds(json_string_value(address), addr, len))
				return port;
		}
	}
	return NULL;
}

const json_t *why_port(const json_t *reading, const char *name_or_ifindex)
{
	json_int_t ifindex = strtoll(name_or_ifindex, NULL, 10);
	const json_t *port;
	size_t i;

	json_array_foreach(why_list(reading, "ports"), i, port)
	{
		if (strcmp(cli_string(port, "name"), name_or_ifindex) == 0 ||
		    (ifindex && cli_int(port, "ifindex") == ifindex))
			return port;
	}
	return NULL;
}
