/* SPDX-License-Identifier: BSD-3-Clause */
#include "shim/poll/epset.h"

#define EPOLL_BITS                                                                                 \
	(EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLRDNORM |          \
	 EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND)

/* Number 0 is nobody's. */
static struct epitem *at(struct epshare *sh, uint32_t n)
{
	return n == EPITEM_NONE ? NULL : &sh->item[n % EPSHARE_ITEMS];
}

static uint32_t number(const struct epshare *sh, const struct epitem *item)
{
	return (uint32_t)(item - sh->item);
}

static uint32_t *head_of(struct epshare *sh, uint32_t sock)
{
	if (sock == EPSOCK_SET)
		return &sh->sets;
	return sock < EPSHARE_SOCKS ? &sh->map[sock] : &sh->quiet;
}

/* Edge-triggered sets around this one are told by this. */
static void count_news(struct epshare *sh)
{
	atomic_store_explicit(&sh->news, atomic_load_explicit(&sh->news, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void ready_push(struct epshare *sh, struct epitem *item)
{
	if (item->queued)
		return;
	item->queued = 1;
	item->ready_next = EPITEM_NONE;
	item->ready_prev = sh->ready_last;
	if (sh->ready_last)
		at(sh, sh->ready_last)->ready_next = number(sh, item);
	else
		sh->ready_first = number(sh, item);
	sh->ready_last = number(sh, item);
	sh->ready_count++;
}

static void ready_remove(struct epshare *sh, struct epitem *item)
{
	if (!item->queued)
		return;
	if (item->ready_prev)
		at(sh, item->ready_prev)->ready_next = item->ready_next;
	else
		sh->ready_first = item->ready_next;
	if (item->ready_next)
		at(sh, item->ready_next)->ready_prev = item->ready_prev;
	else
		sh->ready_last = item->ready_prev;
	item->queued = 0;
	sh->ready_count--;
}

static void link_item(struct epshare *sh, struct epitem *item)
{
	uint32_t *head = head_of(sh, item->sock);

	item->same = *head;
	*head = number(sh, item);
	item->all_prev = EPITEM_NONE;
	item->all_next = sh->all;
	if (sh->all)
		at(sh, sh->all)->all_prev = number(sh, item);
	sh->all = number(sh, item);
	sh->items++;
}

static void item_free(struct epshare *sh, struct epitem *item)
{
	item->all_next = sh->free;
	sh->free = number(sh, item);
}

static struct epitem *item_new(struct epshare *sh)
{
	struct epitem *item = at(sh, sh->free);

	if (item) {
		sh->free = item->all_next;
		return item;
	}
	if (sh->fresh + 1 >= EPSHARE_ITEMS)
		return NULL;
	return &sh->item[++sh->fresh];
}

struct epitem *epshare_first(struct epshare *sh, uint32_t sock, uint32_t gen)
{
	struct epitem *item = at(sh, *head_of(sh, sock));

	while (item && (item->sock != sock || item->gen != gen))
		item = at(sh, item->same);
	return item;
}

struct epitem *epshare_find(struct epshare *sh, const struct epkey *key)
{
	struct epitem *item = at(sh, *head_of(sh, key->sock));

	while (item && (item->sock != key->sock || item->gen != key->gen || item->fd != key->fd))
		item = at(sh, item->same);
	return item;
}

/* The slot's sockets before this one are closed. */
static void drop_stale(struct epshare *sh, const struct epkey *key)
{
	struct epitem *next;

	if (key->sock >= EPSHARE_SOCKS)
		return;
	for (struct epitem *item = at(sh, sh->map[key->sock]); item; item = next) {
		next = at(sh, item->same);
		if (item->gen != key->gen)
			epshare_remove(sh, item);
	}
}

struct epitem *epshare_add(struct epshare *sh, const struct epkey *key,
			   const struct epoll_event *event)
{
	struct epitem *item;

	drop_stale(sh, key);
	item = item_new(sh);
	if (!item)
		return NULL;
	memset(item, 0, sizeof(*item));
	item->sock = key->sock;
	item->gen = key->gen;
	item->fd = key->fd;
	item->type = key->type;
	link_item(sh, item);
	epshare_modify(sh, item, event);
	item->used = 1;
	return item;
}

void epshare_modify(struct epshare *sh, struct epitem *item, const struct epoll_event *event)
{
	item->interest = event->events | EPOLLERR | EPOLLHUP;
	item->data = event->data.u64;
	item->edge = EPEDGE_NEW;
	item->is_told = event->events & EPOLLET && item->sock != EPSOCK_SET ? EPTOLD_NOT : 0;
	count_news(sh);
	ready_push(sh, item);
}

void epshare_remove(struct epshare *sh, struct epitem *item)
{
	uint32_t *p = head_of(sh, item->sock);

	item->used = 0;
	while (*p && at(sh, *p) != item)
		p = &at(sh, *p)->same;
	if (*p)
		*p = item->same;
	ready_remove(sh, item);
	if (item->all_prev)
		at(sh, item->all_prev)->all_next = item->all_next;
	else
		sh->all = item->all_next;
	if (item->all_next)
		at(sh, item->all_next)->all_prev = item->all_prev;
	sh->items--;
	item_free(sh, item);
}

void epshare_rebuild(struct epshare *sh)
{
	for (uint32_t n = 1; n <= sh->fresh; n++)
		*head_of(sh, sh->item[n].sock) = EPITEM_NONE;
	sh->all = sh->free = sh->quiet = sh->sets = sh->items = EPITEM_NONE;
	count_news(sh);
	sh->ready_first = sh->ready_last = sh->ready_count = 0;
	for (uint32_t n = 1; n <= sh->fresh; n++) {
		struct epitem *item = &sh->item[n];

		item->queued = 0;
		if (item->used) {
			link_item(sh, item);
			ready_push(sh, item);
		} else {
			item_free(sh, item);
		}
	}
}

static void mark_slot(struct epshare *sh, uint32_t sock, uint32_t gen, bool any_gen, bool watched)
{
	for (struct epitem *item = at(sh, sh->map[sock]); item; item = at(sh, item->same)) {
		if (any_gen || item->gen == gen) {
			if (!watched && item->is_told == EPTOLD_ONCE)
				item->is_told = 0;
			ready_push(sh, item);
			count_news(sh);
		}
	}
}

void epshare_mark(struct epshare *sh, uint32_t sock, uint32_t gen)
{
	bool watched = sock & ABI_CQE_WATCHED;
	uint32_t first;

	sock &= ~ABI_CQE_WATCHED;
	if (sock >= EPSHARE_SOCKS)
		return;
	mark_slot(sh, sock, gen, false, watched);
	/* A slot that was a shard once may be a socket by now: a look too many harms nobody. */
	first = sh->shard[sock];
	if (first && first <= EPSHARE_SOCKS)
		mark_slot(sh, first - 1, 0, true, watched);
}

void epshare_mark_all(struct epshare *sh)
{
	for (struct epitem *item = at(sh, sh->all); item; item = at(sh, item->all_next))
		ready_push(sh, item);
	count_news(sh);
}

struct epitem *epshare_next_set(struct epshare *sh, const struct epitem *item)
{
	return at(sh, item ? item->same : sh->sets);
}

void epshare_mark_sets(struct epshare *sh)
{
	for (struct epitem *item = at(sh, sh->sets); item; item = at(sh, item->same))
		ready_push(sh, item);
}

void epshare_set_edge(struct epshare *sh, uint32_t id)
{
	for (struct epitem *item = at(sh, sh->sets); item; item = at(sh, item->same)) {
		if (item->gen == id && !item->edge)
			item->edge = EPEDGE_KERNEL;
	}
}

uint32_t epshare_interest(struct epshare *sh, uint32_t sock, uint32_t gen)
{
	uint32_t interest = 0;

	for (struct epitem *item = at(sh, *head_of(sh, sock)); item; item = at(sh, item->same)) {
		if (item->sock == sock && item->gen == gen)
			interest |= item->interest;
	}
	return interest;
}

static uint32_t wanted(uint32_t interest)
{
	uint32_t want = interest & EPOLL_BITS;

	if (want & EPOLLRDNORM)
		want |= EPOLLIN;
	if (want & (EPOLLWRNORM | EPOLLWRBAND))
		want |= EPOLLOUT;
	return want;
}

static uint32_t look_at(struct epitem *item, epitem_events_fn look, struct epwords *words)
{
	uint32_t events;

	if (item->interest == 0)
		return 0;
	events = look(item, wanted(item->interest), words);
	if (events == EPITEM_GONE)
		return events;
	if (events & EPOLLIN)
		events |= EPOLLRDNORM;
	if (events & EPOLLOUT)
		events |= EPOLLWRNORM;
	return events & item->interest & EPOLL_BITS;
}

/* Reported, and then the engine's word on the watch, when nothing has changed since. */
static bool told_before(struct epitem *item, const struct epwords *now)
{
	if (item->is_told != EPTOLD_ONCE)
		return false;
	item->is_told = 0;
	return memcmp(&item->told, now, sizeof(*now)) == 0;
}

static void report(struct epshare *sh, struct epitem *item, const struct epwords *now)
{
	if (item->sock == EPSOCK_SET) {
		item->news_told = item->news_seen;
	} else if (item->is_told == EPTOLD_NOT) {
		item->told = *now;
		item->is_told = EPTOLD_ONCE;
	}
	item->edge = 0;
	if (item->interest & EPOLLONESHOT)
		item->interest = 0;
	else if (!(item->interest & EPOLLET))
		ready_push(sh, item);
}

int epshare_collect(struct epshare *sh, struct epoll_event *events, int max, epitem_events_fn look)
{
	unsigned int left = sh->ready_count;
	int n = 0;

	/* Each item once, also those that go back to the end of the list. */
	while (left-- > 0 && n < max) {
		struct epitem *item = at(sh, sh->ready_first);
		struct epwords words = { 0 };
		uint32_t got;

		if (!item)
			break;
		ready_remove(sh, item);
		got = look_at(item, look, &words);
		if (got == EPITEM_GONE)
			epshare_remove(sh, item);
		if (!got || got == EPITEM_GONE || told_before(item, &words))
			continue;
		events[n].events = got;
		events[n].data.u64 = item->data;
		n++;
		report(sh, item, &words);
	}
	return n;
}

bool epshare_has_event(struct epshare *sh, epitem_events_fn look)
{
	struct epitem *item;

	while ((item = at(sh, sh->ready_first)) != NULL) {
		struct epwords words = { 0 };
		uint32_t got = look_at(item, look, &words);

		if (got && got != EPITEM_GONE && !told_before(item, &words))
			return true;
		if (got == EPITEM_GONE)
			epshare_remove(sh, item);
		else
			ready_remove(sh, item);
	}
	return false;
}
