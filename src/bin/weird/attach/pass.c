/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that programs pass over UNIX sockets. What is really passed is one end of a socket
 * pair; the other end is here, and held with it is the socket (session_pass()). Whoever has got the
 * descriptor shows it (ABI_MSG_RECEIVE): possession is the right, and the inode says which one it
 * is. The pair hangs up when the last copy of the descriptor is gone, received or not, and with it
 * what was held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/weird/attach/conn.h"
#include "core/log.h"

/* Descriptors under way at a time: all, and one program's, so that none takes the room of all. */
#define PASSED_MAX 2048u
#define PASSED_PROGRAM_MAX 512u

struct passed {
	uint64_t inode;
	uint32_t program; /* session_program() of who passed it */
	bool has_sock;
	uint32_t word_count;
	uint32_t words[ABI_PASS_WORDS];
};
static unsigned int passed_count;

/* 0 where it is no end of a pair. A file is not asked: one of FUSE answers when its server likes,
 * and that may be the program itself. */
static uint64_t inode_of(int fd)
{
	struct stat st;

	return attach_is_unix_socket(fd, SOCK_SEQPACKET) && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* Who is not on weir reads an end, once, and cannot write. */
static void make_mute(int fd)
{
	shutdown(fd, SHUT_RD);
	(void)!send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool is_passed_by(const struct attach *a, uint64_t program)
{
	return a->passed && a->passed->program == program;
}

static bool has_room(uint32_t program)
{
	if (passed_count < PASSED_PROGRAM_MAX)
		return true;
	return passed_count < PASSED_MAX &&
	       attach_count(is_passed_by, program) < PASSED_PROGRAM_MAX;
}

static struct passed *passed_new(uint32_t program, const struct abi_msg *msg, int passed_fd)
{
	struct passed *p = has_room(program) ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	p->program = program;
	p->inode = inode_of(passed_fd);
	p->has_sock = msg->arg[0] != ABI_SOCK_NONE;
	p->word_count = msg->word_count;
	memcpy(p->words, msg->words, msg->word_count * sizeof(uint32_t));
	passed_count++;
	return p;
}

void attach_passed_free(struct attach *a)
{
	if (!a->passed)
		return;
	free(a->passed);
	a->passed = NULL;
	passed_count--;
}

/* Owns end_fd. */
static int pass(struct attach *a, const struct abi_msg *msg, int end_fd, int passed_fd)
{
	struct passed *p = passed_new(session_program(a->session), msg, passed_fd);
	struct session *transit = NULL;
	struct attach *t = NULL;
	int err = p ? 0 : -ETOOMANYREFS;

	if (!err && p->has_sock)
		err = session_pass(a->session, (uint32_t)msg->arg[0], (uint32_t)msg->arg[1],
				   &transit);
	if (!err) {
		make_mute(end_fd);
		t = attach_new(end_fd, transit, &a->peer);
		err = t ? 0 : -ETOOMANYREFS;
	} else {
		close(end_fd);
	}
	if (!err) {
		t->passed = p;
		control_watch_set(&t->watch, 0); /* its end is all it will hear of */
		return 0;
	}
	if (transit)
		session_destroy(transit);
	if (p) {
		free(p);
		passed_count--;
	}
	return err;
}

bool attach_pass(struct attach *a, const struct abi_msg *msg, const int fds[2])
{
	struct abi_msg reply = attach_answer_to(msg->type, 0);

	if (!attach_is_unix_socket(fds[0], SOCK_SEQPACKET) ||
	    !attach_is_unix_socket(fds[1], SOCK_SEQPACKET)) {
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	control_park();
	reply.error = pass(a, msg, fds[0], fds[1]);
	close(fds[1]);
	return attach_answer(a, &reply, NULL, 0);
}

static bool is_inode(const struct attach *a, uint64_t inode)
{
	return a->passed && a->passed->inode == inode;
}

bool attach_receive(struct attach *a, const struct abi_msg *msg, int fd)
{
	union {
		struct abi_msg msg;
		uint8_t bytes[sizeof(struct abi_msg) + ABI_PASS_WORDS * sizeof(uint32_t)];
	} reply;
	struct attach *t = attach_find(is_inode, inode_of(fd));
	uint32_t index = ABI_SOCK_NONE, gen = 0;

	close(fd);
	memset(&reply, 0, sizeof(reply));
	reply.msg = attach_answer_to(msg->type, t ? 0 : -ENOENT);
	if (t && t->passed->has_sock) {
		control_park();
		reply.msg.error = session_receive(a->session, &t->session, &index, &gen);
	}
	reply.msg.arg[0] = index;
	reply.msg.arg[1] = gen;
	if (!reply.msg.error) {
		reply.msg.word_count = t->passed->word_count;
		memcpy(reply.msg.words, t->passed->words, t->passed->word_count * sizeof(uint32_t));
	}
	return attach_answer(a, &reply.msg, NULL, 0);
}
