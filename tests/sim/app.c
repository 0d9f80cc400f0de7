/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs. The client of each connection is on engine 0, its server on engine 1:
 *   bulk   the client sends, the server reads to the end
 *   both   both send, and read what the other sends
 *   rr     `count` requests of `request` bytes, an answer of `bytes` to each
 *   half   a request, the client shuts its side down, then comes the answer
 *   abort  as both, but one of them resets the connection in the midst of it
 * What is sent is a pattern of the position in its stream and differs between streams, so every
 * byte that is read can be told.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define WEIR_NO_TCP_STATES
#include "inet/tcp/tcp_impl.h"
#include "sock/sock_priv.h"

#define PATTERN_BYTES 65521u /* a prime: no multiple of it is a segment's or a buffer's size */
#define CHUNK_BYTES 65536u
#define FOR_EVER (UINT64_MAX / 2)

static uint8_t pattern[PATTERN_BYTES * 2 + CHUNK_BYTES];

static const uint8_t *pattern_at(uint64_t salt, uint64_t position)
{
	if (!pattern[0]) {
		uint64_t rng = 1;

		for (unsigned int i = 0; i < PATTERN_BYTES; i++)
			pattern[i] = (uint8_t)sim_random(&rng);
		pattern[0] |= 1;
		memcpy(pattern + PATTERN_BYTES, pattern, PATTERN_BYTES);
		memcpy(pattern + 2 * PATTERN_BYTES, pattern, CHUNK_BYTES);
	}
	return pattern + (salt + position) % PATTERN_BYTES;
}

bool app_find(const char *name, enum sim_app *app)
{
	static const char *const names[] = { "bulk", "both", "rr", "half", "abort" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*app = (enum sim_app)i;
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static struct sockaddr_in address(unsigned int side, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(0xc6120001 + side); /* 198.18.0.1 and .2 */
	return a;
}

static void option(struct sim *s, const struct end *e, int level, int name, int value)
{
	if (weir_setsockopt(s->side[e->side].weir, e->fd, level, name, &value, sizeof(value)) != 0)
		sim_fail(s, "setsockopt %d/%d: %s", level, name, strerror(errno));
}

static void options(struct sim *s, struct end *e)
{
	if (s->p->sndbuf)
		option(s, e, SOL_SOCKET, SO_SNDBUF, (int)s->p->sndbuf);
	if (s->app == APP_RR)
		option(s, e, IPPROTO_TCP, TCP_NODELAY, 1);
	if (s->app != APP_ABORT)
		return;
	/* Who only reads learns of a lost RST by asking. */
	option(s, e, SOL_SOCKET, SO_KEEPALIVE, 1);
	option(s, e, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	option(s, e, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	option(s, e, IPPROTO_TCP, TCP_KEEPCNT, 30);
}

static void rcvbuf(struct sim *s, unsigned int side, int fd)
{
	int bytes = (int)s->p->rcvbuf;

	if (bytes && weir_setsockopt(s->side[side].weir, fd, SOL_SOCKET, SO_RCVBUF, &bytes,
				     sizeof(bytes)) != 0)
		sim_fail(s, "SO_RCVBUF: %s", strerror(errno));
}

/* ---- plans ---- */

static void plan_client(struct sim *s, struct end *e)
{
	bool answers = s->app == APP_RR || s->app == APP_HALF;

	e->tx_goal = answers ? s->p->request : s->p->seconds ? FOR_EVER : s->p->bytes;
	e->tx_final = (!answers && !s->p->seconds) || s->app == APP_HALF;
}

static void plan_server(struct sim *s, struct end *e)
{
	bool sends = s->app == APP_BOTH || s->app == APP_ABORT;

	e->tx_goal = !sends ? 0 : s->p->seconds ? FOR_EVER : s->p->bytes;
	e->tx_final = sends && !s->p->seconds;
	if (s->app == APP_BULK)
		e->tx_final = true;
	if (s->p->pause_us)
		e->wake_ns = s->now_ns + s->p->pause_us * SIM_US_NS;
}

/* What has been read may be what the next step waited for. */
static void plan_client_read(struct sim *s, struct end *e)
{
	if (s->app != APP_RR || e->rx < (e->served + 1) * s->p->bytes)
		return;
	if (s->p->think_us && e->wake_ns == LINK_NEVER) {
		e->wake_ns = s->now_ns + s->p->think_us * SIM_US_NS;
		return;
	}
	if (s->p->think_us && s->now_ns < e->wake_ns)
		return;
	e->wake_ns = LINK_NEVER;
	if (++e->served < s->p->count)
		e->tx_goal += s->p->request;
	else
		e->tx_final = true;
}

static void plan_server_read(struct sim *s, struct end *e)
{
	if (s->app == APP_RR) {
		while (e->rx >= (e->served + 1) * s->p->request) {
			e->served++;
			e->tx_goal += s->p->bytes;
		}
		e->tx_final = e->eof;
	} else if (s->app == APP_HALF && e->eof && !e->tx_final) {
		e->tx_goal = s->p->bytes;
		e->tx_final = true;
	}
}

/* ---- one end ---- */

static void end_closed(struct sim *s, struct end *e)
{
	struct conn *c = e->conn;

	e->closed = true;
	e->fd = -1;
	e->wake_ns = LINK_NEVER;
	if (c->end[!e->side].closed) {
		c->done_ns = s->now_ns;
		s->done++;
	}
}

static void end_close(struct sim *s, struct end *e)
{
	if (weir_close(s->side[e->side].weir, e->fd) != 0)
		sim_fail(s, "close: %s", strerror(errno));
	end_closed(s, e);
}

static void end_error(struct sim *s, struct end *e, const char *call)
{
	bool expected = s->app == APP_ABORT && e->conn->end[!e->side].reset;

	if (!expected || (errno != ECONNRESET && errno != EPIPE && errno != ETIMEDOUT))
		sim_fail(s, "connection %u, %s: %s: %s after %llu bytes", e->conn->number,
			 e->side ? "server" : "client", call, strerror(errno),
			 (unsigned long long)e->rx);
	end_close(s, e);
}

static void end_reset(struct sim *s, struct end *e)
{
	struct linger hard = { .l_onoff = 1 };

	if (weir_setsockopt(s->side[e->side].weir, e->fd, SOL_SOCKET, SO_LINGER, &hard,
			    sizeof(hard)) != 0)
		sim_fail(s, "SO_LINGER: %s", strerror(errno));
	e->reset = true;
	end_close(s, e);
}

static void rx_taken(struct sim *s, struct end *e, const uint8_t *data, size_t n)
{
	const struct conn *c = e->conn;
	uint64_t idle_ns = s->now_ns - e->progress_ns;

	if (memcmp(data, pattern_at(c->salt[!e->side], e->rx), n) != 0)
		sim_fail(s, "connection %u, %s: wrong bytes between %llu and %llu", c->number,
			 e->side ? "server" : "client", (unsigned long long)e->rx,
			 (unsigned long long)(e->rx + n));
	if (e->rx + n > c->end[!e->side].tx)
		sim_fail(s, "connection %u: more was read than written", c->number);
	e->rx += n;
	if (e->progress_ns && idle_ns > e->stall_ns)
		e->stall_ns = idle_ns;
	e->progress_ns = s->now_ns;
}

static bool reads_slowly(const struct sim *s, const struct end *e)
{
	return e->side == 1 && (s->p->read_us || s->p->pause_us);
}

static void end_read(struct sim *s, struct end *e)
{
	static uint8_t data[CHUNK_BYTES];
	struct weir *weir = s->side[e->side].weir;
	bool slow = reads_slowly(s, e);
	size_t room = slow && s->p->read_bytes ? s->p->read_bytes : sizeof(data);
	ssize_t n;

	if (e->eof || (slow && e->wake_ns != LINK_NEVER && s->now_ns < e->wake_ns))
		return;
	if (slow)
		e->wake_ns = LINK_NEVER;
	do {
		n = weir_recv(weir, e->fd, data, room < sizeof(data) ? room : sizeof(data), 0);
		if (n > 0)
			rx_taken(s, e, data, (size_t)n);
	} while (n > 0 && !s->failed && !(slow && s->p->read_us));
	if (n == 0)
		e->eof = true;
	else if (n < 0 && errno != EAGAIN)
		end_error(s, e, "recv");
	else if (n > 0 && slow && s->p->read_us)
		e->wake_ns = s->now_ns + s->p->read_us * SIM_US_NS;
}

static void end_write(struct sim *s, struct end *e)
{
	struct weir *weir = s->side[e->side].weir;

	while (e->tx < e->tx_goal && !e->closed) {
		uint64_t n = e->tx_goal - e->tx;
		ssize_t sent = weir_send(weir, e->fd, pattern_at(e->conn->salt[e->side], e->tx),
					 n < CHUNK_BYTES ? n : CHUNK_BYTES, 0);

		if (sent < 0) {
			if (errno != EAGAIN)
				end_error(s, e, "send");
			return;
		}
		e->tx += (uint64_t)sent;
	}
}

static bool end_connected(struct sim *s, struct end *e)
{
	struct pollfd pfd = { .fd = e->fd, .events = POLLOUT };
	struct weir *weir = s->side[e->side].weir;
	socklen_t len = sizeof(int);
	int error = 0;

	if (e->connected)
		return true;
	weir_poll(weir, &pfd, 1);
	if (!pfd.revents)
		return false;
	if (weir_getsockopt(weir, e->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
		errno = error;
		end_error(s, e, "connect");
		return false;
	}
	e->connected = true;
	return true;
}

/* Where in the stream a connection is reset, and by whom. */
static bool resets_now(const struct sim *s, const struct end *e)
{
	uint64_t salt = e->conn->salt[0];

	return s->app == APP_ABORT && (salt & 1) == e->side && e->rx >= (salt >> 8) % s->p->bytes;
}

static void end_finish(struct sim *s, struct end *e)
{
	bool written = e->tx_final && e->tx == e->tx_goal;

	if (e->closed || !written)
		return;
	if (e->eof || (s->app == APP_RR && e->side == 0 && (e->conn->salt[0] & 1))) {
		end_close(s, e);
	} else if (!e->shut) {
		if (weir_shutdown(s->side[e->side].weir, e->fd, SHUT_WR) != 0) {
			end_error(s, e, "shutdown");
			return;
		}
		e->shut = true;
	}
}

static void end_turn(struct sim *s, struct end *e)
{
	if (e->fd < 0 || !end_connected(s, e))
		return;
	end_read(s, e);
	if (!e->closed && e->side)
		plan_server_read(s, e);
	else if (!e->closed)
		plan_client_read(s, e);
	if (!e->closed && resets_now(s, e)) {
		end_reset(s, e);
		return;
	}
	end_write(s, e);
	end_finish(s, e);
}

/* ---- all of them ---- */

static void end_init(struct sim *s, struct conn *c, unsigned int side)
{
	c->end[side] = (struct end){ .conn = c, .side = side, .fd = -1, .wake_ns = LINK_NEVER };
	c->salt[side] = sim_random(&s->rng) >> 8;
}

void app_open(struct sim *s)
{
	struct sockaddr_in a = address(1, SIM_PORT);
	struct weir *weir = s->side[1].weir;

	s->conns = (uint32_t)s->p->flows;
	s->conn = calloc(s->conns, sizeof(*s->conn));
	if (!s->conn)
		abort();
	for (uint32_t i = 0; i < s->conns; i++) {
		struct conn *c = &s->conn[i];

		c->number = i;
		c->start_ns = s->now_ns + i * s->p->gap_us * SIM_US_NS;
		end_init(s, c, 0);
		end_init(s, c, 1);
	}
	s->side[1].listener = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	rcvbuf(s, 1, s->side[1].listener);
	if (weir_bind(weir, s->side[1].listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    weir_listen(weir, s->side[1].listener, 1000) != 0)
		sim_fail(s, "no listener: %s", strerror(errno));
}

static void congestion_control(struct sim *s, const struct conn *c, const struct end *e)
{
	const char *name = c->number % 2 && s->p->cc2[0] ? s->p->cc2 : s->p->cc;

	if (weir_setsockopt(s->side[0].weir, e->fd, IPPROTO_TCP, TCP_CONGESTION, name,
			    (socklen_t)strlen(name)) != 0)
		sim_fail(s, "TCP_CONGESTION %s: %s", name, strerror(errno));
}

static void conn_start(struct sim *s, struct conn *c)
{
	struct weir *weir = s->side[0].weir;
	struct sockaddr_in a = address(1, SIM_PORT), us;
	socklen_t len = sizeof(us);
	struct end *e = &c->end[0];

	e->fd = weir_socket(weir, AF_INET, SOCK_STREAM, 0);
	if (e->fd < 0) {
		sim_fail(s, "socket: %s", strerror(errno));
		return;
	}
	rcvbuf(s, 0, e->fd);
	options(s, e);
	congestion_control(s, c, e);
	if (weir_connect(weir, e->fd, (struct sockaddr *)&a, sizeof(a)) == 0 ||
	    errno != EINPROGRESS) {
		sim_fail(s, "connect: %s", strerror(errno));
		return;
	}
	if (weir_getsockname(weir, e->fd, (struct sockaddr *)&us, &len) != 0)
		sim_fail(s, "getsockname: %s", strerror(errno));
	c->port = ntohs(us.sin_port);
	plan_client(s, e);
}

void app_start(struct sim *s)
{
	while (s->opened < s->conns && s->conn[s->opened].start_ns <= s->now_ns && !s->failed)
		conn_start(s, &s->conn[s->opened++]);
}

/* The newest with the client's port: ports come again. */
static struct conn *conn_of(struct sim *s, uint16_t port)
{
	for (uint32_t i = s->opened; i-- > 0;) {
		if (s->conn[i].port == port)
			return &s->conn[i];
	}
	return NULL;
}

static void accept_all(struct sim *s)
{
	struct weir *weir = s->side[1].weir;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int fd;

	while ((fd = weir_accept(weir, s->side[1].listener, (struct sockaddr *)&peer, &len)) >= 0) {
		struct conn *c = conn_of(s, ntohs(peer.sin_port));

		if (!c || c->end[1].fd >= 0 || c->end[1].closed) {
			sim_fail(s, "a connection that nobody opened");
			return;
		}
		c->end[1].fd = fd;
		c->end[1].connected = true;
		options(s, &c->end[1]);
		plan_server(s, &c->end[1]);
		len = sizeof(peer);
	}
}

/* A connection that its client has reset before the server knew of it. */
static void never_accepted(struct sim *s, struct conn *c)
{
	if (c->end[0].closed && c->end[0].reset && !c->end[1].closed && c->end[1].fd < 0 &&
	    !app_pcb(s, &c->end[1]))
		end_closed(s, &c->end[1]);
}

void app_turn(struct sim *s, unsigned int side)
{
	if (side == 1)
		accept_all(s);
	for (uint32_t i = 0; i < s->opened && !s->failed; i++) {
		end_turn(s, &s->conn[i].end[side]);
		if (side == 1 && s->app == APP_ABORT)
			never_accepted(s, &s->conn[i]);
	}
}

uint64_t app_next_ns(const struct sim *s)
{
	uint64_t next = s->opened < s->conns ? s->conn[s->opened].start_ns : LINK_NEVER;

	for (uint32_t i = 0; i < s->opened; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			if (s->conn[i].end[k].wake_ns < next)
				next = s->conn[i].end[k].wake_ns;
		}
	}
	return next;
}

void app_stop(struct sim *s)
{
	for (uint32_t i = 0; i < s->conns; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			struct end *e = &s->conn[i].end[k];

			if (e->tx_goal == FOR_EVER)
				e->tx_goal = e->tx;
			e->tx_final = true;
		}
	}
	s->side[0].poll = s->side[1].poll = true;
}

void app_close(struct sim *s)
{
	for (uint32_t i = 0; i < s->conns; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			if (s->conn[i].end[k].fd >= 0)
				weir_close(s->side[k].weir, s->conn[i].end[k].fd);
		}
	}
	weir_close(s->side[1].weir, s->side[1].listener);
}

struct tcp_pcb *app_pcb(struct sim *s, const struct end *e)
{
	struct sockaddr_in client = address(0, e->conn->port), server = address(1, SIM_PORT);
	struct endpoint a = { ipaddr_from_ip4(client.sin_addr.s_addr), client.sin_port };
	struct endpoint b = { ipaddr_from_ip4(server.sin_addr.s_addr), server.sin_port };
	struct worker *w = s->side[e->side].weir->w;
	struct tcp_node *node = e->side ? tcp_lookup(w, &b, &a) : tcp_lookup(w, &a, &b);

	return node && node->kind == TCP_NODE_PCB ? tcp_node_pcb(node) : NULL;
}
