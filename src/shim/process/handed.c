/* SPDX-License-Identifier: BSD-3-Clause */
#include "shim/process/handed.h"

#include <sys/stat.h>
#include <sys/syscall.h>

uint64_t handed_inode(int fd)
{
	struct stat st;

	/* The kernel's answer: fstat() itself may be taken over. */
	if (R(syscall)(SYS_fstat, (long)fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	return st.st_ino;
}

bool handed_from(struct handed *h, int fd, struct wsock *ws)
{
	if (!ws->shm && !(atomic_load(&ws->opts) & WS_QUIET) && ctl_create(ws))
		return false;
	*h = (struct handed){
		.inode = handed_inode(fd),
		.index = ws->shm ? ws->index : ABI_SOCK_NONE,
		.gen = ws->gen,
		.opts = atomic_load(&ws->opts),
		.linger_s = atomic_load(&ws->linger_s),
		.rcv_timeout_ns = ws->rcv_timeout_ns,
		.snd_timeout_ns = ws->snd_timeout_ns,
		.file_flags = wsock_file_flags(ws),
		.quiet_port_be = ws->quiet_port_be,
		.quiet_listen = ws->quiet_listen,
		.family = ws->family,
		.type = ws->type,
		.protocol = ws->protocol,
	};
	return h->inode != 0;
}

struct wsock *handed_wsock(const struct handed *h)
{
	struct wsock *ws;

	if (h->index != ABI_SOCK_NONE && h->index >= session.sock_count)
		return NULL;
	ws = wsock_new();
	if (!ws)
		return NULL;
	ws->type = h->type;
	ws->family = h->family;
	ws->protocol = h->protocol;
	ws->quiet_listen = h->quiet_listen;
	ws->quiet_port_be = h->quiet_port_be;
	ws->rcv_timeout_ns = h->rcv_timeout_ns;
	ws->snd_timeout_ns = h->snd_timeout_ns;
	atomic_store(&ws->opts, h->opts);
	atomic_store(&ws->linger_s, h->linger_s);
	atomic_store(&ws->file_flags, h->file_flags);
	if (h->index != ABI_SOCK_NONE)
		wsock_adopt(ws, h->index, h->gen);
	return ws;
}
