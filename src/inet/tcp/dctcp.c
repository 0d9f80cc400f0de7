/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data Center TCP (RFC 8257): routers mark (CE) from a short queue on, the receiver tells of each
 * mark, and the sender cuts its window by how much was marked, not by half.
 *
 * The sender: alpha is the share of marked bytes, a moving average over windows with weight 1/16.
 * ECE leads to state CWR as ever; there ssthresh is cwnd * (1 - alpha / 2). Losses are answered as
 * Reno does (section 3.5). The receiver: ECE on an ACK says what the packets were that it
 * acknowledges; where a packet differs from those that wait for a delayed ACK, these are
 * acknowledged first (section 3.2). Growth is Reno's. Where the peer would not have ECN all of it
 * is Reno.
 */
#include <linux/inet_diag.h>
#include <string.h>

#include "inet/tcp/cc.h"
#include "inet/tcp/tcp_impl.h"

#define ALPHA_ONE 1024u /* alpha in 1/1024 */
#define ALPHA_SHIFT 10u
#define G_SHIFT 4u /* g = 1/16 */

struct dctcp {
	uint64_t bytes, marked; /* acknowledged in this window */
	uint32_t window_end;
	uint32_t alpha;
	bool ecn;
	bool ce; /* the last packet that came was marked [DCTCP.CE] */
};

static void dctcp_init(struct worker *w, struct tcp_pcb *pcb)
{
	struct dctcp *d = tcp_cc_state(pcb, struct dctcp);

	d->ecn = pcb->flags & F_ECN;
	d->alpha = ALPHA_ONE; /* section 4.2: cautious at first */
	d->window_end = pcb->snd_nxt;
	pcb->cwnd_acked = 0;
}

static void window_over(const struct tcp_pcb *pcb, struct dctcp *d)
{
	uint64_t share = d->marked << (ALPHA_SHIFT - G_SHIFT);
	uint32_t decay = d->alpha >> G_SHIFT;

	/* small as it is, it comes down to nothing where nothing is marked */
	d->alpha -= decay ? decay : d->alpha;
	if (d->marked)
		d->alpha = (uint32_t)tcp_min64(d->alpha + share / d->bytes, ALPHA_ONE);
	d->bytes = d->marked = 0;
	d->window_end = pcb->snd_nxt;
}

/* Section 3.3 */
static void dctcp_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_rate *rate)
{
	struct dctcp *d = tcp_cc_state(pcb, struct dctcp);

	if (!d->ecn)
		return;
	d->bytes += rate->newly_bytes;
	if (rate->ece)
		d->marked += rate->newly_bytes;
	if (d->bytes && tcp_seq_geq(pcb->snd_una, d->window_end))
		window_over(pcb, d);
}

static void dctcp_grow(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	bytes = tcp_slow_start(pcb, bytes);
	if (bytes)
		tcp_additive(pcb, pcb->cwnd, bytes);
}

static uint32_t dctcp_ssthresh(struct worker *w, struct tcp_pcb *pcb, uint32_t flight)
{
	const struct dctcp *d = tcp_cc_state(pcb, struct dctcp);
	uint32_t cut = (uint32_t)((uint64_t)pcb->cwnd * d->alpha >> (ALPHA_SHIFT + 1));

	return tcp_max(d->ecn ? pcb->cwnd - cut : flight / 2, 2u * pcb->snd_mss);
}

static void after_loss(struct tcp_pcb *pcb)
{
	pcb->ssthresh = tcp_max(pcb->cwnd / 2, 2u * pcb->snd_mss);
}

static void dctcp_state(struct worker *w, struct tcp_pcb *pcb, uint8_t recovery_state)
{
	if (recovery_state == TCP_RECOVERY)
		after_loss(pcb);
}

/* The packet that comes now is marked or not; what came before is in rcv_nxt. */
static void ce_is(struct worker *w, struct tcp_pcb *pcb, bool ce)
{
	struct dctcp *d = tcp_cc_state(pcb, struct dctcp);
	uint8_t echo = d->ce ? ECN_ECHO : 0;

	if (d->ce != ce) {
		if (pcb->flags & F_ACK_LATER) {
			pcb->ecn = (uint8_t)((pcb->ecn & ~ECN_ECHO) | echo);
			tcp_ack_send(w, pcb);
		}
		tcp_ack_now(w, pcb);
		d->ce = ce;
		echo ^= ECN_ECHO;
	}
	pcb->ecn = (uint8_t)((pcb->ecn & ~ECN_ECHO) | echo);
}

static void dctcp_event(struct worker *w, struct tcp_pcb *pcb, enum tcp_cc_event event)
{
	if (event == TCP_CC_CE || event == TCP_CC_NO_CE)
		ce_is(w, pcb, event == TCP_CC_CE);
	else if (event == TCP_CC_TIMEOUT)
		after_loss(pcb);
}

static uint32_t dctcp_info(const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	const struct dctcp *d = tcp_cc_state(pcb, const struct dctcp);
	struct tcp_dctcp_info i = { .dctcp_enabled = d->ecn };

	if (d->ecn) {
		i.dctcp_ce_state = d->ce;
		i.dctcp_alpha = d->alpha;
		i.dctcp_ab_ecn = (uint32_t)d->marked;
		i.dctcp_ab_tot = (uint32_t)d->bytes;
	}
	len = tcp_min(len, sizeof(i));
	memcpy(info, &i, len);
	return len;
}

const struct tcp_cc_ops tcp_dctcp = {
	.name = "dctcp",
	.flags = TCP_CC_ECN,
	.init = dctcp_init,
	.acked = dctcp_acked,
	.grow = dctcp_grow,
	.ssthresh = dctcp_ssthresh,
	.state = dctcp_state,
	.event = dctcp_event,
	.info = dctcp_info,
};
