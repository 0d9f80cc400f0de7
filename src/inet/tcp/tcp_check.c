/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The assertions of tcp_check.h. "What holds in each state" in tcp_pcb.h, the sums of sent.h and
 * the promises of ack_out.c, as code that looks at them from outside and counts again.
 */
#include "inet/tcp/tcp_check.h"

#ifdef WEIR_CHECKS
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "inet/tcp/recovery.h"

/* Above so many connections the walk over all of them would be the whole of the work. */
#define CHECK_WALK_MAX 256u

static _Noreturn void failed(const struct worker *w, const struct tcp_pcb *p, const char *what,
			     int line)
{
	fprintf(stderr,
		"tcp_check.c:%d: %s does not hold\n"
		" %s flags %08x recovery %u now %" PRIu64 " iss %u irs %u\n"
		" snd_una +%u snd_nxt +%u snd_wnd %u fin_seq +%u cwnd %u ssthresh %u mss %u\n"
		" flight %u sacked %u lost %u dupacks %u blocks %u fack +%u recover +%u\n"
		" rcv_nxt +%u rcv_adv +%u rcv_acked +%u peer_fin +%u rx_eof %d ooo %u\n"
		" snd %u..%u of %u, rcv %u..%u of %u; rtx %" PRIu64 " (kind %u) ack %" PRIu64
		" long %" PRIu64 " timer %" PRIu64 "\n",
		line, what, tcp_state_name(p->pub.state), p->flags, p->recovery, w->now_ns, p->iss,
		p->irs, p->snd_una - p->iss, p->snd_nxt - p->iss, p->snd_wnd, p->fin_seq - p->iss,
		p->cwnd, p->ssthresh, p->snd_mss, p->flight_bytes, p->sacked_bytes, p->lost_bytes,
		p->dupacks, p->sent_blocks, p->fack - p->iss, p->recover - p->iss,
		p->rcv_nxt - p->irs, p->rcv_adv - p->irs, p->rcv_acked - p->irs,
		p->peer_fin - p->irs, p->pub.rx_eof, p->ooo ? p->ooo->n : 0, p->pub.snd.head,
		p->pub.snd.tail, p->pub.snd.size_bytes, p->pub.rcv.head, p->pub.rcv.tail,
		p->pub.rcv.size_bytes, p->rtx_ns, p->rtx_kind, p->ack_ns, p->long_ns,
		timer_armed(&p->timer) ? p->timer.expires_ns : 0);
	abort();
}

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			failed(w, pcb, #condition, __LINE__);                                      \
	} while (0)
#define IF_THEN(condition, consequence) MUST(!(condition) || (consequence))

static bool any(const struct tcp_pcb *pcb, uint32_t flags)
{
	return (pcb->flags & flags) != 0;
}

/* Our FIN was sent, and all is acknowledged. */
static bool fin_is_acked(const struct tcp_pcb *pcb)
{
	return any(pcb, F_FIN_SENT) && pcb->snd_una == pcb->fin_seq + 1;
}

/* The records cover snd_una to snd_nxt without gaps, and their sums are the pcb's. */
static void check_records(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint32_t sum[3] = { 0, 0, 0 }, at = pcb->snd_una, blocks = 0;
	const struct tcp_sent_block *b, *last = NULL;

	for (b = pcb->sent_head; b; last = b, b = b->next) {
		MUST(b->n > 0 && b->first + b->n <= TCP_SENT_PER_BLOCK);
		blocks++;
		for (uint32_t i = b->first; i < b->first + b->n; i++) {
			const struct tcp_sent *r = &b->r[i];
			uint32_t state = r->flags & (SENT_OUT | SENT_SACKED | SENT_LOST);

			MUST(r->start == at);
			MUST(tcp_seq_lt(r->start, r->end));
			MUST(state == SENT_OUT || state == SENT_SACKED || state == SENT_LOST);
			MUST(r->sent_ns <= w->now_ns);
			sum[state >> 1] += r->end - r->start;
			at = r->end;
		}
	}
	MUST(at == pcb->snd_nxt);
	MUST(pcb->sent_tail == last);
	MUST(pcb->sent_blocks == blocks);
	MUST(pcb->flight_bytes == sum[0]);
	MUST(pcb->sacked_bytes == sum[1]);
	MUST(pcb->lost_bytes == sum[2]);
	MUST(sum[0] + sum[1] + sum[2] == pcb->snd_nxt - pcb->snd_una);
	IF_THEN(sum[1], any(pcb, F_SACK_OK));
	IF_THEN(sum[1],
		tcp_seq_gt(pcb->fack, pcb->snd_una) && tcp_seq_leq(pcb->fack, pcb->snd_nxt));
	/* What the peer has told us of lies behind a hole, or it would have acknowledged it. */
	IF_THEN(pcb->sent_head, !(pcb->sent_head->r[pcb->sent_head->first].flags & SENT_SACKED) ||
					pcb->sacked_bytes > 0);
}

static void check_sending(const struct worker *w, const struct tcp_pcb *pcb)
{
	const struct byte_ring *snd = &pcb->pub.snd;
	uint32_t end = tcp_data_end(pcb);

	MUST(tcp_seq_leq(pcb->snd_una, pcb->snd_nxt));
	IF_THEN(any(pcb, F_FIN_SENT), any(pcb, F_FIN_QUEUED) && pcb->snd_nxt == pcb->fin_seq + 1);
	IF_THEN(!any(pcb, F_FIN_SENT), tcp_seq_leq(pcb->snd_nxt, end));
	if (any(pcb, F_SND_MAPPED)) {
		uint32_t una = tcp_seq_gt(pcb->snd_una, end) ? end : pcb->snd_una;

		MUST(pcb->snd_base + snd->head == una);
		MUST(byte_ring_used(snd) <= snd->size_bytes);
		/* A program may write behind the FIN: it does not count. */
		MUST(tcp_seq_leq(end, pcb->snd_base + snd->tail));
	} else {
		MUST(end == pcb->iss + 1);
	}
	MUST(pcb->cwnd > 0 && pcb->cwnd <= TCP_MAX_CWND);
	MUST(pcb->snd_mss >= TCP_MIN_SND_MSS - 12);
	MUST(pcb->recovery <= TCP_LOSS);
	IF_THEN(pcb->recovery == TCP_OPEN, !pcb->lost_bytes);
	check_records(w, pcb);
}

static void check_ooo(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint32_t at = pcb->rcv_nxt;

	if (!pcb->ooo)
		return;
	MUST(pcb->ooo->n > 0 && pcb->ooo->n <= pcb->ooo->max);
	MUST(pcb->pub.rcv.data);
	for (uint32_t i = 0; i < pcb->ooo->n; i++) {
		const struct tcp_range *r = &pcb->ooo->r[i];

		MUST(tcp_seq_gt(r->start, at));
		MUST(tcp_seq_lt(r->start, r->end));
		at = r->end;
	}
	MUST(tcp_seq_leq(at, pcb->rcv_adv));
	MUST(at - pcb->rcv_nxt <= byte_ring_free(&pcb->pub.rcv));
}

static void check_receiving(const struct worker *w, struct tcp_pcb *pcb)
{
	const struct byte_ring *rcv = &pcb->pub.rcv;
	/* A FIN needs no room. */
	uint32_t edge = pcb->rcv_adv + pcb->pub.rx_eof;

	MUST(tcp_seq_leq(pcb->rcv_nxt, edge));
	MUST(tcp_seq_leq(pcb->rcv_acked, pcb->rcv_nxt));
	/* Never taken back (RFC 9293 section 3.8.6). */
	MUST(!pcb->shadow.set || tcp_seq_geq(pcb->rcv_adv, pcb->shadow.rcv_adv));
	MUST(!pcb->shadow.set || tcp_seq_geq(pcb->rcv_nxt, pcb->shadow.rcv_nxt));
	MUST(!pcb->shadow.set || tcp_seq_geq(pcb->snd_una, pcb->shadow.snd_una));
	MUST(!pcb->shadow.set || tcp_seq_geq(pcb->snd_nxt, pcb->shadow.snd_nxt));
	pcb->shadow =
		(struct tcp_shadow){ pcb->rcv_adv, pcb->rcv_nxt, pcb->snd_una, pcb->snd_nxt, true };
	if (rcv->data) {
		MUST(!any(pcb, F_DETACHED));
		MUST(byte_ring_used(rcv) <= rcv->size_bytes);
		/* What was offered finds room. */
		IF_THEN(tcp_seq_gt(pcb->rcv_adv, pcb->rcv_nxt),
			pcb->rcv_adv - pcb->rcv_nxt <= byte_ring_free(rcv));
	}
	IF_THEN(any(pcb, F_FIN_SEEN) && !pcb->pub.rx_eof, tcp_seq_gt(pcb->peer_fin, pcb->rcv_nxt));
	IF_THEN(pcb->pub.rx_eof, any(pcb, F_FIN_SEEN) && pcb->rcv_nxt == pcb->peer_fin + 1);
	IF_THEN(pcb->pub.rx_eof, !pcb->ooo);
	check_ooo(w, pcb);
}

/* Nothing of a connection: no numbers that wait for anything. */
static void check_nothing(const struct worker *w, const struct tcp_pcb *pcb)
{
	MUST(!pcb->sent_head && !pcb->flight_bytes && !pcb->sacked_bytes && !pcb->lost_bytes);
	MUST(!pcb->ooo);
	MUST(!any(pcb, F_HASHED));
	MUST(!timer_armed(&pcb->timer));
	MUST(!pcb->rtx_ns && !pcb->ack_ns && !pcb->long_ns);
	MUST(!pcb->parent);
	MUST(pcb->pub.state != TCP_LISTEN || pcb->listen);
}

static void check_listener(const struct worker *w, const struct tcp_pcb *pcb)
{
	uint32_t n = 0;

	check_nothing(w, pcb);
	MUST(any(pcb, F_BOUND) && any(pcb, F_KNOWN));
	for (const struct tcp_pcb *child = pcb->listen->half_open; child; child = child->ho_next) {
		n++;
		MUST(child->parent == pcb);
		MUST(child->pub.state == TCP_SYN_RECEIVED);
	}
	MUST(pcb->listen->half_open_n == n);
	n = 0;
	for (const struct tcp_pcb *child = pcb->listen->fo_open; child; child = child->ho_next) {
		n++;
		MUST(child->parent == pcb && child->syn_unacked);
	}
	MUST(pcb->listen->fo_n == n);
}

static void check_time_wait(struct worker *w, const struct tcp_pcb *pcb)
{
	struct tcp_node *node = tcp_lookup(w, &pcb->pub.local, &pcb->pub.remote);

	check_nothing(w, pcb);
	MUST(!any(pcb, F_DETACHED));
	MUST(node && node->kind == TCP_NODE_TW && tcp_node_tw(node)->pcb == pcb);
	MUST(timer_armed(&tcp_node_tw(node)->timer));
}

/* What the state says of our FIN and of the peer's. */
static void check_ends(const struct worker *w, const struct tcp_pcb *pcb)
{
	bool queued = any(pcb, F_FIN_QUEUED), eof = pcb->pub.rx_eof;

	switch (pcb->pub.state) {
	case TCP_ESTABLISHED:
		MUST(!queued && !eof);
		break;
	case TCP_CLOSE_WAIT:
		MUST(!queued && eof);
		break;
	case TCP_FIN_WAIT_1:
		MUST(queued && !eof && !fin_is_acked(pcb));
		break;
	case TCP_FIN_WAIT_2:
		MUST(!eof && fin_is_acked(pcb));
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		MUST(queued && eof && !fin_is_acked(pcb));
		break;
	default:
		MUST(!"a state of a synchronised connection");
	}
	IF_THEN(any(pcb, F_DETACHED), queued);
}

void tcp_check_step(struct worker *w, struct tcp_pcb *pcb)
{
	if (any(pcb, F_DEAD))
		return;
	MUST(pcb->node.in_use && pcb->node.kind == TCP_NODE_PCB);
	switch (pcb->pub.state) {
	case TCP_CLOSED:
		check_nothing(w, pcb);
		break;
	case TCP_LISTEN:
		check_listener(w, pcb);
		break;
	case TCP_TIME_WAIT:
		check_time_wait(w, pcb);
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		MUST(any(pcb, F_HASHED));
		MUST(pcb->snd_una == pcb->iss && tcp_seq_gt(pcb->snd_nxt, pcb->iss));
		MUST(pcb->pub.state == TCP_SYN_SENT || pcb->parent || any(pcb, F_KNOWN));
		break;
	default:
		MUST(any(pcb, F_HASHED));
		IF_THEN(pcb->parent, pcb->syn_unacked);
		IF_THEN(pcb->syn_unacked, pcb->rtx_ns || any(pcb, F_LISTED));
		check_sending(w, pcb);
		check_receiving(w, pcb);
		check_ends(w, pcb);
	}
}

void tcp_check_output(struct worker *w, struct tcp_pcb *pcb)
{
	bool waits = pcb->snd_nxt != tcp_data_end(pcb) && !any(pcb, F_FIN_SENT);

	if (any(pcb, F_DEAD) || !tcp_may_transmit(pcb))
		return;
	tcp_check_step(w, pcb);
	/* Whatever waits, for the peer, its window, buffers or a route, a timer looks again. */
	IF_THEN(waits, pcb->rtx_ns || any(pcb, F_PACE_WAIT));
	IF_THEN(pcb->snd_una != pcb->snd_nxt, pcb->rtx_ns);
}

/* The timer in the wheel fires at the first deadline, or before it. */
static void check_deadlines(const struct worker *w, const struct tcp_pcb *pcb)
{
	const uint64_t deadline[] = { pcb->rtx_ns, pcb->ack_ns, pcb->long_ns,
				      any(pcb, F_PACE_WAIT) ? pcb->pace_ns : 0 };

	for (unsigned int i = 0; i < 4; i++)
		IF_THEN(deadline[i],
			timer_armed(&pcb->timer) && pcb->timer.expires_ns <= deadline[i]);
	IF_THEN((pcb->pub.state == TCP_SYN_SENT && !pcb->pub.syn_waits) ||
			pcb->pub.state == TCP_SYN_RECEIVED,
		pcb->rtx_ns);
	IF_THEN(tcp_may_transmit(pcb) && pcb->snd_una != pcb->snd_nxt, pcb->rtx_ns);
	IF_THEN(pcb->pub.state == TCP_FIN_WAIT_2 && any(pcb, F_DETACHED), pcb->long_ns);
	IF_THEN(tcp_synchronised(pcb) && any(pcb, F_ACK_NOW | F_ACK_LATER), pcb->ack_ns);
}

struct walk {
	struct worker *w;
	uint32_t pcbs, hashed, ranges, many, rcvqs, blocks;
};

static void check_one(void *object, void *arg)
{
	struct tcp_pcb *pcb = object;
	struct walk *walk = arg;
	struct worker *w = walk->w;

	if (!pcb->node.in_use)
		return;
	walk->pcbs++;
	walk->hashed += any(pcb, F_HASHED);
	walk->ranges += pcb->ooo && pcb->ooo->max == TCP_RANGES_FEW;
	walk->many += pcb->ooo && pcb->ooo->max == TCP_RANGES_MAX;
	walk->rcvqs += pcb->rcvq != NULL;
	walk->blocks += pcb->sent_blocks;
	MUST(!any(pcb, F_DEAD | F_LISTED));
	IF_THEN(tcp_synchronised(pcb), !any(pcb, F_READABLE | F_ACKED));
	IF_THEN(tcp_may_transmit(pcb), !any(pcb, F_OUTPUT));
	/* Someone has to end it some day. */
	MUST(any(pcb, F_KNOWN) || pcb->parent);
	tcp_check_step(w, pcb);
	check_deadlines(w, pcb);
	if (tcp_synchronised(pcb) && pcb->recovery == TCP_OPEN)
		MUST(!pcb->sacked_bytes && !pcb->dupacks);
}

void tcp_check_settled(struct worker *w)
{
	struct tcp_stack *s = w->tcp;
	struct walk walk = { .w = w };

	if (s->pcbs.total > CHECK_WALK_MAX)
		return;
	tcp_slab_each(&s->pcbs, check_one, &walk);
	if (walk.pcbs == s->pcbs.used && walk.hashed + s->tws.used == s->connections &&
	    walk.ranges == s->ranges.used && walk.many == s->ranges_many.used &&
	    walk.rcvqs == s->rcvqs.used && walk.blocks == s->sent.used)
		return;
	fprintf(stderr,
		"tcp_check.c: pcbs %u of %u, connections %u of %u, ranges %u of %u, "
		"large %u of %u, blocks of records %u of %u\n",
		walk.pcbs, s->pcbs.used, walk.hashed + s->tws.used, s->connections, walk.ranges,
		s->ranges.used, walk.many, s->ranges_many.used, walk.blocks, s->sent.used);
	abort();
}
#endif
