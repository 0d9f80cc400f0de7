/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of a connection, for TCP_INFO and for weir stat.
 */
#include <linux/tcp.h>
#include <string.h>

#define WEIR_NO_TCP_STATES
#include "inet/tcp/tcp_impl.h"

/* Linux's numbers for the states (include/net/tcp_states.h). */
static const uint8_t linux_state[TCP_STATE_MAX] = {
	[TCP_CLOSED] = 7,      [TCP_LISTEN] = 10,    [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3,
	[TCP_ESTABLISHED] = 1, [TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,
	[TCP_CLOSING] = 11,    [TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 6,
};

static uint32_t ms_since(const struct worker *w, uint64_t then_ns)
{
	return then_ns ? (uint32_t)((w->now_ns - then_ns) / TCP_MS_NS) : 0;
}

static uint32_t in_segments(const struct tcp_pcb *pcb, uint32_t bytes)
{
	return pcb->snd_mss ? (bytes + pcb->snd_mss - 1) / pcb->snd_mss : 0;
}

static void info_options(const struct tcp_pcb *pcb, struct tcp_info *i)
{
	if (pcb->flags & F_TS_OK)
		i->tcpi_options |= TCPI_OPT_TIMESTAMPS;
	if (pcb->flags & F_SACK_OK)
		i->tcpi_options |= TCPI_OPT_SACK;
	if (pcb->flags & F_ECN)
		i->tcpi_options |= TCPI_OPT_ECN;
	if (pcb->ecn & ECN_SEEN)
		i->tcpi_options |= TCPI_OPT_ECN_SEEN;
	if (pcb->flags & F_WSCALE_OK) {
		i->tcpi_options |= TCPI_OPT_WSCALE;
		i->tcpi_snd_wscale = pcb->snd_wscale;
		i->tcpi_rcv_wscale = pcb->rcv_wscale;
	}
}

static void info_times(struct worker *w, const struct tcp_pcb *pcb, struct tcp_info *i)
{
	i->tcpi_rto = (uint32_t)(tcp_rto_ns(w, pcb) / 1000);
	i->tcpi_ato = (uint32_t)(TCP_DELACK_NS / 1000);
	i->tcpi_last_data_sent = ms_since(w, pcb->last_snd_ns);
	i->tcpi_last_data_recv = ms_since(w, pcb->last_data_rcv_ns);
	i->tcpi_last_ack_recv = ms_since(w, pcb->last_ack_rcv_ns);
	i->tcpi_rtt = pcb->srtt_us8 / 8;
	i->tcpi_rttvar = pcb->rttvar_us4 / 4;
	i->tcpi_min_rtt = pcb->rtt_min_us;
}

static void info_flow(const struct worker *w, const struct tcp_pcb *pcb, struct tcp_info *i)
{
	uint64_t rate;

	i->tcpi_snd_mss = pcb->snd_mss;
	i->tcpi_rcv_mss = pcb->rcv_mss;
	i->tcpi_advmss = pcb->adv_mss;
	i->tcpi_pmtu = pcb->flow.mtu_bytes;
	i->tcpi_unacked = in_segments(pcb, pcb->snd_nxt - pcb->snd_una);
	i->tcpi_sacked = in_segments(pcb, pcb->sacked_bytes);
	i->tcpi_lost = in_segments(pcb, pcb->lost_bytes);
	i->tcpi_reordering = pcb->reordering;
	i->tcpi_reord_seen = pcb->reord_seen;
	i->tcpi_delivered = (uint32_t)(pcb->snd_mss ? pcb->delivered_bytes / pcb->snd_mss : 0);
	i->tcpi_delivered_ce = pcb->delivered_ce;
	if (pcb->rate_interval_ns)
		i->tcpi_delivery_rate = pcb->rate_bytes * TCP_S_NS / pcb->rate_interval_ns;
	i->tcpi_delivery_rate_app_limited = pcb->rate_app_limited;
	rate = pcb->cc ? tcp_pacing_rate(w, pcb) : 0; /* no controller: a view of TIME_WAIT */
	i->tcpi_pacing_rate = rate ? rate : ~0ull;
	i->tcpi_max_pacing_rate = pcb->pub.max_pacing_rate ? pcb->pub.max_pacing_rate : ~0ull;
	i->tcpi_retransmits = pcb->flags & F_PERSIST ? 0 : pcb->retries;
	i->tcpi_total_retrans = pcb->total_retrans;
	i->tcpi_backoff = pcb->backoff;
	i->tcpi_probes = pcb->flags & F_PERSIST ? pcb->retries : pcb->keep_probes;
	i->tcpi_snd_cwnd = in_segments(pcb, pcb->cwnd);
	i->tcpi_snd_ssthresh = in_segments(pcb, pcb->ssthresh);
	i->tcpi_rcv_space = pcb->rcvq ? pcb->rcvq->space : pcb->pub.rcv_space_bytes;
	i->tcpi_rcv_ssthresh = tcp_rcv_ssthresh(pcb);
	i->tcpi_rcv_rtt = pcb->rcvq ? pcb->rcvq->rtt_us8 / 8 : 0;
	i->tcpi_bytes_acked = pcb->bytes_acked;
	i->tcpi_bytes_received = pcb->bytes_received;
	i->tcpi_bytes_sent = pcb->bytes_sent;
	i->tcpi_bytes_retrans = pcb->bytes_retrans;
	i->tcpi_segs_in = pcb->segs_in;
	i->tcpi_segs_out = pcb->segs_out;
	i->tcpi_data_segs_in = pcb->data_segs_in;
	i->tcpi_data_segs_out = pcb->data_segs_out;
	i->tcpi_dsack_dups = pcb->dsack_dups;
	i->tcpi_rcv_ooopack = pcb->ooo_packets;
	i->tcpi_snd_wnd = pcb->snd_wnd;
	if (pcb->flags & F_SND_MAPPED)
		i->tcpi_notsent_bytes = tcp_data_end(pcb) - pcb->snd_nxt;
}

uint32_t tcp_get_info(struct worker *w, const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	struct tcp_info i;

	memset(&i, 0, sizeof(i));
	i.tcpi_state = linux_state[pcb->pub.state];
	i.tcpi_ca_state = pcb->recovery; /* the same numbers: TCP_CA_Open to TCP_CA_Loss */
	if (pcb->pub.state == TCP_LISTEN) {
		i.tcpi_unacked = pcb->listen->half_open_n;
	} else if (pcb->pub.state != TCP_CLOSED) {
		info_options(pcb, &i);
		info_times(w, pcb, &i);
		info_flow(w, pcb, &i);
	}
	len = tcp_min(len, sizeof(i));
	memcpy(info, &i, len);
	return len;
}

struct each {
	void (*fn)(const struct tcp_pcb *pcb, void *arg);
	void *arg;
};

static void each_pcb(void *object, void *arg)
{
	const struct tcp_pcb *pcb = object;
	const struct each *each = arg;

	/* In TIME_WAIT the tw is shown. */
	if (pcb->node.in_use && !(pcb->flags & F_DEAD) && pcb->pub.state != TCP_TIME_WAIT)
		each->fn(pcb, each->arg);
}

static void each_tw(void *object, void *arg)
{
	const struct tcp_tw *tw = object;
	const struct each *each = arg;
	struct tcp_pcb view;

	if (!tw->node.in_use)
		return;
	memset(&view, 0, sizeof(view));
	view.pub.state = TCP_TIME_WAIT;
	view.pub.local = tw->local;
	view.pub.remote = tw->remote;
	each->fn(&view, each->arg);
}

void tcp_for_each(struct worker *w, void (*fn)(const struct tcp_pcb *pcb, void *arg), void *arg)
{
	struct each each = { fn, arg };

	tcp_slab_each(&w->tcp->pcbs, each_pcb, &each);
	tcp_slab_each(&w->tcp->tws, each_tw, &each);
}
