/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packetization-layer path MTU discovery (RFC 4821, RFC 8899): the path's size is found with the
 * connection's own segments where no ICMP tells it.
 *
 * A black hole swallows what is too large without a word. What shows it: the same full-size segment
 * times out again and again [tcp_retries1]; for longer, where that size was seen to arrive before,
 * for it is rather a path that loses much. Then segments become small (tcp_base_mss, and half of it
 * with each further time-out, down to tcp_mtu_probe_floor), and a search begins between `low`,
 * which is known to arrive, and `high`. A probe is one segment of new data, larger than the others:
 * where it is acknowledged, low rises to its size; where it alone is lost, high falls below it, and
 * that is no sign of congestion. The search ends when the bounds are close (tcp_probe_threshold),
 * and begins anew after tcp_probe_interval. tcp_mtu_probing: 0 never, 1 after a black hole, 2 from
 * the start. Sizes are those of IP packets.
 *
 * What is found is this connection's alone: it was not a router that said it, so the cache for the
 * destination (inet/pmtu.c) does not hear of it.
 */
#include "inet/tcp/recovery.h"

#define PROBE_MIN_CWND 11u /* segments: a window that can do without one */

struct tcp_mtu_probe {
	uint32_t start, end; /* of the probe that is on the way, where size_bytes is not 0 */
	uint16_t low_bytes, high_bytes, size_bytes;
	uint64_t since_ns; /* this search began */
};

const uint32_t tcp_mtu_probe_object_bytes = sizeof(struct tcp_mtu_probe);

static uint32_t header_bytes(const struct tcp_pcb *pcb)
{
	return 40u + (pcb->flags & F_TS_OK ? 12u : 0u);
}

static uint16_t highest(const struct tcp_pcb *pcb)
{
	uint32_t peer = (pcb->peer_mss ? pcb->peer_mss : TCP_DEFAULT_MSS) + 40u;

	return (uint16_t)tcp_min(peer, pcb->flow.mtu_bytes);
}

uint32_t tcp_mtu_limit(struct tcp_pcb *pcb)
{
	struct tcp_mtu_probe *m = pcb->mtu_probe;

	if (m->high_bytes > pcb->flow.mtu_bytes)
		m->high_bytes = pcb->flow.mtu_bytes; /* somebody told, after all */
	return m->low_bytes;
}

static bool begin(struct worker *w, struct tcp_pcb *pcb, uint32_t low_mss)
{
	struct tcp_mtu_probe *m;

	/* In a timer, or at the set-up: not on the data path. */
	if (tcp_slab_reserve(&w->tcp->mtu_probes, 1) != 0)
		return false;
	m = tcp_slab_get(&w->tcp->mtu_probes);
	if (!m)
		return false;
	pcb->mtu_probe = m;
	m->low_bytes = (uint16_t)(low_mss + header_bytes(pcb));
	m->high_bytes = highest(pcb);
	m->since_ns = w->now_ns;
	return true;
}

void tcp_mtu_probe_free(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->mtu_probe)
		tcp_slab_put(&w->tcp->mtu_probes, pcb->mtu_probe);
	pcb->mtu_probe = NULL;
}

void tcp_mtu_probe_established(struct worker *w, struct tcp_pcb *pcb)
{
	if (w->tcp->params.tcp_mtu_probing > 1 && !pcb->mtu_probe &&
	    begin(w, pcb, (uint32_t)w->tcp->params.tcp_base_mss))
		tcp_mss_update(pcb);
}

/* What to try next. */
static uint32_t smaller_mss(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint32_t base = (uint32_t)w->tcp->params.tcp_base_mss, mss;

	if (!pcb->mtu_probe)
		return base;
	mss = tcp_min(pcb->snd_mss / 2, base);
	mss = tcp_max(mss, (uint32_t)w->tcp->params.tcp_mtu_probe_floor);
	return tcp_max(mss, TCP_MIN_MSS);
}

/* A small segment that does not arrive says nothing of sizes; nor does one that the peer has closed
 * its window to. */
static bool head_is_larger(const struct tcp_pcb *pcb, uint32_t mss)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);

	return at.block && pcb->snd_wnd &&
	       tcp_min(tcp_sent_of(&at)->end - tcp_sent_of(&at)->start, pcb->snd_mss) > mss;
}

unsigned int tcp_mtu_doubt(const struct worker *w, const struct tcp_pcb *pcb)
{
	unsigned int n = (unsigned int)w->tcp->params.tcp_retries1;

	return pcb->full_arrived ? 2 * n + 2 : n;
}

void tcp_mtu_black_hole(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t mss = smaller_mss(w, pcb);

	if (!w->tcp->params.tcp_mtu_probing || !head_is_larger(pcb, mss))
		return;
	if (!pcb->mtu_probe && !begin(w, pcb, mss))
		return;
	pcb->mtu_probe->low_bytes = (uint16_t)(mss + header_bytes(pcb));
	pcb->mtu_probe->size_bytes = 0;
	pcb->full_arrived = false;
	tcp_mss_update(pcb);
}

/* The bounds are close: is it time to look whether the path has become wider? */
static void again(struct worker *w, struct tcp_pcb *pcb, struct tcp_mtu_probe *m)
{
	uint64_t interval_ns = (uint32_t)w->tcp->params.tcp_probe_interval * TCP_S_NS;

	if (w->now_ns - m->since_ns < interval_ns)
		return;
	m->high_bytes = highest(pcb);
	m->low_bytes = (uint16_t)(pcb->snd_mss + header_bytes(pcb));
	m->since_ns = w->now_ns;
}

enum tcp_mtu_probe_step tcp_mtu_probe_next(struct worker *w, struct tcp_pcb *pcb, uint32_t *len)
{
	struct tcp_mtu_probe *m = pcb->mtu_probe;
	uint32_t avail = tcp_data_end(pcb) - pcb->snd_nxt, mss = pcb->snd_mss, needed, pipe;
	uint32_t window_end = pcb->snd_una + pcb->snd_wnd;
	uint32_t size = (m->high_bytes + (uint32_t)m->low_bytes) / 2;

	/* Other options than time stamps would make sizes vary. */
	if (m->size_bytes || pcb->recovery != TCP_OPEN || pcb->cwnd < PROBE_MIN_CWND * mss ||
	    (pcb->flags & (F_PACED | F_SND_URG)) || tcp_options_len(pcb) + 40u != header_bytes(pcb))
		return TCP_MTU_PROBE_NOT;
	if (m->high_bytes < m->low_bytes + w->tcp->params.tcp_probe_threshold) {
		again(w, pcb, m);
		return TCP_MTU_PROBE_NOT;
	}
	*len = size - header_bytes(pcb);
	/* Enough behind it that its loss shows by itself. */
	needed = *len + (pcb->reordering + 1u) * mss;
	if ((int32_t)avail < (int32_t)needed || pcb->snd_wnd < needed)
		return TCP_MTU_PROBE_NOT;
	if (tcp_seq_gt(pcb->snd_nxt + needed, window_end))
		return TCP_MTU_PROBE_WAIT;
	pipe = tcp_pipe(pcb);
	if (pipe + 2 * mss > pcb->cwnd)
		return pipe ? TCP_MTU_PROBE_WAIT : TCP_MTU_PROBE_NOT;
	m->size_bytes = (uint16_t)size;
	m->start = pcb->snd_nxt;
	m->end = pcb->snd_nxt + *len;
	return TCP_MTU_PROBE_NOW;
}

bool tcp_mtu_probe_is(const struct tcp_pcb *pcb, uint32_t seq, uint32_t len)
{
	const struct tcp_mtu_probe *m = pcb->mtu_probe;

	return m->size_bytes && m->start == seq && m->end == seq + len;
}

void tcp_mtu_probe_cancel(struct tcp_pcb *pcb)
{
	pcb->mtu_probe->size_bytes = 0;
}

void tcp_mtu_probe_acked(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_mtu_probe *m = pcb->mtu_probe;

	if (!m->size_bytes || tcp_seq_lt(pcb->snd_una, m->end))
		return;
	m->low_bytes = m->size_bytes;
	m->size_bytes = 0;
	tcp_mib(w, TCPMTUPSuccess);
	tcp_mss_update(pcb);
}

bool tcp_mtu_probe_lost(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_mtu_probe *m = pcb->mtu_probe;

	if (!m->size_bytes || pcb->snd_una != m->start || pcb->recovery >= TCP_CWR)
		return false;
	m->high_bytes = m->size_bytes - 1u;
	m->size_bytes = 0;
	tcp_mib(w, TCPMTUPFail);
	tcp_recovery_smaller(w, pcb);
	return true;
}
