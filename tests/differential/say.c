/* SPDX-License-Identifier: BSD-3-Clause */
/* What cases write, and how they wait before they do. */
#include "diff.h"

#include <stdarg.h>
#include <linux/sockios.h>

#define PATIENCE_MS 3000

volatile sig_atomic_t alarms, pipes;

void say(const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	fflush(stdout);
	if (write(1, line, (size_t)n) < 0)
		_exit(2);
}

const char *errno_name(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "E?";
}

/* The expression as one line. */
static const char *flat(const char *what)
{
	static char line[400];
	size_t n = 0;

	for (; *what && n < sizeof(line) - 1; what++) {
		if (*what == '\n' || *what == '\t')
			continue;
		line[n++] = *what;
	}
	line[n] = 0;
	return line;
}

static const char *signals_text(void)
{
	static char text[64];

	text[0] = 0;
	if (pipes)
		snprintf(text, sizeof(text), " +SIGPIPE*%d", (int)pipes);
	pipes = 0;
	return text;
}

long said(const char *what, long value, int err)
{
	if (value == -1)
		say("%s = %s%s", flat(what), errno_name(err), signals_text());
	else
		say("%s = %ld%s", flat(what), value, signals_text());
	return value;
}

long said_fd(const char *what, long value, int err)
{
	if (value >= 0)
		say("%s = fd", flat(what));
	else
		said(what, value, err);
	return value;
}

void say_bytes(const char *what, const void *bytes, long count)
{
	const unsigned char *b = bytes;
	char text[80];
	size_t n = 0;

	if (count <= 0)
		return;
	for (long i = 0; i < count && n < 64; i++)
		text[n++] = b[i] >= ' ' && b[i] < 127 ? (char)b[i] : '?';
	text[n] = 0;
	say("  %s \"%s\"%s", what, text, count > 64 ? "..." : "");
}

void give_up(const char *file, int line, const char *what, int err)
{
	const char *slash = strrchr(file, '/');

	say("%s:%d: %s failed: %s", slash ? slash + 1 : file, line, what, errno_name(err));
	_exit(3);
}

/* ---- events ---- */

static const struct {
	unsigned int bit;
	const char *name;
} event_names[] = {
	{ POLLIN, "IN" },	  { POLLPRI, "PRI" },	    { POLLOUT, "OUT" },
	{ POLLERR, "ERR" },	  { POLLHUP, "HUP" },	    { POLLNVAL, "NVAL" },
	{ POLLRDNORM, "RDNORM" }, { POLLRDBAND, "RDBAND" }, { POLLWRNORM, "WRNORM" },
	{ POLLWRBAND, "WRBAND" }, { POLLRDHUP, "RDHUP" },
};

static const char *events_text(unsigned int events, char *text)
{
	size_t n = 0;

	text[0] = 0;
	for (size_t i = 0; i < sizeof(event_names) / sizeof(event_names[0]); i++) {
		if (events & event_names[i].bit)
			n += (size_t)sprintf(text + n, " %s", event_names[i].name);
	}
	return n ? text : " none";
}

#define ALL_EVENTS                                                                                 \
	(POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLRDHUP)

static void say_select(int fd)
{
	struct timeval now = { 0, 0 };
	fd_set in, out, ex;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&ex);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	FD_SET(fd, &ex);
	n = select(fd + 1, &in, &out, &ex, &now);
	say("  select %d%s%s%s", n, FD_ISSET(fd, &in) ? " r" : "", FD_ISSET(fd, &out) ? " w" : "",
	    FD_ISSET(fd, &ex) ? " x" : "");
}

void say_ready(int fd)
{
	struct epoll_event event = { .events = ALL_EVENTS };
	struct pollfd p = { .fd = fd, .events = ALL_EVENTS };
	char text[160];
	int ep, n;

	n = poll(&p, 1, 0);
	say("  poll %d%s", n, events_text((unsigned short)p.revents, text));
	ep = MUST(epoll_create1(0));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
	event.events = 0;
	n = epoll_wait(ep, &event, 1, 0);
	say("  epoll %d%s", n, events_text(event.events, text));
	close(ep);
	say_select(fd);
}

void say_wait(const char *what, int ep, int ms)
{
	struct epoll_event event = { 0 };
	char text[160];
	int n = epoll_wait(ep, &event, 1, ms);

	say("  %s %d%s", what, n, events_text(n > 0 ? event.events : 0, text));
}

static void pause_ms(int ms)
{
	struct timespec ts = { 0, ms * 1000000l };

	nanosleep(&ts, NULL);
}

/* ERR and HUP end a poll() of themselves, so they are asked for without end. */
void until(int fd, short events)
{
	char text[160];

	for (int i = 0; i < PATIENCE_MS; i++) {
		struct pollfd p = { .fd = fd, .events = events };

		if (poll(&p, 1, 0) > 0 && (p.revents & events) == events)
			return;
		pause_ms(1);
	}
	say("never came:%s", events_text((unsigned short)events, text));
}

void until_bytes(int fd, int bytes)
{
	int there = 0;

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (ioctl(fd, FIONREAD, &there) == 0 && there >= bytes)
			return;
		pause_ms(1);
	}
	say("never came: %d bytes, there are %d", bytes, there);
}

void until_sent(int fd)
{
	int left = 1;

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (ioctl(fd, SIOCOUTQ, &left) < 0 || left == 0)
			return;
		pause_ms(1);
	}
	say("never acknowledged");
}

void settle(void)
{
	pause_ms(8);
}

void say_state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
		say("  tcp state %d",
		    info.tcpi_state == TCP_FIN_WAIT1 ? TCP_FIN_WAIT2 : info.tcpi_state);
	say_ready(fd);
}
