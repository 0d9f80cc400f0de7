/* SPDX-License-Identifier: BSD-3-Clause */
/* What is lost between Ethernet and the transport: addresses, routes, neighbours, fragments. */
#include <stdio.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

#define KEY_BYTES 64
#define FRAG_TIME_S 30
#define DATAGRAMS_MAX 4096
#define STEER_MAX_BYTES (16 << 20)

/* A line of who: what most of the packets have in common, where there are packets to look at. */
static void add_most(const struct why *w, json_t *finding, const char *what,
		     bool (*key)(const struct why_packet *p, char *text, size_t room))
{
	char text[KEY_BYTES];
	unsigned int n = why_most(w, finding, key, text, sizeof(text));

	if (n)
		why_add(finding, "who", "%s %s: %u of the last ones", what, text, n);
}

/* ---- routes ---- */

static void explain_no_route(const struct why *w, json_t *finding)
{
	char dst[KEY_BYTES];

	why_most(w, finding, why_key_dst, dst, sizeof(dst));
	add_most(w, finding, "to", why_key_dst);
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "title", "weir has no route to %s", dst[0] ? dst : "some addresses");
	why_say(finding, "why", "no prefix of weir's routes holds the address (weir route)");
	why_say(finding, "change",
		"add a route over a gateway that weir reaches: to everything, or to that network");
	why_add(finding, "commands", "weir route add default via GATEWAY");
	if (dst[0])
		why_add(finding, "commands", "weir route add %s/32 via GATEWAY", dst);
}

static void explain_not_ours(const struct why *w, json_t *finding)
{
	const json_t *port;
	char dst[KEY_BYTES];
	unsigned int len = 0;

	why_most(w, finding, why_key_dst, dst, sizeof(dst));
	add_most(w, finding, "to", why_key_dst);
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "title", "packets come for %s, which is not weir's",
		dst[0] ? dst : "addresses");
	port = why_subnet(w->after, dst, &len);
	if (port) {
		why_say(finding, "why",
			"no port of weir has the address, and who sent it believes "
			"that one does");
		why_say(finding, "change", "give weir the address, if it is to be weir's");
		why_add(finding, "commands", "weir addr add %s/%u dev %s", dst, len,
			cli_string(port, "name"));
		return;
	}
	why_say(finding, "why", "they are sent through weir as a router, and forwarding is off");
	why_say(finding, "change", "turn forwarding on, if weir is to be one");
	why_add(finding, "commands", "weir forward on");
}

static void explain_ttl(const struct why *w, json_t *finding)
{
	const json_t *route;
	char dst[KEY_BYTES];
	const char *via;

	why_most(w, finding, why_key_dst, dst, sizeof(dst));
	route = why_route(w->after, dst);
	via = cli_string(route, "via");
	why_say(finding, "title", "packets to %s run out of time to live in weir",
		dst[0] ? dst : "some addresses");
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "change", "if nobody runs a traceroute, look at both routers' routes");
	if (!via[0]) {
		why_say(finding, "why", "they came with hardly any left: a traceroute, or a loop");
		return;
	}
	why_say(finding, "why",
		"a traceroute does this on purpose; else weir sends %s to %s, which sends them "
		"back",
		cli_string(route, "prefix"), via);
	why_say(finding, "change",
		"if nobody runs a traceroute: take the route out on one of the "
		"two, here or on %s",
		via);
	why_add(finding, "commands", "weir route del %s", cli_string(route, "prefix"));
	why_add(finding, "commands", "ip route del %s", cli_string(route, "prefix"));
}

/* ---- neighbours ---- */

static void explain_neigh(const struct why *w, json_t *finding)
{
	char dst[KEY_BYTES];
	const json_t *route, *port;
	const char *via, *hop;
	unsigned int len = 24;

	why_most(w, finding, why_key_dst, dst, sizeof(dst));
	route = why_route(w->after, dst);
	via = cli_string(route, "via");
	hop = via[0] ? via : dst;
	add_most(w, finding, "to", why_key_dst);
	if (!hop[0]) {
		why_say(finding, "title", "next hops do not answer ARP");
		why_say(finding, "change", "look at the routes and at who is on the links");
		return;
	}
	why_say(finding, "title", "nobody on %s answers for %s", cli_string(route, "dev"), hop);
	why_say(finding, "why",
		"weir asks who has the address (ARP) and hears nothing: no host has it, or it is "
		"on another link");
	why_say(finding, "change",
		via[0] ? "start the gateway, or route to another one: the host "
			 "with that address lacks it"
		       : "start the host, or give it the address");
	port = why_subnet(w->after, hop, &len);
	why_add(finding, "commands", "ip addr add %s/%u dev %s", hop, len,
		cli_string(port, "name")[0] ? cli_string(port, "name") : "DEVICE");
	if (via[0])
		why_add(finding, "commands", "weir route del %s", cli_string(route, "prefix"));
}

/* ---- addresses that lie ---- */

/* "ADDRESS/LENGTH" of weir's that is addr, and its port; NULL. */
static const char *own_address(const struct why *w, const char *addr, const json_t **port)
{
	const json_t *one, *address;
	size_t i, j, n = strlen(addr);

	json_array_foreach(why_list(w->after, "ports"), i, one)
	{
		json_array_foreach(json_object_get(one, "addresses"), j, address)
		{
			const char *text = json_string_value(address);

			if (n && text && strncmp(text, addr, n) == 0 && text[n] == '/') {
				*port = one;
				return text;
			}
		}
	}
	return NULL;
}

static void explain_own_source(const struct why *w, json_t *finding)
{
	char src[KEY_BYTES], mac[KEY_BYTES];
	const json_t *port = NULL;
	const char *own;

	why_most(w, finding, why_key_src, src, sizeof(src));
	why_most(w, finding, why_key_mac, mac, sizeof(mac));
	own = own_address(w, src, &port);
	why_say(finding, "title", "somebody else sends from weir's own address %s", src);
	add_most(w, finding, "MAC address", why_key_mac);
	if (own && strcmp(mac, cli_string(port, "mac")) == 0) {
		why_say(finding, "why",
			"they are weir's own frames: a loop in the link, or a "
			"router, brings them back");
		why_say(finding, "change",
			"look for the loop: two cables, a bridge, a mirror port "
			"(with TTL: a router that sends them back)");
		return;
	}
	why_say(finding, "why", "two hosts have one address; the other's MAC address is %s",
		mac[0] ? mac : "not known");
	why_say(finding, "change", "take it away from one of the two: there, or here");
	if (own)
		why_add(finding, "commands", "weir addr del %s dev %s", own,
			cli_string(port, "name"));
}

static void explain_bad_source(const struct why *w, json_t *finding)
{
	char src[KEY_BYTES], mac[KEY_BYTES];

	why_most(w, finding, why_key_src, src, sizeof(src));
	why_most(w, finding, why_key_mac, mac, sizeof(mac));
	why_say(finding, "title", "packets come with addresses that no host may send (from %s)",
		src[0] ? src : "an unknown address");
	add_most(w, finding, "from", why_key_src);
	add_most(w, finding, "MAC address", why_key_mac);
	why_say(finding, "why",
		"broadcast, group and loopback addresses are nobody's on a wire: spoofed, or a "
		"program binds the wrong address");
	why_say(finding, "change", "mend the sender: the host with the MAC address %s",
		mac[0] ? mac : "shown by weir drops");
}

/* ---- checksums ---- */

static void explain_csum(const struct why *w, json_t *finding)
{
	char ifindex[KEY_BYTES], src[KEY_BYTES];
	const json_t *port;

	why_most(w, finding, why_key_ifindex, ifindex, sizeof(ifindex));
	why_most(w, finding, why_key_src, src, sizeof(src));
	port = why_port(w->after, ifindex);
	add_most(w, finding, "from", why_key_src);
	add_most(w, finding, "MAC address", why_key_mac);
	why_say(finding, "title", "wrong checksums from %s on port %s",
		src[0] ? src : "an unknown sender", cli_string(port, "name"));
	if (strcmp(cli_string(port, "type"), "fault") == 0) {
		why_say(finding, "why", "the port is a fault link, which corrupts on purpose");
		why_say(finding, "change", "start weird with the port alone: without 'fault,...:'");
		why_add(finding, "commands", "weird --port tap,name=NAME");
		return;
	}
	why_say(finding, "why",
		"a sender that leaves checksums to its card, and has none (veth, a virtual "
		"machine); else a broken card or cable");
	why_say(finding, "change",
		"have the sender finish them: on its machine, for the interface towards weir");
	why_add(finding, "commands", "ethtool -K DEVICE tx off");
}

/* ---- sizes ---- */

static void explain_mtu(const struct why *w, json_t *finding)
{
	const json_t *route;
	const json_t *port;
	char dst[KEY_BYTES];

	why_most(w, finding, why_key_dst, dst, sizeof(dst));
	route = why_route(w->after, dst);
	port = why_port(w->after, cli_string(route, "dev"));
	add_most(w, finding, "to", why_key_dst);
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "title", "packets to %s are too large for port %s (MTU %lld)", dst,
		cli_string(port, "name"), (long long)cli_int(port, "mtu"));
	why_say(finding, "why",
		"they may not be fragmented; their sender is told to send smaller ones, and goes "
		"on: the message (ICMP) does not reach it, or it ignores it");
	why_say(finding, "change",
		"let ICMP through to the sender; or give the port the MTU of the one they come by");
	why_add(finding, "commands", "weird --port ...,name=%s,mtu=1500", cli_string(port, "name"));
}

static void explain_frag_time(const struct why *w, json_t *finding)
{
	json_int_t seconds = why_param(w->after, "ipfrag_time", 0);

	why_say(finding, "title", "fragments wait in vain for the others of their packet");
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "why", "not all fragments came within %lld s: the path loses them",
		(long long)seconds);
	why_say(finding, "change",
		"have the sender send what fits the path's MTU: what is whole is lost less");
	if (seconds >= FRAG_TIME_S)
		return;
	why_say(finding, "change", "let them wait longer, as Linux does");
	why_add(finding, "commands", "weir sysctl net.ipv4.ipfrag_time=%d", FRAG_TIME_S);
}

static void explain_frag_limit(const struct why *w, json_t *finding)
{
	json_int_t datagrams = why_param(w->after, "ipfrag_max_datagrams", 0);
	json_int_t bytes = why_param(w->after, "ipfrag_high_thresh", 0);

	why_say(finding, "title", "too many packets wait for fragments");
	add_most(w, finding, "from", why_key_src);
	why_say(finding, "why",
		"%lld packets and %lld bytes may wait, in each worker; many at once, or an attack",
		(long long)datagrams, (long long)bytes);
	why_say(finding, "change", "more room; of an attack, only the sender's end is one");
	datagrams = datagrams * 4 < DATAGRAMS_MAX ? datagrams * 4 : DATAGRAMS_MAX;
	why_add(finding, "commands",
		"weir sysctl ipfrag_max_datagrams=%lld net.ipv4.ipfrag_high_thresh=%lld",
		(long long)datagrams, (long long)bytes * 4);
}

/* ---- workers ---- */

static void explain_steer(const struct why *w, json_t *finding)
{
	json_int_t now = why_param(w->after, "steer_max_bytes", 0), want = now * 16;

	want = want < STEER_MAX_BYTES ? want : STEER_MAX_BYTES;
	why_say(finding, "title", "a worker does not keep up with what others hand to it");
	why_say(finding, "why",
		"packets that came to another worker than their socket's wait for it, %lld bytes "
		"at most",
		(long long)now);
	if (want > now) {
		why_say(finding, "change", "let more wait");
		why_add(finding, "commands", "weir sysctl steer_max_bytes=%lld", (long long)want);
		return;
	}
	why_say(finding, "change",
		"give each worker a processor of its own, or start weird with "
		"fewer (weird --workers)");
}

const struct why_detector why_detectors_ip[] = {
	{ "worker-mailbox", 83, { "CPU_BACKLOG" }, NULL, explain_steer },
	{ "no-route", 72, { "IP_INNOROUTES", "IP_OUTNOROUTES" }, NULL, explain_no_route },
	{ "neighbour", 70, { "NEIGH_FAILED", "NEIGH_QUEUEFULL" }, NULL, explain_neigh },
	{ "checksum",
	  62,
	  { "IP_CSUM", "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "IGMP_CSUM" },
	  NULL,
	  explain_csum },
	{ "mtu", 56, { "PKT_NEEDS_FRAG" }, NULL, explain_mtu },
	{ "fragments-late", 55, { "FRAG_REASM_TIMEOUT" }, NULL, explain_frag_time },
	{ "fragments-many", 54, { "FRAG_LIMIT" }, NULL, explain_frag_limit },
	{ "own-address", 52, { "IP_OWN_SOURCE" }, NULL, explain_own_source },
	{ "bad-address", 50, { "IP_INVALID_SOURCE", "IP_LOCALNET" }, NULL, explain_bad_source },
	{ "ttl", 42, { "IP_TTL" }, NULL, explain_ttl },
	{ "not-ours", 40, { "IP_INADDRERRORS" }, NULL, explain_not_ours },
	{ 0 },
};
