/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/owners.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bin/weir/cli.h"

#define ASK_NS 2000000000u
#define ASK_SHARE 50 /* asking takes at most one part in so many of the time */
#define PROTO_TCP 6

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void owners_free(struct owners *owners)
{
	json_decref(owners->answer);
	owners->answer = NULL;
}

void owners_refresh(struct owners *owners, uint64_t now_ns)
{
	json_t *answer;
	uint64_t took_ns;

	if (owners->off || (owners->answer && now_ns < owners->ask_at_ns))
		return;
	answer = cli_ask(json_pack("{s:s}", "cmd", "sockets"));
	took_ns = clock_ns() - now_ns;
	owners->off = !answer;
	owners->ask_at_ns = now_ns + (took_ns * ASK_SHARE > ASK_NS ? took_ns * ASK_SHARE : ASK_NS);
	if (!answer)
		return;
	json_decref(owners->answer);
	owners->answer = answer;
}

/* "198.18.0.2:53", as weird writes endpoints. */
static void endpoint(uint32_t addr_be, uint16_t port, char text[32])
{
	char addr[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &addr_be, addr, sizeof(addr));
	snprintf(text, 32, "%s:%u", addr, port);
}

/* 0: it is another's; 1: bound to any address, 2: to this one. */
static int matches_end(const char *text, const char *end)
{
	const char *port = strrchr(text, ':'), *wanted = strrchr(end, ':');

	if (!port || !wanted)
		return 0;
	if (strcmp(text, end) == 0)
		return 2;
	if (strcmp(port, wanted) && strcmp(port, ":*"))
		return 0;
	return strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "*:", 2) == 0 ||
	       strncmp(text, "[::]:", 5) == 0 || strncmp(text, ":::", 3) == 0;
}

/* How well a socket fits: 0 not at all; a connected one best. */
static int matches(const json_t *socket, const char *proto, const char *local, const char *remote)
{
	int near, far;

	if (strcmp(cli_string(socket, "proto"), proto) != 0)
		return 0;
	near = strcmp(strrchr(cli_string(socket, "local"), ':') ?: "", ":*") == 0
		       ? 0
		       : matches_end(cli_string(socket, "local"), local);
	far = matches_end(cli_string(socket, "remote"), remote);
	return near && far ? near + 4 * far : 0;
}

static const json_t *best_of(const json_t *sockets, const char *proto, const char *local,
			     const char *remote, int *best)
{
	const json_t *found = NULL, *socket;
	size_t i;

	json_array_foreach(sockets, i, socket)
	{
		int fit = matches(socket, proto, local, remote);

		if (fit > *best) {
			*best = fit;
			found = socket;
		}
	}
	return found;
}

const json_t *owners_find(const struct owners *owners, const struct flow *flow, bool local,
			  const json_t **program)
{
	const char *proto = flow->ip_proto == PROTO_TCP ? "tcp" : "udp";
	char src[32], dst[32];
	const json_t *found, *socket, *one;
	int best = 0;
	size_t i;

	*program = NULL;
	if (!flow->ports || !owners->answer)
		return NULL;
	endpoint(flow->src_be, flow->src_port, src);
	endpoint(flow->dst_be, flow->dst_port, dst);
	found = best_of(json_object_get(owners->answer, "no_program"), proto, local ? src : dst,
			local ? dst : src, &best);
	json_array_foreach(json_object_get(owners->answer, "programs"), i, one)
	{
		socket = best_of(json_object_get(one, "sockets"), proto, local ? src : dst,
				 local ? dst : src, &best);
		if (socket) {
			found = socket;
			*program = one;
		}
	}
	return found;
}
