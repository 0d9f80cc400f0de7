/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user's calls that begin and use a connection (RFC 9293 section 3.10.1, .2); close.c has those
 * that end it, bind.c has tcp_bind().
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

int tcp_open(struct worker *w, struct tcp_pcb **pcb, void *user)
{
	struct tcp_pcb *new = tcp_pcb_new(w);

	if (!new)
		return -ENOMEM;
	new->flags |= F_KNOWN;
	new->pub.user = user;
	new->pub.rcv_space_bytes = (uint32_t)w->tcp->params.tcp_rmem[1];
	*pcb = new;
	return 0;
}

static int connect_route(struct worker *w, struct tcp_pcb *pcb)
{
	int err = tcp_route(w, pcb);

	if (err)
		return err == -EACCES ? -ENETUNREACH : err; /* to a broadcast address, as Linux */
	if (inet_addr_is_broadcast(w, &pcb->pub.remote.addr))
		return -ENETUNREACH;
	pcb->pub.local.addr = pcb->flow.src;
	return tcp_port_ephemeral(w, pcb);
}

static void connect_start(struct worker *w, struct tcp_pcb *pcb)
{
	const struct endpoint *local = &pcb->pub.local, *remote = &pcb->pub.remote;

	if (!pcb->iss)
		pcb->iss = tcp_isn(w, local, remote);
	pcb->ts_offset = tcp_ts_offset(w, local, remote);
	pcb->snd_una = pcb->iss;
	pcb->snd_nxt = pcb->iss + 1;
	pcb->adv_mss = tcp_adv_mss(pcb);
	pcb->rcv_wscale = tcp_rcv_wscale_of(w, &pcb->pub);
	pcb->rcv_nxt = pcb->rcv_adv = 0;
	pcb->flags |= F_ACTIVE | F_HASHED | F_RTT_TIMED;
	pcb->unacked_since_ns = pcb->last_rcv_ns = w->now_ns;
	tcp_hash_insert(w, &pcb->node, tcp_tuple_hash(w, local, remote));
	tcp_set_state(w, pcb, TCP_SYN_SENT);
	tcp_mib(w, ActiveOpens);
	tcp_ecn_connect(w, pcb);
	if (pcb->pub.fastopen_connect && tcp_fo_connect(w, pcb))
		return;
	tcp_xmit(w, pcb, pcb->iss, 0, TCP_F_SYN);
	tcp_rtx_start(w, pcb);
}

int tcp_connect(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *remote)
{
	struct ipaddr bound = pcb->pub.local.addr;
	int err;

	if (pcb->pub.state == TCP_SYN_SENT || pcb->pub.state == TCP_SYN_RECEIVED)
		return -EALREADY;
	if (pcb->pub.state != TCP_CLOSED || (pcb->flags & F_ENDED))
		return -EISCONN;
	tcp_enter(w);
	pcb->pub.remote = *remote;
	if (ipaddr_is_any(&remote->addr)) /* Linux takes it for this host */
		pcb->pub.remote.addr = ipaddr_from_ip4(WIRE_BE32(0x7f000001));
	err = connect_route(w, pcb);
	if (err) {
		pcb->pub.local.addr = bound;
		pcb->pub.remote = (struct endpoint){ .port_be = 0 };
	} else {
		connect_start(w, pcb);
	}
	tcp_leave(w);
	return err;
}

uint32_t tcp_backlog_limit(const struct worker *w, uint32_t backlog)
{
	return tcp_min(backlog, (uint32_t)w->tcp->params.somaxconn);
}

int tcp_listen(struct worker *w, struct tcp_pcb *pcb, uint32_t backlog)
{
	int err;

	if (pcb->pub.state == TCP_LISTEN) {
		pcb->listen->backlog = tcp_backlog_limit(w, backlog);
		return 0;
	}
	if (pcb->pub.state != TCP_CLOSED || (pcb->flags & F_ENDED))
		return -EINVAL;
	if (!(pcb->flags & F_BOUND)) {
		err = tcp_port_any(w, pcb);
		if (err)
			return err;
	}
	if (tcp_port_listens(w, pcb))
		return -EADDRINUSE;
	err = tcp_listener_new(pcb, tcp_backlog_limit(w, backlog));
	if (err)
		return err;
	tcp_set_state(w, pcb, TCP_LISTEN);
	tcp_listener_insert(w, pcb);
	return 0;
}

uint32_t tcp_snd_space(const struct worker *w, const struct tcp_pcb *pcb)
{
	const int32_t *wmem = w->tcp->params.tcp_wmem;
	uint32_t space = (uint32_t)wmem[1];

	/* Not more than the peer would ever take; and while cwnd is full it is not the buffer that
	 * keeps us from sending. */
	if (tcp_synchronised(pcb) && tcp_pipe(pcb) < pcb->cwnd)
		space = tcp_max(space, 2 * tcp_min(pcb->cwnd, pcb->snd_max_wnd));
	return tcp_min(space, (uint32_t)wmem[2]);
}

void tcp_push(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.syn_waits) {
		tcp_enter(w);
		tcp_fo_send(w, pcb);
		tcp_leave(w);
		return;
	}
	if (!tcp_may_transmit(pcb) || (pcb->flags & F_FIN_QUEUED))
		return;
	tcp_enter(w);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
	tcp_leave(w);
}

void tcp_option_changed(struct worker *w, struct tcp_pcb *pcb)
{
	if (!tcp_synchronised(pcb))
		return;
	tcp_enter(w);
	tcp_keepalive_update(w, pcb);
	pcb->flow.generation = 0; /* IP_MTU_DISCOVER: look at the path again */
	tcp_pacing_update(w, pcb);
	pcb->flags |= F_OUTPUT;
	tcp_list(w, pcb);
	tcp_leave(w);
}

void tcp_quickack_set(struct worker *w, struct tcp_pcb *pcb, int value)
{
	bool waits = value && tcp_synchronised(pcb) && (pcb->flags & F_ACK_LATER);

	pcb->flags &= ~F_PINGPONG;
	if (waits) {
		tcp_enter(w);
		tcp_ack_now(w, pcb);
		tcp_leave(w);
	}
	if (value == 0 || (waits && !(value & 1)))
		pcb->flags |= F_PINGPONG;
}

bool tcp_quickack_get(const struct tcp_pcb *pcb)
{
	return !(pcb->flags & F_PINGPONG);
}

uint32_t tcp_timestamp(const struct worker *w, const struct tcp_pcb *pcb)
{
	return tcp_ts_now(w, pcb ? pcb->ts_offset : 0);
}
