/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels: draining what programs submitted. Every entry is copied before it is judged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sock/sock_priv.h"

#define CQ_ENTRIES_MAX 65536u

static bool is_socket(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

int channel_open(struct session *session, struct part *part, int bell_fd, uint32_t cq_entries,
		 struct channel **channel)
{
	uint32_t bytes = (uint32_t)(sizeof(struct abi_channel) +
				    (uint64_t)cq_entries * sizeof(struct abi_cqe));
	struct channel *ch;
	unsigned int index = 0;

	if (cq_entries == 0 || cq_entries > CQ_ENTRIES_MAX || (cq_entries & (cq_entries - 1)) != 0)
		return -EINVAL;
	while (index < ABI_MAX_CHANNELS && part->channel[index] != NULL)
		index++;
	if (index == ABI_MAX_CHANNELS)
		return -ENOSPC;
	ch = calloc(1, sizeof(*ch));
	if (ch == NULL)
		return -ENOMEM;
	ch->abi = arena_alloc(&part->heap, bytes);
	if (ch->abi == NULL) {
		free(ch);
		return -ENOMEM;
	}
	memset(ch->abi, 0, sizeof(*ch->abi));
	ch->abi->cq_entries = cq_entries;
	ch->abi->index = (uint16_t)index;
	ch->abi->worker = (uint16_t)part->w->id;
	ch->part = part;
	ch->session = session;
	ch->cq_entries = cq_entries;
	ch->index = (uint16_t)index;
	ch->bell_fd = bell_fd;
	ch->bell_is_sock = is_socket(bell_fd);
	ch->far_fd = -1;
	part->channel[index] = ch;
	if (part->channel_words < index / 64 + 1)
		part->channel_words = index / 64 + 1;
	*channel = ch;
	return 0;
}

void channel_close(struct channel *ch)
{
	struct part *part = ch->part;
	struct sock_layer *l = part->w->socks;
	struct channel **bell = &l->bells;

	while (ch->watches != NULL)
		watch_leave(ch->watches);
	while (*bell != NULL && *bell != ch)
		bell = &(*bell)->bell_next;
	if (*bell == ch)
		*bell = ch->bell_next;
	shard_forget_channel(ch);
	part->channel[ch->index] = NULL;
	part->again[ch->index / 64] &= ~(1ull << (ch->index % 64));
	arena_release(&part->heap, ch->abi);
	if (ch->bell_fd >= 0)
		close(ch->bell_fd);
	if (ch->far_fd >= 0)
		close(ch->far_fd);
	free(ch);
}

void channel_bell(struct channel *ch)
{
	struct sock_layer *l = ch->part->w->socks;

	if (ch->bell_listed)
		return;
	ch->bell_listed = true;
	ch->bell_next = l->bells;
	l->bells = ch;
}

void channel_wake(struct channel *ch)
{
	atomic_store_explicit(&ch->abi->sleeping, 1, memory_order_relaxed);
	channel_bell(ch);
}

static void op_watch(struct channel *ch, const struct abi_sqe *sqe, struct sock *s)
{
	struct part *part = ch->part;
	struct channel *to = sqe->arg16 < ABI_MAX_CHANNELS ? part->channel[sqe->arg16] : NULL;

	if (to == NULL) {
		if (sqe->arg16 >= ABI_MAX_CHANNELS)
			sock_broken(part, "a watch names a channel that cannot be");
		return;
	}
	if (sqe->op == ABI_OP_UNWATCH)
		watch_clear(s, to);
	else
		watch_set(s, to, sqe->arg32);
}

static void sock_op(struct channel *ch, const struct abi_sqe *sqe)
{
	struct sock *s = sock_find(ch->part, sqe->sock, sqe->gen);
	int32_t value;

	if (s == NULL)
		return;
	switch (sqe->op) {
	case ABI_OP_TX:
		if (s->use == SLOT_STREAM)
			stream_tx(s);
		else
			sock_tx(s);
		break;
	case ABI_OP_RX:
		if (s->use == SLOT_STREAM)
			stream_rx(s);
		break;
	case ABI_OP_ACCEPTED:
		accept_claim(ch->session, s);
		break;
	case ABI_OP_RELEASE:
		sock_unref(ch->session, s);
		break;
	case ABI_OP_WATCH:
	case ABI_OP_UNWATCH:
		op_watch(ch, sqe, s);
		break;
	case ABI_OP_SETINT:
		value = (int32_t)sqe->arg32;
		option_set(s, sqe->arg16 >> 8, sqe->arg16 & 0xff, &value, sizeof(value));
		break;
	case ABI_OP_ZEROCOPY:
		errqueue_zerocopy(s, sqe->arg32);
		break;
	default:
		break;
	}
}

unsigned int channel_drain(struct channel *ch, unsigned int max)
{
	struct abi_channel *abi = ch->abi;
	struct part *part = ch->part;
	uint32_t tail = atomic_load_explicit(&abi->sq_tail, memory_order_acquire);
	uint32_t waiting = tail - ch->sq_head;
	uint64_t bit = 1ull << (ch->index % 64);
	unsigned int n = 0;

	if (waiting > ABI_SQ_ENTRIES) {
		sock_broken(part, "sq_tail is outside of the submission queue");
		return 0;
	}
	if (waiting != 0 && ch->session == NULL) {
		sock_broken(part, "a submission on an epoll set's channel");
		return 0;
	}
	while (n < max && n < waiting && !part_broken(part)) {
		struct abi_sqe sqe =
			*(volatile struct abi_sqe *)&abi->sq[ch->sq_head % ABI_SQ_ENTRIES];

		ch->sq_head++;
		n++;
		if (sqe.op == ABI_OP_CTL)
			ctl_run(ch);
		else if (sqe.op >= ABI_OP_MAX)
			sock_broken(part, "a submission's operation is unknown");
		else if (sqe.op != ABI_OP_NOP)
			sock_op(ch, &sqe);
	}
	if (n != 0)
		atomic_store_explicit(&abi->sq_head, ch->sq_head, memory_order_release);
	if (n < waiting)
		part->again[ch->index / 64] |= bit;
	else
		part->again[ch->index / 64] &= ~bit;
	part->w->socks->submissions += n;
	return n;
}

/* One turn over a family's channels. */
static unsigned int part_drain(struct part *part, unsigned int max)
{
	unsigned int done = 0;

	for (unsigned int word = 0; word < part->channel_words; word++) {
		_Atomic uint64_t *bits = &part->arena->sq_pending[part->w->id].bits[word];
		uint64_t pending = part->again[word];

		if (atomic_load_explicit(bits, memory_order_relaxed) != 0)
			pending |= atomic_exchange_explicit(bits, 0, memory_order_acq_rel);
		/* What this turn does not reach is not lost. */
		part->again[word] |= pending;
		while (pending != 0 && done < max &&
		       part->w->socks->datagrams < SOCK_TURN_DATAGRAMS) {
			unsigned int i = (unsigned int)__builtin_ctzll(pending);
			struct channel *ch = part->channel[word * 64 + i];

			pending &= pending - 1;
			if (ch != NULL)
				done += channel_drain(ch, SOCK_CHANNEL_BURST);
			else
				part->again[word] &= ~(1ull << i);
			if (part_broken(part))
				return done;
		}
	}
	return done;
}

unsigned int sock_poll(struct worker *w)
{
	struct sock_layer *l = w->socks;
	unsigned int done = 0;
	struct part *part;

	l->datagrams = 0;
	if (l->late_work) {
		l->late_work = false;
		done = 1;
	}
	if (l->tx_more != NULL)
		done += dgram_tx_more(w);
	/* Another family is first in each turn, so that the bound hits them all alike. */
	if (l->turn == NULL)
		l->turn = l->parts;
	part = l->turn;
	if (part == NULL)
		return done;
	do {
		if (!part->dead && !part_broken(part))
			done += part_drain(part, SOCK_POLL_BURST);
		part = part->next != NULL ? part->next : l->parts;
	} while (part != l->turn && done < SOCK_POLL_BURST && l->datagrams < SOCK_TURN_DATAGRAMS);
	l->turn = part->next;
	return done;
}

bool sock_pending(struct worker *w)
{
	const struct sock_layer *l = w->socks;

	if (l->late_work || l->tx_more != NULL || l->dirty != NULL || l->bells != NULL)
		return true;
	for (struct part *part = l->parts; part != NULL; part = part->next) {
		if (part->dead || part_broken(part))
			continue;
		for (unsigned int word = 0; word < part->channel_words; word++)
			if (part->again[word] != 0 ||
			    atomic_load_explicit(&part->arena->sq_pending[w->id].bits[word],
						 memory_order_acquire) != 0)
				return true;
	}
	return false;
}
