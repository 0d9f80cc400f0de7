/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After the daemon's end. The program is told once, in words. Its connections answer ECONNRESET,
 * all else ENETDOWN, and every socket is ready, so that whoever waits hears of it; Linux has
 * nothing like it (a listener there never fails), so servers come back at once and would do so for
 * ever. They are told some times as fast as they ask, and from then on a few times a second: the
 * wait for events is longer instead (what is the kernel's in it still ends it), and so is a
 * blocking call.
 */
#include "shim/shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HANGS_UP_MS 200
#define TOLL_NS 250000000ll
#define TOLD_AT_ONCE 16

static dev_t stderr_dev;
static ino_t stderr_ino;

void session_keep_stderr(void)
{
	struct stat st;

	if (fstat(STDERR_FILENO, &st) == 0) {
		stderr_dev = st.st_dev;
		stderr_ino = st.st_ino;
	}
}

/* A program that closed it may have some file of its own under that number by now. */
static bool stderr_is_for_words(void)
{
	struct stat st;

	if (fd_obj(STDERR_FILENO) || fstat(STDERR_FILENO, &st))
		return false;
	if (st.st_dev == stderr_dev && st.st_ino == stderr_ino)
		return true;
	if (S_ISREG(st.st_mode)) /* a log */
		return R(fcntl64)(STDERR_FILENO, F_GETFL) & O_APPEND;
	return S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode);
}

void session_say(const char *text)
{
	if (stderr_is_for_words())
		(void)!R(write)(STDERR_FILENO, text, strlen(text));
}

/* Does anyone listen where we attached? Then it was us whom it left. One that is just being killed
 * may still have the socket, and hangs up. */
static bool another_is_there(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct pollfd p = { .events = POLLIN };
	int fd = R(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool there;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	there = fd >= 0 &&
		(R(connect)(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 || errno == EAGAIN);
	p.fd = fd;
	if (there && R(poll)(&p, 1, HANGS_UP_MS) > 0)
		there = false;
	if (fd >= 0)
		R(close)(fd);
	return there;
}

static void say_died(void)
{
	char path[SESSION_PATH_BYTES], text[SESSION_PATH_BYTES + 400];
	bool there;

	session_path(path, sizeof(path));
	there = another_is_there(path);
	snprintf(text, sizeof(text),
		 "weir: weird (%s) %s. The connections of %s (process %d) are over, and it gets no "
		 "new sockets: %s, then this program.\n",
		 path,
		 there ? "was started anew, or has disconnected this program (its log says why)"
		       : "has ended",
		 program_invocation_short_name, (int)getpid(),
		 there ? "see that it runs" : "start weird again");
	session_say(text);
}

void session_died(void)
{
	int saved = errno;

	/* All processes of the family hear of it, one says it. */
	if (!atomic_exchange(&session.dead, true) && session.arena &&
	    !atomic_exchange(&session.arena->end_told, 1))
		say_died();
	errno = saved;
}

void session_check(void)
{
	struct pollfd p = { .fd = session.fd, .events = POLLRDHUP };

	if (session.fd >= 0 && R(poll)(&p, 1, 0) > 0)
		session_died();
}

bool dead_toll(int64_t most_ns, struct timespec *wait)
{
	struct thread_state *t = thread_state();
	int64_t now = now_ns(), ns;

	if (t->dead_paid_ns < now)
		t->dead_paid_ns = now;
	t->dead_paid_ns += TOLL_NS;
	ns = t->dead_paid_ns - now - TOLD_AT_ONCE * TOLL_NS;
	if (most_ns >= 0 && most_ns < ns)
		ns = most_ns;
	if (ns <= 0)
		return false;
	*wait = (struct timespec){ ns / 1000000000, ns % 1000000000 };
	return true;
}

int dead_answer(bool nonblock)
{
	struct timespec wait;

	if (!nonblock && dead_toll(-1, &wait) && R(ppoll)(NULL, 0, &wait, NULL) < 0 &&
	    errno == EINTR)
		return -EINTR;
	return -ENETDOWN;
}

int dead_moved(void)
{
	static _Atomic bool told;

	if (!atomic_exchange(&told, true))
		session_note("it uses its copy of a socket that another program got: ENETDOWN");
	return -ENETDOWN;
}
