/* SPDX-License-Identifier: BSD-3-Clause */
/* The controllers there are, and what they share. */
#include "inet/tcp/cc.h"

#include <errno.h>
#include <string.h>

#include "inet/tcp/tcp_impl.h"

/* The first is the default. */
static const struct tcp_cc_ops *const controllers[] = { &tcp_cubic, &tcp_reno, &tcp_dctcp,
							&tcp_bbr };

#define CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

const struct tcp_cc_ops *tcp_cc_find(const char *name, uint32_t len)
{
	len = (uint32_t)strnlen(name, len);
	for (unsigned int i = 0; i < CONTROLLERS; i++) {
		if (strlen(controllers[i]->name) == len && !memcmp(controllers[i]->name, name, len))
			return controllers[i];
	}
	return NULL;
}

const struct tcp_cc_ops *tcp_cc_at(unsigned int i)
{
	return i < CONTROLLERS ? controllers[i] : NULL;
}

const struct tcp_cc_ops *tcp_cc_default(struct worker *w)
{
	const char *name = w->tcp->params.tcp_congestion_control;

	return tcp_cc_find(name, sizeof(w->tcp->params.tcp_congestion_control));
}

void tcp_cc_start(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->cwnd = TCP_INIT_CWND_SEGMENTS * pcb->snd_mss;
	pcb->ssthresh = TCP_MAX_CWND;
	memset(pcb->cc_state, 0, sizeof(pcb->cc_state));
	pcb->cc->init(w, pcb);
	tcp_pacing_update(w, pcb);
}

void tcp_cc_choose(struct worker *w, struct tcp_pcb *pcb, const struct tcp_cc_ops *ops)
{
	if (pcb->cc == ops)
		return;
	pcb->cc = ops;
	pcb->pacing_rate = 0;
	memset(pcb->cc_state, 0, sizeof(pcb->cc_state));
	if (!pcb->cwnd)
		return;
	ops->init(w, pcb);
	tcp_pacing_update(w, pcb);
}

int tcp_congestion_set(struct worker *w, struct tcp_pcb *pcb, const char *name, uint32_t len)
{
	const struct tcp_cc_ops *ops = tcp_cc_find(name, len);

	if (!ops)
		return -ENOENT;
	if (pcb) {
		pcb->cc_chosen = true;
		tcp_enter(w);
		tcp_cc_choose(w, pcb, ops);
		tcp_leave(w);
	}
	return 0;
}

const char *tcp_congestion_name(const struct tcp_pcb *pcb)
{
	return pcb->cc->name;
}

const char *tcp_congestion_default(struct worker *w)
{
	return tcp_cc_default(w)->name;
}

uint32_t tcp_congestion_info(const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	return pcb->cc->info && pcb->cwnd ? pcb->cc->info(pcb, info, len) : 0;
}

void tcp_congestion_inherit(struct tcp_pcb *child, const struct tcp_pcb *listener)
{
	if (!listener->cc_chosen)
		return;
	child->cc = listener->cc;
	child->cc_chosen = true;
}

uint32_t tcp_slow_start(struct tcp_pcb *pcb, uint32_t bytes)
{
	uint32_t step;

	if (pcb->cwnd >= pcb->ssthresh)
		return bytes;
	step = tcp_min(bytes, pcb->ssthresh - pcb->cwnd);
	pcb->cwnd = tcp_min(pcb->cwnd + step, TCP_MAX_CWND);
	return bytes - step;
}

void tcp_additive(struct tcp_pcb *pcb, uint32_t window, uint32_t bytes)
{
	pcb->cwnd_acked += bytes;
	if (pcb->cwnd_acked < window)
		return;
	pcb->cwnd = tcp_min(pcb->cwnd + pcb->cwnd_acked / window * pcb->snd_mss, TCP_MAX_CWND);
	pcb->cwnd_acked %= window;
}
