/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several workers: a listener, or a datagram socket with a port, has a sibling on each other
 * worker, because a flow's packets come to the worker that the port's hash chose. The siblings are
 * chained by abi_sock.shard_next; a program watches all of them and takes from each.
 *
 * A worker may not touch another's sockets, so it posts a request; the control thread does it with
 * all workers parked (sock_control()), and answers the program's call only then. The siblings
 * belong to the first socket: they are closed with it. A datagram socket that is connected connects
 * its siblings, so that each of them takes only what is from its peer. Likewise no worker knows
 * which ports streams were bound to on others, so bind() is answered when all have been asked; and
 * all have done before what the program asked for before, a close() of the same port for example.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/options.h"
#include "sock/packet.h"

struct shard_request {
	struct shard_request *next;
	struct part *part;	 /* of the first socket */
	struct channel *channel; /* whose call waits; NULL: it went away, or it is a close */
	enum shard_what what;
	struct endpoint at;	   /* what the call was given */
	uint32_t index, gen;	   /* the first socket; close: the chain's first sibling */
	uint32_t level, name, len; /* option: followed by its value */
	uint8_t value[];
};

bool shard_wanted(const struct sock *s)
{
	return s->part->family->parts > 1 && s->shard_next == ABI_SOCK_NONE &&
	       s->shard_first == ABI_SOCK_NONE;
}

bool shard_bind_wanted(const struct sock *s)
{
	return shard_wanted(s) || (s->use == SLOT_DGRAM && s->shard_next != ABI_SOCK_NONE);
}

static struct shard_request *request_add(struct part *part, uint32_t value_len)
{
	struct sock_layer *l = part->w->socks;
	struct shard_request *r = calloc(1, sizeof(*r) + value_len), **end = &l->requests;

	if (r == NULL)
		return NULL;
	r->part = part;
	while (*end != NULL)
		end = &(*end)->next;
	*end = r;
	if (l->hooks.wake_control != NULL)
		l->hooks.wake_control(l->hooks.arg);
	return r;
}

int shard_request(struct sock *s, struct channel *ch, enum shard_what what,
		  const struct endpoint *at)
{
	struct shard_request *r = request_add(s->part, 0);

	if (r == NULL)
		return -ENOMEM;
	r->channel = ch;
	r->what = what;
	r->at = *at;
	r->index = s->index;
	r->gen = s->gen;
	ch->ctl_waiting = true;
	return 0;
}

int shard_request_option(struct sock *s, struct channel *ch, const struct abi_ctl *ctl)
{
	struct shard_request *r = request_add(s->part, ctl->len);

	if (r == NULL)
		return -ENOMEM;
	r->channel = ch;
	r->what = SHARD_OPTION;
	r->index = s->index;
	r->gen = s->gen;
	r->level = ctl->level;
	r->name = ctl->optname;
	r->len = ctl->len;
	memcpy(r->value, ctl->data, ctl->len);
	ch->ctl_waiting = true;
	return 0;
}

void shard_request_close(struct sock *s)
{
	struct shard_request *r;

	if (s->shard_first != ABI_SOCK_NONE || s->shard_next == ABI_SOCK_NONE)
		return;
	r = request_add(s->part, 0);
	if (r == NULL)
		return; /* they stay until the family goes */
	r->what = SHARD_CLOSE;
	r->index = s->shard_next;
	r->gen = s->part->family->socks[s->shard_next].gen;
	s->shard_next = ABI_SOCK_NONE;
}

void shard_forget_channel(struct channel *ch)
{
	for (struct shard_request *r = ch->part->w->socks->requests; r != NULL; r = r->next)
		if (r->channel == ch)
			r->channel = NULL;
}

void shard_forget_part(struct part *part)
{
	struct shard_request **link = &part->w->socks->requests;

	while (*link != NULL) {
		struct shard_request *r = *link;

		if (r->part != part) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		free(r);
	}
}

void shard_free(struct sock_layer *l)
{
	while (l->requests != NULL) {
		struct shard_request *r = l->requests;

		l->requests = r->next;
		free(r);
	}
}

bool shard_below_wanted(const struct sock *s)
{
	return s->part->family->parts > 1 && s->shard_first == ABI_SOCK_NONE;
}

static int port_compare(struct sock *s)
{
	struct family *f = s->part->family;

	if (s->use != SLOT_STREAM || s->tcp == NULL)
		return 0;
	for (unsigned int i = 0; i < f->parts; i++) {
		if (f->part[i] == s->part || !tcp_bind_conflicts(f->part[i]->w, s->tcp))
			continue;
		tcp_unbind(s->part->w, s->tcp);
		sock_set_addrs(s);
		return -EADDRINUSE;
	}
	return 0;
}

/* As if it were closed, but for what it has still to send. */
static int unlisten(struct sock *first)
{
	shard_chain_end(first);
	return stream_shutdown(first, SHUT_RD);
}

static int leave(struct sock *first)
{
	for (uint32_t head = first->tx.head - 1;
	     head != first->tx.head && !part_broken(first->part);) {
		head = first->tx.head;
		dgram_tx(first);
	}
	shard_chain_end(first);
	udp_unbind(first->part->w, first->udp);
	return 0;
}

static bool there(const struct shard_request *r)
{
	const struct sock *s = &r->part->family->socks[r->index];

	return s->use != SLOT_FREE && s->gen == r->gen;
}

/* What the program did before the call, on whichever worker, is done. */
static void settle(struct family *f)
{
	if (f->broken == NULL)
		family_drain(f);
	for (unsigned int i = 0; i < f->parts; i++) {
		struct shard_request **link = &f->part[i]->w->socks->requests;

		while (*link != NULL) {
			struct shard_request *r = *link;

			if (r->part->family != f || r->what != SHARD_CLOSE) {
				link = &r->next;
				continue;
			}
			*link = r->next;
			if (there(r))
				shard_chain_close(f, r->index);
			free(r);
		}
	}
}

static int bind_all(struct sock *s, const struct endpoint *at)
{
	int ret = 0;

	if (s->use == SLOT_STREAM) {
		if (s->tcp != NULL && tcp_public(s->tcp)->local.port_be == 0)
			ret = stream_bind(s, at);
		return ret != 0 ? ret : port_compare(s);
	}
	if (s->udp->local.port_be == 0)
		ret = dgram_bind(s, at);
	return ret != 0 ? ret : shard_make(s);
}

static int option_all(struct sock *s, const struct shard_request *r)
{
	int ret = 0;

	/* A group is heard on all workers, though the socket has no port. */
	if (mcast_option_is(r->level, r->name) && shard_wanted(s))
		ret = shard_chain_make(s);
	if (ret == 0)
		ret = option_set(s, r->level, r->name, r->value, r->len);
	for (uint32_t i = s->shard_next; i != ABI_SOCK_NONE && ret == 0;) {
		struct sock *sibling = &s->part->family->socks[i];

		/* What one worker refuses for want of memory the others have nevertheless. */
		(void)option_set(sibling, r->level, r->name, r->value, r->len);
		i = sibling->shard_next;
	}
	return ret;
}

static void request_do(struct shard_request *r)
{
	struct family *f = r->part->family;
	struct sock *s = &f->socks[r->index];
	int ret = -EBADF;

	if (r->what == SHARD_CLOSE) {
		if (there(r))
			shard_chain_close(f, r->index);
		return;
	}
	settle(f);
	if (!there(r))
		goto out;
	if (r->what == SHARD_LISTEN) /* unless another thread has ended it meanwhile */
		ret = s->state & ABI_S_LISTEN ? shard_make(s) : -EINVAL;
	else if (r->what == SHARD_BIND)
		ret = bind_all(s, &r->at);
	else if (r->what == SHARD_BELOW)
		ret = shard_below_all(s);
	else if (r->what == SHARD_OPTION)
		ret = option_all(s, r);
	else if (r->what == SHARD_UNLISTEN)
		ret = s->state & ABI_S_LISTEN ? unlisten(s) : -ENOTCONN;
	else if (s->use == SLOT_DGRAM)
		ret = r->what == SHARD_LEAVE ? leave(s) : shard_chain_connect(s);
	sock_publish(s);
out:
	if (r->channel != NULL)
		ctl_finish(r->channel, ret);
}

void sock_control(struct worker *w)
{
	struct sock_layer *l = w->socks;

	while (l->requests != NULL) {
		struct shard_request *r = l->requests;

		l->requests = r->next;
		request_do(r);
		free(r);
	}
}
