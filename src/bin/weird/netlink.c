/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/weird/loop.h"
#include "netlink/rtnetlink.h"
#include "wire/app_abi.h"

#define CONNECTIONS_MAX 1024u
#define CONNECTIONS_FAMILY_MAX 256u /* of one program and those it forked */
#define REQUEST_BYTES_MAX 8192u
#define DATAGRAMS_A_ROUND 8u /* then others have their turn */
#define MESSAGES_MAX 64u     /* in one datagram */

struct connection {
	struct control_watch watch; /* first: control_watch_free() */
	struct connection *next, **pprev;
	struct rtnl rtnl;
	struct rtnl_dump dump;
	uint32_t portid;
	int protocol;	 /* NETLINK_ROUTE or NETLINK_SOCK_DIAG */
	uint32_t family; /* session_program() of who opened it */
	bool waiting;	 /* for room: the program does not read what it asked for */
};

static struct connection *connections;
static unsigned int connection_count;

static void end(struct connection *c)
{
	control_watch_remove(&c->watch);
	close(c->watch.fd);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	connection_count--;
	control_watch_free(&c->watch);
}

/* Nothing is read while answers wait: what a program may ask for is bounded by what it reads. */
static void wait_for_room(struct connection *c, bool wait)
{
	if (c->waiting != wait)
		control_watch_set(&c->watch, wait ? EPOLLOUT : EPOLLIN);
	c->waiting = wait;
}

/* True: it went, or nobody is there to have it. */
static bool send_buf(const struct connection *c, const struct nl_buf *b)
{
	if (b->len == 0)
		return true;
	return send(c->watch.fd, b->bytes, b->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
	       (errno != EAGAIN && errno != ENOBUFS);
}

/* The next datagrams of the dump. False: there is no room now. */
static bool go_on(struct connection *c)
{
	static struct nl_buf b;

	for (unsigned int i = 0; rtnl_dumping(&c->dump); i++) {
		struct rtnl_dump before = c->dump;

		if (i == DATAGRAMS_A_ROUND)
			return false;
		control_park();
		nl_init(&b);
		rtnl_dump(&c->rtnl, &c->dump, &b);
		if (!send_buf(c, &b)) {
			c->dump = before;
			return false;
		}
	}
	return true;
}

/* As a kernel that is built without it: ss and its like read /proc/net instead. */
static void no_sock_diag(const struct connection *c, const struct nlmsghdr *msg, struct nl_buf *b)
{
	nl_error(b, msg, c->portid, -ENOENT, "weir has no sock_diag; see /proc/net/tcp, udp, raw");
}

static void answer(struct connection *c, const struct nlmsghdr *msg)
{
	static struct nl_buf b;

	if (msg->nlmsg_type == ABI_NETLINK_PORTID) {
		c->portid = msg->nlmsg_pid;
		return;
	}
	nl_init(&b);
	if (c->protocol == NETLINK_SOCK_DIAG) {
		no_sock_diag(c, msg, &b);
	} else {
		control_park();
		rtnl_request(&c->rtnl, msg, c->portid, &b, &c->dump);
	}
	/* Where there is no room the answer is lost, as it is with a full socket of the kernel's.
	 */
	send_buf(c, &b);
}

static void read_one(struct connection *c)
{
	static _Alignas(struct nlmsghdr) uint8_t request[REQUEST_BYTES_MAX];
	ssize_t n = recv(c->watch.fd, request, sizeof(request), MSG_DONTWAIT);
	const struct nlmsghdr *msg;
	size_t at = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		end(c);
		return;
	}
	for (unsigned int i = 0; n > 0 && i < MESSAGES_MAX; i++) {
		msg = nl_next(request, (size_t)n, &at);
		if (!msg)
			break;
		answer(c, msg);
	}
	wait_for_room(c, !go_on(c));
}

static void on_event(struct control_watch *watch, uint32_t events)
{
	struct connection *c = (struct connection *)watch;

	if (!c->waiting)
		read_one(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		end(c);
	else
		wait_for_room(c, !go_on(c));
}

static bool may_open(uint32_t family)
{
	unsigned int n = 0;

	for (const struct connection *c = connections; c; c = c->next)
		n += c->family == family;
	return n < CONNECTIONS_FAMILY_MAX && connection_count < CONNECTIONS_MAX;
}

int weird_netlink_open(struct engine *engine, int fd, uint32_t portid, int protocol,
		       uint32_t family)
{
	struct connection *c = NULL;
	int err = may_open(family) ? -ENOMEM : -EMFILE;

	if (err == -ENOMEM)
		c = calloc(1, sizeof(*c));
	if (c) {
		c->watch.fd = fd;
		c->watch.fn = on_event;
		c->rtnl.worker = engine->worker;
		c->rtnl.worker_count = engine->worker_count;
		c->portid = portid;
		c->protocol = protocol;
		c->family = family;
		err = control_watch_add(&c->watch, EPOLLIN);
	}
	if (err) {
		close(fd);
		free(c);
		return err;
	}
	c->next = connections;
	c->pprev = &connections;
	if (connections)
		connections->pprev = &c->next;
	connections = c;
	connection_count++;
	return 0;
}

void weird_netlink_stop(void)
{
	while (connections)
		end(connections);
}
