/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long the sending side had data to send, and for how much of that it was the peer's window, or
 * our send buffer, that held it up: so that TCP_INFO can say who is to blame [tcp_chrono_start].
 * One of them runs at a time; whole milliseconds are counted, and what is left over is the next
 * one's.
 */
#include "inet/tcp/tcp_impl.h"

/* Data waits, and it is not the congestion window that it waits for. */
bool tcp_rwnd_limited(const struct tcp_pcb *pcb)
{
	int32_t unsent = (int32_t)(tcp_data_end(pcb) - pcb->snd_nxt);
	int32_t window = (int32_t)(pcb->snd_una + pcb->snd_wnd - pcb->snd_nxt);

	return unsent > 0 && window < unsent && window < pcb->snd_mss &&
	       tcp_pipe(pcb) + pcb->snd_mss <= pcb->cwnd;
}

/* All is sent, more could be, and the program found no room for it. */
static bool sndbuf_limited(const struct tcp_pcb *pcb)
{
	const struct byte_ring *snd = &pcb->pub.snd;

	return pcb->snd_nxt == tcp_data_end(pcb) &&
	       !(pcb->flags & (F_FIN_QUEUED | F_CWND_LIMITED)) &&
	       byte_ring_used(snd) >= snd->size_bytes / 3 * 2;
}

static enum tcp_chrono kind_of(const struct tcp_pcb *pcb)
{
	if (pcb->snd_una == tcp_data_end(pcb) || tcp_seq_gt(pcb->snd_una, tcp_data_end(pcb)))
		return TCP_CHRONO_NONE;
	if (tcp_rwnd_limited(pcb))
		return TCP_CHRONO_RWND;
	return sndbuf_limited(pcb) ? TCP_CHRONO_SNDBUF : TCP_CHRONO_BUSY;
}

void tcp_chrono(const struct worker *w, struct tcp_pcb *pcb)
{
	enum tcp_chrono kind = kind_of(pcb);
	uint64_t ms;

	if (kind == pcb->chrono)
		return;
	if (pcb->chrono == TCP_CHRONO_NONE) {
		pcb->chrono_since_ns = w->now_ns;
	} else {
		ms = (w->now_ns - pcb->chrono_since_ns) / TCP_MS_NS;
		pcb->chrono_ms[pcb->chrono] += (uint32_t)ms;
		pcb->chrono_since_ns += ms * TCP_MS_NS;
	}
	pcb->chrono = (uint8_t)kind;
}

uint64_t tcp_chrono_us(const struct worker *w, const struct tcp_pcb *pcb, enum tcp_chrono kind)
{
	uint64_t us = pcb->chrono_ms[kind] * 1000ull;

	if (pcb->chrono == kind)
		us += (w->now_ns - pcb->chrono_since_ns) / 1000;
	return us;
}
