/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_packets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES offsetof(struct kdrop_packet, bytes)
#define FRAMES_BYTES offsetof(struct kdrop_packet, time_ns)
#define LINKTYPE_ETHERNET 1

struct kernel_packets {
	bool stacks;
	uint8_t *arena;
	size_t arena_bytes, arena_room;
	size_t *at; /* in the arena */
	size_t count, room;
};

struct kernel_packets *kernel_packets_new(bool stacks)
{
	struct kernel_packets *p = calloc(1, sizeof(*p));

	if (p)
		p->stacks = stacks;
	return p;
}

void kernel_packets_free(struct kernel_packets *p)
{
	if (!p)
		return;
	free(p->arena);
	free(p->at);
	free(p);
}

void kernel_packets_clear(struct kernel_packets *p)
{
	p->arena_bytes = 0;
	p->count = 0;
}

static bool make_room(struct kernel_packets *p, size_t bytes)
{
	if (p->arena_bytes + bytes > p->arena_room) {
		size_t room = (p->arena_room + bytes) * 2;
		uint8_t *more = realloc(p->arena, room);

		if (!more)
			return false;
		p->arena = more;
		p->arena_room = room;
	}
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 64;
		size_t *more = realloc(p->at, room * sizeof(*more));

		if (!more)
			return false;
		p->at = more;
		p->room = room;
	}
	return true;
}

/* A record without frames begins behind them: it is put to its place in a whole one. */
bool kernel_packets_add(struct kernel_packets *p, const void *record, size_t bytes)
{
	size_t skip = p->stacks ? 0 : FRAMES_BYTES;
	/* A multiple of 8, so that each begins aligned; and readable as a whole struct's head. */
	size_t takes = (skip + bytes + 7) & ~(size_t)7;
	struct kdrop_packet *to;

	if (skip + bytes < HEAD_BYTES || skip + bytes > sizeof(struct kdrop_packet) ||
	    !make_room(p, takes))
		return false;
	to = (struct kdrop_packet *)(p->arena + p->arena_bytes);
	memcpy((uint8_t *)to + skip, record, bytes);
	if (to->caplen_bytes > skip + bytes - HEAD_BYTES)
		to->caplen_bytes = (uint32_t)(skip + bytes - HEAD_BYTES);
	if (to->caplen_bytes > KDROP_SNAP)
		to->caplen_bytes = KDROP_SNAP;
	if (!p->stacks)
		to->frames_bytes = 0;
	if (to->frames_bytes > sizeof(to->frames))
		to->frames_bytes = sizeof(to->frames);
	to->ifname[sizeof(to->ifname) - 1] = '\0';
	p->at[p->count++] = p->arena_bytes;
	p->arena_bytes += takes;
	return true;
}

size_t kernel_packets_count(const struct kernel_packets *p)
{
	return p->count;
}

const struct kdrop_packet *kernel_packets_at(const struct kernel_packets *p, size_t index)
{
	return (const struct kdrop_packet *)(p->arena + p->at[index]);
}

void kernel_packet_show(const struct kdrop_packet *from, int64_t realtime_ns,
			struct drop_packet *to)
{
	*to = (struct drop_packet){
		.time_ns = from->time_ns + (uint64_t)realtime_ns,
		.ifindex = from->ifindex,
		.ifname = from->ifname[0] ? from->ifname : NULL,
		.protocol = from->protocol,
		.link_type = LINKTYPE_ETHERNET,
		.len_bytes = from->len_bytes,
		.caplen_bytes = from->caplen_bytes,
		.bytes = from->bytes,
	};
}

/* ---- sockets ---- */

static const char *const tcp_states[] = {
	[TCP_ESTABLISHED] = "ESTABLISHED",
	[TCP_SYN_SENT] = "SYN_SENT",
	[TCP_SYN_RECV] = "SYN_RECV",
	[TCP_FIN_WAIT1] = "FIN_WAIT1",
	[TCP_FIN_WAIT2] = "FIN_WAIT2",
	[TCP_TIME_WAIT] = "TIME_WAIT",
	[TCP_CLOSE] = "CLOSE",
	[TCP_CLOSE_WAIT] = "CLOSE_WAIT",
	[TCP_LAST_ACK] = "LAST_ACK",
	[TCP_LISTEN] = "LISTEN",
	[TCP_CLOSING] = "CLOSING",
	[12] = "NEW_SYN_RECV",
};

static const char *protocol_name(const struct kdrop_socket *s, char number[16])
{
	switch (s->protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	default:
		snprintf(number, 16, "protocol-%u", s->protocol);
		return number;
	}
}

static const char *end_text(int family, const uint8_t *address, uint16_t port, char text[64])
{
	char name[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, address, name, sizeof(name));
	snprintf(text, 64, family == AF_INET6 ? "[%s]:%u" : "%s:%u", name, port);
	return text;
}

const char *kernel_socket_text(const struct kdrop_socket *s, char text[KERNEL_SOCKET_BYTES])
{
	char number[16], local[64], remote[64];
	const char *state = "";

	if (s->family == AF_PACKET) {
		snprintf(text, KERNEL_SOCKET_BYTES, "packet socket");
		return text;
	}
	if (s->family != AF_INET && s->family != AF_INET6)
		return NULL;
	if (s->protocol == IPPROTO_TCP && s->state < sizeof(tcp_states) / sizeof(tcp_states[0]) &&
	    tcp_states[s->state])
		state = tcp_states[s->state];
	end_text(s->family, s->local, s->local_port, local);
	end_text(s->family, s->remote, s->remote_port, remote);
	snprintf(text, KERNEL_SOCKET_BYTES, "%s %s%s%s%s%s", protocol_name(s, number), local,
		 s->remote_port ? " " : "", s->remote_port ? remote : "", state[0] ? " " : "",
		 state);
	return text;
}
