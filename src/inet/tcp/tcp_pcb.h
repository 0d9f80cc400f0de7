/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The protocol control block, and how TCP works here. TCP's own: for src/inet/tcp only.
 *
 * Theory of operation
 *
 * One worker owns a connection from its first segment to its last; there are no locks. Everything
 * enters through five doors: a burst of segments (input.c), a timer (timers.c), a call of the
 * socket layer (user.c, close.c, bind.c), an ICMP error (icmp_error.c), the end of the worker
 * (stack.c). Each door is tcp_enter() ... tcp_leave(). Between the two a pcb is only changed and
 * put on the worker's flush list; the outermost tcp_leave() then visits each listed pcb once:
 * upcalls first (tcp_acked, tcp_readable), then tcp_output(), which sends data with the
 * acknowledgment on it, then a pure ACK where one is still due. So a burst of thirty segments costs
 * one upcall, one ACK and one pass of output. Ended pcbs are unlinked at once, but their memory
 * goes back to the free list only in the outermost tcp_leave(): whoever holds a pointer inside may
 * still look at pub.state.
 *
 * Data never waits in packets. Payload is copied once: in order, to the receive ring's tail; out of
 * order, to the place where it will belong, and the range is remembered (reass.c). Segments to send
 * are cut from the send ring, which keeps the bytes until they are acknowledged; so a
 * retransmission is cut anew, with fresh acknowledgment and time stamp, and of any size.
 *
 * Sequence numbers: the byte at position p of the send ring has number snd_base + p, so the FIN has
 * snd_base + snd.tail once the program has shut its side. The receive ring's tail is the byte
 * rcv_nxt.
 *
 *  sent and acknowledged | sent            | may be sent      | not yet
 *  ----------------------+-----------------+------------------+----------
 *                        snd_una           snd_nxt            snd_una + snd_wnd
 *
 *  received              | may come        | not yet (dropped OVERWINDOW)
 *  ----------------------+-----------------+----------
 *                        rcv_nxt           rcv_adv: never moves left
 *
 * Loss recovery works on records, one for each packet that is on the way (sent.h): sack.c marks
 * what arrived, rack.c what is lost, recovery.c says in which state that puts us, prr.c and the
 * controller (cc.h) how much may follow. output sends the lost, then the new, while tcp_pipe() <
 * cwnd. Without SACK the duplicate ACKs are subtracted from the pipe instead (NewReno, RFC 6582,
 * without inflating the window).
 *
 * Time: four deadlines a pcb (rtx_ns, ack_ns, long_ns, pace_ns) and one timer. Setting a deadline
 * is a store; the wheel is touched only if the timer is not armed or is armed for later than the
 * deadline. A timer that fires too early looks at the deadlines and arms itself again.
 *
 * The states (RFC 9293 section 3.3.2), and the function that makes each transition
 *
 *                            +---------+ tcp_listen()
 *             tcp_connect()  | CLOSED  |------------> LISTEN
 *            +---------------|         |                | SYN: listen_syn() makes a child
 *            v               +---------+                v
 *       +----------+ SYN (both open: syn_sent.c)  +--------------+
 *       | SYN_SENT |----------------------------->| SYN_RECEIVED |
 *       +----------+                              +--------------+
 *            | SYN,ACK: syn_sent.c                  | ACK: syn_received.c
 *            v                                      v
 *       +---------------------------------------------------+
 *       |                   ESTABLISHED                     |
 *       +---------------------------------------------------+
 *            | tcp_close(), tcp_shutdown_write()    | FIN: tcp_fin_received()
 *            v                                      v
 *       +------------+                        +------------+
 *       | FIN_WAIT_1 |-- FIN --> CLOSING      | CLOSE_WAIT |
 *       +------------+              |         +------------+
 *            | our FIN acked        | acked        | tcp_close()
 *            v                      v              v
 *       +------------+  FIN   +-----------+   +----------+  our FIN acked
 *       | FIN_WAIT_2 |------->| TIME_WAIT |   | LAST_ACK |-----------------> CLOSED
 *       +------------+        +-----------+   +----------+
 *
 * What holds in each state:
 *   CLOSED        not in the table of connections; only tcp_bind(), tcp_connect(), tcp_listen() and
 *                 tcp_close() do anything. One that failed is here until the socket lets go.
 *   LISTEN        in the table of listeners, with a struct tcp_listener; children in SYN_RECEIVED
 *                 are on its half_open list.
 *   SYN_SENT      snd_nxt = iss + 1; rtx_ns sends the SYN again, tcp_syn_retries times.
 *   SYN_RECEIVED  a child has a parent and no user yet; it dies quietly when its time is over.
 *   ESTABLISHED   both send; rtx_ns runs while anything of ours is on the way.
 *   CLOSE_WAIT    we send, the peer has ended (rx_eof).
 *   FIN_WAIT_1, CLOSING, LAST_ACK
 *                 F_FIN_QUEUED: the FIN goes behind the last byte and is resent as it would be.
 *   FIN_WAIT_2    long_ns = 60 s where the socket let go; else the peer may send for ever.
 *   TIME_WAIT     a struct tcp_tw has the pcb's place in the tables (timewait.c). The pcb stays
 *                 only while a socket is attached, as its view.
 * Whatever no rule of the state asks for is dropped, with a reason.
 *
 * Limits: as many children in SYN_RECEIVED as the listener's backlog (then syncookie.c, which keeps
 * nothing), TCP_RANGES_MAX holes a direction,
 * tcp_max_tw_buckets entries, one ACK each 500 ms for segments that are outside of everything,
 * 1,000 challenge ACKs a second a worker.
 */
#ifndef WEIR_INET_TCP_TCP_PCB_H
#define WEIR_INET_TCP_TCP_PCB_H

#include "core/timer.h"
#include "inet/tcp/cc.h"
#include "inet/tcp/sent.h"
#include "inet/tcp/tcp.h"

#define TCP_MS_NS 1000000ull
#define TCP_S_NS 1000000000ull

/* Limits and times; Linux's names are in brackets. */
#define TCP_MAX_TIME_WAIT (1u << 20) /* what tcp_max_tw_buckets may be */
#define TCP_MAX_PCBS (1u << 20)
#define TCP_RANGES_FEW 61u
#define TCP_RANGES_MAX 1021u
#define TCP_RANGES_MANY_BLOCKS 2048u	    /* of TCP_RANGES_MAX, of a worker */
#define TCP_RANGES_MANY_SPARE 16u	    /* of these, kept ready */
#define TCP_MAX_SENT_BLOCKS 65536u	    /* of 2 KB, for all connections of a worker */
#define TCP_SENT_SPARE 128u		    /* blocks kept ready */
#define TCP_INIT_CWND_SEGMENTS 10u	    /* RFC 6928 */
#define TCP_RTO_INIT_NS (1ull * TCP_S_NS)   /* RFC 6298 section 2.1 */
#define TCP_ORPHAN_RETRIES 8u		    /* where tcp_orphan_retries is 0 */
#define TCP_DELACK_NS (40ull * TCP_MS_NS)   /* [TCP_DELACK_MIN] */
#define TCP_TIME_WAIT_NS (60ull * TCP_S_NS) /* [TCP_TIMEWAIT_LEN] */
#define TCP_PAWS_IDLE_S (24u * 24u * 3600u) /* RFC 7323 section 5.5 */
#define TCP_QUICKACKS 16u		    /* [TCP_MAX_QUICKACKS] */
#define TCP_DUP_THRESH 3u		    /* RFC 5681 */
#define TCP_GSO_MAX_BYTES 65535u	    /* of an IP packet */
#define IP4_TCP_MAX_HDR_BYTES 80u	    /* without IP options */
#define TCP_MIN_MSS 88u			    /* what we ask for, at least [TCP_MIN_MSS] */
#define TCP_MIN_SND_MSS 48u /* 40 bytes of options and 8 of data [tcp_min_snd_mss] */
#define TCP_MAX_CWND (1u << 30)

/* pcb->flags */
#define F_SACK_OK 0x00000001u
#define F_TS_OK 0x00000002u
#define F_WSCALE_OK 0x00000004u
#define F_ACTIVE 0x00000008u	 /* we opened it */
#define F_FIN_QUEUED 0x00000010u /* the program sends no more: fin_seq is set */
#define F_FIN_SENT 0x00000020u
#define F_FIN_SEEN 0x00000040u	   /* the peer's FIN came, at peer_fin; reached when rx_eof */
#define F_DETACHED 0x00000080u	   /* the socket let go */
#define F_SND_MAPPED 0x00000100u   /* snd_base is set */
#define F_EXPLICIT 0x00000200u	   /* bound by tcp_bind() */
#define F_HASHED 0x00000400u	   /* in the table of connections */
#define F_BOUND 0x00000800u	   /* in the bind table */
#define F_RTT_TIMED 0x00001000u	   /* rtt_seq is being timed */
#define F_DSACK 0x00002000u	   /* dsack is to be told */
#define F_ACK_NOW 0x00004000u	   /* due at the end of the burst */
#define F_ACK_LATER 0x00008000u	   /* due at ack_ns at the latest */
#define F_OUTPUT 0x00010000u	   /* look whether something may be sent */
#define F_READABLE 0x00020000u	   /* upcall due */
#define F_ACKED 0x00040000u	   /* upcall due */
#define F_LISTED 0x00080000u	   /* on the flush list */
#define F_DEAD 0x00100000u	   /* memory goes back at the outermost tcp_leave() */
#define F_CWND_LIMITED 0x00200000u /* cwnd was full in this window: tcp_cwnd_used() */
#define F_PACED 0x00400000u	   /* pace.c decides when */
#define F_PACE_WAIT 0x00800000u	   /* data waits for pace_ns */
#define F_PERSIST 0x01000000u	   /* rtx_ns is the persist timer's */
#define F_PINGPONG 0x02000000u	   /* interactive: answers carry the ACKs */
#define F_KNOWN 0x04000000u	   /* the socket layer opened it, or took it */
#define F_PUSH_NOW 0x08000000u	   /* send what Nagle, cork and the window would hold back */
#define F_URG_WAIT 0x10000000u	   /* pub.urg is ANNOUNCED: its byte has not come */
#define F_ECN 0x80000000u	   /* both sides can (ecn.c); before that: we asked */
#define F_ENDED 0x20000000u	   /* the socket was told of the end */
#define F_SND_URG 0x40000000u	   /* pub.snd_urg is ahead of snd_una, as far as looked at */

/* pcb->ecn */
#define ECN_CWR_DUE 0x01u /* the next new data says that the window was cut [TCP_ECN_QUEUE_CWR] */
#define ECN_ECHO 0x02u	  /* ECE on what we send [TCP_ECN_DEMAND_CWR] */
#define ECN_SEEN 0x04u	  /* the peer's data came with ECT or CE */

struct tcp_range {
	uint32_t start, end; /* end is behind the last */
};

/* Sorted, disjoint, not touching. From a slab: most connections never need one. It begins with
 * TCP_RANGES_FEW; the few that have more holes get a block of TCP_RANGES_MAX in its place. */
struct tcp_ranges {
	uint32_t n, max;
	uint32_t recent[3]; /* a number in each of the ranges that changed last, newest first */
	uint32_t recent_n;
	uint32_t untold; /* of these: changed since the last ACK */
	struct tcp_range r[];
};

/* How fast the program reads (window.c). From a slab, with the first data. */
struct tcp_rcvq {
	uint32_t ssthresh; /* how far the window has opened [rcv_ssthresh] */
	uint32_t rtt_us8;  /* of the receiving side, times 8; 0: not known [rcv_rtt_est] */
	uint32_t rtt_seq;  /* right edge of the window that is being timed */
	uint32_t rtt_ecr;  /* the time stamp that was timed last */
	uint64_t rtt_start_ns;
	uint32_t space;	   /* bytes read in the best round trip so far [rcvq_space] */
	uint32_t seq;	   /* the program's position when this round trip began */
	uint64_t start_ns; /* and when that was */
};

enum tcp_node_kind { TCP_NODE_PCB, TCP_NODE_TW };

/* A place in the table of connections (or listeners) and in the bind table. */
struct tcp_node {
	struct tcp_node *next, **pprev;		  /* connections by hash; listeners by port */
	struct tcp_node *bind_next, **bind_pprev; /* by local port */
	uint32_t hash;
	uint8_t kind;
	bool in_use; /* allocated; for the walk over a slab */
};

/* In this order: see recovery.c. */
enum tcp_recovery_state { TCP_OPEN, TCP_DISORDER, TCP_CWR, TCP_RECOVERY, TCP_LOSS };

/* What the sending side waits for, for TCP_INFO [tcp_chrono]. */
enum tcp_chrono {
	TCP_CHRONO_BUSY,   /* there is data that is not acknowledged */
	TCP_CHRONO_RWND,   /* and the peer's window is what holds the next back */
	TCP_CHRONO_SNDBUF, /* and the program would write more than the send buffer holds */
	TCP_CHRONO_MAX,
	TCP_CHRONO_NONE = TCP_CHRONO_MAX, /* there is none */
};

/* What rtx_ns is the deadline of. */
enum tcp_rtx_kind { TCP_RTX_RTO, TCP_RTX_PERSIST, TCP_RTX_TLP, TCP_RTX_REO };

#ifdef WEIR_CHECKS
/* What tcp_check.c saw last: these only grow. */
struct tcp_shadow {
	uint32_t rcv_adv, rcv_nxt, snd_una, snd_nxt;
	bool set;
};
#endif

struct tcp_pcb {
	struct tcp_public pub;

	/* what each segment reads or writes */
	uint32_t flags;
	uint32_t rcv_nxt, rcv_adv;
	uint32_t rcv_acked; /* rcv_nxt in the last segment we sent [rcv_wup] */
	uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1;
	uint32_t snd_base, fin_seq;
	uint32_t cwnd, ssthresh, cwnd_acked;
	uint32_t snd_small; /* end of the last segment sent that was not full (Minshall) */
	uint32_t ts_recent, ts_recent_s; /* value, and when (seconds) */
	uint32_t ts_echo;		 /* instead, once; 0: no */
	uint32_t ts_offset;
	uint16_t snd_mss; /* payload of a segment, fixed options taken off */
	uint16_t rcv_mss; /* the peer's segment size, as seen */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t recovery; /* enum tcp_recovery_state */
	uint8_t dupacks;
	uint8_t quickacks;
	uint8_t backoff;
	uint8_t retries;
	uint8_t keep_probes;
	bool full_arrived; /* the path carries snd_mss: as much was acknowledged at once */
	bool syn_unacked; /* Fast Open: ESTABLISHED or later, but our SYN,ACK is not acknowledged */
	struct tcp_pcb *flush_next;
	struct tcp_ranges *ooo;		 /* received out of order */
	struct tcp_rcvq *rcvq;		 /* NULL: no data yet */
	struct tcp_mtu_probe *mtu_probe; /* the path's size is searched for: mtu_probe.c */
	/* what was sent and is not acknowledged (sent.h) */
	struct tcp_sent_block *sent_head;
	union {
		struct tcp_sent_block *sent_tail;
		struct tcp_fo *fo; /* SYN_SENT, SYN_RECEIVED: Fast Open, or NULL; see tcp_fo_of() */
	};
	uint32_t sent_blocks;
	uint32_t flight_bytes, sacked_bytes, lost_bytes;
	const struct tcp_cc_ops *cc;

	/* the timer and its deadlines; 0: none */
	uint64_t rtx_ns, ack_ns, long_ns;
	struct timer timer;
	struct ip_flow flow;
	struct tcp_node node;

	/* round trip (RFC 6298) */
	uint32_t srtt_us8;   /* times 8 */
	uint32_t rttvar_us4; /* times 4 */
	uint32_t rtt_min_us;
	uint32_t rto_us;

	/* loss recovery */
	uint32_t recover;    /* snd_nxt when it began */
	uint32_t fack;	     /* end of the highest that was SACKed, where sacked_bytes is not 0 */
	uint32_t reord_seen; /* how often the path was seen to reorder */
	uint16_t reordering; /* by how many segments, 3 at least [tp->reordering] */
	uint8_t reo_steps, reo_persist; /* rack.c */
	uint8_t rtx_kind;		/* enum tcp_rtx_kind */
	bool frto, frto_new;		/* F-RTO is on; its new data is to be sent now */
	bool tlp_rxt;			/* the probe was a retransmission */
	bool undo_rxt, rxt_ts_set;
	bool fo_data;			    /* Fast Open: the SYN's data was acknowledged */
	uint8_t fo_fail;		    /* TCP_FO_*, for TCP_INFO */
	uint64_t rack_sent_ns, rack_rtt_ns; /* of the newest that arrived; 0: none yet */
	uint32_t rack_end, dsack_round;
	uint32_t tlp_end;	 /* snd_nxt after the probe, 0: none is out */
	uint32_t undo_marker;	 /* snd_una when the window was cut, 0: nothing to undo */
	uint32_t undo_rxt_bytes; /* resent since and not known to have arrived twice */
	uint32_t rxt_ts;	 /* our time stamp at the first retransmission since */
	uint32_t prior_ssthresh, prr_delivered, prr_out;
	uint32_t out_max; /* most on the way in this window: tcp_cwnd_used() */

	/* the congestion controller (cc.h), and what rate.c measures for it */
	uint64_t pacing_rate;	  /* bytes a second, set by controllers that are TCP_CC_PACED */
	uint64_t pace_ns;	  /* no burst begins before (pace.c) */
	uint64_t delivered_bytes; /* arrived at the peer, by ACK or SACK */
	uint64_t delivered_ns, first_sent_ns;
	uint64_t app_limited_bytes; /* till so much is delivered, samples say too little; 0: no */
	uint64_t rate_interval_ns;  /* the newest rate: rate_bytes in so long */
	uint32_t lost_total;
	uint32_t rate_bytes;
	uint32_t pace_burst, pace_late_ns; /* what is left of this one, and of its delay */
	bool rate_app_limited;
	bool cc_chosen;	       /* by name, not the default */
	bool acked;	       /* SYN_RECEIVED: the last ACK came, and is to come with data */
	uint8_t ecn;	       /* ECN_* */
	uint32_t delivered_ce; /* segments that ACKs with ECE told of */
	uint32_t tlp_probes, undone;
	uint32_t prior_cwnd; /* before the last congestion event, to be undone */
	uint32_t out_seq;    /* out_max holds till this is acknowledged */
	uint64_t cc_state[TCP_CC_STATE_BYTES / 8];

	/* connection */
	uint32_t iss, irs, peer_fin;
	uint32_t snd_max_wnd;
	struct tcp_range dsack;
	uint16_t peer_mss, adv_mss;
	uint16_t mss_mtu_bytes; /* the MTU that snd_mss was computed for */
	uint16_t soft_error;
	uint32_t last_ack_rcv_ms;
	uint8_t chrono; /* enum tcp_chrono */
	uint64_t last_rcv_ns, last_snd_ns, last_data_rcv_ns, oow_ack_ns;
	uint64_t unacked_since_ns; /* when the oldest data that waits began to (user time-out) */
	struct tcp_pcb *parent, **ho_pprev;
	union {
		struct tcp_pcb *ho_next;     /* SYN_RECEIVED, of a listener: the next such */
		struct tcp_listener *listen; /* LISTEN: what only a listener has */
	};

	/* counters for struct tcp_info */
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out, total_retrans;
	uint32_t dsack_dups, ooo_packets, delivered_segs;
	uint16_t total_rto, total_rto_recoveries; /* time-outs; and rows of them that ended */
	uint32_t total_rto_ms, rto_since_ms; /* how long they took; when this row began, 0: none */
	/* what held the sending side up (chrono.c) */
	uint32_t chrono_ms[TCP_CHRONO_MAX];
	uint64_t chrono_since_ns;
#ifdef WEIR_CHECKS
	struct tcp_shadow shadow;
#endif
};

#define TCP_FO_COOKIE_MAX 16u

/* Fast Open before the connection is there (fastopen.c). From a slab. */
struct tcp_fo {
	uint32_t data; /* bytes of the send ring that the SYN carried */
	uint16_t mss;  /* the peer's, when it gave the cookie; 0: not known */
	bool put;      /* the next SYN (or SYN,ACK) carries the option */
	uint8_t cookie_len;
	uint8_t cookie[TCP_FO_COOKIE_MAX];
};

/* Why a Fast Open was none: tcpi_fastopen_client_fail [TFO_*]. */
enum { TCP_FO_COOKIE_UNAVAILABLE = 1, TCP_FO_DATA_NOT_ACKED, TCP_FO_SYN_RETRANSMITTED };

/* A listener's own. */
struct tcp_listener {
	struct tcp_pcb *half_open; /* children in SYN_RECEIVED */
	uint32_t half_open_n;
	uint32_t backlog;	   /* of listen(), somaxconn at most: children in SYN_RECEIVED */
	uint64_t drops;		   /* SYNs and last ACKs that came in vain */
	uint64_t cookie_ns;	   /* when the last SYN cookie was sent, 0: never */
	struct tcp_pcb *fo_open;   /* children in use whose SYN,ACK is not acknowledged yet */
	uint32_t fo_n, fo_reset_n; /* of them; of those that a RST ended in the last minute */
	uint64_t fo_reset_ns;
	uint8_t fo_keys; /* TCP_FASTOPEN_KEY: how many; 0: the worker's */
	uint8_t fo_key[2][TCP_FASTOPEN_KEY_BYTES];
	struct timer notice; /* tells people, once, that a flood has begun */
	uint16_t port_be;
	bool flood_told;
};

/* A parsed segment, all in host order. */
struct tcp_seg {
	struct pkt *p;
	uint32_t seq, ack, len; /* len: payload */
	uint32_t wnd;		/* as in the header, not scaled */
	uint32_t ts_val, ts_ecr;
	uint16_t urgent;
	uint16_t mss;	  /* 0: no option */
	uint16_t payload; /* offset of the payload, from buf_addr */
	uint8_t flags;	  /* TCP_F_* */
	uint8_t ecn;	  /* IP_ECN_* */
	uint8_t wscale;
	bool has_ts, has_wscale, sack_ok;
	bool has_fo; /* Fast Open: fo_len bytes at fo, in the packet; 0: it asks for a cookie */
	uint8_t fo_len;
	const uint8_t *fo;
	bool ack_done; /* ack_segment() has seen it */
	uint8_t sack_n;
	bool signature; /* the option of RFC 2385 */
	struct tcp_range sack[4];
	struct endpoint local, remote;
};

/* TIME_WAIT without its pcb. */
struct tcp_tw {
	struct tcp_node node;
	struct endpoint local, remote;
	uint32_t snd_nxt, rcv_nxt, rcv_wnd;
	uint32_t ts_recent, ts_recent_s, ts_offset;
	uint8_t rcv_wscale, bound_if;
	bool ts_ok, reuse_addr, reuse_port;
	uint64_t since_ns, oow_ack_ns;
	struct timer timer;
	struct tcp_pcb *pcb; /* whose socket has not let go, or NULL */
};

#endif
