/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands and signals while drops are watched: one descriptor (epoll) stands for both, so that a
 * source can wait for drops and for it. Signals come by a signalfd: none is lost between looking
 * and sleeping.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bin/weir/dropwatch/dropwatch.h"

static int watch(struct input *in, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(in->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int input_open(struct input *in, bool lines)
{
	sigset_t signals;
	int rc;

	*in = (struct input){ .lines = lines, .eof = !lines };
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	/* A script's shell has it ignored for what runs beside it, and it would never come. */
	signal(SIGINT, SIG_DFL);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		return -errno;
	in->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	in->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (in->signal_fd < 0 || in->epoll_fd < 0)
		return -errno;
	rc = watch(in, in->signal_fd);
	if (rc == 0 && lines)
		rc = watch(in, STDIN_FILENO);
	if (rc == -EPERM) { /* a file, or /dev/null */
		in->ready = true;
		return 0;
	}
	return rc;
}

void input_close(struct input *in)
{
	close(in->signal_fd);
	close(in->epoll_fd);
}

static void take_signal(struct input *in)
{
	struct signalfd_siginfo info;

	while (read(in->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		in->signal = (int)info.ssi_signo;
}

/* A line that has no end within the room is cut: what a command has is much shorter. */
static void take_text(struct input *in)
{
	ssize_t n;

	if (in->eof || memchr(in->text, '\n', in->len))
		return;
	if (in->len == sizeof(in->text))
		in->len = 0;
	n = read(STDIN_FILENO, in->text + in->len, sizeof(in->text) - in->len);
	if (n > 0) {
		in->len += (size_t)n;
		return;
	}
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	in->eof = true;
	in->ready = false;
	epoll_ctl(in->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	if (in->len && in->len < sizeof(in->text))
		in->text[in->len++] = '\n'; /* the last line may do without */
}

void input_wait(struct input *in, int timeout_ms)
{
	struct epoll_event events[2];
	int n;

	if (in->ready || in->eof || memchr(in->text, '\n', in->len))
		timeout_ms = 0;
	n = epoll_wait(in->epoll_fd, events, 2, timeout_ms);
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == in->signal_fd)
			take_signal(in);
		else
			take_text(in);
	}
	if (in->ready)
		take_text(in);
}

int input_signal(struct input *in)
{
	int signal = in->signal;

	in->signal = 0;
	return signal;
}

bool input_line(struct input *in, char line[INPUT_LINE_BYTES])
{
	char *end = memchr(in->text, '\n', in->len);
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - in->text);
	memcpy(line, in->text, len);
	line[len] = '\0';
	in->len -= len + 1;
	memmove(in->text, end + 1, in->len);
	return true;
}
