/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose a channel is: a thread's is its session's, an epoll set's is held by each session that has
 * the set, and goes with the last of them.
 */
#include <errno.h>

#include "sock/sock_priv.h"

static struct channel *channel_at(const struct session *session, unsigned int worker,
				  uint32_t index)
{
	if (worker >= session->family->parts || index >= ABI_MAX_CHANNELS)
		return NULL;
	return session->family->part[worker]->channel[index];
}

/* Numbers behind this were never given out there. */
static unsigned int channels_of(const struct session *session, unsigned int worker)
{
	return 64 * session->family->part[worker]->channel_words;
}

static bool holds(const struct session *session, const struct channel *ch)
{
	return session->held[ch->part->w->id][ch->index / 64] >> (ch->index % 64) & 1;
}

static void hold(struct session *session, struct channel *ch)
{
	session->held[ch->part->w->id][ch->index / 64] |= 1ull << (ch->index % 64);
	ch->holders++;
}

static void release(struct session *session, struct channel *ch)
{
	session->held[ch->part->w->id][ch->index / 64] &= ~(1ull << (ch->index % 64));
	if (--ch->holders == 0)
		channel_close(ch);
	else
		/* Perhaps it was woken, for the others as well, and died before it looked. */
		channel_wake(ch);
}

int session_channel(struct session *session, unsigned int worker, int bell_fd, uint32_t cq_entries,
		    uint32_t *index, uint64_t *offset)
{
	struct channel *ch;
	int ret;

	if (worker >= session->family->parts)
		return -EINVAL;
	ret = channel_open(session, session->family->part[worker], bell_fd, cq_entries, &ch);
	if (ret != 0)
		return ret;
	*index = ch->index;
	*offset = (uint64_t)((uint8_t *)ch->abi - session->family->base);
	return 0;
}

void session_channel_share(struct session *session, unsigned int worker, uint32_t index)
{
	struct channel *ch = channel_at(session, worker, index);

	if (ch == NULL || ch->session != session)
		return;
	ch->session = NULL;
	hold(session, ch);
}

int session_channel_hold(struct session *session, unsigned int worker, uint32_t index)
{
	struct channel *ch = channel_at(session, worker, index);

	if (ch == NULL || ch->session != NULL)
		return -ENOENT;
	if (!holds(session, ch))
		hold(session, ch);
	return 0;
}

void session_channels_inherit(struct session *child, const struct session *parent)
{
	for (unsigned int i = 0; i < parent->family->parts; i++)
		for (unsigned int c = 0; c < channels_of(parent, i); c++) {
			struct channel *ch = channel_at(parent, i, c);

			if (ch != NULL && holds(parent, ch))
				hold(child, ch);
		}
}

void session_channel_async(struct session *session, unsigned int worker, uint32_t index, int far_fd)
{
	struct channel *ch = channel_at(session, worker, index);

	if (ch != NULL)
		ch->far_fd = far_fd;
}

int session_channel_bell(const struct session *session, unsigned int worker, uint32_t index)
{
	const struct channel *ch = channel_at(session, worker, index);

	return ch != NULL && (ch->session == session || holds(session, ch)) ? ch->bell_fd : -1;
}

int session_channel_far(const struct session *session, unsigned int worker, uint32_t index)
{
	const struct channel *ch = channel_at(session, worker, index);

	return ch != NULL && ch->session == session ? ch->far_fd : -1;
}

void session_channel_free(struct session *session, unsigned int worker, uint32_t index)
{
	struct channel *ch = channel_at(session, worker, index);

	if (ch == NULL)
		return;
	if (holds(session, ch)) {
		release(session, ch);
	} else if (ch->session == session) {
		/* What the thread submitted before it ended counts. */
		if (!part_broken(ch->part))
			channel_drain(ch, ABI_SQ_ENTRIES);
		channel_close(ch);
	}
}

void session_channels_close(struct session *session)
{
	for (unsigned int i = 0; i < session->family->parts; i++)
		for (unsigned int c = 0; c < channels_of(session, i); c++) {
			struct channel *ch = channel_at(session, i, c);

			if (ch == NULL)
				continue;
			if (holds(session, ch))
				release(session, ch);
			else if (ch->session == session)
				channel_close(ch);
		}
}

unsigned int session_channel_count(const struct session *session)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < session->family->parts; i++)
		for (unsigned int c = 0; c < channels_of(session, i); c++)
			n += channel_at(session, i, c) != NULL;
	return n;
}
