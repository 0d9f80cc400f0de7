/* SPDX-License-Identifier: BSD-3-Clause */
/* What TCP's counters tell: a path that loses, bounds that are reached. */
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

/* What is worth a word: one segment in a hundred sent again, and not only a few. */
#define RETRANS_LEAST 10
#define RETRANS_PERCENT 1

/* ---- a path that loses ---- */

static json_int_t count_retrans(const json_t *reading)
{
	return why_counter(reading, "TcpRetransSegs");
}

/* A connection's segments sent again, between the readings. */
static json_int_t retrans_of(const struct why *w, const json_t *sock)
{
	json_int_t now = cli_int(json_object_get(sock, "tcp"), "total_retrans");
	const json_t *then;
	size_t i;

	json_array_foreach(why_list(w->before, "sockets"), i, then)
	{
		if (strcmp(cli_string(then, "local"), cli_string(sock, "local")) == 0 &&
		    strcmp(cli_string(then, "remote"), cli_string(sock, "remote")) == 0)
			return now - cli_int(json_object_get(then, "tcp"), "total_retrans");
	}
	return now;
}

static const json_t *worst_peer(const struct why *w, json_t *finding)
{
	const json_t *sock, *worst = NULL;
	json_int_t most = 0;
	unsigned int told = 0;
	size_t i;

	json_array_foreach(why_list(w->after, "sockets"), i, sock)
	{
		json_int_t n = retrans_of(w, sock);

		if (n > 0 && told++ < 8)
			why_add(finding, "who", "%s to %s (%s): %lld sent again",
				cli_string(sock, "local"), cli_string(sock, "remote"),
				cli_string(sock, "program"), (long long)n);
		if (n <= most)
			continue;
		most = n;
		worst = sock;
	}
	return worst;
}

static void explain_retrans(const struct why *w, json_t *finding)
{
	json_int_t again = cli_int(finding, "lost");
	json_int_t sent =
		why_counter(w->after, "TcpOutSegs") - why_counter(w->before, "TcpOutSegs");
	json_int_t timeouts = why_counter(w->after, "TcpExtTCPTimeouts") -
			      why_counter(w->before, "TcpExtTCPTimeouts");
	const json_t *sock;

	if (again < RETRANS_LEAST || again * 100 < sent * RETRANS_PERCENT)
		return;
	sock = worst_peer(w, finding);
	why_say(finding, "title", "the path to %s loses packets: TCP sends %.1f %% again",
		sock ? cli_string(sock, "remote") : "some peers",
		100.0 * (double)again / (double)(sent + again));
	why_say(finding, "why",
		"%lld of %lld segments were sent again, %lld times the timer had to notice; weir "
		"itself did not lose them if no other finding says so",
		(long long)again, (long long)(sent + again), (long long)timeouts);
	why_say(finding, "change",
		"look for the loss behind weir: at the other end of the port (weir dropwatch "
		"--kernel), in switches (their counters), at the peer; where the path cannot be "
		"mended, a controller that does not take each loss for congestion");
	why_add(finding, "commands", "weir sysctl net.ipv4.tcp_congestion_control=bbr");
}

/* ---- bounds ---- */

static json_int_t count_tw(const json_t *reading)
{
	return why_counter(reading, "TcpExtTCPTimeWaitOverflow");
}

static json_int_t count_orphans(const json_t *reading)
{
	return why_counter(reading, "TcpExtTCPAbortOnMemory");
}

static json_int_t count_resets(const json_t *reading)
{
	return why_counter(reading, "TcpExtTCPResetSkipped");
}

/* Twice what it is, and what did not fit. */
static void larger(const struct why *w, json_t *finding, const char *param, json_int_t most)
{
	json_int_t now = why_param(w->after, param, 0);
	json_int_t want = why_round_up(2 * (now + cli_int(finding, "lost")));

	why_say(finding, "change", "a higher bound");
	why_add(finding, "commands", "weir sysctl net.ipv4.%s=%lld", param,
		(long long)(want < most ? want : most));
}

static void explain_tw(const struct why *w, json_t *finding)
{
	why_say(finding, "title", "connections end without TIME_WAIT");
	why_say(finding, "why",
		"there are %lld already (tcp_max_tw_buckets, of a worker): late segments of those "
		"that ended are answered by RSTs",
		(long long)why_param(w->after, "tcp_max_tw_buckets", 0));
	larger(w, finding, "tcp_max_tw_buckets", 1048576);
}

static void explain_orphans(const struct why *w, json_t *finding)
{
	why_say(finding, "title",
		"connections that programs closed are reset before their data "
		"is sent");
	why_say(finding, "why", "more than %lld of them are under way (tcp_max_orphans)",
		(long long)why_param(w->after, "tcp_max_orphans", 0));
	larger(w, finding, "tcp_max_orphans", 0x7fffffff);
}

static void explain_resets(const struct why *w, json_t *finding)
{
	why_say(finding, "title", "segments to ports that nobody has are left without an answer");
	why_say(finding, "why", "more than %lld a second come (tcp_reset_limit): a scan or a flood",
		(long long)why_param(w->after, "tcp_reset_limit", 0));
	larger(w, finding, "tcp_reset_limit", 0x7fffffff);
}

const struct why_detector why_detectors_tcp[] = {
	{ "orphans", 66, { NULL }, count_orphans, explain_orphans },
	{ "path-loss", 60, { NULL }, count_retrans, explain_retrans },
	{ "time-wait", 46, { NULL }, count_tw, explain_tw },
	{ "reset-limit", 22, { NULL }, count_resets, explain_resets },
	{ 0 },
};
