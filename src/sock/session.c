/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: which process of a family references which sockets. See session.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "sock/sock_priv.h"

static size_t refs_bytes(const struct family *f)
{
	return f->sock_count / 8;
}

static struct session *session_new(struct family *f, pid_t pid)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	session->refs = calloc(1, refs_bytes(f));
	if (session->refs == NULL) {
		free(session);
		return NULL;
	}
	session->family = f;
	session->pid = pid;
	session->next = f->sessions;
	f->sessions = session;
	return session;
}

int session_create(const struct family_params *params, pid_t pid, struct session **session)
{
	struct family *f;
	int ret = family_create(params, &f);

	if (ret != 0)
		return ret;
	*session = session_new(f, pid);
	if (*session == NULL) {
		family_free(f);
		return -ENOMEM;
	}
	return 0;
}

/* What the family's processes have submitted counts as done before one of them comes or goes. */
void family_drain(struct family *f)
{
	for (unsigned int i = 0; i < f->parts; i++) {
		struct part *part = f->part[i];

		for (unsigned int c = 0; c < 64 * part->channel_words && !part_broken(part); c++)
			if (part->channel[c] != NULL)
				channel_drain(part->channel[c], ABI_SQ_ENTRIES);
	}
}

/* Whoever was parked is asked for what this call left to be done on several workers. */
static void family_control(struct family *f)
{
	for (unsigned int i = 0; i < f->parts; i++)
		sock_control(f->part[i]->w);
}

static void for_each_ref(struct session *session, void (*fn)(struct session *s, struct sock *sock))
{
	struct family *f = session->family;

	for (uint32_t word = 0; word < f->sock_count / 64; word++) {
		uint64_t bits = session->refs[word];

		while (bits != 0) {
			uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			fn(session, &f->socks[index]);
		}
	}
}

static void add_ref(struct session *session, struct sock *s)
{
	s->refs++;
}

int session_fork(struct session *parent, pid_t pid, struct session **child)
{
	struct family *f = parent->family;

	family_drain(f);
	*child = session_new(f, pid);
	if (*child == NULL)
		return -ENOMEM;
	memcpy((*child)->refs, parent->refs, refs_bytes(f));
	for_each_ref(*child, add_ref);
	session_channels_inherit(*child, parent);
	return 0;
}

int session_keep(struct session *session, const uint32_t *pairs, unsigned int n)
{
	struct family *f = session->family;
	uint64_t *keep = calloc(1, refs_bytes(f));

	if (keep == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t index = pairs[2 * i];

		if (index < f->sock_count && f->socks[index].use != SLOT_FREE &&
		    f->socks[index].gen == pairs[2 * i + 1])
			keep[index / 64] |= 1ull << (index % 64);
	}
	for (uint32_t index = 0; index < f->sock_count; index++) {
		uint64_t bit = 1ull << (index % 64);

		if (session->refs[index / 64] == 0)
			index |= 63;
		else if (session->refs[index / 64] & bit && !(keep[index / 64] & bit))
			sock_unref(session, &f->socks[index]);
	}
	free(keep);
	family_control(f);
	return 0;
}

void session_resume(struct session *session, const uint32_t *pairs, unsigned int n)
{
	family_drain(session->family);
	session_channels_close(session);
	if (session_keep(session, pairs, n) != 0)
		log_error("%s: no memory while the program changes (exec): all sockets are kept",
			  session->family->name);
}

int session_pass(struct session *from, uint32_t index, uint32_t gen, struct session **transit)
{
	struct family *f = from->family;
	struct sock *s = index < f->sock_count ? &f->socks[index] : NULL;

	family_drain(f);
	/* Without a reference of its own it could hold what others close: a connection that waits
	 * to be accepted, a sibling on another worker. */
	if (s == NULL || s->use == SLOT_FREE || s->gen != gen ||
	    !(from->refs[index / 64] >> (index % 64) & 1))
		return -EBADF;
	*transit = session_new(f, 0);
	if (*transit == NULL)
		return -ENOMEM;
	sock_ref(*transit, s);
	return 0;
}

static struct sock *only_ref(const struct session *session)
{
	for (uint32_t word = 0; word < session->family->sock_count / 64; word++)
		if (session->refs[word] != 0)
			return &session->family->socks[word * 64 + (uint32_t)__builtin_ctzll(
									   session->refs[word])];
	return NULL;
}

/* To another family: the transit is one of that family's from then on. */
static int receive_from(struct session *to, struct session **transit, struct sock **sock)
{
	struct session *mine = session_new(to->family, 0);
	struct sock *s = *sock;
	int ret;

	if (mine == NULL)
		return -ENOMEM;
	ret = s->state & ABI_S_LISTEN ? listener_share(s, to->family, sock)
				      : sock_move_all(s, to->family, sock);
	if (ret != 0) {
		session_destroy(mine);
		return ret;
	}
	sock_ref(mine, *sock);
	session_destroy(*transit);
	*transit = mine;
	return 0;
}

int session_receive(struct session *to, struct session **transit, uint32_t *index, uint32_t *gen)
{
	struct sock *s;
	int ret = 0;

	family_drain((*transit)->family);
	family_drain(to->family);
	s = only_ref(*transit);
	if (s == NULL || session_broken(*transit) != NULL || session_broken(to) != NULL)
		return -ENETDOWN;
	if (to->family != (*transit)->family)
		ret = receive_from(to, transit, &s);
	if (ret != 0)
		return ret;
	sock_ref(to, s);
	*index = s->index;
	*gen = s->gen;
	return 0;
}

/* A socket that others hold on to: the process that is gone may have written and not told. */
static void let_go(struct session *session, struct sock *s)
{
	if (s->refs > 1 && !part_broken(s->part) && !(s->state & ABI_S_LISTEN)) {
		if (s->use == SLOT_STREAM) {
			stream_tx(s);
			stream_rx(s);
		} else {
			sock_tx(s);
		}
	}
	sock_unref(session, s);
}

/* The last session is gone: nobody can use a socket of the family any more. */
static void family_end(struct family *f)
{
	unsigned int parts = f->parts;
	struct part *all[ABI_MAX_WORKERS];

	for (unsigned int i = 0; i < parts; i++) {
		struct part *part = all[i] = f->part[i];

		for (uint32_t index = part->first; index < part->fresh; index++)
			if (f->socks[index].use != SLOT_FREE)
				sock_close(&f->socks[index], true);
		ready_forget(part);
		shard_forget_part(part);
		part->dead = true;
	}
	/* The last of these may free the family. */
	for (unsigned int i = 0; i < parts; i++)
		part_settle(all[i]);
}

void session_destroy(struct session *session)
{
	struct family *f = session->family;
	struct session **link = &f->sessions;
	bool broken = session_broken(session) != NULL;

	if (!broken)
		family_drain(f);
	broken = session_broken(session) != NULL;
	session_channels_close(session);
	for_each_ref(session, let_go);
	for (unsigned int i = 0; i < f->parts && !broken; i++)
		accept_reap(f->part[i]);
	family_control(f);
	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	if (f->sessions == NULL)
		family_end(f);
	free(session->refs);
	free(session);
}

int session_arena_fd(const struct session *session)
{
	return session->family->arena_fd;
}

struct abi_arena *session_arena(const struct session *session)
{
	return (struct abi_arena *)session->family->base;
}

void session_set_worker_bell(struct session *session, unsigned int worker, int fd)
{
	session->family->worker_bell[worker] = fd;
}

int session_worker_bell(const struct session *session, unsigned int worker)
{
	return session->family->worker_bell[worker];
}

const char *session_broken(const struct session *session)
{
	return atomic_load_explicit(&session->family->broken, memory_order_acquire);
}

const char *session_name(const struct session *session)
{
	return session->family->name;
}

void session_pid_set(struct session *session, pid_t pid)
{
	session->pid = pid;
}

uint32_t session_program(const struct session *session)
{
	return session->family->id;
}

pid_t session_pid(const struct session *session)
{
	return session->pid;
}
