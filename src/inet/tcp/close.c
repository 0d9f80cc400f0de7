/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user's calls that end a connection (RFC 9293 section 3.10.4, .5).
 */
#include <errno.h>

#include "inet/tcp/tcp_impl.h"

/* The program sends no more: our FIN goes behind what is in the ring now. */
void tcp_fin_queue(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->flags & F_FIN_QUEUED)
		return;
	tcp_snd_map(pcb);
	pcb->fin_seq = tcp_data_end(pcb);
	pcb->flags |= F_FIN_QUEUED | F_OUTPUT;
	tcp_list(w, pcb);
	if (pcb->pub.state == TCP_CLOSE_WAIT)
		tcp_set_state(w, pcb, TCP_LAST_ACK);
	else
		tcp_set_state(w, pcb, TCP_FIN_WAIT_1);
}

int tcp_shutdown_write(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->flags & F_FIN_QUEUED)
		return 0;
	/* SYN_SENT: nothing is there to be closed yet; SYN_RECEIVED (both opened): RFC 9293 lets
	 * the FIN wait, we let the program. */
	if (pcb->pub.state != TCP_ESTABLISHED && pcb->pub.state != TCP_CLOSE_WAIT)
		return -ENOTCONN;
	tcp_enter(w);
	tcp_fin_queue(w, pcb);
	tcp_leave(w);
	return 0;
}

static bool unread(struct worker *w, struct tcp_pcb *pcb)
{
	if (!pcb->pub.rcv.data)
		return false;
	w->tcp->up->tcp_sync_rcv(w, pcb);
	return byte_ring_used(&pcb->pub.rcv) != 0;
}

/* An end without ceremony: RST, and nothing remains. */
static void reset_now(struct worker *w, struct tcp_pcb *pcb)
{
	if (tcp_synchronised(pcb) || pcb->pub.state == TCP_SYN_RECEIVED)
		tcp_reset_send(w, pcb);
	tcp_pcb_free(w, pcb);
}

/* Not an orderly end, but a RST? */
static bool close_resets(struct worker *w, struct tcp_pcb *pcb)
{
	if (unread(w, pcb))
		tcp_mib(w, TCPAbortOnClose);
	else if (pcb->pub.linger && pcb->pub.linger_s == 0)
		tcp_mib(w, TCPAbortOnData);
	else if (w->tcp->orphans >= (uint32_t)w->tcp->params.tcp_max_orphans)
		tcp_mib(w, TCPAbortOnMemory);
	else
		return false;
	return true;
}

static void close_synchronised(struct worker *w, struct tcp_pcb *pcb)
{
	bool reset = close_resets(w, pcb);

	pcb->flags |= F_DETACHED;
	w->tcp->orphans++;
	pcb->pub.rcv = (struct byte_ring){ .data = NULL };
	tcp_ranges_free(w, &pcb->ooo); /* where they were is no more */
	if (reset) {
		reset_now(w, pcb);
		return;
	}
	pcb->long_ns = 0; /* keepalive is the socket's */
	if (pcb->pub.state == TCP_ESTABLISHED || pcb->pub.state == TCP_CLOSE_WAIT) {
		tcp_fin_queue(w, pcb);
	} else if (pcb->pub.state == TCP_FIN_WAIT_2 && pcb->pub.linger2_s < 0) {
		reset_now(w, pcb); /* TCP_LINGER2: not without the program */
	} else if (pcb->pub.state == TCP_FIN_WAIT_2) {
		pcb->long_ns = w->now_ns + tcp_fin_wait2_ns(w, pcb);
		tcp_timer_arm(w, pcb, pcb->long_ns);
	}
}

void tcp_close(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_enter(w);
	if (tcp_synchronised(pcb))
		close_synchronised(w, pcb);
	else if (pcb->pub.state == TCP_SYN_RECEIVED)
		reset_now(w, pcb);
	else
		tcp_pcb_free(w, pcb); /* CLOSED, LISTEN, SYN_SENT, TIME_WAIT: nobody to tell */
	tcp_leave(w);
}

void tcp_abort(struct worker *w, struct tcp_pcb *pcb)
{
	tcp_enter(w);
	reset_now(w, pcb);
	tcp_leave(w);
}
