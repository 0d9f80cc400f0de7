/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket calls of scripts, on real sockets (weir.h). Streams are net_byte() in both directions, so
 * every byte that a program reads is compared.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "run.h"

static struct sockaddr_in addr_of(uint32_t ip, int64_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(ip) };
}

static int64_t call_send(struct run *r, struct run_sock *s, const struct call *c)
{
	struct sockaddr_in to = addr_of(PKT_PEER, c->arg2);
	size_t len = (size_t)c->arg;
	uint8_t *data = malloc(len + 1);
	ssize_t n;

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = net_byte((int64_t)(s->tx + i));
	if (c->fn == CALL_SENDTO)
		n = weir_sendto(r->weir, s->fd, data, len, c->flags, (struct sockaddr *)&to,
				sizeof(to));
	else
		n = weir_send(r->weir, s->fd, data, len, c->flags);
	free(data);
	if (n > 0)
		s->tx += (uint64_t)n;
	return n;
}

/* A byte that is not what comes next may be the one behind an urgent one, which is not in the
 * stream; the mark is always where a read begins. */
static void skip_urgent(struct run *r, struct run_sock *s, uint8_t first, uint64_t *at)
{
	while (first != net_byte((int64_t)*at) && net_is_urgent(r, (int64_t)*at))
		++*at;
}

static int64_t recv_urgent(struct run *r, const uint8_t *data, ssize_t n)
{
	for (unsigned int i = 0; i < r->urgents && n == 1; i++)
		if (*data == net_byte(r->urgent[i]))
			return n;
	if (n == 1)
		run_fail(r, "that was no urgent byte");
	return n;
}

static int64_t call_recv(struct run *r, struct run_sock *s, const struct call *c)
{
	size_t room = (size_t)c->arg;
	uint8_t *data = malloc(room + 1);
	uint64_t at = s->rx;
	ssize_t n;

	assert_non_null(data);
	n = weir_recv(r->weir, s->fd, data, room, c->flags);
	if (c->flags & MSG_OOB) {
		n = recv_urgent(r, data, n);
		free(data);
		return n;
	}
	if (n > 0)
		skip_urgent(r, s, data[0], &at);
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] == net_byte((int64_t)(at + (uint64_t)i)))
			continue;
		n = i;
		free(data);
		run_fail(r, "byte %" PRIu64 " of the stream is wrong", at + (uint64_t)n);
	}
	free(data);
	if (n > 0 && !(c->flags & MSG_PEEK))
		s->rx = at + (uint64_t)n;
	return n;
}

static int64_t call_setsockopt(struct run *r, struct run_sock *s, const struct call *c)
{
	struct linger linger = { .l_onoff = (int)c->arg, .l_linger = (int)c->arg2 };
	int value = (int)c->arg;

	if (c->text[0])
		return weir_setsockopt(r->weir, s->fd, c->level, c->opt, c->text,
				       (socklen_t)strlen(c->text));
	if (c->level == SOL_SOCKET && c->opt == SO_LINGER)
		return weir_setsockopt(r->weir, s->fd, c->level, c->opt, &linger, sizeof(linger));
	return weir_setsockopt(r->weir, s->fd, c->level, c->opt, &value, sizeof(value));
}

static int64_t call_getsockopt(struct run *r, struct run_sock *s, const struct call *c)
{
	union {
		int value;
		char text[16];
		struct linger linger;
	} got = { .value = 0 };
	socklen_t len = c->want.text[0] ? sizeof(got.text) : sizeof(got.value);

	if (c->level == SOL_SOCKET && c->opt == SO_LINGER)
		len = sizeof(got.linger);
	if (weir_getsockopt(r->weir, s->fd, c->level, c->opt, &got, &len) != 0)
		return -1;
	if (!c->want.text[0])
		return got.value;
	got.text[sizeof(got.text) - 1] = '\0';
	if (strcmp(got.text, c->want.text) != 0)
		run_fail(r, "the option is \"%s\" instead of \"%s\"", got.text, c->want.text);
	return 0;
}

static int64_t call_poll(struct run *r, struct run_sock *s, const struct call *c)
{
	struct pollfd p = { .fd = s->fd, .events = (short)c->arg };

	return weir_poll(r->weir, &p, 1) < 0 ? -1 : p.revents;
}

static int64_t call_addr(struct run *r, struct run_sock *s, const struct call *c)
{
	bool bind = c->fn == CALL_BIND;
	struct sockaddr_in a = addr_of(bind ? INADDR_ANY : PKT_PEER, c->arg);
	int ret;

	if (bind)
		return weir_bind(r->weir, s->fd, (struct sockaddr *)&a, sizeof(a));
	ret = weir_connect(r->weir, s->fd, (struct sockaddr *)&a, sizeof(a));
	return ret != 0 && errno == EINPROGRESS && c->want.op == WANT_OK ? 0 : ret;
}

static int64_t call_new(struct run *r, struct run_sock *s, const struct call *c)
{
	int fd = c->fn == CALL_SOCKET ? weir_socket(r->weir, AF_INET, SOCK_STREAM, 0)
				      : weir_accept(r->weir, s->fd, NULL, NULL);

	if (fd < 0)
		return fd;
	if (c->result < 0)
		run_fail(r, "accept() gave a socket that gets no name: write NAME = accept(...)");
	s = &r->sock[c->result];
	if (s->open)
		run_fail(r, "'%s' is still open", r->script->sock_name[c->result]);
	*s = (struct run_sock){ .open = true, .fd = fd };
	return 0;
}

static int64_t call_do(struct run *r, struct run_sock *s, const struct call *c)
{
	switch (c->fn) {
	case CALL_SOCKET:
	case CALL_ACCEPT:
		return call_new(r, s, c);
	case CALL_BIND:
	case CALL_CONNECT:
		return call_addr(r, s, c);
	case CALL_LISTEN:
		return weir_listen(r->weir, s->fd, (int)c->arg);
	case CALL_SEND:
	case CALL_SENDTO:
		return call_send(r, s, c);
	case CALL_RECV:
		return call_recv(r, s, c);
	case CALL_SHUTDOWN:
		return weir_shutdown(r->weir, s->fd, (int)c->arg);
	case CALL_CLOSE:
		s->open = false;
		return weir_close(r->weir, s->fd);
	case CALL_SETSOCKOPT:
		return call_setsockopt(r, s, c);
	case CALL_GETSOCKOPT:
		return call_getsockopt(r, s, c);
	case CALL_POLL:
		return call_poll(r, s, c);
	case CALL_SOCKATMARK:
		return weir_sockatmark(r->weir, s->fd);
	default:
		return -1;
	}
}

static void poll_text(int64_t mask, char *text, size_t room)
{
	size_t n = 0;

	text[0] = '\0';
	for (const struct name *p = names_poll; p->name; p++)
		if (mask & p->value && n < room)
			n += (size_t)snprintf(text + n, room - n, "%s%s", n ? "|" : "", p->name);
}

static void judge(struct run *r, const struct call *c, int64_t ret, int error)
{
	char text[64];

	if (c->want.error) {
		if (ret >= 0)
			run_fail(r, "it returned %" PRId64 " instead of %s", ret,
				 name_of(names_errno, c->want.error));
		if (error != c->want.error)
			run_fail(r, "%s (%s) instead of %s", name_of(names_errno, error),
				 strerror(error), name_of(names_errno, c->want.error));
		return;
	}
	if (ret < 0 && !(c->fn == CALL_GETSOCKOPT && error == 0))
		run_fail(r, "%s: %s", name_of(names_errno, error), strerror(error));
	if (want_met(&c->want, ret, 0))
		return;
	poll_text(ret, text, sizeof(text));
	if (c->fn == CALL_POLL)
		run_fail(r, "poll() says %s", text[0] ? text : "0");
	run_fail(r, "it returned %" PRId64, ret);
}

void run_call(struct run *r, const struct event *e)
{
	const struct call *c = &e->call;
	struct run_sock *s = &r->sock[c->sock];
	int64_t ret;

	if (c->fn != CALL_SOCKET && !s->open)
		run_fail(r, "'%s' is not open", r->script->sock_name[c->sock]);
	errno = 0;
	ret = call_do(r, s, c);
	judge(r, c, ret, errno);
	net_poll(r);
}
