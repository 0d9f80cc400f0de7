/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets for cases, and signals. */
#include "diff.h"

struct sockaddr_in local_addr(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int new_tcp(void)
{
	return MUST(socket(AF_INET, SOCK_STREAM, 0));
}

int new_udp(void)
{
	return MUST(socket(AF_INET, SOCK_DGRAM, 0));
}

void name_of(int fd, struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);

	MUST(getsockname(fd, SA(addr), &len));
}

int new_listener(int backlog, struct sockaddr_in *addr)
{
	int s = new_tcp();

	*addr = local_addr();
	MUST(bind(s, SA(addr), SA_SIZE));
	MUST(listen(s, backlog));
	name_of(s, addr);
	return s;
}

void tcp_pair(int *a, int *b)
{
	struct sockaddr_in addr;
	int listener = new_listener(1, &addr);

	*a = new_tcp();
	MUST(connect(*a, SA(&addr), SA_SIZE));
	*b = MUST(accept(listener, NULL, NULL));
	close(listener);
	set_int(*a, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(*b, IPPROTO_TCP, TCP_NODELAY, 1);
}

void udp_pair(int *a, int *b)
{
	struct sockaddr_in name = local_addr();

	*a = new_udp();
	*b = new_udp();
	MUST(bind(*a, SA(&name), SA_SIZE));
	MUST(bind(*b, SA(&name), SA_SIZE));
	name_of(*a, &name);
	MUST(connect(*b, SA(&name), SA_SIZE));
	name_of(*b, &name);
	MUST(connect(*a, SA(&name), SA_SIZE));
}

void set_int(int fd, int level, int name, int value)
{
	MUST(setsockopt(fd, level, name, &value, sizeof(value)));
}

void nonblocking(int fd)
{
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
}

struct sockaddr_in nobody(void)
{
	struct sockaddr_in addr = local_addr();
	int s = new_tcp();

	MUST(bind(s, SA(&addr), SA_SIZE));
	name_of(s, &addr);
	close(s);
	return addr;
}

void reset(int fd)
{
	struct linger now = { 1, 0 };

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(fd);
}

static void on_alarm(int number)
{
	(void)number;
	alarms = alarms + 1;
}

static void on_pipe(int number)
{
	(void)number;
	pipes = pipes + 1;
}

void alarm_in(int ms, int flags)
{
	struct sigaction how = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval when = { { 0, 0 }, { ms / 1000, ms % 1000 * 1000 } };

	MUST(sigaction(SIGALRM, &how, NULL));
	MUST(setitimer(ITIMER_REAL, &when, NULL));
}

__attribute__((constructor)) static void hear_pipes(void)
{
	struct sigaction how = { .sa_handler = on_pipe, .sa_flags = SA_RESTART };

	sigaction(SIGPIPE, &how, NULL);
}
