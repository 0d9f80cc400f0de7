/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets that are passed over UNIX sockets (SCM_RIGHTS). What is sent in a placeholder's stead is
 * one end of a socket pair whose other end the engine has, with a reference to the socket; so the
 * socket lives on the way, whatever the sender does, and the engine sees when the last copy of what
 * was sent is gone. Who gets such an end shows it to the engine and has the socket: shared within
 * the family, moved from another one. A placeholder takes the end's place in the descriptor table,
 * before the program sees it.
 */
#include "shim/process/confine.h"
#include "shim/process/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONTROL_MAX 8192 /* more than SCM_MAX_FD descriptors and credentials take */
#define RECEIVE_TRIES 100
#define HANDED_WORDS (sizeof(struct handed) / sizeof(uint32_t))
_Static_assert(HANDED_WORDS <= ABI_PASS_WORDS, "what is told of a passed socket");

union pass_msg {
	struct abi_msg msg;
	uint8_t bytes[sizeof(struct abi_msg) + ABI_PASS_WORDS * sizeof(uint32_t)];
};

/* ---- sending ---- */

/* What is sent for the socket of fd, or -errno. */
static int token_make(struct wsock *ws, int fd)
{
	union pass_msg m = { .msg = { .type = ABI_MSG_PASS, .version = ABI_VERSION } };
	struct handed h;
	int pair[2], err;

	if (!handed_from(&h, fd, ws))
		return session_is_dead() ? -ENETDOWN : -ENOBUFS;
	if (R(socketpair)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	m.msg.arg[0] = h.index;
	m.msg.arg[1] = h.gen;
	m.msg.word_count = HANDED_WORDS;
	memcpy(m.msg.words, &h, sizeof(h));
	err = session_request_words(&m.msg, sizeof(m), pair, 2);
	R(close)(pair[0]);
	if (!err)
		return pair[1];
	R(close)(pair[1]);
	return err;
}

static unsigned int fds_in(const struct cmsghdr *c)
{
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
		return 0;
	return (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
}

/* The i-th descriptor, which may lie unaligned. */
static int fd_at(const struct cmsghdr *c, unsigned int i)
{
	int fd;

	memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	return fd;
}

static void fd_put(struct cmsghdr *c, unsigned int i, int fd)
{
	memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
}

bool pass_needed(const struct msghdr *msg)
{
	if (likely(!msg || !msg->msg_control || msg->msg_controllen < CMSG_LEN(sizeof(int))))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		for (unsigned int i = 0; i < fds_in(c); i++) {
			if (fd_obj(fd_at(c, i)))
				return true;
		}
	}
	return false;
}

/* Tokens in the place of sockets; *n of them, to be closed behind the sending. */
static int replace(const struct msghdr *msg, int *tokens, unsigned int *n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		for (unsigned int i = 0; i < fds_in(c); i++) {
			int fd = fd_at(c, i), token;
			struct wsock *ws = fd_sock(fd);

			if (fd_private(fd))
				return -EBADF;
			if (fd_epset(fd))
				session_note("an epoll set was passed to another process: its "
					     "sockets on weir do not go along");
			if (!ws)
				continue;
			token = token_make(ws, fd);
			if (token < 0)
				return token;
			tokens[(*n)++] = token;
			fd_put(c, i, token);
		}
	}
	return 0;
}

ssize_t pass_send(int fd, const struct msghdr *msg, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CONTROL_MAX];
	} control;
	int tokens[CONTROL_MAX / sizeof(int)];
	struct msghdr copy = *msg;
	unsigned int n = 0;
	ssize_t r;

	if (msg->msg_controllen > sizeof(control))
		return -EINVAL;
	memcpy(control.bytes, msg->msg_control, msg->msg_controllen);
	copy.msg_control = control.bytes;
	r = replace(&copy, tokens, &n);
	if (r == 0) {
		r = R(sendmsg)(fd, &copy, flags);
		r = r < 0 ? -errno : r;
	}
	while (n)
		R(close)(tokens[--n]);
	return r;
}

/* ---- receiving ---- */

/* The socket that this process has already, with a reference more. */
static struct wsock *own_socket(uint32_t index, uint32_t gen)
{
	for (unsigned int fd = 0; index != ABI_SOCK_NONE && fd < fdtab_top(); fd++) {
		struct wsock *ws = fd_sock((int)fd);
		int refs = ws ? atomic_load(&ws->obj.refs) : 0;

		if (!ws || ws->index != index || ws->gen != gen)
			continue;
		while (refs > 0) {
			if (atomic_compare_exchange_weak(&ws->obj.refs, &refs, refs + 1))
				return ws;
		}
	}
	return NULL;
}

static int show(int token, struct handed *h)
{
	union pass_msg m;
	int err = -EAGAIN;

	for (unsigned int i = 0; i < RECEIVE_TRIES && err == -EAGAIN; i++) {
		if (i)
			usleep(1000); /* the sender is in the middle of a call */
		m = (union pass_msg){ .msg = { .type = ABI_MSG_RECEIVE, .version = ABI_VERSION } };
		err = session_request_words(&m.msg, sizeof(m), &token, 1);
	}
	if (err)
		return err;
	if (m.msg.word_count != HANDED_WORDS)
		return -EPROTO;
	memcpy(h, m.msg.words, sizeof(*h));
	h->index = (uint32_t)m.msg.arg[0];
	h->gen = (uint32_t)m.msg.arg[1];
	return 0;
}

/* Only what could be one: the engine is asked about every one of these. */
static bool may_be_token(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return R(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
	       R(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

/* The placeholder gets the number that the program is about to be told. */
static int settle(int fd, struct wsock *ws)
{
	int placeholder = confine_active() ? -EPERM : fdtab_placeholder(ws, SOCK_CLOEXEC);
	int cloexec, r;

	/* No other descriptor to be had: what came takes the part, and the engine holds the socket
	 * until it is closed. */
	if (placeholder < 0) {
		fdtab_set(fd, &ws->obj);
		return 0;
	}
	cloexec = R(fcntl64)(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
	obj_get(&ws->obj);
	r = R(dup3)(placeholder, fd, cloexec);
	if (r >= 0)
		fdtab_set(fd, &ws->obj);
	else
		obj_put(&ws->obj);
	call_close(placeholder);
	return r < 0 ? -errno : 0;
}

static void receive_one(int fd)
{
	struct wsock *ws;
	struct handed h;
	int err;

	if ((unsigned int)fd >= FD_MAX || !may_be_token(fd))
		return;
	session_attach_early();
	if (!atomic_load(&session.attached) || session_is_dead())
		return;
	err = show(fd, &h);
	if (!err) {
		ws = own_socket(h.index, h.gen);
		if (!ws)
			ws = handed_wsock(&h);
		err = ws ? settle(fd, ws) : -ENOMEM;
	}
	if (err && err != -ENOENT)
		session_notef("a socket that came over a UNIX socket cannot be used: %s",
			      strerror(-err));
}

void pass_received(const struct msghdr *msg)
{
	if (likely(!msg->msg_control || msg->msg_controllen < CMSG_LEN(sizeof(int))))
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		for (unsigned int i = 0; i < fds_in(c); i++)
			receive_one(fd_at(c, i));
	}
}
