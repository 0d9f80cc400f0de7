/* SPDX-License-Identifier: BSD-3-Clause */
#include "shim/poll/epset.h"

#define EPOLL_BITS                                                                                 \
	(EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLRDNORM |          \
	 EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND)

static struct lock free_lock;
static struct epitem *free_items;

static struct epitem *item_new(void)
{
	struct epitem *item;

	lock_take(&free_lock);
	item = free_items;
	if (item)
		free_items = item->all_next;
	lock_drop(&free_lock);
	if (!item)
		item = slab_more(sizeof(*item));
	if (item)
		memset(item, 0, sizeof(*item));
	return item;
}

static void item_free(struct epitem *item)
{
	lock_take(&free_lock);
	item->all_next = free_items;
	free_items = item;
	lock_drop(&free_lock);
}

static struct epitem **head_of(struct epset *ep, const struct wsock *ws)
{
	return ws->index < ep->map_size ? &ep->map[ws->index] : &ep->quiet;
}

static void ready_push(struct epset *ep, struct epitem *item)
{
	if (item->queued)
		return;
	item->queued = true;
	item->ready_next = NULL;
	item->ready_prev = ep->ready_last;
	if (ep->ready_last)
		ep->ready_last->ready_next = item;
	else
		ep->ready_first = item;
	ep->ready_last = item;
	ep->ready_count++;
}

static void ready_remove(struct epset *ep, struct epitem *item)
{
	if (!item->queued)
		return;
	if (item->ready_prev)
		item->ready_prev->ready_next = item->ready_next;
	else
		ep->ready_first = item->ready_next;
	if (item->ready_next)
		item->ready_next->ready_prev = item->ready_prev;
	else
		ep->ready_last = item->ready_prev;
	item->queued = false;
	ep->ready_count--;
}

struct epitem *epset_first(struct epset *ep, const struct wsock *ws)
{
	struct epitem *item = *head_of(ep, ws);

	while (item && item->ws != ws)
		item = item->same;
	return item;
}

struct epitem *epset_find(struct epset *ep, const struct wsock *ws, int fd)
{
	struct epitem *item = *head_of(ep, ws);

	while (item && (item->ws != ws || item->fd != fd))
		item = item->same;
	return item;
}

struct epitem *epset_add(struct epset *ep, struct wsock *ws, int fd,
			 const struct epoll_event *event)
{
	struct epitem **head = head_of(ep, ws);
	struct epitem *item = item_new();

	if (!item)
		return NULL;
	item->ws = ws;
	item->fd = fd;
	item->same = *head;
	*head = item;
	item->all_next = ep->all;
	if (ep->all)
		ep->all->all_prev = item;
	ep->all = item;
	ep->items++;
	epset_modify(ep, item, event);
	return item;
}

void epset_modify(struct epset *ep, struct epitem *item, const struct epoll_event *event)
{
	item->interest = event->events | EPOLLERR | EPOLLHUP;
	item->data = event->data.u64;
	ready_push(ep, item);
}

void epset_remove(struct epset *ep, struct epitem *item)
{
	struct epitem **p = head_of(ep, item->ws);

	while (*p && *p != item)
		p = &(*p)->same;
	if (*p)
		*p = item->same;
	ready_remove(ep, item);
	if (item->all_prev)
		item->all_prev->all_next = item->all_next;
	else
		ep->all = item->all_next;
	if (item->all_next)
		item->all_next->all_prev = item->all_prev;
	ep->items--;
	item_free(item);
}

static void mark_slot(struct epset *ep, uint32_t index, uint32_t gen, bool any_gen)
{
	for (struct epitem *item = ep->map[index]; item; item = item->same) {
		if (any_gen || item->ws->gen == gen)
			ready_push(ep, item);
	}
}

void epset_mark(struct epset *ep, uint32_t index, uint32_t gen)
{
	if (index >= ep->map_size)
		return;
	mark_slot(ep, index, gen, false);
	/* A slot that was a shard once may be a socket by now: a look too many harms nobody. */
	if (ep->shards && ep->shards[index])
		mark_slot(ep, ep->shards[index] - 1, 0, true);
}

void epset_mark_all(struct epset *ep)
{
	for (struct epitem *item = ep->all; item; item = item->all_next)
		ready_push(ep, item);
}

uint32_t epset_interest(struct epset *ep, const struct wsock *ws)
{
	uint32_t interest = 0;

	for (struct epitem *item = *head_of(ep, ws); item; item = item->same) {
		if (item->ws == ws)
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

static uint32_t look_at(const struct epitem *item, epset_events_fn look)
{
	uint32_t events = look(item->ws, wanted(item->interest));

	if (events & EPOLLIN)
		events |= EPOLLRDNORM;
	if (events & EPOLLOUT)
		events |= EPOLLWRNORM;
	return events & item->interest & EPOLL_BITS;
}

int epset_collect(struct epset *ep, struct epoll_event *events, int max, epset_events_fn look)
{
	unsigned int left = ep->ready_count;
	int n = 0;

	/* Each item once, also those that go back to the end of the list. */
	while (left-- > 0 && n < max) {
		struct epitem *item = ep->ready_first;
		uint32_t got;

		ready_remove(ep, item);
		if (item->interest == 0)
			continue;
		got = look_at(item, look);
		if (!got)
			continue;
		events[n].events = got;
		events[n].data.u64 = item->data;
		n++;
		if (item->interest & EPOLLONESHOT)
			item->interest = 0;
		else if (!(item->interest & EPOLLET))
			ready_push(ep, item);
	}
	return n;
}

void epset_items_lock(bool take)
{
	if (take)
		lock_take(&free_lock);
	else
		lock_drop(&free_lock);
}
