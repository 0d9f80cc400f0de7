/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of a connection, for TCP_INFO and for weir stat.
 */
#include <linux/tcp.h>
#include <string.h>

#include "inet/tcp/info.h"
#include "inet/tcp/tcp_impl.h"

#define TCP_RTTVAR_INIT_US 250000u
#define TCP_INFINITE_SSTHRESH 0x7fffffffu

/* Linux's numbers for the states (include/net/tcp_states.h). */
static const uint8_t linux_state[TCP_STATE_MAX] = {
	[TCP_CLOSED] = 7,      [TCP_LISTEN] = 10,    [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3,
	[TCP_ESTABLISHED] = 1, [TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,
	[TCP_CLOSING] = 11,    [TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 6,
};

uint8_t tcp_state_number(enum tcp_state state)
{
	return linux_state[state < TCP_STATE_MAX ? state : TCP_CLOSED];
}

static uint32_t ms_since(const struct worker *w, uint64_t then_ns)
{
	return then_ns ? (uint32_t)((w->now_ns - then_ns) / TCP_MS_NS) : 0;
}

/* Before the handshake is over the sizes are not known: as Linux begins. */
static uint32_t in_segments(const struct tcp_pcb *pcb, uint32_t bytes)
{
	uint32_t mss = pcb->snd_mss ? pcb->snd_mss : TCP_DEFAULT_MSS;

	return (bytes + mss - 1) / mss;
}

static void info_options(const struct tcp_pcb *pcb, struct tcp_info *i)
{
	if (pcb->flags & F_TS_OK)
		i->tcpi_options |= TCPI_OPT_TIMESTAMPS;
	if (pcb->fo_data)
		i->tcpi_options |= TCPI_OPT_SYN_DATA;
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
	i->tcpi_ato = pcb->last_data_rcv_ns ? (uint32_t)(TCP_DELACK_NS / 1000) : 0;
	i->tcpi_last_data_sent = ms_since(w, pcb->last_snd_ns);
	i->tcpi_last_data_recv = ms_since(w, pcb->last_data_rcv_ns);
	if (pcb->last_ack_rcv_ms)
		i->tcpi_last_ack_recv = tcp_now_ms(w) - pcb->last_ack_rcv_ms;
	i->tcpi_rtt = pcb->srtt_us8 / 8;
	i->tcpi_rttvar = pcb->srtt_us8 ? pcb->rttvar_us4 / 4 : TCP_RTTVAR_INIT_US;
	i->tcpi_min_rtt = pcb->srtt_us8 ? pcb->rtt_min_us : UINT32_MAX;
	i->tcpi_busy_time = tcp_chrono_us(w, pcb, TCP_CHRONO_BUSY);
	i->tcpi_rwnd_limited = tcp_chrono_us(w, pcb, TCP_CHRONO_RWND);
	i->tcpi_sndbuf_limited = tcp_chrono_us(w, pcb, TCP_CHRONO_SNDBUF);
	i->tcpi_busy_time += i->tcpi_rwnd_limited + i->tcpi_sndbuf_limited;
}

static uint32_t offered(const struct tcp_pcb *pcb)
{
	return tcp_seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0;
}

/* What is on the way, in packets [packets_out, sacked_out, lost_out, retrans_out]: what was held
 * for lost and was sent again counts as lost, too, till it arrives. */
static void info_sent(const struct tcp_pcb *pcb, struct tcp_info *i)
{
	struct tcp_sent_at at = tcp_sent_first(pcb);

	if (pcb->pub.state == TCP_SYN_SENT || pcb->pub.state == TCP_SYN_RECEIVED) {
		i->tcpi_unacked = 1;
		i->tcpi_retrans = pcb->retries != 0;
	}
	for (; at.block; tcp_sent_next(&at)) {
		const struct tcp_sent *r = tcp_sent_of(&at);
		uint32_t n = tcp_segments(pcb, r->end - r->start);
		bool again = (r->flags & (SENT_OUT | SENT_RXT)) == (SENT_OUT | SENT_RXT);

		i->tcpi_unacked += n;
		if (r->flags & SENT_SACKED)
			i->tcpi_sacked += n;
		if ((r->flags & SENT_LOST) || (again && pcb->recovery >= TCP_RECOVERY))
			i->tcpi_lost += n;
		if (again)
			i->tcpi_retrans += n;
	}
}

static void info_flow(const struct worker *w, const struct tcp_pcb *pcb, struct tcp_info *i)
{
	uint64_t rate;

	i->tcpi_snd_mss = pcb->snd_mss ? pcb->snd_mss : TCP_DEFAULT_MSS;
	i->tcpi_rcv_mss = pcb->rcv_mss;
	i->tcpi_advmss = pcb->adv_mss;
	i->tcpi_pmtu = pcb->flow.mtu_bytes;
	i->tcpi_reordering = pcb->reordering;
	i->tcpi_reord_seen = pcb->reord_seen;
	i->tcpi_delivered = pcb->delivered_segs;
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
	i->tcpi_snd_cwnd = pcb->cwnd ? in_segments(pcb, pcb->cwnd) : TCP_INIT_CWND_SEGMENTS;
	i->tcpi_snd_ssthresh = !pcb->ssthresh || pcb->ssthresh >= TCP_MAX_CWND
				       ? TCP_INFINITE_SSTHRESH
				       : in_segments(pcb, pcb->ssthresh);
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
	if ((pcb->flags & F_SND_MAPPED) && tcp_seq_gt(tcp_data_end(pcb), pcb->snd_nxt))
		i->tcpi_notsent_bytes = tcp_data_end(pcb) - pcb->snd_nxt;
}

uint32_t tcp_get_info(struct worker *w, const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	struct tcp_info_full i;

	memset(&i, 0, sizeof(i));
	i.known.tcpi_state = tcp_state_number(pcb->syn_unacked && pcb->pub.state == TCP_ESTABLISHED
						      ? TCP_SYN_RECEIVED
						      : pcb->pub.state);
	i.known.tcpi_fastopen_client_fail = pcb->fo_fail & 3u;
	i.known.tcpi_ca_state = pcb->recovery; /* the same numbers: TCP_CA_Open to TCP_CA_Loss */
	if (pcb->pub.state == TCP_LISTEN) {
		i.known.tcpi_reordering = pcb->reordering;
		i.known.tcpi_snd_cwnd = TCP_INIT_CWND_SEGMENTS;
		i.known.tcpi_pacing_rate = i.known.tcpi_max_pacing_rate = ~0ull;
	} else {
		info_options(pcb, &i.known);
		info_times(w, pcb, &i.known);
		info_sent(pcb, &i.known);
		info_flow(w, pcb, &i.known);
		i.tcpi_rcv_wnd = offered(pcb);
		i.tcpi_total_rto = pcb->total_rto;
		i.tcpi_total_rto_recoveries = pcb->total_rto_recoveries;
		i.tcpi_total_rto_time = pcb->total_rto_ms;
		if (pcb->rto_since_ms)
			i.tcpi_total_rto_time += tcp_now_ms(w) - pcb->rto_since_ms;
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
	view.chrono = TCP_CHRONO_NONE;
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
