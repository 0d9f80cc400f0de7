/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process's session with the daemon: made at the first socket(), one for the whole process.
 * Once the daemon is gone (HUP on the control connection) the session stays dead: dead.c.
 */
#include "shim/shim.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_FDS_MAX (2 + ABI_MAX_WORKERS)
#define SEND_FDS_MAX 2
#define ANSWER_TIMEOUT_MS 10000
#define ATTACH_AGAIN_NS 500000000

struct session session = { .fd = -1 };

static struct lock attach_lock;
static char rundir[256] = "/run/weir";
static char instance[64] = "default";

const char *session_rundir(void)
{
	return rundir;
}

const char *session_instance(void)
{
	return instance;
}

void session_keep_names(void)
{
	const char *dir = getenv("WEIR_RUNDIR");
	const char *name = getenv("WEIR_INSTANCE");

	if (dir && *dir)
		snprintf(rundir, sizeof(rundir), "%s", dir);
	if (name && *name)
		snprintf(instance, sizeof(instance), "%s", name);
}

/*
 * What talks to the daemon must not be cancelled in the middle: the lock would be taken for ever,
 * and the answer be the next request's.
 */
static int talk_begin(struct lock *lock)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	lock_take(lock);
	return state;
}

static void talk_end(struct lock *lock, int state)
{
	lock_drop(lock);
	pthread_setcancelstate(state, NULL);
}

int session_path(char *path, size_t room)
{
	return snprintf(path, room, "%s/%s/app.sock", rundir, instance);
}

static int message_send_fds(int fd, const struct abi_msg *msg, const int *fds, unsigned int n_fds)
{
	struct iovec iov = { (void *)(uintptr_t)msg,
			     sizeof(*msg) + msg->word_count * sizeof(uint32_t) };
	union {
		char bytes[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do
		n = R(sendmsg)(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int message_send(int fd, const struct abi_msg *msg, int send_fd)
{
	return message_send_fds(fd, msg, &send_fd, send_fd >= 0);
}

/* Up to room bytes. fds: room for ANSWER_FDS_MAX; filled with -1 behind what came. */
static int message_receive(int fd, struct abi_msg *msg, size_t room, int *fds)
{
	struct iovec iov = { msg, room };
	union {
		char bytes[CMSG_SPACE(ANSWER_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct cmsghdr *c;
	unsigned int reset = 0;
	ssize_t n;
	int r;

	do
		r = R(poll)(&p, 1, ANSWER_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	/* A daemon that refuses says why and closes: first the error is heard, then the words. */
	do
		n = R(recvmsg)(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset++)));
	if (n < (ssize_t)sizeof(*msg))
		return -ENETDOWN;
	for (int i = 0; fds && i < (int)ANSWER_FDS_MAX; i++)
		fds[i] = -1;
	c = CMSG_FIRSTHDR(&m);
	if (fds && c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	if (msg->word_count > ((size_t)n - sizeof(*msg)) / sizeof(uint32_t))
		return -EMSGSIZE;
	return msg->error;
}

/* The answer to the last request. Those of earlier ones, for which nobody waited any longer, come
 * before it. */
static int answer_receive(struct abi_msg *msg, size_t room, int *fds)
{
	for (;;) {
		int err = message_receive(session.fd, msg, room, fds);

		if (err == -ETIMEDOUT)
			session.owed++;
		if (err == -ETIMEDOUT || err == -ENETDOWN || session.owed == 0)
			return err;
		session.owed--;
		for (unsigned int i = 0; i < ANSWER_FDS_MAX; i++) {
			if (fds[i] >= 0)
				R(close)(fds[i]);
		}
	}
}

/* got: the answer's first descriptor, or -1; NULL: none is expected. */
static int request(struct abi_msg *msg, size_t room, const int *send_fds, unsigned int n, int *got)
{
	int fds[ANSWER_FDS_MAX];
	int err, state;

	if (session_is_dead())
		return -ENETDOWN;
	msg->pid = (uint32_t)getpid();
	state = talk_begin(&session.lock);
	err = message_send_fds(session.fd, msg, send_fds, n);
	if (!err)
		err = answer_receive(msg, room, fds);
	talk_end(&session.lock, state);
	if (err == -EPIPE || err == -ECONNRESET || err == -ENETDOWN || err == -EMSGSIZE)
		session_died();
	if (!err && got)
		*got = fds[0];
	return err;
}

int session_request_words(struct abi_msg *msg, size_t room, const int *fds, unsigned int n)
{
	return request(msg, room, fds, n, NULL);
}

int session_request(struct abi_msg *msg, int send_fd)
{
	return request(msg, sizeof(*msg), &send_fd, send_fd >= 0, NULL);
}

int session_request_fd(struct abi_msg *msg, int *fd)
{
	return request(msg, sizeof(*msg), NULL, 0, fd);
}

void session_note(const char *text)
{
	struct abi_msg msg = { .type = ABI_MSG_NOTE, .version = ABI_VERSION };
	int state;

	if (!atomic_load(&session.attached) || session_is_dead())
		return;
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	state = talk_begin(&session.lock);
	message_send(session.fd, &msg, -1);
	talk_end(&session.lock, state);
}

void session_notef(const char *format, ...)
{
	char text[sizeof(((struct abi_msg *)0)->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	session_note(text);
}

static int map_answer(const struct abi_msg *msg, const int *fds)
{
	const struct abi_arena *arena;
	void *m;

	if (msg->arg[1] == 0 || msg->arg[1] > ABI_MAX_WORKERS || fds[0] < 0 || fds[1] < 0)
		return -EPROTO;
	m = mmap(NULL, msg->arg[0], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fds[0], 0);
	if (m == MAP_FAILED)
		return -errno;
	arena = m;
	session.base = m;
	session.arena = m;
	session.size = msg->arg[0];
	if (arena->magic != ABI_MAGIC || arena->version != ABI_VERSION ||
	    arena->sock_offset > session.size ||
	    arena->sock_count > (session.size - arena->sock_offset) / sizeof(struct abi_sock))
		return -EPROTO;
	session.socks = (struct abi_sock *)(void *)(session.base + arena->sock_offset);
	session.sock_count = arena->sock_count;
	m = mmap(NULL, sizeof(struct abi_daemon), PROT_READ, MAP_SHARED, fds[1], 0);
	if (m == MAP_FAILED)
		return -errno;
	session.daemon = m;
	session.workers = (unsigned int)msg->arg[1];
	for (unsigned int i = 0; i < session.workers; i++) {
		if (fds[2 + i] < 0)
			return -EPROTO;
		session.bell[i] = fdtab_make_private(fds[2 + i]);
	}
	R(close)(fds[0]);
	R(close)(fds[1]);
	return 0;
}

static void program_name(char *text, size_t room)
{
	snprintf(text, room, "%s", program_invocation_short_name);
}

static int handshake(int fd, struct abi_msg *msg)
{
	int fds[ANSWER_FDS_MAX];
	int err;

	msg->version = ABI_VERSION;
	msg->pid = (uint32_t)getpid();
	program_name(msg->text, sizeof(msg->text));
	err = message_send(fd, msg, -1);
	if (!err || err == -EPIPE || err == -ECONNRESET)
		err = message_receive(fd, msg, sizeof(*msg), fds);
	if (!err)
		err = map_answer(msg, fds);
	if (err)
		return err;
	session.fd = fdtab_make_private(fd);
	channels_init();
	left_attached();
	atomic_store(&session.attached, true);
	return 0;
}

/* What is wrong, and what can be done. error: of connect() or the handshake; said: the daemon's
 * words, or none. */
static void say_no_network(const char *path, int error, const char *said)
{
	char text[SESSION_PATH_BYTES + 400];
	const char *why, *what;

	if (said[0]) {
		why = "refuses this program";
		what = said;
	} else if (error == -ENOENT || error == -ECONNREFUSED) {
		why = "does not run";
		what = "start it, or name another with weir --instance NAME or --rundir DIR";
	} else if (error == -EACCES || error == -EPERM) {
		why = "is out of this user's reach";
		what = "the folders and the socket have to let the user in; --rundir DIR of weird "
		       "chooses another place, and its --allow-users lets any user attach";
	} else if (error == -ETIMEDOUT) {
		why = "does not answer";
		what = "is it stopped? weir stat asks it as well";
	} else {
		why = "cannot be attached to";
		what = strerror(-error);
	}
	snprintf(text, sizeof(text),
		 "weir: weird (%s) %s: %s. %s (process %d, user %d) has no network.\n", path, why,
		 what, program_invocation_short_name, (int)getpid(), (int)geteuid());
	session_say(text);
}

static int attach(bool quiet)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct abi_msg msg = { .type = ABI_MSG_HELLO };
	int fd, err;

	if (session_path(sun.sun_path, sizeof(sun.sun_path)) >= (int)sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = R(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = R(connect)(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? 0 : -errno;
	if (!err) {
		err = handshake(fd, &msg);
		msg.text[sizeof(msg.text) - 1] = '\0';
		/* What came is the daemon's word only if it is an answer. */
		if (err && msg.error != err)
			msg.text[0] = '\0';
	} else {
		msg.text[0] = '\0';
	}
	if (err) {
		R(close)(fd);
		if (quiet)
			return err;
		say_no_network(sun.sun_path, err, msg.text);
	}
	return err ? -ENETDOWN : 0;
}

/* Tried again from time to time, told once: a daemon that is started later is found. */
int session_attach(void)
{
	static int64_t again_ns;
	static bool told;
	int err = 0, state;

	if (likely(atomic_load(&session.attached)))
		return session_is_dead() ? -ENETDOWN : 0;
	shim_begin();
	state = talk_begin(&attach_lock);
	if (!atomic_load(&session.attached)) {
		err = now_ns() < again_ns ? -ENETDOWN : attach(told);
		if (err && now_ns() >= again_ns) {
			told = true;
			again_ns = now_ns() + ATTACH_AGAIN_NS;
		}
	}
	talk_end(&attach_lock, state);
	return err ? -ENETDOWN : 0;
}

void session_attach_early(void)
{
	int saved = errno, state = talk_begin(&attach_lock);

	if (!atomic_load(&session.attached))
		attach(true);
	talk_end(&attach_lock, state);
	errno = saved;
}

int session_resume(int fd, const uint32_t *words, uint32_t word_count)
{
	size_t bytes = sizeof(struct abi_msg) + word_count * sizeof(uint32_t);
	struct abi_msg *msg = slab_more(bytes);
	int err;

	if (!msg)
		return -ENOMEM;
	memset(msg, 0, bytes);
	msg->type = ABI_MSG_RESUME;
	msg->word_count = word_count;
	memcpy(msg->words, words, word_count * sizeof(uint32_t));
	err = handshake(fd, msg);
	return err;
}

static void channel_give_back(unsigned int worker, uint32_t index)
{
	struct abi_msg msg = { .type = ABI_MSG_CHANNEL_FREE, .version = ABI_VERSION };
	int state;

	if (session_is_dead())
		return;
	msg.arg[0] = index;
	msg.arg[1] = worker;
	state = talk_begin(&session.lock);
	message_send(session.fd, &msg, -1);
	talk_end(&session.lock, state);
}

int session_channel(struct abi_channel **channel, unsigned int worker, uint32_t cq_entries,
		    uint32_t bell_kind, int *bell)
{
	struct abi_msg msg = { .type = ABI_MSG_CHANNEL, .version = ABI_VERSION };
	size_t bytes = sizeof(struct abi_channel) + cq_entries * sizeof(struct abi_cqe);
	const struct abi_channel *like = *channel;
	int fd = -1, err;

	msg.arg[0] = cq_entries;
	msg.arg[1] = worker;
	msg.arg[2] = like ? (bell_kind & ABI_CHANNEL_SHARED) | ABI_BELL_SAME : bell_kind;
	if (like)
		msg.arg[3] = (uint64_t)like->worker << 32 | like->index;
	*channel = NULL;
	err = request(&msg, sizeof(msg), NULL, 0, &fd);
	if (!err && (msg.arg[1] > session.size || bytes > session.size - msg.arg[1]))
		err = -EPROTO;
	if (!err && !like) {
		if (fd < 0) { /* no descriptor was free */
			channel_give_back(worker, (uint32_t)msg.arg[0]);
			err = -EMFILE;
		} else
			*bell = fdtab_make_private(fd);
	}
	if (!err)
		*channel = (struct abi_channel *)(void *)(session.base + msg.arg[1]);
	return err;
}

void session_channel_free(const struct abi_channel *channel)
{
	channel_give_back(channel->worker, channel->index);
}

void session_attach_lock(bool take)
{
	if (take)
		lock_take(&attach_lock);
	else
		lock_drop(&attach_lock);
}
