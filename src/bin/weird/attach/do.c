/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs ask for on their control connections, and the answers. Every message has been
 * judged; what remains to be looked at is the kind of the descriptors that came with it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/weird/attach/bell.h"
#include "bin/weird/attach/conn.h"
#include "bin/weird/attach/msg.h"
#include "bin/weird/netif.h"
#include "bin/weird/netlink.h"
#include "bin/weird/procnet.h"
#include "core/log.h"

/* ---- answers ---- */

/* False: the program does not read what it is told; its connection is over. */
bool attach_answer(const struct attach *a, const struct abi_msg *msg, const int *fds,
		   unsigned int n)
{
	size_t len = sizeof(*msg) + msg->word_count * sizeof(uint32_t);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * (2 + ABI_MAX_WORKERS))];
	} control;
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = len };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	}
	return sendmsg(a->watch.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

struct abi_msg attach_answer_to(uint32_t type, int error)
{
	return (struct abi_msg){
		.type = type, .error = error, .version = ABI_VERSION, .pid = (uint32_t)getpid()
	};
}

/* The answer to HELLO and RESUME: the arena, the daemon's page, the bells. */
static bool answer_arena(struct engine *engine, const struct attach *a, uint32_t type)
{
	struct abi_msg msg = attach_answer_to(type, 0);
	unsigned int workers = engine->worker_count;
	int fds[2 + ABI_MAX_WORKERS];

	fds[0] = session_arena_fd(a->session);
	fds[1] = engine_daemon_page_fd(engine);
	for (unsigned int i = 0; i < workers; i++)
		fds[2 + i] = session_worker_bell(a->session, i);
	msg.arg[0] = session_arena(a->session)->size_bytes;
	msg.arg[1] = workers;
	return attach_answer(a, &msg, fds, 2 + workers);
}

/* ---- messages ---- */

/* Address space for the buffers of each socket, where the configuration says how many there may be:
 * more than an idle one takes. Memory comes with use. */
#define ARENA_BYTES_EACH (1u << 20)
#define ARENA_BYTES_MIN (4ull << 30)

static unsigned int family_socks; /* 0: the default */

void attach_do_socks(unsigned int socks)
{
	family_socks = socks;
}

/* A family of programs, with the bells it wakes the workers with. */
static int family_begin(struct engine *engine, struct attach *a, const char *name)
{
	struct family_params params = {
		.name = name,
		.memfd = true,
		.socks = family_socks,
		.arena_bytes = (uint64_t)family_socks * ARENA_BYTES_EACH,
		.net_raw = peer_allowed(&a->peer, false),
		.unprivileged = !peer_allowed(&a->peer, false),
		.uid = a->peer.uid,
		.workers = engine->worker,
		.worker_count = engine->worker_count,
	};
	uint32_t *groups = NULL;
	int err = peer_groups(a->watch.fd, &a->peer, &groups);

	if (params.arena_bytes != 0 && params.arena_bytes < ARENA_BYTES_MIN)
		params.arena_bytes = ARENA_BYTES_MIN;
	if (err < 0)
		return err;
	params.groups = groups;
	params.group_count = (unsigned int)err;
	err = session_create(&params, a->peer.pid, &a->session);
	free(groups);
	for (unsigned int i = 0; i < engine->worker_count && !err; i++) {
		int fd = engine_bell_make(engine, i);

		if (fd < 0) {
			err = fd;
			session_destroy(a->session);
		} else {
			session_set_worker_bell(a->session, i, fd);
		}
	}
	return err;
}

static bool do_hello(struct engine *engine, struct attach *a, const struct abi_msg *msg)
{
	char name[sizeof(msg->text)];
	struct abi_msg refusal;
	int err;

	attach_text_clean(name, sizeof(name), msg->text[0] ? msg->text : "program");
	control_park();
	err = family_begin(engine, a, name);
	if (err) {
		a->session = NULL;
		log_warn("%s (process %d) cannot attach: %s", name, (int)a->peer.pid,
			 strerror(-err));
		refusal = attach_answer_to(msg->type, err);
		snprintf(refusal.text, sizeof(refusal.text), "no memory for another program: %s",
			 strerror(-err));
		return attach_answer(a, &refusal, NULL, 0);
	}
	log_debug("%s (process %d) attached", name, (int)a->peer.pid);
	return answer_arena(engine, a, msg->type);
}

static bool do_resume(struct engine *engine, struct attach *a, const struct abi_msg *msg)
{
	control_park();
	session_resume(a->session, msg->words, msg->word_count / 2);
	return answer_arena(engine, a, msg->type);
}

bool attach_is_unix_socket(int fd, int wanted)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == wanted;
}

#define CHANNELS_SCARCE 16u

/* Descriptors get scarce (the lowest free number is a high one), and the family has its share of
 * them: the last quarter is for others. */
static bool has_its_share(const struct session *session, int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd > limit.rlim_cur / 4 * 3 &&
	       session_channel_count(session) >= CHANNELS_SCARCE;
}

static bool do_channel(struct attach *a, const struct abi_msg *msg)
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);
	unsigned int worker = (unsigned int)msg->arg[1];
	struct attach_bell bell;
	uint64_t offset = 0;
	uint32_t index = 0;
	bool ok;

	control_park();
	reply.error = attach_bell_make(&bell, a->session, msg);
	if (!reply.error) {
		reply.error = has_its_share(a->session, bell.ring_fd)
				      ? -EMFILE
				      : session_channel(a->session, worker, bell.ring_fd,
							(uint32_t)msg->arg[0], &index, &offset);
		if (reply.error)
			attach_bell_close(&bell);
		else if (bell.far_fd >= 0)
			session_channel_async(a->session, worker, index, bell.far_fd);
		else if (msg->arg[2] & ABI_CHANNEL_SHARED)
			session_channel_share(a->session, worker, index);
	}
	reply.arg[0] = index;
	reply.arg[1] = offset;
	ok = attach_answer(a, &reply, &bell.wait_fd, !reply.error && bell.wait_fd >= 0 ? 1 : 0);
	if (bell.wait_fd >= 0)
		close(bell.wait_fd);
	return ok;
}

static bool do_hold(struct attach *a, const struct abi_msg *msg)
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);

	control_park();
	reply.error =
		session_channel_hold(a->session, (unsigned int)msg->arg[1], (uint32_t)msg->arg[0]);
	return attach_answer(a, &reply, NULL, 0);
}

/* Owns child_fd. The child's process id is what the parent says: it is for people only. */
static bool do_fork(struct attach *a, const struct abi_msg *msg, int child_fd)
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);
	struct session *child = NULL;
	struct peer peer = a->peer;

	if (!attach_is_unix_socket(child_fd, SOCK_SEQPACKET)) {
		close(child_fd);
		return false;
	}
	if (msg->arg[0] > 0 && msg->arg[0] <= INT32_MAX)
		peer.pid = (pid_t)msg->arg[0];
	control_park();
	reply.error = session_fork(a->session, peer.pid, &child);
	if (!reply.error && msg->arg[1])
		session_keep(child, msg->words, msg->word_count / 2);
	if (reply.error) {
		close(child_fd);
	} else if (!attach_new(child_fd, child, &peer)) {
		session_destroy(child);
		reply.error = -EAGAIN;
	}
	return attach_answer(a, &reply, NULL, 0);
}

/* Owns fd, the program's end of it excepted. */
static bool do_netlink(struct engine *engine, const struct attach *a, const struct abi_msg *msg,
		       int fd)
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);

	if (!attach_is_unix_socket(fd, SOCK_SEQPACKET)) {
		close(fd);
		return false;
	}
	reply.error = weird_netlink_open(engine, fd, (uint32_t)msg->arg[0], (int)msg->arg[1],
					 session_program(a->session));
	return attach_answer(a, &reply, NULL, 0);
}

static void do_note(struct attach *a, const struct abi_msg *msg)
{
	char text[sizeof(msg->text)];

	attach_text_clean(text, sizeof(text), msg->text);
	switch (notes_add(&a->notes, text)) {
	case NOTE_NEW:
		log_info("%s (process %d): %s", session_name(a->session),
			 (int)session_pid(a->session), text);
		break;
	case NOTE_LAST:
		log_info("%s (process %d): more notes, not shown", session_name(a->session),
			 (int)session_pid(a->session));
		break;
	case NOTE_KNOWN:
		break;
	}
}

static bool do_netif(struct engine *engine, struct attach *a, const struct abi_msg *msg)
{
	union {
		struct abi_msg msg;
		uint8_t bytes[sizeof(struct abi_msg) + sizeof(struct abi_netif)];
	} reply = { .msg = attach_answer_to(msg->type, 0) };
	struct abi_netif netif;

	control_park();
	reply.msg.error = netif_fill(engine, msg->arg[0], msg->arg[1], &netif);
	if (!reply.msg.error) {
		memcpy(reply.msg.words, &netif, sizeof(netif));
		reply.msg.word_count = sizeof(netif) / sizeof(uint32_t);
	}
	return attach_answer(a, &reply.msg, NULL, 0);
}

static bool do_procnet(struct engine *engine, const struct attach *a, const struct abi_msg *msg)
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);
	int fd = weird_procnet_open(engine, msg->text);
	bool ok;

	reply.error = fd < 0 ? fd : 0;
	ok = attach_answer(a, &reply, &fd, fd < 0 ? 0 : 1);
	if (fd >= 0)
		close(fd);
	return ok;
}

const char *attach_do(struct engine *engine, struct attach *a, const struct abi_msg *msg,
		      const int *fds)
{
	bool ok = true;

	/* A child's connection began with its parent's number. */
	if (a->session && msg->pid > 0 && msg->pid <= INT32_MAX)
		session_pid_set(a->session, (pid_t)msg->pid);
	switch (msg->type) {
	case ABI_MSG_HELLO:
		ok = do_hello(engine, a, msg);
		break;
	case ABI_MSG_RESUME:
		ok = do_resume(engine, a, msg);
		break;
	case ABI_MSG_CHANNEL:
		ok = do_channel(a, msg);
		break;
	case ABI_MSG_CHANNEL_HOLD:
		ok = do_hold(a, msg);
		break;
	case ABI_MSG_CHANNEL_FREE:
		control_park();
		session_channel_free(a->session, (unsigned int)msg->arg[1], (uint32_t)msg->arg[0]);
		break;
	case ABI_MSG_FORK:
		ok = do_fork(a, msg, fds[0]);
		break;
	case ABI_MSG_NOTE:
		do_note(a, msg);
		break;
	case ABI_MSG_NETIF:
		ok = do_netif(engine, a, msg);
		break;
	case ABI_MSG_PASS:
		ok = attach_pass(a, msg, fds);
		break;
	case ABI_MSG_RECEIVE:
		ok = attach_receive(a, msg, fds[0]);
		break;
	case ABI_MSG_NETLINK:
		ok = do_netlink(engine, a, msg, fds[0]);
		break;
	case ABI_MSG_PROCNET:
		ok = do_procnet(engine, a, msg);
		break;
	}
	return ok ? NULL : "it does not read its answers, or sent a descriptor of the wrong kind";
}

void attach_tell(int fd, int error, const char *text)
{
	struct abi_msg msg = attach_answer_to(ABI_MSG_HELLO, error);

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	if (send(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a refused program did not hear why: %s", strerror(errno));
}
