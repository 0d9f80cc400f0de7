/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attach server.
 *
 * A connection begins on app.sock, where its first message is HELLO, or is handed over by a program
 * that forks (ABI_MSG_FORK), where the child's session is there before its first message. It ends
 * when the kernel closes it (the process died), when the program breaks a rule of the messages
 * (attach_msg_judge) or of the shared memory (session_broken), or when the daemon stops.
 *
 * Everything that a program says is hostile until judged. What is bounded: connections, messages a
 * second (more are left waiting in the socket), descriptors a message, notes, and the time until
 * HELLO. The only descriptor that a program may pass is its child's connection; what the workers
 * ring with is of our own making (bell.c).
 */
#include "bin/weird/attach/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/weird/attach/conn.h"
#include "bin/weird/attach/msg.h"
#include "core/log.h"
#include "engine/clock.h"

#define CONNECTIONS_MAX 4096u
#define CONNECTIONS_USER_MAX 1024u /* of another user than weird's own and root */
#define PROCESSES_MAX 2048u	   /* of one program and those it forked */
#define MESSAGES_A_ROUND 16u
#define TOKENS_MAX 1024u	  /* messages that may come at once, */
#define TOKEN_NS 500000u	  /* and one more each half a millisecond */
#define HELLO_TIME_NS 5000000000u /* until the first message */
#define TICK_BUSY_MS 20		  /* a connection is paused, or silent */
#define TICK_MS 250		  /* programs are there: did one break a rule? */
#define LOG_LINES_A_SECOND 10u
#define FDS_MAX 4u /* a message's; the kernel closes what is more */

static struct engine *attach_engine;
static struct control_watch listener;
static bool listener_paused, any_user;
static struct attach *connections;
static unsigned int connection_count;

/* ---- a connection's life ---- */

static void on_message(struct control_watch *watch, uint32_t events);

static bool is_of_user(const struct attach *a, uint64_t uid)
{
	return a->peer.uid == uid;
}

static bool is_of_family(const struct attach *a, uint64_t family)
{
	return a->session && session_program(a->session) == family;
}

/* Why there can be no other one, or NULL. Nobody shall be able to keep all others out. */
static const char *full(const struct session *session, const struct peer *peer)
{
	if (connection_count >= CONNECTIONS_MAX)
		return "4096 programs are attached, no more can be";
	if (!peer_allowed(peer, false) &&
	    attach_count(is_of_user, peer->uid) >= CONNECTIONS_USER_MAX)
		return "1024 programs of this user are attached, no more can be";
	if (session && attach_count(is_of_family, session_program(session)) >= PROCESSES_MAX)
		return "it has 2048 processes, no more can be";
	return NULL;
}

/* Owns fd from here on. */
struct attach *attach_new(int fd, struct session *session, const struct peer *peer)
{
	struct attach *a = full(session, peer) ? NULL : calloc(1, sizeof(*a));

	if (!a) {
		close(fd);
		return NULL;
	}
	a->watch.fd = fd;
	a->watch.fn = on_message;
	a->session = session;
	a->peer = *peer;
	a->opened_ns = a->tokens_ns = clock_now_ns();
	a->tokens = TOKENS_MAX;
	if (control_watch_add(&a->watch, EPOLLIN)) {
		close(fd);
		free(a);
		return NULL;
	}
	a->next = connections;
	a->pprev = &connections;
	if (connections)
		connections->pprev = &a->next;
	connections = a;
	connection_count++;
	return a;
}

static void attach_end(struct attach *a)
{
	control_watch_remove(&a->watch);
	if (a->session) {
		if (!a->passed)
			log_debug("%s (process %d) left", session_name(a->session),
				  (int)session_pid(a->session));
		control_park();
		session_destroy(a->session);
	}
	attach_passed_free(a);
	close(a->watch.fd);
	*a->pprev = a->next;
	if (a->next)
		a->next->pprev = a->pprev;
	connection_count--;
	control_watch_free(&a->watch);
}

struct attach *attach_find(bool (*is)(const struct attach *a, uint64_t arg), uint64_t arg)
{
	struct attach *a = connections;

	while (a && !is(a, arg))
		a = a->next;
	return a;
}

unsigned int attach_count(bool (*is)(const struct attach *a, uint64_t arg), uint64_t arg)
{
	unsigned int n = 0;

	for (const struct attach *a = connections; a; a = a->next)
		n += is(a, arg);
	return n;
}

/* Is there room in the log for another broken rule? A program could break them all day. */
static bool log_has_room(void)
{
	static uint64_t second_ns;
	static unsigned int lines;
	uint64_t now_ns = clock_now_ns();

	if (now_ns - second_ns > 1000000000u) {
		second_ns = now_ns;
		lines = 0;
	}
	return lines++ < LOG_LINES_A_SECOND;
}

/* A rule was broken: say so, and end it. */
static void attach_expel(struct attach *a, const char *why)
{
	if (log_has_room())
		log_warn("%s (process %d) is disconnected: %s",
			 a->session ? session_name(a->session) : "a program", (int)a->peer.pid,
			 why);
	if (!a->session)
		attach_tell(a->watch.fd, -EPROTO, why);
	attach_end(a);
}

/* ---- receiving ---- */

/* Descriptors of a message into fds. Returns how many; *cut is set when some were lost. */
static unsigned int take_fds(struct msghdr *header, int fds[FDS_MAX], bool *cut)
{
	unsigned int n = 0;

	*cut = header->msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		unsigned int count = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned int i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

/* One message. True: perhaps there is another. */
static bool receive_one(struct attach *a)
{
	static _Alignas(struct abi_msg) uint8_t buffer[ATTACH_MSG_BYTES_MAX];
	struct abi_msg *msg = (struct abi_msg *)buffer;
	struct attach_context context = { a->session != NULL, attach_engine->worker_count };
	struct iovec iov = { .iov_base = buffer, .iov_len = sizeof(buffer) };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(a->watch.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[FDS_MAX];
	unsigned int n;
	const char *why;
	bool cut;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (len <= 0) {
		attach_end(a);
		return false;
	}
	n = take_fds(&header, fds, &cut);
	why = header.msg_flags & MSG_TRUNC ? "a message that is too long"
	      : cut			   ? "descriptors that cannot be taken"
					   : attach_msg_judge(msg, (size_t)len, n, &context);
	if (!why) {
		why = attach_do(attach_engine, a, msg, fds);
		n = 0; /* attach_do() has taken it */
	}
	while (n)
		close(fds[--n]);
	if (why)
		attach_expel(a, why);
	return !why;
}

static void tokens_refill(struct attach *a, uint64_t now_ns)
{
	uint64_t more = (now_ns - a->tokens_ns) / TOKEN_NS;

	if (more == 0)
		return;
	a->tokens = more + a->tokens < TOKENS_MAX ? (unsigned int)more + a->tokens : TOKENS_MAX;
	a->tokens_ns = now_ns;
}

static void on_message(struct control_watch *watch, uint32_t events)
{
	struct attach *a = (struct attach *)watch;

	tokens_refill(a, clock_now_ns());
	for (unsigned int i = 0; i < MESSAGES_A_ROUND; i++) {
		if (a->tokens == 0 && !(events & EPOLLHUP)) {
			a->paused = true;
			control_watch_set(&a->watch, 0);
			return;
		}
		if (!receive_one(a))
			return;
		if (a->tokens)
			a->tokens--;
	}
}

/* ---- new connections ---- */

/* NULL, or why this program cannot attach; *error says it in a number. */
static const char *refusal(int fd, struct peer *peer, int *error)
{
	*error = -EACCES;
	if (peer_of(fd, peer))
		return "weird cannot see who you are";
	if (!peer_allowed(peer, any_user))
		return "it serves its own user and root; start it with --allow-users for all "
		       "users, or as this user";
	*error = -EAGAIN;
	return full(NULL, peer);
}

static void on_connection(struct control_watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), error;
	struct peer peer;
	const char *why;

	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return;
		log_warn("no new program can attach now: %s", strerror(errno));
		listener_paused = true;
		control_watch_set(watch, 0);
		return;
	}
	why = refusal(fd, &peer, &error);
	if (why) {
		attach_tell(fd, error, why);
		close(fd);
	} else {
		attach_new(fd, NULL, &peer);
	}
}

int attach_start(struct engine *engine, int listen_fd, bool allow_users, unsigned int socks)
{
	attach_engine = engine;
	attach_do_socks(socks);
	any_user = allow_users;
	listener.fd = listen_fd;
	listener.fn = on_connection;
	return control_watch_add(&listener, EPOLLIN);
}

/* ---- looking after them ---- */

/* Returns whether the connection needs another look soon. */
static bool tick_one(struct attach *a, uint64_t now_ns)
{
	const char *why = a->session ? session_broken(a->session) : NULL;

	if (why) {
		attach_expel(a, why);
		return false;
	}
	if (!a->session && !a->passed && now_ns - a->opened_ns > HELLO_TIME_NS) {
		attach_expel(a, "it said nothing");
		return false;
	}
	if (a->paused) {
		tokens_refill(a, now_ns);
		a->paused = a->tokens == 0;
		if (!a->paused)
			control_watch_set(&a->watch, EPOLLIN);
	}
	return a->paused || (!a->session && !a->passed);
}

int attach_tick(void)
{
	uint64_t now_ns = clock_now_ns();
	bool soon = listener_paused;

	if (listener_paused)
		control_watch_set(&listener, EPOLLIN);
	listener_paused = false;
	for (struct attach *a = connections, *next; a; a = next) {
		next = a->next;
		soon |= tick_one(a, now_ns);
	}
	return soon ? TICK_BUSY_MS : connections ? TICK_MS : -1;
}

void attach_stop(void)
{
	if (listener.fn)
		control_watch_remove(&listener);
	while (connections)
		attach_end(connections);
}
