/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/weird/control/commands.h"
#include "bin/weird/loop.h"
#include "bin/weird/peer.h"
#include "core/log.h"
#include "engine/clock.h"

#define CONNECTIONS_MAX 64u
#define REQUEST_BYTES 65536u
#define TIME_NS 10000000000u /* for the request to come, and for the answer to be read */
#define TICK_MS 1000

struct connection {
	struct control_watch watch; /* first: control_watch_free() */
	struct connection *next, **pprev;
	uint64_t since_ns;
	struct control_held *held; /* what lives as long as the connection, or NULL */
	char *answer;		   /* NULL: the request is not there yet */
	size_t answer_len, answer_sent;
	size_t len;
	char request[REQUEST_BYTES];
};

static struct engine *control_engine;
static struct control_watch listener;
static struct connection *connections;
static unsigned int connection_count;
static bool stop_asked;
static struct control_held *held_new; /* of the command that is being answered */

void control_request_stop(void)
{
	stop_asked = true;
}

void control_hold(struct control_held *held)
{
	held_new = held;
}

struct control_held *control_held_take(void)
{
	struct control_held *held = held_new;

	held_new = NULL;
	return held;
}

/* ---- requests ---- */

static json_t *error_object(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static json_t *run(struct engine *engine, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	if (!name)
		return error_object("the request has no \"cmd\"");
	for (const struct control_command *c = control_commands; c->name; c++) {
		if (strcmp(c->name, name) != 0)
			continue;
		if (c->park)
			control_park();
		return c->fn(engine, request);
	}
	return json_pack("{s:o}", "error",
			 json_sprintf("weird does not know the command '%s': weir "
				      "and weird may be of different builds",
				      name));
}

char *control_answer(struct engine *engine, const char *request, size_t len)
{
	json_t *parsed = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *reply = parsed ? run(engine, parsed) : error_object("the request is not JSON");
	char *text, *line;
	size_t size;

	/* Words of the request that were cut within a character, for one, make no JSON. */
	if (!reply)
		reply = error_object("weird has no words for what is wrong with the request");
	text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	size = text ? strlen(text) : 0;
	line = text ? realloc(text, size + 2) : NULL;
	if (line)
		memcpy(line + size, "\n", 2);
	else
		free(text);
	json_decref(reply);
	json_decref(parsed);
	return line;
}

/* ---- connections ---- */

static void connection_end(struct connection *c)
{
	/* First: who sees the connection's end knows that nothing more comes. */
	if (c->held) {
		control_park();
		c->held->end(c->held);
	}
	control_watch_remove(&c->watch);
	close(c->watch.fd);
	free(c->answer);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	connection_count--;
	control_watch_free(&c->watch);
}

bool control_stop_due(void)
{
	for (struct connection *c = connections, *next; stop_asked && c; c = next) {
		next = c->next;
		if (c->held && c->answer_sent == c->answer_len)
			connection_end(c);
	}
	return stop_asked && connection_count == 0;
}

/* Some of what is left; the first byte takes along the descriptor of what is held. */
static ssize_t send_some(const struct connection *c)
{
	struct iovec iov = { c->answer + c->answer_sent, c->answer_len - c->answer_sent };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (c->held && c->answer_sent == 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &c->held->fd, sizeof(int));
	}
	return sendmsg(c->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_answer(struct connection *c)
{
	while (c->answer_sent < c->answer_len) {
		ssize_t n = send_some(c);

		if (n < 0 && errno == EAGAIN) {
			control_watch_set(&c->watch, EPOLLOUT);
			return;
		}
		if (n < 0) {
			connection_end(c);
			return;
		}
		c->answer_sent += (size_t)n;
	}
	if (c->held) /* until the other end hangs up */
		control_watch_set(&c->watch, EPOLLIN);
	else
		connection_end(c);
}

static void receive_request(struct connection *c)
{
	ssize_t n = recv(c->watch.fd, c->request + c->len, REQUEST_BYTES - c->len, MSG_DONTWAIT);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		connection_end(c);
		return;
	}
	end = memchr(c->request + c->len, '\n', (size_t)n);
	c->len += (size_t)n;
	if (!end && c->len < REQUEST_BYTES)
		return;
	c->answer = end ? control_answer(control_engine, c->request, (size_t)(end - c->request))
			: strdup("{\"error\":\"the request is too long\"}\n");
	c->answer_len = c->answer ? strlen(c->answer) : 0;
	c->held = control_held_take();
	send_answer(c);
}

static void on_event(struct control_watch *watch, uint32_t events)
{
	struct connection *c = (struct connection *)watch;

	if (c->held && c->answer_sent == c->answer_len)
		connection_end(c);
	else if (c->answer)
		send_answer(c);
	else
		receive_request(c);
}

static void refuse(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a refused command did not hear why: %s", strerror(errno));
	close(fd);
}

static void connection_new(int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->watch.fd = fd;
	c->watch.fn = on_event;
	c->since_ns = clock_now_ns();
	if (control_watch_add(&c->watch, EPOLLIN)) {
		close(fd);
		free(c);
		return;
	}
	c->next = connections;
	c->pprev = &connections;
	if (connections)
		connections->pprev = &c->next;
	connections = c;
	connection_count++;
}

static void on_connection(struct control_watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer peer;

	if (fd < 0)
		return;
	if (peer_of(fd, &peer) || !peer_allowed(&peer, false))
		refuse(fd,
		       "{\"error\":\"weird obeys its own user and root: run weir with sudo\"}\n");
	else if (connection_count >= CONNECTIONS_MAX)
		refuse(fd, "{\"error\":\"too many commands at once: try again\"}\n");
	else
		connection_new(fd);
}

int control_start(struct engine *engine, int listen_fd)
{
	control_engine = engine;
	listener.fd = listen_fd;
	listener.fn = on_connection;
	return control_watch_add(&listener, EPOLLIN);
}

int control_tick(void)
{
	uint64_t now_ns = clock_now_ns();

	for (struct connection *c = connections, *next; c; c = next) {
		next = c->next;
		if (c->held && c->answer_sent == c->answer_len)
			continue;
		if (now_ns - c->since_ns > TIME_NS)
			connection_end(c);
	}
	return connections ? TICK_MS : -1;
}

void control_stop(void)
{
	if (listener.fn)
		control_watch_remove(&listener);
	while (connections)
		connection_end(connections);
}
