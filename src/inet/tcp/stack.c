/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's state of one worker: its start and end, the flush list that every door visits on the way
 * out, and the life of a pcb's memory.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "inet/state.h"
#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_check.h"
#include "inet/tcp/tcp_impl.h"

static const char *const state_names[TCP_STATE_MAX] = {
	[TCP_CLOSED] = "UNCONN",	 [TCP_LISTEN] = "LISTEN",
	[TCP_SYN_SENT] = "SYN-SENT",	 [TCP_SYN_RECEIVED] = "SYN-RECV",
	[TCP_ESTABLISHED] = "ESTAB",	 [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
	[TCP_FIN_WAIT_2] = "FIN-WAIT-2", [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
	[TCP_CLOSING] = "CLOSING",	 [TCP_LAST_ACK] = "LAST-ACK",
	[TCP_TIME_WAIT] = "TIME-WAIT",
};

const char *tcp_state_name(enum tcp_state state)
{
	return (unsigned int)state < TCP_STATE_MAX ? state_names[state] : "?";
}

/* A slab is half empty: more blocks, before they are wanted. */
static void spare_reserve(struct worker *w, struct timer *t)
{
	struct tcp_slab *sent = &w->tcp->sent;

	tcp_slab_reserve(sent, tcp_min(TCP_SENT_SPARE + sent->used / 2, 4096));
	tcp_slab_reserve(&w->tcp->ranges_many, TCP_RANGES_MANY_SPARE);
}

int tcp_init(struct worker *w)
{
	struct tcp_stack *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->w = w;
	s->up = &w->inet->up;
	tcp_params_init(&s->params);
	s->challenge.second = s->reset.second = UINT64_MAX;
	s->flush_last = &s->flush_first;
	tcp_slab_init(&s->pcbs, sizeof(struct tcp_pcb), 64, TCP_MAX_PCBS);
	tcp_slab_init(&s->tws, sizeof(struct tcp_tw), 256, TCP_MAX_TIME_WAIT);
	tcp_slab_init(&s->sent, sizeof(struct tcp_sent_block), 32, TCP_MAX_SENT_BLOCKS);
	s->spare_timer.fn = spare_reserve;
	tcp_slab_init(&s->mtu_probes, tcp_mtu_probe_object_bytes, 64, TCP_MAX_PCBS);
	tcp_slab_init(&s->ranges, tcp_ranges_bytes(TCP_RANGES_FEW), 128, TCP_MAX_PCBS);
	tcp_slab_init(&s->ranges_many, tcp_ranges_bytes(TCP_RANGES_MAX), TCP_RANGES_MANY_SPARE,
		      TCP_RANGES_MANY_BLOCKS);
	tcp_slab_init(&s->rcvqs, sizeof(struct tcp_rcvq), 64, TCP_MAX_PCBS);
	w->tcp = s;
	err = tcp_demux_init(s);
	if (!err)
		err = tcp_fo_init(w);
	if (!err)
		err = tcp_slab_reserve(&s->pcbs, 64);
	if (!err)
		err = tcp_slab_reserve(&s->tws, 256);
	if (!err)
		err = tcp_slab_reserve(&s->ranges, 256);
	if (!err)
		err = tcp_slab_reserve(&s->ranges_many, TCP_RANGES_MANY_SPARE);
	if (!err)
		err = tcp_slab_reserve(&s->rcvqs, 64);
	if (!err)
		err = tcp_slab_reserve(&s->sent, TCP_SENT_SPARE);
	if (err)
		tcp_free(w);
	return err;
}

static void end_pcb(void *object, void *arg)
{
	struct tcp_pcb *pcb = object;

	if (pcb->node.in_use && !(pcb->flags & F_DEAD))
		tcp_pcb_free(arg, pcb);
}

static void end_tw(void *object, void *arg)
{
	struct tcp_tw *tw = object;

	if (tw->node.in_use)
		tcp_tw_free(arg, tw);
}

int tcp_param_set(struct worker *w, const char *name, const char *value)
{
	return tcp_params_set(&w->tcp->params, name, value);
}

int tcp_param_get(struct worker *w, const char *name, char *value, uint32_t room)
{
	return tcp_params_get(&w->tcp->params, name, value, room);
}

const struct tcp_params *tcp_params(const struct worker *w)
{
	return &w->tcp->params;
}

uint64_t tcp_counter(const struct worker *w, unsigned int i)
{
	return i < TCP_MIB_MAX ? w->tcp->mib[i] : 0;
}

void tcp_free(struct worker *w)
{
	struct tcp_stack *s = w->tcp;

	if (!s)
		return;
	tcp_enter(w);
	tcp_slab_each(&s->pcbs, end_pcb, w);
	tcp_slab_each(&s->tws, end_tw, w);
	tcp_leave(w);
	tcp_demux_free(w);
	tcp_slab_free(&s->pcbs);
	tcp_slab_free(&s->tws);
	timer_cancel(&w->timers, &s->spare_timer);
	tcp_slab_free(&s->sent);
	tcp_slab_free(&s->ranges);
	tcp_slab_free(&s->ranges_many);
	tcp_fo_free(w);
	tcp_saved_syns_free(w);
	tcp_slab_free(&s->rcvqs);
	tcp_slab_free(&s->mtu_probes);
	free(s);
	w->tcp = NULL;
}

void tcp_list(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_stack *s = w->tcp;

	if (pcb->flags & (F_LISTED | F_DEAD))
		return;
	pcb->flags |= F_LISTED;
	pcb->flush_next = NULL;
	*s->flush_last = pcb;
	s->flush_last = &pcb->flush_next;
}

static void dead_push(struct tcp_stack *s, struct tcp_pcb *pcb)
{
	pcb->flush_next = s->dead;
	s->dead = pcb;
}

/* One visit: upcalls first, because what they write goes out in the same pass. */
static void flush_pcb(struct worker *w, struct tcp_pcb *pcb)
{
	const struct inet_upcalls *up = w->tcp->up;
	uint32_t due = pcb->flags & (F_READABLE | F_ACKED);

	pcb->flags &= ~(F_READABLE | F_ACKED);
	if (due & F_ACKED)
		up->tcp_acked(w, pcb);
	if ((due & F_READABLE) && !(pcb->flags & (F_DETACHED | F_DEAD)))
		up->tcp_readable(w, pcb);
	if (tcp_may_transmit(pcb) && (pcb->flags & F_OUTPUT)) {
		pcb->flags &= ~F_OUTPUT;
		tcp_output(w, pcb);
		tcp_check_output(w, pcb);
	}
	if (pcb->flags & (F_ACK_NOW | F_ACK_LATER))
		tcp_ack_flush(w, pcb);
}

static bool runs_out(const struct tcp_slab *slab, uint32_t least)
{
	return slab->total - slab->used < least && slab->total < slab->limit;
}

void tcp_leave(struct worker *w)
{
	struct tcp_stack *s = w->tcp;
	struct tcp_pcb *pcb;

	if (s->depth > 1) {
		s->depth--;
		return;
	}
	while ((pcb = s->flush_first)) {
		s->flush_first = pcb->flush_next;
		if (!s->flush_first)
			s->flush_last = &s->flush_first;
		pcb->flags &= ~F_LISTED;
		if (pcb->flags & F_DEAD)
			dead_push(s, pcb);
		else
			flush_pcb(w, pcb);
	}
	if ((runs_out(&s->sent, TCP_SENT_SPARE / 2) ||
	     runs_out(&s->ranges_many, TCP_RANGES_MANY_SPARE / 2)) &&
	    !timer_armed(&s->spare_timer))
		timer_set(&w->timers, &s->spare_timer, w->now_ns);
	while ((pcb = s->dead)) {
		s->dead = pcb->flush_next;
		pcb->node.in_use = false;
		tcp_slab_put(&s->pcbs, pcb);
	}
	tcp_check_settled(w);
	s->depth--;
}

struct tcp_pcb *tcp_pcb_new(struct worker *w)
{
	struct tcp_stack *s = w->tcp;
	struct tcp_pcb *pcb;

	/* Blocks of ranges are kept ready for one connection in eight. */
	if (tcp_slab_reserve(&s->pcbs, 1) != 0 ||
	    tcp_slab_reserve(&s->rcvqs, tcp_min(64 + s->pcbs.used / 8, 4096)) != 0 ||
	    tcp_slab_reserve(&s->ranges, tcp_min(128 + s->pcbs.used / 8, 16384)) != 0)
		return NULL;
	pcb = tcp_slab_get(&s->pcbs);
	if (!pcb)
		return NULL;
	pcb->node.in_use = true;
	pcb->node.kind = TCP_NODE_PCB;
	pcb->timer.fn = tcp_timer_fired;
	tcp_pcb_begin(w, pcb);
	return pcb;
}

void tcp_pcb_begin(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->cc = tcp_cc_default(w);
	pcb->reordering = 3;
	pcb->chrono = TCP_CHRONO_NONE;
	pcb->reo_steps = 1;
	pcb->rto_us = (uint32_t)(TCP_RTO_INIT_NS / 1000);
	pcb->flow.proto = 6;
	pcb->flow.df = true;
	pcb->pub.pmtudisc = IP_PMTUDISC_WANT;
	pcb->quickacks = TCP_QUICKACKS;
	pcb->rcv_mss = TCP_DEFAULT_MSS;
}

/* As RFC 4022 counts them. */
static bool is_established(enum tcp_state state)
{
	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

void tcp_set_state(struct worker *w, struct tcp_pcb *pcb, enum tcp_state state)
{
	bool was = is_established(pcb->pub.state),
	     before = pcb->pub.state == TCP_SYN_SENT || pcb->pub.state == TCP_SYN_RECEIVED;

	pcb->pub.state = state;
	w->tcp->mib[TCP_MIB_CurrEstab] += (uint64_t)is_established(state) - was;
	if (state != TCP_CLOSED)
		return;
	if (was)
		tcp_mib(w, EstabResets);
	if (before)
		tcp_mib(w, AttemptFails);
}

void tcp_pcb_end(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_stack *s = w->tcp;

	if (s->last == pcb)
		s->last = NULL;
	if (pcb->pub.state == TCP_LISTEN) {
		tcp_listener_remove(w, pcb);
		tcp_listener_free(w, pcb);
	}
	if (pcb->parent)
		tcp_half_open_remove(pcb);
	pcb->syn_unacked = false;
	if (pcb->flags & F_HASHED)
		tcp_hash_remove(w, &pcb->node);
	if (pcb->pub.state == TCP_TIME_WAIT) {
		struct tcp_node *node = tcp_lookup(w, &pcb->pub.local, &pcb->pub.remote);

		if (node && node->kind == TCP_NODE_TW && tcp_node_tw(node)->pcb == pcb)
			tcp_node_tw(node)->pcb = NULL;
	}
	if (pcb->flags & F_BOUND)
		tcp_port_unlink(w, pcb);
	timer_cancel(&w->timers, &pcb->timer);
	pcb->rtx_ns = pcb->ack_ns = pcb->long_ns = 0;
	tcp_mtu_probe_free(w, pcb);
	tcp_ranges_free(w, &pcb->ooo);
	tcp_rcvq_free(w, pcb);
	tcp_fo_end(w, pcb);
	tcp_sent_clear(w, pcb);
	pcb->flags &= ~(F_HASHED | F_ACK_NOW | F_ACK_LATER | F_OUTPUT | F_PACE_WAIT);
	tcp_set_state(w, pcb, TCP_CLOSED);
}

void tcp_pcb_free(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->flags & F_DEAD)
		return;
	tcp_syn_forget(w, pcb);
	if (pcb->pub.state == TCP_LISTEN)
		tcp_listen_stop(w, pcb);
	tcp_pcb_end(w, pcb);
	pcb->flags |= F_DEAD;
	w->tcp->orphans -= !!(pcb->flags & F_DETACHED);
	/* A child that no socket took is nobody's business. */
	if (pcb->flags & F_KNOWN)
		w->tcp->up->tcp_gone(w, pcb);
	if (!(pcb->flags & F_LISTED))
		dead_push(w->tcp, pcb);
}

void tcp_fail(struct worker *w, struct tcp_pcb *pcb, int error)
{
	if ((pcb->flags & F_DETACHED) || !(pcb->flags & F_KNOWN)) {
		tcp_pcb_free(w, pcb);
		return;
	}
	tcp_pcb_end(w, pcb);
	if (pcb->flags & F_ENDED)
		return;
	pcb->flags |= F_ENDED;
	/* What came before is told before. */
	if (pcb->flags & F_READABLE) {
		pcb->flags &= ~F_READABLE;
		w->tcp->up->tcp_readable(w, pcb);
	}
	if (!(pcb->flags & F_DEAD))
		w->tcp->up->tcp_error(w, pcb, error, false);
}

void tcp_finish(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_fail(w, pcb, 0);
}
