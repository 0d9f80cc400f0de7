/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections by the number, both ends in one engine, over its loopback, in virtual time.
 *
 *   tcp_connections rate [REPETITIONS [CONNECTIONS]]
 * opens connections in groups of 64: connect, accept, close on both sides, TIME_WAIT and its end
 * too; prints how many a second of processor time.
 *
 *   tcp_connections idle [CONNECTIONS]
 * holds so many (an established one counts at each of its ends, since each has all that a
 * connection to another host has), and prints what each takes of the process's resident memory,
 * what it took to set one up, and what looking one up costs when a segment comes for each of many;
 * then closes all, and says what a TIME_WAIT takes.
 *
 * Each prints one line of JSON, times in nanoseconds.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/direct.h"
#include "inet/tcp/tcp_impl.h"
#include "weir.h"

#define GROUP 64u
#define PORT_FIRST 1000u
#define CONNECTIONS_A_PORT 20000u /* of the 28,232 that a client may come from */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "tcp_connections: %s:%d: %s\n", __FILE__, __LINE__, #x);   \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t resident_bytes(void)
{
	unsigned long long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	MUST(f && fscanf(f, "%llu %llu", &size, &resident) == 2);
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct weir *open_engine(unsigned int sockets)
{
	const struct weir_config config = { .virtual_time = true,
					    .start_ns = 1000000000ull,
					    .seed = 1,
					    .sockets = sockets,
					    .memory_bytes =
						    (4ull << 30) + sockets * (257ull << 10) };
	char error[WEIR_ERROR_BYTES];
	struct weir *weir = weir_engine_open(&config, error);

	if (!weir) {
		fprintf(stderr, "tcp_connections: %s\n", error);
		exit(1);
	}
	return weir;
}

static struct sockaddr_in local(unsigned int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listen_on(struct weir *weir, unsigned int port)
{
	struct sockaddr_in at = local(port);
	int fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);

	MUST(fd >= 0 && weir_bind(weir, fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	MUST(weir_listen(weir, fd, 4096) == 0);
	return fd;
}

/* n connections to a listener: client[i], and server[i] of whichever. */
static void connect_group(struct weir *weir, int listener, unsigned int port, int *client,
			  int *server, unsigned int n)
{
	struct sockaddr_in to = local(port);

	for (unsigned int i = 0; i < n; i++) {
		client[i] = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
		MUST(client[i] >= 0);
		MUST(weir_connect(weir, client[i], (struct sockaddr *)&to, sizeof(to)) == -1);
	}
	weir_engine_advance(weir, 0);
	for (unsigned int i = 0; i < n; i++) {
		server[i] = weir_accept(weir, listener, NULL, NULL);
		MUST(server[i] >= 0);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double rate_once(struct weir *weir, int listener, unsigned int connections)
{
	int client[GROUP], server[GROUP];
	uint64_t start = now_ns();

	for (unsigned int done = 0; done < connections; done += GROUP) {
		connect_group(weir, listener, PORT_FIRST, client, server, GROUP);
		for (unsigned int i = 0; i < GROUP; i++)
			weir_close(weir, client[i]);
		weir_engine_advance(weir, 0);
		for (unsigned int i = 0; i < GROUP; i++)
			weir_close(weir, server[i]);
		/* 1,280 a second: a client's port is free again before all are used. */
		weir_engine_advance(weir, 50000000);
	}
	return connections * 1e9 / (double)(now_ns() - start);
}

static int rate(unsigned int repetitions, unsigned int connections)
{
	struct weir *weir = open_engine(0);
	int listener = listen_on(weir, PORT_FIRST);
	double *result = calloc(repetitions, sizeof(*result));

	MUST(repetitions && result);
	rate_once(weir, listener, connections);
	for (unsigned int i = 0; i < repetitions; i++)
		result[i] = rate_once(weir, listener, connections);
	qsort(result, repetitions, sizeof(*result), compare);
	printf("{\"tcp_conn_per_s\": {\"min\": %.0f, \"median\": %.0f, \"max\": %.0f, "
	       "\"runs\": %u}}\n",
	       result[0], result[repetitions / 2], result[repetitions - 1], repetitions);
	free(result);
	weir_engine_close(weir);
	return 0;
}

struct ends {
	struct endpoint (*of)[2]; /* local, remote */
	unsigned int n, room;
};

static void ends_add(const struct tcp_pcb *pcb, void *arg)
{
	struct ends *e = arg;

	if (pcb->pub.state != TCP_ESTABLISHED || e->n == e->room)
		return;
	e->of[e->n][0] = pcb->pub.local;
	e->of[e->n++][1] = pcb->pub.remote;
}

/* Find connections in an order that no cache can guess; nanoseconds each. */
static double look_up(struct weir *weir, unsigned int connections)
{
	struct ends e = { .of = calloc(connections, sizeof(*e.of)), .room = connections };
	unsigned int n = connections < 200000 ? connections : 200000, found = 0;
	uint64_t start;
	double ns;

	MUST(e.of);
	tcp_for_each(weir->w, ends_add, &e);
	MUST(e.n == connections);
	start = now_ns();
	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = (unsigned int)(i * 2654435761ull % connections);

		found += tcp_lookup(weir->w, &e.of[at][0], &e.of[at][1]) != NULL;
	}
	ns = (double)(now_ns() - start) / n;
	MUST(found == n);
	free(e.of);
	return ns;
}

static void say(const char *name, double value, bool last)
{
	printf("\"%s\": %.1f%s", name, value, last ? "}\n" : ", ");
}

static int idle(unsigned int connections)
{
	unsigned int pairs = connections / 2 / GROUP * GROUP, listener_count = 0, last = 0;
	struct weir *weir = open_engine(connections + 4096);
	int *fd = calloc(2 * (size_t)pairs, sizeof(*fd));
	int listener[64];
	uint64_t before, start, tail = 0;
	double held;

	MUST(fd && pairs);
	memset(fd, 0xff, 2 * (size_t)pairs * sizeof(*fd)); /* resident now: it is ours */
	/* What is there once and does not grow with the number. */
	listener[listener_count++] = listen_on(weir, PORT_FIRST);
	before = resident_bytes();
	start = now_ns();
	for (unsigned int done = 0; done < pairs; done += GROUP) {
		unsigned int port = PORT_FIRST + done / CONNECTIONS_A_PORT;

		if (port - PORT_FIRST == listener_count) {
			MUST(listener_count < 64);
			listener[listener_count++] = listen_on(weir, port);
		}
		last = done >= pairs - pairs / 10 && !tail ? done : last;
		if (last && !tail)
			tail = now_ns();
		connect_group(weir, listener[listener_count - 1], port, fd + 2 * done,
			      fd + 2 * done + GROUP, GROUP);
	}
	held = (double)(resident_bytes() - before) / (2.0 * pairs);
	printf("{\"connections\": %u, ", 2 * pairs);
	say("tcp_idle_conn_bytes", held, false);
	say("set_up_ns", (double)(now_ns() - start) / pairs, false);
	say("set_up_ns_at_the_end", (double)(now_ns() - tail) / (pairs - last), false);
	say("look_up_ns", look_up(weir, 2 * pairs), false);
	/* An hour goes by. */
	start = now_ns();
	weir_engine_advance(weir, 3600000000000ull);
	say("hour_ns", (double)(now_ns() - start) / (2.0 * pairs), false);
	start = now_ns();
	for (unsigned int i = 0; i < 2 * pairs; i += 2 * GROUP) {
		for (unsigned int j = 0; j < 2 * GROUP; j++)
			weir_close(weir, fd[i + j]);
		weir_engine_advance(weir, 0);
	}
	say("close_ns", (double)(now_ns() - start) / pairs, false);
	say("time_wait_bytes", (double)sizeof(struct tcp_tw), true);
	free(fd);
	weir_engine_close(weir);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int first = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;

	if (argc > 1 && strcmp(argv[1], "rate") == 0)
		return rate(first ? first : 7, argc > 3 ? (unsigned int)atoi(argv[3]) : 20000);
	if (argc > 1 && strcmp(argv[1], "idle") == 0)
		return idle(first ? first : 1000000);
	fprintf(stderr, "usage: tcp_connections rate [REPETITIONS [CONNECTIONS]]\n"
			"       tcp_connections idle [CONNECTIONS]\n");
	return 2;
}
