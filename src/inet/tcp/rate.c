/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation): how fast did what was sent
 * arrive? Each record notes how much had been delivered when it was sent. When it arrives, what was
 * delivered since, divided by the longer of the times in which that was sent and acknowledged, is a
 * sample; it says less than the path can do where the program had nothing to send.
 */
#include "inet/tcp/recovery.h"

/* r goes out now; was_idle: nothing was on the way before it. */
void tcp_rate_sent(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r, bool was_idle)
{
	if (was_idle)
		pcb->first_sent_ns = pcb->delivered_ns = w->now_ns;
	r->sent_ns = w->now_ns;
	r->first_sent_ns = pcb->first_sent_ns;
	r->delivered_ns = pcb->delivered_ns;
	r->delivered_bytes = pcb->delivered_bytes;
	r->flags &= ~SENT_APP_LIMITED;
	if (pcb->app_limited_bytes)
		r->flags |= SENT_APP_LIMITED;
}

/* r arrived, by ACK or SACK, and had not been known to. */
void tcp_rate_arrived(struct worker *w, struct tcp_pcb *pcb, struct tcp_sent *r, struct tcp_ack *a)
{
	if (!r->delivered_ns)
		return;
	if (!a->newest_delivered_ns ||
	    tcp_sent_after(r->sent_ns, r->end, a->newest_sent_ns, a->newest_end)) {
		a->newest_sent_ns = r->sent_ns;
		a->newest_end = r->end;
		a->newest_flags = r->flags;
		a->newest_delivered_ns = r->delivered_ns;
		a->newest_delivered_bytes = r->delivered_bytes;
		a->newest_interval_ns = r->sent_ns - r->first_sent_ns;
		pcb->first_sent_ns = r->sent_ns;
	}
}

static void marked(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes)
{
	uint32_t segments = (bytes + pcb->snd_mss - 1) / pcb->snd_mss;

	pcb->delivered_ce += segments;
	tcp_mib_add(w, TCPDeliveredCE, segments);
}

void tcp_rate_sample(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a,
		     struct tcp_rate *rate)
{
	uint64_t acked_ns;

	*rate = (struct tcp_rate){
		.acked_bytes = a->acked_bytes,
		.newly_bytes = a->newly_bytes,
		.prior_flight_bytes = a->prior_flight,
		.lost_bytes = pcb->lost_total - a->prior_lost,
	};
	if (a->what & ACK_ECE)
		marked(w, pcb, a->newly_bytes);
	rate->ece = a->what & ACK_ECE;
	pcb->delivered_bytes += a->newly_bytes;
	if (a->newly_bytes)
		pcb->delivered_ns = w->now_ns;
	if (pcb->app_limited_bytes && pcb->delivered_bytes > pcb->app_limited_bytes)
		pcb->app_limited_bytes = 0;
	if (a->newest_acked_ns)
		rate->rtt_ns = w->now_ns - a->newest_acked_ns;
	else if (a->newest_sacked_ns)
		rate->rtt_ns = w->now_ns - a->newest_sacked_ns;
	if (!a->newest_delivered_ns)
		return;
	rate->prior_delivered_bytes = a->newest_delivered_bytes;
	rate->delivered_bytes = pcb->delivered_bytes - a->newest_delivered_bytes;
	rate->app_limited = a->newest_flags & SENT_APP_LIMITED;
	rate->retransmitted = a->newest_flags & SENT_RXT;
	acked_ns = w->now_ns - a->newest_delivered_ns;
	rate->interval_ns = acked_ns > a->newest_interval_ns ? acked_ns : a->newest_interval_ns;
	/* Faster than the path was ever seen to be: made up by ACKs that came in a heap. */
	if (rate->interval_ns < pcb->rtt_min_us * 1000ull)
		rate->interval_ns = 0;
	if (rate->interval_ns &&
	    (!rate->app_limited || rate->delivered_bytes * pcb->rate_interval_ns >=
					   pcb->rate_bytes * rate->interval_ns)) {
		pcb->rate_bytes = (uint32_t)rate->delivered_bytes;
		pcb->rate_interval_ns = rate->interval_ns;
		pcb->rate_app_limited = rate->app_limited;
	}
}
