/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of inet/tcp call of each other. Every function runs on the pcb's worker, between
 * tcp_enter() and tcp_leave(), except where said.
 */
#ifndef WEIR_INET_TCP_TCP_IMPL_H
#define WEIR_INET_TCP_TCP_IMPL_H

#include "core/worker.h"
#include "inet/tcp/mib.h"
#include "inet/tcp/params.h"
#include "inet/tcp/slab.h"
#include "inet/tcp/tcp_pcb.h"
#include "wire/tcp.h"

#define TCP_LISTEN_BUCKETS 256u
#define TCP_BIND_BUCKETS 4096u
#define TCP_MIN_BUCKETS 65536u

/* So many in each second. */
struct tcp_limit {
	uint64_t second;
	uint32_t left;
};

struct tcp_stack {
	const struct inet_upcalls *up;
	struct tcp_params params;
	uint64_t mib[TCP_MIB_MAX];
	unsigned int depth; /* of tcp_enter() */
	struct tcp_pcb *flush_first, **flush_last;
	struct tcp_pcb *dead; /* by flush_next */
	struct tcp_pcb *last; /* who got the last segment, or NULL */
	/* connections */
	struct tcp_node **bucket;
	uint32_t bucket_mask, connections;
	uint32_t orphans; /* pcbs whose socket let go */
	struct timer grow_timer;
	struct worker *w;
	/* listeners, local ports */
	struct tcp_node *listener[TCP_LISTEN_BUCKETS];
	struct tcp_node *bind[TCP_BIND_BUCKETS];
	uint16_t explicit_n[65536]; /* pcbs that tcp_bind() put on each port */
	/* memory */
	struct tcp_slab pcbs, tws, ranges, ranges_many, rcvqs, sent, mtu_probes;
	struct timer spare_timer;	   /* makes more blocks for sent.c and ranges.c */
	struct tcp_saved_syns *saved_syns; /* saved_syn.c; NULL: nobody asked yet */
	/* Fast Open (fastopen.c) */
	struct tcp_slab fos;
	struct tcp_fo_peer *fo_peer;
	uint8_t fo_key[16];
	uint64_t fo_off_ns; /* not before */
	uint32_t fo_off_times;
	struct tcp_limit challenge, reset; /* challenge ACKs, RSTs to strangers */
};

static inline struct tcp_pcb *tcp_node_pcb(struct tcp_node *node)
{
	return (struct tcp_pcb *)((char *)node - offsetof(struct tcp_pcb, node));
}

static inline struct tcp_tw *tcp_node_tw(struct tcp_node *node)
{
	return (struct tcp_tw *)((char *)node - offsetof(struct tcp_tw, node));
}

/* stack.c: the doors, the flush list, memory */
static inline void tcp_enter(struct worker *w)
{
	w->tcp->depth++;
}
void tcp_leave(struct worker *w);
void tcp_list(struct worker *w, struct tcp_pcb *pcb);	   /* visit it at the end */
struct tcp_pcb *tcp_pcb_new(struct worker *w);		   /* NULL: no memory */
void tcp_pcb_begin(struct worker *w, struct tcp_pcb *pcb); /* what a zeroed one begins with */
void tcp_pcb_end(struct worker *w,
		 struct tcp_pcb *pcb); /* unlinks; CLOSED; what is left is memory */
void tcp_pcb_free(struct worker *w, struct tcp_pcb *pcb); /* tcp_pcb_end(), tcp_gone, memory */
void tcp_set_state(struct worker *w, struct tcp_pcb *pcb, enum tcp_state state);
/* The connection failed: the socket is told error, the pcb is CLOSED (free where nobody holds it).
 */
void tcp_fail(struct worker *w, struct tcp_pcb *pcb, int error);
/* Both directions ended in order. */
void tcp_finish(struct worker *w, struct tcp_pcb *pcb);

/* demux.c */
int tcp_demux_init(struct tcp_stack *s);
void tcp_demux_free(struct worker *w);
uint32_t tcp_tuple_hash(const struct worker *w, const struct endpoint *local,
			const struct endpoint *remote);
struct tcp_node *tcp_lookup(struct worker *w, const struct endpoint *local,
			    const struct endpoint *remote);
struct tcp_pcb *tcp_lookup_listener(struct worker *w, const struct tcp_seg *seg);
void tcp_hash_insert(struct worker *w, struct tcp_node *node, uint32_t hash);
void tcp_hash_remove(struct worker *w, struct tcp_node *node);
void tcp_listener_insert(struct worker *w, struct tcp_pcb *pcb);
void tcp_listener_remove(struct worker *w, struct tcp_pcb *pcb);

/* bind.c */
void tcp_port_link(struct worker *w, struct tcp_node *node, uint16_t port_be);
void tcp_port_unlink(struct worker *w, struct tcp_pcb *pcb);
void tcp_port_unlink_node(struct tcp_node *node);
bool tcp_port_listens(struct worker *w, const struct tcp_pcb *pcb);
int tcp_port_ephemeral(struct worker *w,
		       struct tcp_pcb *pcb);		 /* for tcp_connect(): sets local port */
int tcp_port_any(struct worker *w, struct tcp_pcb *pcb); /* for tcp_listen(), tcp_bind() */

/* isn.c */
uint32_t tcp_isn(struct worker *w, const struct endpoint *local, const struct endpoint *remote);
uint32_t tcp_ts_offset(struct worker *w, const struct endpoint *local,
		       const struct endpoint *remote);

/* options.c */
bool tcp_options_parse(struct tcp_seg *seg, const uint8_t *opt,
		       uint32_t len); /* false: malformed */
uint32_t tcp_options_build(const struct worker *w, struct tcp_pcb *pcb, uint8_t flags,
			   uint8_t *opt);
uint32_t tcp_options_len(const struct tcp_pcb *pcb); /* of a segment with data, sent now */
static inline uint32_t tcp_ts_now(const struct worker *w, uint32_t offset)
{
	return (uint32_t)(w->now_ns / TCP_MS_NS) + offset;
}

/* segment.c: a segment for a synchronised connection. Takes the packet. */
void tcp_segment(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
void tcp_segment_rest(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg); /* ack and on */
bool tcp_paws_old(const struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_ts_update(const struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_fin_received(struct worker *w, struct tcp_pcb *pcb);
/* fastpath.c: true: it took the packet. */
bool tcp_segment_fast(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
/* syn_sent.c, syn_received.c, listen.c, timewait.c: take the packet. */
void tcp_syn_sent(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
void tcp_syn_received(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
void tcp_syn_repeated(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
void tcp_listen_input(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg,
		      uint32_t iss);
void tcp_listen_stop(struct worker *w, struct tcp_pcb *listener);
int tcp_listener_new(struct tcp_pcb *listener, uint32_t backlog); /* 0, -ENOMEM */
void tcp_listener_free(struct worker *w, struct tcp_pcb *listener);
/* Of what a listener was asked for, nothing came. l: its struct tcp_listener. */
#define tcp_listen_drop(w, l, seg, reason)                                                         \
	do {                                                                                       \
		tcp_mib(w, ListenDrops);                                                           \
		(l)->drops++;                                                                      \
		pkt_drop(w, (seg)->p, reason);                                                     \
	} while (0)
/* A child in SYN_RECEIVED: what it has from its listener (fill), its place in the tables (new,
 * which fills too; NULL: no memory), what it has from the SYN and the options of both (syn). */
void tcp_child_fill(struct tcp_pcb *child, const struct tcp_pcb *listener,
		    const struct tcp_seg *seg);
struct tcp_pcb *tcp_child_new(struct worker *w, struct tcp_pcb *listener,
			      const struct tcp_seg *seg);
void tcp_child_syn(struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg,
		   uint32_t iss);
void tcp_half_open_add(struct tcp_pcb *listener, struct tcp_pcb *child); /* or fo_open */
void tcp_half_open_remove(struct tcp_pcb *child);
void tcp_syn_ack_timer(struct worker *w, struct tcp_pcb *pcb); /* SYN_RECEIVED: rtx_ns is over */
/* The last ACK of a handshake, which was found good. Takes the packet. */
void tcp_last_ack(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);

/* saved_syn.c */
void tcp_syn_save(struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg);
void tcp_syn_forget(struct worker *w, struct tcp_pcb *pcb);
void tcp_saved_syns_free(struct worker *w);

/* fastopen.c */
int tcp_fo_init(struct worker *w); /* 0, -ENOMEM */
void tcp_fo_free(struct worker *w);
void tcp_fo_end(struct worker *w, struct tcp_pcb *pcb);
/* A child's SYN. True: the program has the connection, and the packet is taken. */
bool tcp_fo_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_pcb *child,
		struct tcp_seg *seg);
/* While pcb->syn_unacked: an ACK came; a RST that is good. (The SYN again: tcp_syn_repeated().) */
void tcp_fo_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_fo_reset(struct worker *w, struct tcp_pcb *pcb);
/* tcp_connect(). True: the SYN waits for tcp_fo_send(), with data in the send ring. */
bool tcp_fo_connect(struct worker *w, struct tcp_pcb *pcb);
void tcp_fo_send(struct worker *w, struct tcp_pcb *pcb);
void tcp_fo_timeout(struct worker *w, struct tcp_pcb *pcb);
/* A good SYN,ACK: what it acknowledges beyond the SYN, and its cookie. */
void tcp_fo_syn_ack(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);
/* Once there is a connection its place is that of what was sent. */
static inline struct tcp_fo *tcp_fo_of(const struct tcp_pcb *pcb)
{
	return pcb->pub.state == TCP_SYN_SENT || pcb->pub.state == TCP_SYN_RECEIVED ? pcb->fo
										    : NULL;
}
/* Its bytes; 0: none, or no room. */
uint32_t tcp_fo_option(struct tcp_pcb *pcb, uint8_t *opt, uint32_t room);

/* syncookie.c */
void tcp_cookie_syn(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg); /* takes it */
/* Is seg what a cookie of the listener's, sent within the last two minutes, may bring? */
bool tcp_cookie_expected(const struct worker *w, const struct tcp_pcb *listener,
			 const struct tcp_seg *seg);
/* True: it does answer one, of this worker's, and was taken. */
bool tcp_cookie_ack(struct worker *w, struct tcp_pcb *listener, struct tcp_seg *seg);

void tcp_take_syn(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_established(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_tw_input(struct worker *w, struct tcp_tw *tw, struct tcp_seg *seg);
void tcp_time_wait(struct worker *w, struct tcp_pcb *pcb);
void tcp_tw_free(struct worker *w, struct tcp_tw *tw);
bool tcp_tw_may_reuse(const struct worker *w, const struct tcp_tw *tw);

/* ack.c. True: go on with the segment's text; false: it took the packet. */
bool tcp_ack_segment(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg);
void tcp_ack_fast(struct worker *w, struct tcp_pcb *pcb,
		  const struct tcp_seg *seg); /* new, no SACK */
void tcp_window_take(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);

/* recovery.c; what ACKs do in it is in recovery.h */
uint32_t tcp_pipe(const struct tcp_pcb *pcb); /* bytes thought to be on the way */
void tcp_recovery_enter(struct worker *w, struct tcp_pcb *pcb);
void tcp_recovery_timeout(struct worker *w, struct tcp_pcb *pcb);
/* What is on the way was too large for the path: again, in smaller pieces; no sign of congestion */
void tcp_recovery_smaller(struct worker *w, struct tcp_pcb *pcb);

/* reass.c; ranges.c */
void tcp_data(struct worker *w, struct tcp_pcb *pcb, struct tcp_seg *seg); /* takes the packet */
void tcp_data_copy(struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t skip, uint32_t len);
struct tcp_ranges *tcp_ranges_new(struct worker *w); /* NULL: none left */
/* A larger one in its place. False: it is the largest, or none is left. */
bool tcp_ranges_grow(struct worker *w, struct tcp_ranges **ranges);
void tcp_ranges_free(struct worker *w, struct tcp_ranges **ranges);
size_t tcp_ranges_bytes(uint32_t max);
enum tcp_range_result { TCP_RANGE_NEW, TCP_RANGE_KNOWN, TCP_RANGE_FULL };
enum tcp_range_result tcp_range_add(struct tcp_ranges *s, uint32_t start, uint32_t end);
/* The range with seq is the one that changed last. */
void tcp_range_recent(struct tcp_ranges *s, uint32_t seq);
const struct tcp_range *tcp_range_with(const struct tcp_ranges *s, uint32_t seq); /* or NULL */
void tcp_range_below(struct tcp_ranges *s, uint32_t seq); /* forget what is below seq */
bool tcp_range_prune(struct tcp_ranges *s, uint32_t seq); /* the highest, if it is above seq */

/* retries.c: is it time to give up? At a time-out, and at a probe of a closed window. */
bool tcp_retries_over(const struct worker *w, const struct tcp_pcb *pcb);
bool tcp_probes_over(const struct worker *w, const struct tcp_pcb *pcb);
/* As long as `count` time-outs take there was no answer. */
bool tcp_path_doubted(const struct worker *w, const struct tcp_pcb *pcb, unsigned int count);
/* An RTO that does not reach beyond TCP_USER_TIMEOUT. */
uint64_t tcp_user_timeout_clamp(const struct worker *w, const struct tcp_pcb *pcb, uint64_t rto_ns);
uint64_t tcp_fin_wait2_ns(const struct worker *w, const struct tcp_pcb *pcb);

/* mtu_probe.c: for pcbs that have pcb->mtu_probe, but where it says otherwise */
enum tcp_mtu_probe_step {
	TCP_MTU_PROBE_NOT,  /* no case for a probe */
	TCP_MTU_PROBE_WAIT, /* send nothing new: the next is to be a probe */
	TCP_MTU_PROBE_NOW,  /* the next segment is one, of *len bytes: it is to be sent */
};
extern const uint32_t tcp_mtu_probe_object_bytes;
uint32_t tcp_mtu_limit(struct tcp_pcb *pcb); /* bytes of an IP packet that are known to arrive */
void tcp_mtu_probe_free(struct worker *w, struct tcp_pcb *pcb);	       /* any pcb */
void tcp_mtu_probe_established(struct worker *w, struct tcp_pcb *pcb); /* any pcb */
/* How often a segment has to time out [tcp_retries1] before the path is doubted, and then. Any pcb.
 */
unsigned int tcp_mtu_doubt(const struct worker *w, const struct tcp_pcb *pcb);
void tcp_mtu_black_hole(struct worker *w, struct tcp_pcb *pcb);
enum tcp_mtu_probe_step tcp_mtu_probe_next(struct worker *w, struct tcp_pcb *pcb, uint32_t *len);
bool tcp_mtu_probe_is(const struct tcp_pcb *pcb, uint32_t seq, uint32_t len);
void tcp_mtu_probe_cancel(struct tcp_pcb *pcb); /* nothing can be learnt from the one that is out */
void tcp_mtu_probe_acked(struct worker *w, struct tcp_pcb *pcb); /* snd_una has moved */
bool tcp_mtu_probe_lost(struct worker *w, struct tcp_pcb *pcb);	 /* true: it was that alone */

/* urgent.c */
void tcp_urgent(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg); /* received */
bool tcp_urgent_mode(const struct tcp_pcb *pcb); /* of ours, something is not acknowledged */
/* The flag and the pointer of a segment that begins at seq. */
void tcp_urgent_mark(struct tcp_pcb *pcb, uint32_t seq, struct tcp_hdr *h);

/* rto.c */
void tcp_rtt_sample(const struct worker *w, struct tcp_pcb *pcb, uint64_t rtt_us);
void tcp_rtt_syn(struct worker *w, struct tcp_pcb *pcb); /* our SYN was acknowledged */
struct tcp_ack;
void tcp_rtt_acked(struct worker *w, struct tcp_pcb *pcb, const struct tcp_ack *a);
uint64_t tcp_rto_ns(const struct worker *w, const struct tcp_pcb *pcb);	     /* with backoff */
uint64_t tcp_rto_left_ns(const struct worker *w, const struct tcp_pcb *pcb); /* of the first */

/* timers.c */
void tcp_timer_arm(struct worker *w, struct tcp_pcb *pcb, uint64_t at_ns);
void tcp_rtx_start(struct worker *w, struct tcp_pcb *pcb); /* RTO from now */
void tcp_rtx_kind(struct worker *w, struct tcp_pcb *pcb, enum tcp_rtx_kind kind, uint64_t after_ns);
void tcp_persist_start(struct worker *w, struct tcp_pcb *pcb);
void tcp_keepalive_update(struct worker *w, struct tcp_pcb *pcb);
/* The time for a SYN's answer is over: once more, or only wait, or (max times were enough) fail. */
void tcp_syn_timer(struct worker *w, struct tcp_pcb *pcb, uint8_t flags, unsigned int max,
		   bool send);
void tcp_timer_fired(struct worker *w, struct timer *t);
void tcp_rto_answered(const struct worker *w, struct tcp_pcb *pcb); /* where rto_since_ms */

/* output.c: what may be sent, is */
void tcp_output(struct worker *w, struct tcp_pcb *pcb);
/* One segment in spite of cwnd: a new one, else the last again. False: none went out. */
bool tcp_output_probe(struct worker *w, struct tcp_pcb *pcb);
void tcp_snd_map(struct tcp_pcb *pcb);
/* Is cwnd in use, so that it may grow? */
bool tcp_cwnd_used(const struct tcp_pcb *pcb);
uint32_t
tcp_data_end(const struct tcp_pcb *pcb); /* number behind the last byte the program wrote */

/* ecn.c: RFC 3168 */
void tcp_ecn_connect(const struct worker *w, struct tcp_pcb *pcb);
void tcp_ecn_listen(const struct worker *w, struct tcp_pcb *child, const struct tcp_seg *seg);
void tcp_ecn_syn_sent(struct tcp_pcb *pcb, const struct tcp_seg *seg); /* SYN or SYN,ACK came */
/* The flags that a segment gets besides; its IP header's bits go into pcb->flow. Where F_ECN. */
uint8_t tcp_ecn_mark(const struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len,
		     uint8_t flags);
/* Data came; rcv_nxt is as before it. Where F_ECN. */
void tcp_ecn_data(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg);

/* pace.c */
void tcp_pacing_update(struct worker *w, struct tcp_pcb *pcb); /* is it paced? F_PACED follows */
/* Bytes a second; 0: there is nothing yet to tell it from. */
uint64_t tcp_pacing_rate(const struct worker *w, const struct tcp_pcb *pcb);
/* Of a paced connection: what may go now, a multiple of mss; 0: the timer tells when. */
uint32_t tcp_pace_room(struct worker *w, struct tcp_pcb *pcb, uint32_t mss);
uint32_t tcp_pace_burst_bytes(const struct tcp_pcb *pcb, uint64_t rate); /* at that rate */
void tcp_pace_sent(struct worker *w, struct tcp_pcb *pcb, uint32_t bytes);

/* chrono.c: what the sending side waits for may be another now. */
void tcp_chrono(const struct worker *w, struct tcp_pcb *pcb);
/* In all, what runs now too. */
uint64_t tcp_chrono_us(const struct worker *w, const struct tcp_pcb *pcb, enum tcp_chrono kind);
bool tcp_rwnd_limited(const struct tcp_pcb *pcb);

/* tell.c: for who follows the packet; see tcp_tell_sent() in inet/tcp/tcp.h for the way out */
void tcp_tell_listener(struct worker *w, const struct tcp_pcb *listener, const struct pkt *p);
void tcp_tell_received(struct worker *w, const struct tcp_pcb *pcb, const struct tcp_seg *seg);
void tcp_tell_queued(struct worker *w, const struct tcp_pcb *pcb, const struct pkt *p);

/* xmit.c: make one segment and give it to IP. 0 or -errno. */
int tcp_xmit(struct worker *w, struct tcp_pcb *pcb, uint32_t seq, uint32_t len, uint8_t flags);
int tcp_route(struct worker *w, struct tcp_pcb *pcb);
void tcp_mss_update(struct tcp_pcb *pcb);
uint16_t tcp_adv_mss(const struct tcp_pcb *pcb);

/* ack_out.c: acknowledgments */
void tcp_ack_now(struct worker *w, struct tcp_pcb *pcb);
void tcp_ack_oow(struct worker *w, struct tcp_pcb *pcb); /* rate limited: nothing new was in it */
void tcp_dsack_tell(struct worker *w, struct tcp_pcb *pcb, uint32_t start, uint32_t end);
void tcp_ack_data(struct worker *w, struct tcp_pcb *pcb, uint32_t len, uint32_t segment_bytes);
void tcp_ack_flush(struct worker *w, struct tcp_pcb *pcb);
void tcp_ack_send(struct worker *w, struct tcp_pcb *pcb);

/* window.c: the window that we offer; rcvbuf.c: the size of the receive buffer */
uint32_t tcp_rcv_window(struct worker *w, struct tcp_pcb *pcb); /* moves rcv_adv */
uint8_t tcp_rcv_wscale_of(const struct worker *w, const struct tcp_public *pub);
uint32_t tcp_rcv_ssthresh(const struct tcp_pcb *pcb);
uint32_t tcp_rcv_free(const struct tcp_pcb *pcb); /* room that the buffer has */
/* len bytes of the segment are in order, and will be taken. */
void tcp_rcvq_data(struct worker *w, struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t len);
void tcp_rcv_space_adjust(struct worker *w, struct tcp_pcb *pcb); /* the program may have read */
void tcp_rcvq_free(struct worker *w, struct tcp_pcb *pcb);

/* reset.c */
void tcp_reset_for(struct worker *w, const struct tcp_seg *seg); /* RST in answer to a segment */
/* The same, to whom no connection is known (or only begun): rate limited [none in Linux]. */
void tcp_reset_stranger(struct worker *w, const struct tcp_seg *seg);
void tcp_reset_send(struct worker *w, struct tcp_pcb *pcb); /* RST of ours */
void tcp_challenge(struct worker *w, struct tcp_pcb *pcb);  /* RFC 5961, rate limited */
bool tcp_challenge_allowed(struct worker *w);
/* A segment without a pcb, from local to remote, by the interface oif (0: as the route says). */
void tcp_reply(struct worker *w, const struct endpoint *local, const struct endpoint *remote,
	       uint8_t oif, const struct tcp_hdr *hdr, const uint8_t *opt, uint32_t opt_len);

/* close.c */
void tcp_fin_queue(struct worker *w, struct tcp_pcb *pcb);

static inline uint32_t tcp_min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint64_t tcp_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint32_t tcp_max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t tcp_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Segments that so many numbers of one packet make; a FIN goes with the last. */
static inline uint32_t tcp_segments(const struct tcp_pcb *pcb, uint32_t len)
{
	return len <= pcb->snd_mss + 1u ? 1 : (len - 1 + pcb->snd_mss - 1) / pcb->snd_mss;
}

/* States in which both sides know each other's numbers. */
static inline bool tcp_synchronised(const struct tcp_pcb *pcb)
{
	return pcb->pub.state >= TCP_ESTABLISHED && pcb->pub.state <= TCP_LAST_ACK;
}

/* States in which data or a FIN of ours may still be on the way. */
static inline bool tcp_may_transmit(const struct tcp_pcb *pcb)
{
	return tcp_synchronised(pcb) && pcb->pub.state != TCP_FIN_WAIT_2;
}

/* May the peer's data still come? */
static inline bool tcp_may_receive(const struct tcp_pcb *pcb)
{
	return pcb->pub.state == TCP_ESTABLISHED || pcb->pub.state == TCP_FIN_WAIT_1 ||
	       pcb->pub.state == TCP_FIN_WAIT_2;
}

static inline bool tcp_endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port_be == b->port_be && ipaddr_equal(&a->addr, &b->addr);
}

static inline uint64_t tcp_rto_max_ns(const struct worker *w)
{
	return (uint64_t)w->tcp->params.tcp_rto_max_ms * TCP_MS_NS;
}

/* An ACK for what is outside of everything may go, given when the last did. */
static inline bool tcp_oow_allowed(const struct worker *w, uint64_t last_ns)
{
	return !last_ns ||
	       w->now_ns - last_ns >= (uint64_t)w->tcp->params.tcp_invalid_ratelimit * TCP_MS_NS;
}

static inline uint32_t tcp_now_ms(const struct worker *w)
{
	return (uint32_t)(w->now_ns / TCP_MS_NS);
}

static inline uint32_t tcp_now_s(const struct worker *w)
{
	return (uint32_t)(w->now_ns / TCP_S_NS);
}

/* How many the peer sent: a port may have made one of several [gso_segs]. */
static inline uint32_t tcp_seg_segs(const struct tcp_seg *seg)
{
	uint32_t size = seg->p->gso_size;

	return size && seg->len > size ? (seg->len + size - 1) / size : 1;
}

/* The end of a segment that was taken: its text is in the socket's ring, or it had none. */
static inline void tcp_seg_done(struct worker *w, const struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	if (seg->len == 0) {
		pkt_consume(w, seg->p, FATE_ABSORBED);
		return;
	}
	stage_enter_one(w, STAGE_SOCK_DELIVER, seg->p);
	if (unlikely(seg->p->followed))
		tcp_tell_queued(w, pcb, seg->p);
	pkt_consume(w, seg->p, FATE_DELIVERED);
}

#endif
