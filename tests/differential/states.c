/* SPDX-License-Identifier: BSD-3-Clause */
/* The states that a socket can be in. */
#include "diff.h"

/* Ready to be used: connected, with a listener that goes on listening. */
static void connected(struct ends *e)
{
	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	MUST(connect(e->s, SA(&e->addr), SA_SIZE));
	e->peer = MUST(accept(e->listener, NULL, NULL));
	set_int(e->s, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(e->peer, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void peer_writes(struct ends *e, const char *text)
{
	MUST(send(e->peer, text, strlen(text), 0));
	until_bytes(e->s, (int)strlen(text));
}

static void forget_error(int fd)
{
	int err;
	socklen_t len = sizeof(err);

	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
}

STATE(fresh, TCP_STATES)
{
	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
}

STATE(bound, TCP_STATES)
{
	struct sockaddr_in addr = local_addr();

	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	MUST(bind(e->s, SA(&addr), SA_SIZE));
}

STATE(bound_any, TCP_STATES)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	MUST(bind(e->s, SA(&addr), SA_SIZE));
}

STATE(listening, LISTENERS)
{
	struct sockaddr_in own;

	e->listener = new_listener(4, &e->addr);
	e->s = new_listener(4, &own);
}

STATE(listening_ready, LISTENERS)
{
	struct sockaddr_in own;

	e->listener = new_listener(4, &e->addr);
	e->s = new_listener(4, &own);
	e->peer = new_tcp();
	MUST(connect(e->peer, SA(&own), SA_SIZE));
	until(e->s, POLLIN);
}

STATE(listening_shut, LISTENERS)
{
	struct sockaddr_in own;

	e->listener = new_listener(4, &e->addr);
	e->s = new_listener(4, &own);
	MUST(shutdown(e->s, SHUT_RD));
}

/* A listener whose queue is full does not answer. */
STATE(connecting, TCP_STATES)
{
	struct sockaddr_in full;
	int listener = new_listener(0, &full);
	int first = new_tcp();

	(void)listener;
	MUST(connect(first, SA(&full), SA_SIZE));
	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	nonblocking(e->s);
	if (connect(e->s, SA(&full), SA_SIZE) == 0 || errno != EINPROGRESS)
		give_up(__FILE__, __LINE__, "connecting", errno);
}

STATE(established, TCP_STATES)
{
	connected(e);
}

STATE(established_nonblock, TCP_STATES)
{
	connected(e);
	nonblocking(e->s);
}

STATE(data, TCP_STATES)
{
	connected(e);
	peer_writes(e, "0123456789");
}

STATE(urgent, TCP_STATES)
{
	connected(e);
	MUST(send(e->peer, "abc!", 4, MSG_OOB));
	until(e->s, POLLPRI);
	until_bytes(e->s, 3);
}

STATE(full, TCP_STATES)
{
	static char block[65536];

	connected(e);
	nonblocking(e->s);
	set_int(e->peer, SOL_SOCKET, SO_RCVBUF, 4096);
	for (int quiet = 0; quiet < 4;) {
		struct pollfd p = { .fd = e->s, .events = POLLOUT };

		if (send(e->s, block, sizeof(block), 0) > 0)
			quiet = 0;
		else if (poll(&p, 1, 10) == 0)
			quiet++;
	}
}

STATE(shut_rd, TCP_STATES)
{
	connected(e);
	MUST(shutdown(e->s, SHUT_RD));
}

STATE(shut_rd_data, TCP_STATES)
{
	connected(e);
	peer_writes(e, "0123456789");
	MUST(shutdown(e->s, SHUT_RD));
}

STATE(shut_wr, TCP_STATES)
{
	connected(e);
	MUST(shutdown(e->s, SHUT_WR));
	until(e->peer, POLLRDHUP);
}

STATE(shut_rdwr, TCP_STATES)
{
	connected(e);
	MUST(shutdown(e->s, SHUT_RDWR));
	until(e->peer, POLLRDHUP);
}

STATE(peer_shut, TCP_STATES)
{
	connected(e);
	MUST(shutdown(e->peer, SHUT_WR));
	until(e->s, POLLRDHUP);
}

STATE(peer_shut_data, TCP_STATES)
{
	connected(e);
	peer_writes(e, "0123456789");
	MUST(shutdown(e->peer, SHUT_WR));
	until(e->s, POLLRDHUP);
}

STATE(both_shut, TCP_STATES)
{
	connected(e);
	MUST(shutdown(e->peer, SHUT_WR));
	until(e->s, POLLRDHUP);
	MUST(shutdown(e->s, SHUT_WR));
	until(e->s, POLLHUP);
	until(e->peer, POLLHUP);
}

STATE(peer_closed, TCP_STATES)
{
	connected(e);
	close(e->peer);
	e->peer = -1;
	until(e->s, POLLRDHUP);
}

STATE(peer_closed_data, TCP_STATES)
{
	connected(e);
	peer_writes(e, "0123456789");
	close(e->peer);
	e->peer = -1;
	until(e->s, POLLRDHUP);
}

STATE(peer_reset, TCP_STATES)
{
	connected(e);
	reset(e->peer);
	e->peer = -1;
	until(e->s, POLLHUP);
}

STATE(peer_reset_data, TCP_STATES)
{
	connected(e);
	peer_writes(e, "0123456789");
	reset(e->peer);
	e->peer = -1;
	until(e->s, POLLHUP);
}

STATE(peer_reset_told, TCP_STATES)
{
	connected(e);
	reset(e->peer);
	e->peer = -1;
	until(e->s, POLLHUP);
	forget_error(e->s);
}

/* The peer closed with bytes unread: a RST. */
STATE(peer_closed_unread, TCP_STATES)
{
	connected(e);
	MUST(send(e->s, "abc", 3, 0));
	until_bytes(e->peer, 3);
	close(e->peer);
	e->peer = -1;
	until(e->s, POLLHUP);
}

/* Written to behind its end: EPIPE. */
STATE(broken_pipe, TCP_STATES)
{
	connected(e);
	close(e->peer);
	e->peer = -1;
	until(e->s, POLLRDHUP);
	MUST(send(e->s, "abc", 3, 0));
	until(e->s, POLLHUP);
}

STATE(refused, TCP_STATES)
{
	struct sockaddr_in addr = nobody();

	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	nonblocking(e->s);
	(void)!connect(e->s, SA(&addr), SA_SIZE);
	until(e->s, POLLHUP);
}

STATE(refused_told, TCP_STATES)
{
	struct sockaddr_in addr = nobody();

	e->listener = new_listener(4, &e->addr);
	e->s = new_tcp();
	if (connect(e->s, SA(&addr), SA_SIZE) == 0)
		give_up(__FILE__, __LINE__, "refused", 0);
}

STATE(disconnected, TCP_STATES)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };

	connected(e);
	if (connect(e->s, SA(&none), SA_SIZE) < 0)
		say("disconnect: %s", errno_name(errno));
}

/* ---- datagrams ---- */

STATE(udp_fresh, UDP_STATES)
{
	e->peer = new_udp();
	e->addr = local_addr();
	MUST(bind(e->peer, SA(&e->addr), SA_SIZE));
	name_of(e->peer, &e->addr);
	e->s = new_udp();
}

STATE(udp_bound, UDP_STATES)
{
	struct sockaddr_in own = local_addr();

	state_udp_fresh(e);
	MUST(bind(e->s, SA(&own), SA_SIZE));
}

STATE(udp_connected, UDP_STATES)
{
	udp_pair(&e->s, &e->peer);
	name_of(e->peer, &e->addr);
}

STATE(udp_data, UDP_STATES)
{
	state_udp_connected(e);
	MUST(send(e->peer, "first", 5, 0));
	MUST(send(e->peer, "2nd", 3, 0));
	until(e->s, POLLIN);
}

STATE(udp_empty, UDP_STATES)
{
	state_udp_connected(e);
	MUST(send(e->peer, "", 0, 0));
	until(e->s, POLLIN);
}

STATE(udp_shut_rd, UDP_STATES)
{
	state_udp_connected(e);
	MUST(shutdown(e->s, SHUT_RD));
}

STATE(udp_shut_wr, UDP_STATES)
{
	state_udp_connected(e);
	MUST(shutdown(e->s, SHUT_WR));
}

STATE(udp_refused, UDP_STATES)
{
	state_udp_connected(e);
	close(e->peer);
	e->peer = -1;
	MUST(send(e->s, "abc", 3, 0));
	until(e->s, POLLERR);
}

STATE(udp_disconnected, UDP_STATES)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };

	state_udp_connected(e);
	MUST(connect(e->s, SA(&none), SA_SIZE));
}
