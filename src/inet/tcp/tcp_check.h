/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold of a connection, checked while it runs: in builds with -Dchecks=true (the
 * sanitized and fuzzed ones), nothing in others. What is found false is printed with the pcb's
 * numbers, and the process aborts.
 *
 * Two moments: tcp_check_step() after a segment, a timer or an output of one connection, when
 * numbers and records agree; tcp_check_settled() when the outermost tcp_leave() is done: then
 * nothing is left to be done and a timer runs for whatever waits.
 */
#ifndef WEIR_INET_TCP_TCP_CHECK_H
#define WEIR_INET_TCP_TCP_CHECK_H

struct worker;
struct tcp_pcb;

#ifdef WEIR_CHECKS
void tcp_check_step(struct worker *w, struct tcp_pcb *pcb);
void tcp_check_output(struct worker *w, struct tcp_pcb *pcb);
void tcp_check_settled(struct worker *w);
#else
static inline void tcp_check_step(struct worker *w, struct tcp_pcb *pcb)
{
}
/* tcp_output() has just done what it could. */
static inline void tcp_check_output(struct worker *w, struct tcp_pcb *pcb)
{
}
static inline void tcp_check_settled(struct worker *w)
{
}
#endif

#endif
