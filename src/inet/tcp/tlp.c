/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tail loss probe (RFC 8985 section 7): when no ACK comes for two round trips, one segment goes
 * out, new or the last again, so that its SACK shows what is missing, long before the time-out.
 * One probe at a time; where the last segment was resent and no D-SACK says that both copies
 * arrived, there was a loss, and the window answers for it (section 7.4).
 */
#include "inet/tcp/recovery.h"

#define TLP_DELACK_NS (200ull * TCP_MS_NS) /* WCDelAckT: the peer may sit on the ACK of one */
#define TLP_SLACK_NS (2ull * TCP_MS_NS)

static uint64_t probe_ns(const struct tcp_pcb *pcb)
{
	uint64_t ns = pcb->srtt_us8 ? pcb->srtt_us8 / 8 * 2000ull : TCP_RTO_INIT_NS;

	return ns + (pcb->flight_bytes <= pcb->snd_mss ? TLP_DELACK_NS : TLP_SLACK_NS);
}

bool tcp_tlp_schedule(struct worker *w, struct tcp_pcb *pcb)
{
	uint64_t ns, rto_ns = tcp_rto_left_ns(w, pcb);

	if (!(pcb->flags & F_SACK_OK) || !pcb->sent_head || pcb->tlp_end ||
	    (pcb->recovery != TCP_OPEN && pcb->recovery != TCP_CWR))
		return false;
	ns = probe_ns(pcb);
	tcp_rtx_kind(w, pcb, TCP_RTX_TLP, ns < rto_ns ? ns : rto_ns);
	return true;
}

void tcp_tlp_timer(struct worker *w, struct tcp_pcb *pcb)
{
	uint32_t before = pcb->snd_nxt;

	if (!pcb->tlp_end && pcb->sent_head) {
		bool sent = tcp_output_probe(w, pcb);

		if (sent) {
			pcb->tlp_end = pcb->snd_nxt ? pcb->snd_nxt : 1;
			pcb->tlp_rxt = pcb->snd_nxt == before;
			pcb->tlp_probes++;
			tcp_mib(w, TCPLossProbes);
		}
	}
	tcp_rtx_start(w, pcb);
}

/* Section 7.4.2. */
void tcp_tlp_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a)
{
	if (!pcb->tlp_end || tcp_seq_lt(a->una_seq, pcb->tlp_end))
		return;
	if (!pcb->tlp_rxt || (a->what & ACK_DSACK_TLP)) {
		pcb->tlp_end = 0;
	} else if (tcp_seq_gt(a->una_seq, pcb->tlp_end) || (a->what & ACK_ADVANCED)) {
		bool loss = tcp_seq_gt(a->una_seq, pcb->tlp_end);

		/* A loss is sure only when something behind the probe is acknowledged and no D-SACK
		 * came: then the probe repaired it. */
		if (!loss)
			return;
		pcb->tlp_end = 0;
		tcp_mib(w, TCPLossProbeRecovery);
		tcp_recovery_cwr(w, pcb);
		tcp_prr_end(w, pcb);
		tcp_recovery_settle(w, pcb);
	} else if (!(a->what & (ACK_SACKED | ACK_TEXT))) {
		pcb->tlp_end = 0; /* both copies arrived: this is the second one's ACK */
	}
}
