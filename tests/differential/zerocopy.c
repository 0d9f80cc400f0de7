/* SPDX-License-Identifier: BSD-3-Clause */
/* SO_ZEROCOPY and MSG_ZEROCOPY: every send is told of, in order, on the error queue. */
#include "diff.h"

#include <linux/errqueue.h>

static char block[20000];

/* Take one entry; how many sends it tells of. The first is to be the one of that number. */
static int take(int fd, unsigned int number)
{
	char control[128], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct sock_extended_err ee;
	struct cmsghdr *c;
	ssize_t n = recvmsg(fd, &m, MSG_ERRQUEUE);

	if (n < 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (n != 0 || !c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR ||
	    !(m.msg_flags & MSG_ERRQUEUE) || m.msg_namelen != 0) {
		say("recvmsg %zd, flags %x, control %zu", n, (unsigned int)m.msg_flags,
		    m.msg_controllen);
		return 0;
	}
	memcpy(&ee, CMSG_DATA(c), sizeof(ee));
	if (ee.ee_errno || ee.ee_origin != SO_EE_ORIGIN_ZEROCOPY || ee.ee_info != number ||
	    ee.ee_type || ee.ee_code != SO_EE_CODE_ZEROCOPY_COPIED)
		say("errno %u origin %u type %u code %u info %u instead of %u", ee.ee_errno,
		    ee.ee_origin, ee.ee_type, ee.ee_code, ee.ee_info, number);
	return (int)(ee.ee_data - ee.ee_info + 1);
}

/* So many are complete, from that number on. */
static void complete(int fd, unsigned int first, int count)
{
	int seen = 0;

	while (seen < count) {
		struct pollfd p = { .fd = fd, .events = 0 };

		if (poll(&p, 1, 2000) <= 0 || !(p.revents & POLLERR))
			break;
		seen += take(fd, first + (unsigned int)seen);
	}
	say("complete: %d from %u on", seen, first);
	CALL(recv(fd, block, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
	say_ready(fd);
}

CASE(zerocopy, stream)
{
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	complete(a, 0, 2);
	CALL(send(a, block, 0, MSG_ZEROCOPY));
	CALL(send(a, block, 10, 0));
	CALL(send(a, block, 1, MSG_ZEROCOPY | MSG_MORE));
	CALL(send(a, block, 10, MSG_ZEROCOPY));
	complete(a, 2, 2);
	until_bytes(b, 10021);
}

/* Without the option the flag says nothing; off again. */
CASE(zerocopy, not_asked_for)
{
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	until_bytes(b, 5000);
	say_ready(a);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	complete(a, 0, 1);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 0);
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	until_bytes(b, 15000);
	say_ready(a);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 5000, MSG_ZEROCOPY));
	complete(a, 1, 1);
}

CASE(zerocopy, calls)
{
	struct iovec iov = { block, 100 };
	struct mmsghdr v[3] = { { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } } };
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(sendmmsg(a, v, 3, MSG_ZEROCOPY));
	CALL(sendmsg(a, &v[0].msg_hdr, MSG_ZEROCOPY));
	CALL(sendto(a, block, 100, MSG_ZEROCOPY, NULL, 0));
	complete(a, 0, 5);
}

CASE(zerocopy, failed_ones_do_not_count)
{
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 100, MSG_ZEROCOPY));
	complete(a, 0, 1);
	MUST(shutdown(a, SHUT_WR));
	CALL(send(a, block, 100, MSG_ZEROCOPY | MSG_NOSIGNAL));
	say_ready(a);
	CALL(take(a, 1));
}

CASE(zerocopy, many)
{
	int a, b, sent = 0, told = 0;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	while (sent < 2000) {
		if (send(a, block, 1000, MSG_ZEROCOPY | MSG_DONTWAIT) > 0)
			sent++;
		else
			told += take(a, (unsigned int)told);
		while (recv(b, block, sizeof(block), MSG_DONTWAIT) > 0)
			;
	}
	while (recv(b, block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	while (told < sent) {
		until(a, POLLERR);
		told += take(a, (unsigned int)told);
	}
	say("sent %d, complete %d", sent, told);
}

CASE(zerocopy, datagram)
{
	int a, b;

	udp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 1000, MSG_ZEROCOPY));
	CALL(send(a, block, 1000, 0));
	CALL(send(a, block, 0, MSG_ZEROCOPY));
	CALL(send(a, block, 1000, MSG_ZEROCOPY));
	complete(a, 0, 3);
	GET(recv(b, block, 4, MSG_DONTWAIT), block);
}

/* ICMP errors are not on the queue unless IP_RECVERR is set; with it, both are. */
static void with_errors(int recverr)
{
	struct sockaddr_in no = nobody();
	int u = new_udp();

	set_int(u, SOL_SOCKET, SO_ZEROCOPY, 1);
	set_int(u, IPPROTO_IP, IP_RECVERR, recverr);
	MUST(connect(u, SA(&no), SA_SIZE));
	CALL(send(u, block, 10, 0));
	until(u, POLLERR);
	CALL(recv(u, block, 10, MSG_DONTWAIT));
	CALL(recv(u, block, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
	say_ready(u);
}

CASE(zerocopy, without_recverr)
{
	with_errors(0);
}

CASE(zerocopy, with_recverr)
{
	with_errors(1);
}

CASE(zerocopy, raw)
{
	int v = 1, s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	CALL(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &v, sizeof(v)));
}

CASE(zerocopy, select_error_queue)
{
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	set_int(a, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1);
	CALL(send(a, block, 100, MSG_ZEROCOPY));
	until(a, POLLERR);
	say_ready(a);
	complete(a, 0, 1);
}

CASE(zerocopy, fork)
{
	int a, b;

	tcp_pair(&a, &b);
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(a, block, 100, MSG_ZEROCOPY));
	if (MUST(fork()) == 0) {
		CALL(send(a, block, 100, MSG_ZEROCOPY));
		_exit(0);
	}
	until_bytes(b, 200);
	complete(a, 0, 2);
}
