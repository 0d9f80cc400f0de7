/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readiness: from "something happened to this socket" to an entry in the completion queues of those
 * who watch it.
 *
 * During a loop sock_mark() only lists the socket. sock_flush() then goes through the list twice:
 *
 *   1. publish positions and state of each dirty socket
 *      -- full fence --
 *   2. look at what the program wrote meanwhile (want, rx_head, cq_head) and post completions
 *      -- full fence --
 *   3. look at `sleeping` of every channel that got something, and ring
 *
 * The first fence pairs with the one a program makes between consuming a completion (cq_head) or
 * setting `want` and looking at the socket: either it sees the new positions, or we see that the
 * entry was consumed and post another. The second pairs with the one between setting `sleeping` and
 * looking at the queues.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sock/sock_priv.h"
#include "wire/app_ring.h"

#define WATCH_BATCH 64u

static struct watch *watch_alloc(struct sock_layer *l)
{
	struct watch *watch = l->free_watches;

	if (watch == NULL) {
		struct watch *batch = calloc(WATCH_BATCH, sizeof(*batch));

		if (batch == NULL)
			return NULL;
		/* batch[0] keeps the batch's memory in a list of its own: sock_layer_free() */
		batch[0].ch_next = l->watch_batches;
		l->watch_batches = batch;
		for (unsigned int i = 1; i < WATCH_BATCH; i++) {
			batch[i].next = l->free_watches;
			l->free_watches = &batch[i];
		}
		watch = l->free_watches;
	}
	l->free_watches = watch->next;
	memset(watch, 0, sizeof(*watch));
	return watch;
}

void watch_free(struct worker *w, struct watch *watch)
{
	struct sock_layer *l = w->socks;

	watch->sock->part->watches--;
	*watch->pprev = watch->next;
	if (watch->next != NULL)
		watch->next->pprev = watch->pprev;
	*watch->ch_pprev = watch->ch_next;
	if (watch->ch_next != NULL)
		watch->ch_next->ch_pprev = watch->ch_pprev;
	watch->next = l->free_watches;
	l->free_watches = watch;
}

static struct watch *watch_find(struct sock *s, const struct channel *ch)
{
	struct watch *watch = s->watches;

	while (watch != NULL && watch->channel != ch)
		watch = watch->next;
	return watch;
}

static struct watch *watch_add(struct sock *s, struct channel *ch)
{
	struct part *part = s->part;
	struct watch *watch;

	/* A program has a few watches a socket at most; this bounds the engine's memory for one
	 * that asks for more. */
	if (part->watches >= 4 * part->count + ABI_MAX_CHANNELS) {
		sock_broken(part, "too many watches");
		return NULL;
	}
	watch = watch_alloc(sock_layer_of(s));
	if (watch == NULL)
		return NULL;
	part->watches++;
	watch->sock = s;
	watch->channel = ch;
	watch->next = s->watches;
	watch->pprev = &s->watches;
	if (s->watches != NULL)
		s->watches->pprev = &watch->next;
	s->watches = watch;
	watch->ch_next = ch->watches;
	watch->ch_pprev = &ch->watches;
	if (ch->watches != NULL)
		ch->watches->ch_pprev = &watch->ch_next;
	ch->watches = watch;
	return watch;
}

/* Put an entry into the watch's CQ, unless the last one still waits there. flags: ABI_CQE_*. */
static void watch_post(struct watch *watch, uint32_t flags)
{
	struct channel *ch = watch->channel;
	struct abi_channel *abi = ch->abi;
	uint32_t head = atomic_load_explicit(&abi->cq_head, memory_order_acquire);
	uint32_t used = ch->cq_tail - head;

	channel_bell(ch);
	if (used > ch->cq_entries) {
		sock_broken(ch->part, "cq_head is outside of the completion queue");
		return;
	}
	if (watch->posted && watch->posted_at - head < used) {
		if (flags == 0) /* merged; and news now, where it was not */
			abi->cq[watch->posted_at & (ch->cq_entries - 1)].sock = watch->sock->index;
		return;
	}
	if (used == ch->cq_entries) {
		watch->posted = false;
		ch->part->w->socks->cq_overflows++;
		atomic_fetch_add_explicit(&abi->cq_overflow, 1, memory_order_release);
		return;
	}
	abi->cq[ch->cq_tail & (ch->cq_entries - 1)] =
		(struct abi_cqe){ .sock = watch->sock->index | flags, .gen = watch->sock->gen };
	watch->posted = true;
	watch->posted_at = ch->cq_tail;
	atomic_store_explicit(&abi->cq_tail, ++ch->cq_tail, memory_order_release);
}

static bool watch_wants(const struct watch *watch, uint32_t events)
{
	uint32_t always = watch->interest & ABI_EV_URG ? 0 : ABI_EV_ERR | ABI_EV_HUP;

	return events & (watch->interest | always);
}

/* How good a choice the watch is for waking one: an awake one without an entry it has not looked
 * at, then a sleeping one; one that already has its entry needs nothing. */
static int exclusive_rank(const struct watch *watch)
{
	const struct channel *ch = watch->channel;
	uint32_t head = atomic_load_explicit(&ch->abi->cq_head, memory_order_relaxed);

	if (watch->posted && watch->posted_at - head < ch->cq_tail - head)
		return 0;
	return atomic_load_explicit(&ch->abi->sleeping, memory_order_relaxed) ? 1 : 2;
}

/* Wake one of those who asked for it exclusively; false when none is left to be woken. */
static bool post_exclusive(struct sock *s, uint32_t events)
{
	struct watch *best = NULL, *last = NULL;
	int best_rank = 0;

	for (struct watch *watch = s->watches; watch != NULL; watch = watch->next) {
		last = watch;
		if (!(watch->interest & ABI_WATCH_EXCLUSIVE) || !watch_wants(watch, events))
			continue;
		int rank = exclusive_rank(watch);

		if (rank > best_rank) {
			best = watch;
			best_rank = rank;
		}
	}
	if (best == NULL)
		return false;
	watch_post(best, 0);
	if (best->interest & ABI_WATCH_ONCE) {
		watch_free(s->part->w, best);
	} else if (best != last) {
		/* To the end of the list: the next one is somebody else's turn. */
		*best->pprev = best->next;
		best->next->pprev = best->pprev;
		best->next = NULL;
		best->pprev = &last->next;
		last->next = best;
	}
	return true;
}

static void sock_post(struct sock *s, uint32_t events)
{
	struct watch *watch, *next;
	/* The end of it is for all to hear. */
	bool exclusive = false, end = events & (ABI_EV_RDHUP | ABI_EV_HUP);
	uint32_t budget = s->excl_budget != 0 ? s->excl_budget : 1;

	s->excl_budget = 0;
	for (watch = s->watches; watch != NULL; watch = next) {
		next = watch->next;
		if (!watch_wants(watch, events))
			continue;
		if ((watch->interest & ABI_WATCH_EXCLUSIVE) && !end) {
			exclusive = true;
			continue;
		}
		if (unlikely(watch->channel->far_fd >= 0))
			async_note(watch->channel,
				   s->state & ABI_S_TX_SHUT ? events & ~ABI_EV_OUT : events);
		watch_post(watch, 0);
		if (watch->interest & ABI_WATCH_ONCE)
			watch_free(s->part->w, watch);
	}
	while (exclusive && budget-- != 0)
		exclusive = post_exclusive(s, events);
}

int watch_set(struct sock *s, struct channel *ch, uint32_t interest)
{
	struct watch *watch = watch_find(s, ch);
	uint32_t events;

	if (watch == NULL)
		watch = watch_add(s, ch);
	if (watch == NULL)
		return -1;
	/* poll() may name a socket twice, with other events each time: none may be lost. */
	if (watch->interest & interest & ABI_WATCH_ONCE)
		interest |= watch->interest;
	watch->interest = interest;
	if (ch->far_fd >= 0)
		return 0; /* of what comes from now on */
	if (s->state & ABI_S_LISTEN)
		accept_steal(s);
	sock_publish(s);
	/* The same fence as in sock_flush(). */
	atomic_thread_fence(memory_order_seq_cst);
	events = app_sock_events(s->abi);
	/* A reader may wait for less than SO_RCVLOWAT: any bytes are news. */
	if (!(s->state & ABI_S_LISTEN) && app_sock_rx_used(s->abi) != 0)
		events |= ABI_EV_IN;
	if (watch_wants(watch, events)) {
		watch_post(watch, ABI_CQE_WATCHED);
		if (interest & ABI_WATCH_ONCE)
			watch_free(s->part->w, watch);
	}
	return 0;
}

/* Connections or records that nobody has taken. */
static bool something_waits(struct sock *s)
{
	if (s->use == SLOT_STREAM)
		return (s->state & ABI_S_LISTEN) && accept_waiting(s) != 0;
	return app_sock_rx_used(s->abi) != 0;
}

/* One who was woken alone may leave without having taken what it was woken for: it is another's
 * turn, as long as something waits. */
void watch_leave(struct watch *watch)
{
	struct sock *s = watch->sock;
	bool alone = watch->interest & ABI_WATCH_EXCLUSIVE;

	watch_free(s->part->w, watch);
	if (alone && s->watches != NULL && something_waits(s))
		sock_mark(s, ABI_EV_IN);
}

void watch_clear(struct sock *s, struct channel *ch)
{
	struct watch *watch = watch_find(s, ch);

	if (watch != NULL)
		watch_leave(watch);
}

void sock_mark(struct sock *s, uint32_t events)
{
	struct sock_layer *l = sock_layer_of(s);

	s->events |= events;
	if (s->dirty)
		return;
	s->dirty = true;
	s->dirty_next = NULL;
	*l->dirty_end = s;
	l->dirty_end = &s->dirty_next;
}

void sock_publish(struct sock *s)
{
	if (s->use == SLOT_STREAM)
		stream_publish(s);
	else if (s->use != SLOT_FREE)
		dgram_publish(s);
}

/* Send space came back: tell, if the program said that it waits for it. */
static void settle_want(struct sock *s)
{
	struct abi_sock *abi = s->abi;

	s->acked = false;
	if (s->tx_smaller)
		stream_fit_tx(s);
	if (!(atomic_load_explicit(&abi->want, memory_order_relaxed) & ABI_WANT_TX))
		return;
	if (s->use == SLOT_STREAM)
		stream_fit_tx(s);
	if (!app_sock_writable(abi))
		return;
	atomic_fetch_and_explicit(&abi->want, ~ABI_WANT_TX, memory_order_relaxed);
	s->events |= ABI_EV_OUT;
}

static void flush_dirty(struct sock_layer *l)
{
	struct sock *list = l->dirty, *s, *next;

	l->dirty = NULL;
	l->dirty_end = &l->dirty;
	for (s = list; s != NULL; s = s->dirty_next)
		sock_publish(s);
	atomic_thread_fence(memory_order_seq_cst);
	for (s = list; s != NULL; s = next) {
		uint32_t events;

		next = s->dirty_next;
		s->dirty = false;
		if (s->use == SLOT_FREE)
			continue;
		if (s->acked)
			settle_want(s);
		if (s->use == SLOT_STREAM)
			stream_settle(s);
		events = s->events;
		s->events = 0;
		if (events != 0 && s->watches != NULL)
			sock_post(s, events);
		else
			s->excl_budget = 0; /* who comes now sees it */
	}
}

/* What is full (EAGAIN) rings already. */
static void ring(const struct channel *ch)
{
	uint64_t one = 1;

	if (ch->bell_is_sock)
		(void)!send(ch->bell_fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		(void)!write(ch->bell_fd, &one, sizeof(one));
}

void sock_flush(struct worker *w)
{
	struct sock_layer *l = w->socks;
	struct channel *ch, *next;

	if (l->dirty != NULL)
		flush_dirty(l);
	if (l->bells == NULL)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	for (ch = l->bells; ch != NULL; ch = next) {
		next = ch->bell_next;
		ch->bell_listed = false;
		if (unlikely(ch->far_fd >= 0)) {
			async_ring(ch);
			continue;
		}
		if (!atomic_load_explicit(&ch->abi->sleeping, memory_order_relaxed) ||
		    !atomic_exchange_explicit(&ch->abi->sleeping, 0, memory_order_relaxed))
			continue;
		l->bells_rung++;
		if (ch->bell_fd >= 0)
			ring(ch);
	}
	l->bells = NULL;
}

/* The part's memory goes: take its sockets and channels out of the worker's lists. */
void ready_forget(struct part *part)
{
	struct sock_layer *l = part->w->socks;
	struct sock **link = &l->dirty, **more = &l->tx_more;
	struct channel **bell = &l->bells;

	while (*link != NULL) {
		if ((*link)->part != part) {
			link = &(*link)->dirty_next;
			continue;
		}
		(*link)->dirty = false;
		*link = (*link)->dirty_next;
	}
	l->dirty_end = link;
	while (*more != NULL) {
		if ((*more)->part != part) {
			more = &(*more)->tx_next;
			continue;
		}
		(*more)->tx_more = false;
		*more = (*more)->tx_next;
	}
	l->tx_more_end = more;
	while (*bell != NULL) {
		if ((*bell)->part == part)
			*bell = (*bell)->bell_next;
		else
			bell = &(*bell)->bell_next;
	}
}
