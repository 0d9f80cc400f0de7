/* SPDX-License-Identifier: BSD-3-Clause */
/* What is lost at sockets: buffers, queues of listeners, ports that nobody has. */
#include <stdio.h>
#include <string.h>

#include "bin/weir/cli.h"
#include "bin/weir/why/why.h"

#define RCVBUF_MAX (8 << 20)
#define BACKLOG_LEAST 128
#define SOMAXCONN_MAX 65536
#define KEY_BYTES 64

static const char *const sock_keys[] = { "proto", "local", "pid", "worker", NULL };

static bool is_listener(const json_t *sock)
{
	return strcmp(cli_string(sock, "state"), "LISTEN") == 0;
}

static bool is_packet(const json_t *sock)
{
	return strcmp(cli_string(sock, "proto"), "packet") == 0;
}

static bool is_dgram(const json_t *sock)
{
	return strcmp(cli_string(sock, "proto"), "tcp") && !is_packet(sock);
}

static const char *owner(const json_t *sock, char *text, size_t room)
{
	snprintf(text, room, "%s (pid %lld)", cli_string(sock, "program"),
		 (long long)cli_int(sock, "pid"));
	return text;
}

/* The socket of a kind that lost most; each one that lost anything is a line of who. */
static const json_t *worst_sock(const struct why *w, json_t *finding,
				bool (*kind)(const json_t *sock))
{
	const json_t *sock, *worst = NULL;
	json_int_t most = 0;
	char who[128];
	size_t i;

	json_array_foreach(why_list(w->after, "sockets"), i, sock)
	{
		json_int_t lost = kind(sock) ? why_grown(w, "sockets", sock, sock_keys, "drops")
					     : 0;

		if (lost <= 0)
			continue;
		why_add(finding, "who", "%s socket %s of %s: %lld", cli_string(sock, "proto"),
			cli_string(sock, "local"), owner(sock, who, sizeof(who)), (long long)lost);
		if (lost <= most)
			continue;
		most = lost;
		worst = sock;
	}
	return worst;
}

/* ---- receive buffers ---- */

static void larger_buffer(const struct why *w, const json_t *sock, json_t *finding)
{
	json_int_t now = cli_int(sock, "rcvbuf"), want = why_round_up(now * 4);
	const char *program = cli_string(sock, "program");

	want = want < RCVBUF_MAX ? want : RCVBUF_MAX;
	if (now >= RCVBUF_MAX) {
		why_say(finding, "change",
			"the buffer is as large as they get: more threads or processes of %s, each "
			"with a socket of its own (SO_REUSEPORT)",
			program);
	} else if (json_is_true(json_object_get(sock, "rcvbuf_asked"))) {
		why_say(finding, "change",
			"%s asked for this buffer itself: have it ask for more, "
			"setsockopt(SO_RCVBUF, %lld)",
			program, (long long)want);
		if (why_param(w->after, "rmem_max", 0) < want)
			why_add(finding, "commands", "weir sysctl net.core.rmem_max=%lld",
				(long long)want);
	} else {
		why_say(finding, "change",
			"a larger buffer for sockets that are opened from now on, then start %s "
			"again; or setsockopt(SO_RCVBUF, %lld) in it",
			program, (long long)want);
		why_add(finding, "commands", "weir sysctl net.core.rmem_default=%lld",
			(long long)want);
	}
}

static void explain_rcvbuf(const struct why *w, json_t *finding)
{
	const json_t *sock = worst_sock(w, finding, is_dgram);
	char who[128];

	if (!sock) { /* closed meanwhile, or TCP's, whose data comes again */
		why_say(finding, "title", "the receive buffer of a socket was full");
		why_say(finding, "why",
			"the socket is closed now, so it is not known whose it was");
		why_say(finding, "change", "run weir why while the program runs");
		return;
	}
	why_say(finding, "title", "the receive buffer of %s socket %s of %s is full",
		cli_string(sock, "proto"), cli_string(sock, "local"),
		owner(sock, who, sizeof(who)));
	why_say(finding, "why",
		"the program reads more slowly than data comes, or in bursts that the buffer of "
		"%lld bytes does not hold",
		(long long)cli_int(sock, "rcvbuf"));
	larger_buffer(w, sock, finding);
}

static json_int_t count_copies(const json_t *reading)
{
	const json_t *sock;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(why_list(reading, "sockets"), i, sock)
		sum += is_packet(sock) ? cli_int(sock, "drops") : 0;
	return sum;
}

static void explain_copies(const struct why *w, json_t *finding)
{
	const json_t *sock = worst_sock(w, finding, is_packet);
	char who[128];

	why_say(finding, "title", "%s captures too slowly: its socket has no room for copies",
		owner(sock, who, sizeof(who)));
	why_say(finding, "why", "only the copies for the capture are lost, no packet is");
	larger_buffer(w, sock, finding);
	why_say(finding, "change",
		"a larger buffer (tcpdump -B KIB, where it maps a ring), a shorter snap length, a "
		"narrower filter; sockets without a ring: weir sysctl, then start it again");
}

/* ---- listeners ---- */

static json_int_t more_backlog(json_int_t now)
{
	json_int_t want = why_round_up(now * 4 > BACKLOG_LEAST ? now * 4 : BACKLOG_LEAST);

	return want < SOMAXCONN_MAX ? want : SOMAXCONN_MAX;
}

/* Where the number is said, in programs that people run. */
static void say_backlog(json_t *finding, const char *program, json_int_t want)
{
	char words[64];

	if (strcmp(program, "nginx") == 0)
		snprintf(words, sizeof(words), "in nginx.conf: listen ADDRESS backlog=%lld", want);
	else if (strcmp(program, "redis-server") == 0)
		snprintf(words, sizeof(words), "in redis.conf: tcp-backlog %lld", want);
	else
		snprintf(words, sizeof(words), "in the program: listen(fd, %lld)", want);
	why_say(finding, "change", "a longer queue, %s; then start %s again", words, program);
}

static void explain_listen(const struct why *w, json_t *finding)
{
	const json_t *sock = worst_sock(w, finding, is_listener);
	json_int_t backlog = cli_int(sock, "send_q"), most = why_param(w->after, "somaxconn", 0);
	json_int_t want = more_backlog(backlog);
	char who[128];

	if (!sock) {
		why_say(finding, "title", "the accept queue of a listener was full");
		why_say(finding, "why", "it is closed now, so it is not known whose it was");
		why_say(finding, "change", "run weir why while the program runs");
		return;
	}
	why_say(finding, "title", "the accept queue of %s of %s is full", cli_string(sock, "local"),
		owner(sock, who, sizeof(who)));
	why_say(finding, "why",
		"connections come faster than the program accepts them: %lld wait now, %lld may",
		(long long)cli_int(sock, "recv_q"), (long long)backlog);
	say_backlog(finding, cli_string(sock, "program"), want);
	if (most < want)
		why_add(finding, "commands", "weir sysctl net.core.somaxconn=%lld",
			(long long)want);
}

static void explain_syn(const struct why *w, json_t *finding)
{
	char who[128];
	const json_t *sock = worst_sock(w, finding, is_listener);

	why_say(finding, "title", "too many half-open connections at %s of %s",
		sock ? cli_string(sock, "local") : "a listener",
		sock ? owner(sock, who, sizeof(who)) : "a program");
	why_say(finding, "why",
		"SYNs come whose senders do not go on: a flood, or a path that loses answers; SYN "
		"cookies are off");
	why_say(finding, "change",
		"SYN cookies, which need no memory for them (a longer queue by itself: "
		"tcp_max_syn_backlog and the program's backlog)");
	why_add(finding, "commands", "weir sysctl net.ipv4.tcp_syncookies=1");
}

/* ---- ports that nobody has ---- */

/* A socket with the port, at another address. */
static const json_t *elsewhere(const struct why *w, const char *where)
{
	const char *port = strstr(where, " port ");
	unsigned int wanted = 0;
	const json_t *sock;
	size_t i;

	if (!port || sscanf(port, " port %u", &wanted) != 1)
		return NULL;
	json_array_foreach(why_list(w->after, "sockets"), i, sock)
	{
		const char *local = cli_string(sock, "local"), *colon = strrchr(local, ':');
		bool udp = strstr(where, "(UDP)");
		unsigned int have = 0;

		if (colon && sscanf(colon, ":%u", &have) == 1 && have == wanted &&
		    (is_listener(sock) || (udp && is_dgram(sock))))
			return sock;
	}
	return NULL;
}

static void explain_no_socket(const struct why *w, json_t *finding)
{
	char where[KEY_BYTES], from[KEY_BYTES], who[128];
	const json_t *sock;

	why_most(w, finding, why_key_dst_port, where, sizeof(where));
	why_most(w, finding, why_key_src, from, sizeof(from));
	why_say(finding, "title", "nobody has %s", where[0] ? where : "the ports asked for");
	if (from[0])
		why_add(finding, "who", "asked for by %s", from);
	sock = elsewhere(w, where);
	if (sock) {
		why_say(finding, "why", "%s has the port, but at %s only",
			owner(sock, who, sizeof(who)), cli_string(sock, "local"));
		why_say(finding, "change", "have it listen on 0.0.0.0, or on that address");
		return;
	}
	why_say(finding, "why", "no program on weir has a socket there; who asks is told so");
	why_say(finding, "change", "start the program on weir, if there should be one");
	why_add(finding, "commands", "weir run -- PROGRAM");
}

const struct why_detector why_detectors_sock[] = {
	{ "receive-buffer", 80, { "SOCKET_RCVBUFF" }, NULL, explain_rcvbuf },
	{ "accept-queue", 79, { "TCP_LISTEN_OVERFLOW" }, NULL, explain_listen },
	{ "half-open", 78, { "TCP_REQQ_FULL" }, NULL, explain_syn },
	{ "capture-buffer", 32, { NULL }, count_copies, explain_copies },
	{ "no-socket", 20, { "NO_SOCKET" }, NULL, explain_no_socket },
	{ 0 },
};
