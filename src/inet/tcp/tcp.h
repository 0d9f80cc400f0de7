/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP as the socket layer uses it (RFC 9293 section 3.9.1, the user/TCP interface). All calls: the
 * pcb's worker. Bytes are exchanged through the pcb's two rings: the socket layer moves snd.tail
 * and rcv.head, TCP moves snd.head (acknowledged) and rcv.tail (in order).
 *
 * Owner: the pcb belongs to TCP. From tcp_open() to tcp_close() or tcp_abort() the socket may use
 * it; after tcp_close() it lives on by itself until its data and FIN are acknowledged and TIME_WAIT
 * is over, and still uses its send ring; upcall tcp_gone() tells when it stops.
 */
#ifndef WEIR_INET_TCP_TCP_H
#define WEIR_INET_TCP_TCP_H

#include "core/byte_ring.h"
#include "inet/inet.h"

struct tcp_params;

enum tcp_state {
	TCP_CLOSED,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_STATE_MAX
};

/* What a listener dropped: SYNs and last ACKs; 0 where it is none. */
uint64_t tcp_listener_drops(const struct tcp_pcb *pcb);
/* IP found a packet that pcb sends and somebody follows: tell what TCP decided. again: it was sent
 * before. */
void tcp_tell_sent(struct worker *w, const struct tcp_pcb *pcb, const struct pkt *p, bool again);

const char *tcp_state_name(enum tcp_state state); /* as ss prints it: ESTAB, SYN-SENT... */
uint8_t tcp_state_number(enum tcp_state state);	  /* Linux's, of TCP_INFO and /proc/net */

/* What the socket layer may read and set; the rest is inet/tcp/tcp_pcb.h, TCP's own. The full
 * struct tcp_pcb begins with this as its member `pub`. */
/* tcp_public.urg */
enum tcp_urg { TCP_URG_NONE, TCP_URG_ANNOUNCED, TCP_URG_HERE };

struct tcp_public {
	enum tcp_state state;
	uint32_t saved_syn; /* tcp_saved_syn_take(): what there is; 0: nothing */
	struct endpoint local, remote;
	struct byte_ring snd; /* tail moved by the socket: tcp_push() after it */
	struct byte_ring rcv; /* head moved by the socket: tcp_consumed() after it */
	/* What the receive buffer may hold: the window's limit. The ring has this size or the next
	 * larger power of two, or will have it when data comes or there is memory. */
	uint32_t rcv_space_bytes;
	uint32_t window_clamp; /* TCP_WINDOW_CLAMP, 0: none */
	void *user; /* the socket layer's; never changed by TCP, still there in tcp_gone() */
	/* options, set at any time */
	uint64_t max_pacing_rate; /* SO_MAX_PACING_RATE, bytes a second; 0: no limit, no pacing */
	uint32_t linger_s;	  /* where linger */
	uint32_t user_timeout_ms;
	uint32_t notsent_lowat;		       /* TCP_NOTSENT_LOWAT, 0: tcp_notsent_lowat */
	uint16_t keep_idle_s, keep_interval_s; /* 0: tcp_keepalive_time, _intvl */
	uint16_t max_seg;		       /* TCP_MAXSEG, 0: from the MTU */
	uint16_t fastopen;    /* TCP_FASTOPEN: a listener's queue of them, 0: none */
	int16_t linger2_s;    /* TCP_LINGER2, 0: tcp_fin_timeout, -1: no FIN_WAIT_2 */
	uint8_t keep_count;   /* 0: tcp_keepalive_probes */
	uint8_t syn_count;    /* TCP_SYNCNT, 0: tcp_syn_retries */
	uint8_t defer_accept; /* TCP_DEFER_ACCEPT in time-outs of the SYN,ACK, 0: no */
	uint8_t ttl, tos;
	uint8_t pmtudisc; /* IP_MTU_DISCOVER: IP_PMTUDISC_* */
	uint8_t bound_if; /* SO_BINDTODEVICE: this interface alone; 0: any */
	uint8_t owner;	  /* a number of the user; SO_REUSEPORT shares within it only, 255: not */
	bool nodelay : 1, cork : 1, keepalive : 1, reuse_addr : 1, reuse_port : 1;
	bool thin_linear : 1;	     /* TCP_THIN_LINEAR_TIMEOUTS */
	bool linger : 1;	     /* SO_LINGER on */
	bool rcv_locked : 1;	     /* SO_RCVBUF was set: the buffer does not grow by itself */
	bool tell_sent : 1;	     /* tcp_acked() also where only tcp_unsent() changed */
	bool rx_eof : 1;	     /* no option: the peer's FIN was reached */
	bool fastopen_connect : 1;   /* tcp_connect() may wait for data to send in the SYN */
	bool fastopen_no_cookie : 1; /* TCP_FASTOPEN_NO_COOKIE */
	bool freebind : 1;    /* IP_FREEBIND: bound to any address, also one that is not ours */
	bool transparent : 1; /* IP_TRANSPARENT: that, and sends from there */
	uint8_t save_syn : 2; /* TCP_SAVE_SYN: 1, or 2: with the link's header */
	bool syn_waits : 1;   /* no option: it does: the SYN goes with the first tcp_push() */
	/* urgent data: see urgent.c. Positions are the rings'. */
	uint8_t urg_hole_bytes : 6;
	uint8_t urg : 2; /* enum tcp_urg; the socket sets NONE when rcv.head is past urg_pos */
	uint8_t urg_byte;
	uint8_t syn_ttl;   /* of the packet that made this child of a listener; 0: not known */
	uint32_t snd_urg;  /* behind the urgent byte to send: tcp_push_urgent() */
	uint32_t urg_pos;  /* of the newest one that is received */
	uint32_t urg_hole; /* of those before it that are to be read by nobody, if any */
};

static inline struct tcp_public *tcp_public(struct tcp_pcb *pcb)
{
	return (struct tcp_public *)pcb;
}

int tcp_open(struct worker *w, struct tcp_pcb **pcb, void *user);

/* port 0: ephemeral at random (RFC 6056). -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL (bound before). */
int tcp_bind(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local);

/*
 * A listener's twin on another worker: the port is the listener's already, so what is left here of
 * earlier connections (TIME_WAIT) is not in the way; only who listens there is, with -EADDRINUSE.
 */
int tcp_bind_twin(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local);

/* Undo tcp_bind() of a pcb that was not used since. */
void tcp_unbind(struct worker *w, struct tcp_pcb *pcb);

/* Could pcb, bound on another worker (that stands still), be bound as it is on this one too? */
bool tcp_bind_conflicts(struct worker *w, const struct tcp_pcb *pcb);

/* 0: SYN is on its way, upcalls tell the rest. -ENETUNREACH, -EADDRNOTAVAIL, -EISCONN, -EALREADY...
 */
int tcp_connect(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *remote);

/* -EADDRINUSE, -EINVAL, -ENOMEM. Binds if need be. backlog bounds the half-open connections; the
 * accept queue is the socket's (tcp_backlog_room). Again, for another backlog: 0. */
int tcp_listen(struct worker *w, struct tcp_pcb *pcb, uint32_t backlog);

/* What becomes of a backlog that a program asks for [somaxconn]. */
uint32_t tcp_backlog_limit(const struct worker *w, uint32_t backlog);

/* snd.tail has moved: send what windows allow. */
void tcp_push(struct worker *w, struct tcp_pcb *pcb);

/* snd.tail has moved, or is about to, over an urgent byte that ends at position pos. The socket
 * has seen to it that pos is at most the ring's size from snd.head. tcp_push() is to follow. */
void tcp_push_urgent(struct tcp_pcb *pcb, uint32_t pos);

/* Bytes in snd that were never sent. */
uint32_t tcp_unsent(const struct tcp_pcb *pcb);

/* How large the send buffer should be, by what may be on the way: twice that [tcp_sndbuf_expand].
 */
uint32_t tcp_snd_space(const struct worker *w, const struct tcp_pcb *pcb);

/* rcv.head has moved: tell the peer if the window opened enough. */
void tcp_consumed(struct worker *w, struct tcp_pcb *pcb);

/* rcv is empty and was not used for long: may the socket take its ring away? TCP forgets how much
 * the program used to read, and asks for a ring when data comes. False: something out of order is
 * there. */
bool tcp_rcv_release(struct worker *w, struct tcp_pcb *pcb);

/* Would more receive space make a difference that the peer should be told of? The socket layer sets
 * ABI_S_RX_KICK accordingly. */
bool tcp_wants_consumed(const struct tcp_pcb *pcb);

/* An option in struct tcp_public was changed (nodelay, cork, keepalive and its times...):
 * what waits because of it is done now. */
void tcp_option_changed(struct worker *w, struct tcp_pcb *pcb);

/* TCP_QUICKACK: 0: ACKs wait for data to carry them, odd: they go at once, what waits too, even:
 * what waits now goes, the next wait. Not for good: what the program and the peer do changes it
 * again. */
void tcp_quickack_set(struct worker *w, struct tcp_pcb *pcb, int value);
bool tcp_quickack_get(const struct tcp_pcb *pcb);

/* SHUT_WR: FIN behind what is in snd. -ENOTCONN. */
int tcp_shutdown_write(struct worker *w, struct tcp_pcb *pcb);

/* The socket lets go: orderly end, or a RST where data is unread or linger is zero (RFC 2525
 * section 2.17). From here on the receive ring is not used, the send ring still is, and the only
 * upcalls that still come for this pcb are tcp_acked and tcp_gone (perhaps before this returns).
 * Must be called for every pcb, those whose connection failed (tcp_error) too, unless tcp_abort()
 * is. */
void tcp_close(struct worker *w, struct tcp_pcb *pcb);

/* RST now; the pcb is gone (tcp_gone is called) when this returns. */
void tcp_abort(struct worker *w, struct tcp_pcb *pcb);

/* TCP_CONGESTION, in any state: the controller of this name (len bytes, ended by a zero or by len).
 * A listener's goes to its children, which else get the default. pcb NULL (gone): is
 * there one? -ENOENT: there is none such. */
int tcp_congestion_set(struct worker *w, struct tcp_pcb *pcb, const char *name, uint32_t len);
const char *tcp_congestion_name(const struct tcp_pcb *pcb);
/* TCP_CC_INFO: what the controller tells (linux/inet_diag.h); returns the bytes filled. */
uint32_t tcp_congestion_info(const struct tcp_pcb *pcb, void *info, uint32_t len);
/* The name of the default, where there is no pcb. */
const char *tcp_congestion_default(struct worker *w);
#define TCP_CONGESTION_NAME_BYTES 16u

/* Fill a struct tcp_info (linux/tcp.h) of len bytes at most; returns the bytes filled. */
uint32_t tcp_get_info(struct worker *w, const struct tcp_pcb *pcb, void *info, uint32_t len);

/* Visit every pcb of the worker (weir stat), listeners and TIME_WAIT too. */
void tcp_for_each(struct worker *w, void (*fn)(const struct tcp_pcb *pcb, void *arg), void *arg);

/* TCP_TIMESTAMP: the clock that our time stamps show, of this connection (NULL: of none). */
uint32_t tcp_timestamp(const struct worker *w, const struct tcp_pcb *pcb);

/* Fast Open cookies (RFC 7413) of `from` are good for this worker, too. */
void tcp_fastopen_share(struct worker *w, const struct worker *from);

/* TCP_SAVED_SYN: the headers of the SYN that made this child of a listener with save_syn, once. 0
 * and *len (0: there are none); -EINVAL and how many bytes they are: there is no room for them. */
int tcp_saved_syn_take(struct worker *w, struct tcp_pcb *pcb, void *data, uint32_t *len);

/* TCP_FASTOPEN_KEY: bytes of keys (none, one or two of TCP_FASTOPEN_KEY_BYTES) by which a listener
 * makes the cookies it gives (the first) and knows those that come back (both). None: the worker's.
 */
#define TCP_FASTOPEN_KEY_BYTES 16u
void tcp_fastopen_keys_set(struct tcp_pcb *listener, const void *keys, uint32_t bytes);

/* The parameters of this worker's TCP: see params.h. */
const struct tcp_params *tcp_params(const struct worker *w);

/* A parameter of this worker's TCP by name, in words: see params.h. */
int tcp_param_set(struct worker *w, const char *name, const char *value);
int tcp_param_get(struct worker *w, const char *name, char *value, uint32_t room);

/* A counter of this worker's TCP: the i-th of mib.h. */
uint64_t tcp_counter(const struct worker *w, unsigned int i);

/* inet_init() and inet_free() call these. */
int tcp_init(struct worker *w);
void tcp_free(struct worker *w);

#endif
