/* SPDX-License-Identifier: BSD-3-Clause */
/* What is lost at ports: before weir, for want of buffers, behind it. */
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

#define PACKETS_MAX ((json_int_t)1 << 24)
#define TXQUEUELEN_MAX 16384
#define TAP_QUEUE_MAX 65536
#define RMEM_USUAL 262144

/* How much a loss of a port has grown. */
static json_int_t loss_grown(const struct why *w, const json_t *port, const char *name)
{
	const json_t *then = why_port(w->before, cli_string(port, "name"));

	return why_port_loss(port, name) - why_port_loss(then, name);
}

/* ---- packet buffers ---- */

static const json_t *pool_of(const struct why *w)
{
	return json_object_get(json_array_get(why_list(w->after, "workers"), 0), "pool");
}

static json_int_t more_packets(const struct why *w)
{
	json_int_t n = why_round_up(2 * cli_int(pool_of(w), "size"));

	return n < PACKETS_MAX ? n : PACKETS_MAX;
}

static json_int_t held_of(const struct why *w)
{
	return cli_int(why_list(w->after, "ledger"), "held");
}

static json_int_t count_alloc_failed(const json_t *reading)
{
	return cli_int(why_list(reading, "ledger"), "alloc_failed");
}

/* Packets there were, but no memory of the program's to put one's bytes into. */
static bool is_arena(const struct why *w, const json_t *finding)
{
	const json_t *site;
	size_t i;

	if (count_alloc_failed(w->after) > count_alloc_failed(w->before))
		return false;
	json_array_foreach(json_object_get(finding, "where"), i, site)
	{
		if (strcmp(cli_string(site, "function"), "dgram_deliver") == 0)
			return true;
	}
	return false;
}

static void explain_arena(const struct why *w, json_t *finding)
{
	json_int_t now = why_param(w->after, "rmem_default", 0);

	why_say(finding, "name", "program-memory");
	why_say(finding, "title", "a program has no memory left for its sockets' buffers");
	why_say(finding, "why",
		"all buffers of a program and what it forked lie in one arena; each UDP socket "
		"takes %lld bytes of it when the first datagram comes",
		(long long)now);
	why_say(finding, "change",
		"smaller buffers for sockets opened from now on, then start the program again; or "
		"a larger arena (weird --sockets)");
	if (now > RMEM_USUAL)
		why_add(finding, "commands", "weir sysctl net.core.rmem_default=%d", RMEM_USUAL);
	else
		why_add(finding, "commands", "weird --sockets 1048576");
}

static void explain_pool(const struct why *w, json_t *finding)
{
	json_int_t size = cli_int(pool_of(w), "size"), more = more_packets(w);

	if (is_arena(w, finding)) {
		explain_arena(w, finding);
		return;
	}
	why_say(finding, "title", "weir has no packet buffers left");
	why_say(finding, "why",
		"each worker has %lld; %lld packets are in weir's queues now (weir stat: a fault "
		"link's delay, reassembly, neighbours, send rings)",
		(long long)size, (long long)held_of(w));
	why_say(finding, "change", "start weird with more of them (2.3 KB each)");
	why_add(finding, "commands", "weird --packets %lld", (long long)more);
}

/* ---- the receive ring ---- */

static json_int_t count_missed(const json_t *reading)
{
	return why_ports_loss(reading, "rx_missed");
}

/* The share of a worker's turns that had work, of the busiest, in percent. */
static unsigned int busiest(const struct why *w)
{
	const json_t *worker;
	unsigned int most = 0;
	size_t i;

	json_array_foreach(why_list(w->after, "workers"), i, worker)
	{
		const json_t *now = json_object_get(worker, "loop");
		const json_t *then =
			json_object_get(json_array_get(why_list(w->before, "workers"), i), "loop");
		json_int_t loops = cli_int(now, "loops") - cli_int(then, "loops");
		json_int_t busy = cli_int(now, "busy_loops") - cli_int(then, "busy_loops");

		if (loops > 0 && (unsigned int)(busy * 100 / loops) > most)
			most = (unsigned int)(busy * 100 / loops);
	}
	return most;
}

/* The port that lost most by a name, or NULL. */
static const json_t *worst_port(const struct why *w, json_t *finding, const char *const *names)
{
	const json_t *port, *worst = NULL;
	json_int_t most = 0;
	size_t i;

	json_array_foreach(why_list(w->after, "ports"), i, port)
	{
		json_int_t lost = 0;

		for (const char *const *name = names; *name; name++)
			lost += loss_grown(w, port, *name);
		if (lost > 0)
			why_add(finding, "who", "port %s (%s): %lld frames",
				cli_string(port, "name"), cli_string(port, "type"),
				(long long)lost);
		if (lost <= most)
			continue;
		most = lost;
		worst = port;
	}
	return worst;
}

static bool is_tap(const json_t *port)
{
	return strcmp(cli_string(port, "driver"), "tun") == 0;
}

/* A TAP's ring is the kernel's queue, which can be set while it is used. */
static void more_tap_queue(const json_t *port, json_int_t lost, json_t *finding)
{
	json_int_t now = cli_int(port, "rx_ring"), want = why_round_up(now + lost);

	want = want < TAP_QUEUE_MAX ? want : TAP_QUEUE_MAX;
	why_say(finding, "why",
		"the kernel's queue in front of weir holds %lld frames, and more came while weir "
		"was busy or had no processor",
		(long long)now);
	why_say(finding, "change",
		"a longer queue for bursts; where it is always full, more workers (weird --workers "
		"N, and queues=N at the port) or a processor that weird has for itself");
	why_add(finding, "commands", "ip link set dev %s txqueuelen %lld", cli_string(port, "name"),
		(long long)want);
}

static void explain_missed(const struct why *w, json_t *finding)
{
	static const char *const names[] = { "rx_missed", NULL };
	const json_t *port = worst_port(w, finding, names);
	json_int_t lost = loss_grown(w, port, "rx_missed");
	unsigned int workers = (unsigned int)json_array_size(why_list(w->after, "workers"));

	why_say(finding, "title",
		"the receive ring of port %s was full: frames were lost before "
		"weir",
		cli_string(port, "name"));
	if (loss_grown(w, port, "rx_nombuf") > 0) {
		why_say(finding, "why", "the device found no packet buffer to put them into");
		why_say(finding, "change", "start weird with more packet buffers");
		why_add(finding, "commands", "weird --packets %lld", (long long)more_packets(w));
	} else if (is_tap(port)) {
		more_tap_queue(port, lost, finding);
	} else {
		why_say(finding, "why",
			"weir did not take them in time: %u %% of the busiest worker's turns had "
			"work",
			busiest(w));
		why_say(finding, "change",
			"start weird with one worker more, each on a processor "
			"of its own");
		why_add(finding, "commands", "weird --workers %u", workers + 1);
	}
}

static json_int_t count_broken(const json_t *reading)
{
	return why_ports_loss(reading, "rx_crc") + why_ports_loss(reading, "rx_errors");
}

static void explain_broken(const struct why *w, json_t *finding)
{
	static const char *const names[] = { "rx_crc", "rx_errors", NULL };
	const json_t *port = worst_port(w, finding, names);

	why_say(finding, "title", "frames come broken off the wire at port %s",
		cli_string(port, "name"));
	why_say(finding, "why", "%lld with a wrong checksum (CRC), %lld in another way",
		(long long)loss_grown(w, port, "rx_crc"),
		(long long)loss_grown(w, port, "rx_errors"));
	why_say(finding, "change",
		"another cable or transceiver; both ends of the link at one speed, duplex and MTU");
	why_add(finding, "commands", "weir ethtool %s -S", cli_string(port, "name"));
}

/* ---- the send side ---- */

static json_int_t count_tx_lost(const json_t *reading)
{
	return why_ports_loss(reading, "tx_lost");
}

static void explain_tx_lost(const struct why *w, json_t *finding)
{
	static const char *const names[] = { "tx_lost", NULL };
	const json_t *port = worst_port(w, finding, names);

	why_say(finding, "title", "the device of port %s loses what weir gave it",
		cli_string(port, "name"));
	if (is_tap(port)) {
		why_say(finding, "why",
			"the kernel's side took the frames and dropped them: it has no protocol "
			"for them, or no room in its backlog");
		why_say(finding, "change", "look at the kernel's own drops");
		why_add(finding, "commands", "weir dropwatch --kernel");
		return;
	}
	why_say(finding, "why", "its driver counts send errors");
	why_say(finding, "change", "look at what the driver says, and at the link");
	why_add(finding, "commands", "weir ethtool %s -S", cli_string(port, "name"));
}

/* The port whose send side waits: by the backlog, else the first that is no loopback. */
static const json_t *waiting_port(const struct why *w)
{
	const json_t *port, *best = NULL;
	size_t i;

	json_array_foreach(why_list(w->after, "ports"), i, port)
	{
		if (!best || cli_int(port, "tx_backlog") > cli_int(best, "tx_backlog") ||
		    strcmp(cli_string(best, "type"), "loop") == 0)
			best = port;
	}
	return best;
}

static void explain_tx_ring(const struct why *w, json_t *finding)
{
	const json_t *port = waiting_port(w);
	json_int_t now = cli_int(port, "txqueuelen");
	json_int_t want = why_round_up(now + cli_int(finding, "lost"));

	want = want < TXQUEUELEN_MAX ? want : TXQUEUELEN_MAX;
	why_say(finding, "title", "the send ring of port %s is full", cli_string(port, "name"));
	why_say(finding, "why",
		"whoever is at its other end takes frames more slowly than weir sends, or not at "
		"all; %lld may wait in weir",
		(long long)now);
	why_say(finding, "change",
		"look at the other end: is it running, has it a processor? For bursts, let more "
		"wait");
	if (want > now)
		why_add(finding, "commands", "weir port set %s txqueuelen %lld",
			cli_string(port, "name"), (long long)want);
}

static void explain_down(const struct why *w, json_t *finding)
{
	const json_t *port;
	size_t i;

	why_say(finding, "title", "a port is down");
	why_say(finding, "why", "its interface, or the one at its other end, is not up");
	why_say(finding, "change", "set it up");
	json_array_foreach(why_list(w->after, "ports"), i, port)
	{
		const json_t *then = why_port(w->before, cli_string(port, "name"));

		if (why_port_loss(port, "tx_errors") <= why_port_loss(then, "tx_errors"))
			continue;
		why_say(finding, "title", "port %s is down", cli_string(port, "name"));
		why_add(finding, "commands", "ip link set dev %s up", cli_string(port, "name"));
	}
}

/* ---- fault links ---- */

static void explain_fault(const struct why *w, json_t *finding)
{
	const json_t *port;
	size_t i;

	why_say(finding, "title", "a fault link loses packets on purpose");
	json_array_foreach(why_list(w->after, "ports"), i, port)
	{
		if (strcmp(cli_string(port, "type"), "fault") == 0)
			why_add(finding, "who", "port %s", cli_string(port, "name"));
	}
	if (why_has_reason(finding, "LINK_QUEUE"))
		why_say(finding, "why",
			"it was opened with rate_mbit=, and its queue (queue=, 1000) is full");
	else
		why_say(finding, "why", "it was opened with loss=");
	why_say(finding, "change",
		"start weird with the port alone: without 'fault,...:' in front of it");
	why_add(finding, "commands", "weird --port tap,name=NAME");
}

const struct why_detector why_detectors_port[] = {
	{ "packet-buffers", 95, { "NOMEM" }, count_alloc_failed, explain_pool },
	{ "receive-ring", 90, { NULL }, count_missed, explain_missed },
	{ "broken-frames", 88, { NULL }, count_broken, explain_broken },
	{ "send-lost", 87, { NULL }, count_tx_lost, explain_tx_lost },
	{ "send-ring", 85, { "TX_RING_FULL" }, NULL, explain_tx_ring },
	{ "port-down", 84, { "PORT_DOWN" }, NULL, explain_down },
	{ "fault-link", 30, { "LINK_LOSS", "LINK_QUEUE" }, NULL, explain_fault },
	{ 0 },
};
