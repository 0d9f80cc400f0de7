/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about segments of ours (RFC 9293 section 3.9.2.2, RFC 5461, RFC 5927): a hard one
 * ends a connection that is being opened and is a hint to any other; "fragmentation needed" makes
 * segments smaller (RFC 1191). The number that the error quotes must be one that is on the way.
 */
#include <errno.h>
#include <netinet/in.h>

#include "inet/pmtu.h"
#include "inet/tcp/tcp_impl.h"

/* All flows to there hear of it (inet/pmtu.c), now that it is known to be about a segment of ours.
 */
static void path_mtu(struct worker *w, struct tcp_pcb *pcb, uint16_t mtu_bytes)
{
	uint16_t old_mss = pcb->snd_mss;

	pmtu_report(w, &pcb->flow.src, &pcb->pub.remote.addr, mtu_bytes);
	if (!tcp_may_transmit(pcb) || pcb->pub.pmtudisc == IP_PMTUDISC_DONT ||
	    tcp_route(w, pcb) != 0 || pcb->snd_mss >= old_mss || pcb->snd_una == pcb->snd_nxt)
		return;
	/* What was too large is lost for sure: send it again, smaller; that is not congestion. */
	tcp_recovery_smaller(w, pcb);
	tcp_rtx_start(w, pcb);
}

static enum icmp_told pcb_error(struct worker *w, struct tcp_pcb *pcb, uint32_t seq, int error,
				bool hard, uint16_t mtu_bytes)
{
	bool opening = pcb->pub.state == TCP_SYN_SENT || pcb->pub.state == TCP_SYN_RECEIVED;

	/* A bare ACK of ours has snd_nxt; it is never too large for a path. */
	if (tcp_seq_lt(seq, pcb->snd_una) || tcp_seq_gt(seq, pcb->snd_nxt) ||
	    (error == EMSGSIZE && seq == pcb->snd_nxt)) {
		tcp_mib(w, OutOfWindowIcmps);
		return ICMP_NOT_BELIEVED;
	}
	if (error == EMSGSIZE) {
		path_mtu(w, pcb, mtu_bytes);
	} else if (hard && opening) {
		tcp_fail(w, pcb, error);
	} else {
		pcb->soft_error = (uint16_t)error;
		if (!(pcb->flags & F_DETACHED) && (pcb->flags & F_KNOWN))
			w->tcp->up->tcp_error(w, pcb, error, true);
	}
	return ICMP_BELIEVED;
}

enum icmp_told tcp_icmp_error(struct worker *w, const struct ipaddr *local,
			      const struct ipaddr *remote, const uint8_t l4[8], int error,
			      bool hard, uint16_t mtu_bytes)
{
	enum icmp_told told;
	struct endpoint from = { .addr = *local }, to = { .addr = *remote };
	struct tcp_node *node;

	from.port_be = host_to_be16(be16_load(l4));
	to.port_be = host_to_be16(be16_load(l4 + 2));
	node = tcp_lookup(w, &from, &to);
	if (!node)
		return ICMP_NOBODY;
	if (node->kind != TCP_NODE_PCB)
		return ICMP_NOT_BELIEVED; /* TIME_WAIT: nothing is on the way */
	tcp_enter(w);
	told = pcb_error(w, tcp_node_pcb(node), be32_load(l4 + 4), error, hard, mtu_bytes);
	tcp_leave(w);
	return told;
}
