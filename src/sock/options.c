/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options. Nearly all are one int: a table says where it is kept, what values are right, and
 * what Linux has as default; options_apply() then hands what protocols need to the pcb. Options
 * that change nothing here yet are kept and given back, where a program may rightly expect no more.
 * What is not in the table answers ENOPROTOOPT and is logged, once for each option.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/log.h"
#include "inet/tcp/params.h"
#include "sock/options.h"
#include "wire/app_ring.h"

#define OPT_BOOL 1u /* any value but 0 is 1 */
#define OPT_BYTE 2u /* one byte is enough */
#define OPT_RO 4u   /* setsockopt: ENOPROTOOPT */
#define OPT_STREAM 8u
#define OPT_NOT_0 16u

#ifndef SO_BUSY_POLL
#define SO_BUSY_POLL 46
#endif

struct int_option {
	uint16_t level, name;
	uint16_t offset;
	uint16_t flags;
	int32_t min, max, initial;
};

#define OPT(level, name, field, flags, min, max, initial)                                          \
	{                                                                                          \
		level, name, offsetof(struct sock_options, field), flags, min, max, initial        \
	}

static const struct int_option int_options[] = {
	OPT(SOL_SOCKET, SO_REUSEADDR, reuse_addr, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_REUSEPORT, reuse_port, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_KEEPALIVE, keepalive, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_BROADCAST, broadcast, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_OOBINLINE, oobinline, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_DONTROUTE, dontroute, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_PRIORITY, priority, 0, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_MARK, mark, 0, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_RCVLOWAT, rcvlowat, 0, INT_MIN, INT_MAX, 1),
	OPT(SOL_SOCKET, SO_BUSY_POLL, busy_poll, 0, 0, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_TIMESTAMP, timestamp, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_PASSCRED, passcred, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(SOL_SOCKET, SO_INCOMING_CPU, incoming_cpu, 0, INT_MIN, INT_MAX, -1),
	OPT(IPPROTO_TCP, TCP_NODELAY, nodelay, OPT_BOOL | OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_CORK, cork, OPT_BOOL | OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_KEEPIDLE, keep_idle, OPT_STREAM, 1, 32767, 0),
	OPT(IPPROTO_TCP, TCP_KEEPINTVL, keep_interval, OPT_STREAM, 1, 32767, 0),
	OPT(IPPROTO_TCP, TCP_KEEPCNT, keep_count, OPT_STREAM, 1, 127, 0),
	OPT(IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_MAXSEG, max_seg, OPT_STREAM, 0, 32767, 0),
	OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT, defer_accept, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN, fastopen, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, fastopen_connect, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, fastopen_no_cookie, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_SYNCNT, syncnt, OPT_STREAM, 1, 127, 0),
	OPT(IPPROTO_TCP, TCP_LINGER2, linger2, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT, notsent_lowat, OPT_STREAM, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP, window_clamp, OPT_STREAM, 0, INT_MAX, 0),
	OPT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, thin_linear, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_TCP, TCP_THIN_DUPACK, thin_dupack, OPT_STREAM, 0, 1, 0),
	OPT(IPPROTO_IP, IP_TOS, tos, OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_TTL, ttl, OPT_BYTE | OPT_NOT_0, -1, 255, 64),
	OPT(IPPROTO_IP, IP_PKTINFO, pktinfo, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVERR, recverr, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVTOS, recv_tos, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_RECVTTL, recv_ttl, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_MTU_DISCOVER, mtu_discover, OPT_BYTE, 0, 5, 1),
	OPT(IPPROTO_IP, IP_FREEBIND, freebind, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, bind_no_port, OPT_BOOL | OPT_BYTE, INT_MIN,
	    INT_MAX, 0),
	OPT(IPPROTO_IP, IP_MULTICAST_TTL, mcast_ttl, OPT_BYTE, -1, 255, 1),
	OPT(IPPROTO_IP, IP_MULTICAST_LOOP, mcast_loop, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 1),
	OPT(IPPROTO_IP, IP_MULTICAST_ALL, mcast_all, OPT_BOOL | OPT_BYTE, INT_MIN, INT_MAX, 1),
	OPT(IPPROTO_IPV6, IPV6_V6ONLY, v6only, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_TCLASS, v6_tclass, 0, -1, 255, 0),
	OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, v6_hops, 0, -1, 255, 64),
	OPT(IPPROTO_IPV6, IPV6_RECVERR, v6_recverr, OPT_BOOL, INT_MIN, INT_MAX, 0),
	OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO, v6_pktinfo, OPT_BOOL, INT_MIN, INT_MAX, 0),
};

#define INT_OPTIONS (sizeof(int_options) / sizeof(int_options[0]))

static int32_t *int_at(struct sock_options *opt, const struct int_option *o)
{
	return (int32_t *)((uint8_t *)opt + o->offset);
}

static const struct int_option *int_option_find(const struct sock *s, uint32_t level, uint32_t name)
{
	for (unsigned int i = 0; i < INT_OPTIONS; i++) {
		const struct int_option *o = &int_options[i];

		if (o->level == level && o->name == name)
			return o->flags & OPT_STREAM && s->use != SLOT_STREAM ? NULL : o;
	}
	return NULL;
}

void options_init(struct sock_layer *l)
{
	for (unsigned int dgram = 0; dgram < 2; dgram++) {
		struct sock_options *opt = &l->opt_default[dgram];

		for (unsigned int i = 0; i < INT_OPTIONS; i++)
			*int_at(opt, &int_options[i]) = int_options[i].initial;
		opt->rcvbuf = SOCK_RING_DGRAM_BYTES;
		opt->sndbuf = opt->rcvbuf;
		opt->max_pacing_rate = UINT64_MAX;
		opt->refs = 1; /* the layer's own */
	}
}

static void options_use(struct sock *s, struct sock_options *opt)
{
	options_drop(s);
	s->opt = opt;
	opt->refs++;
}

void options_default(struct sock *s)
{
	options_use(s, &sock_layer_of(s)->opt_default[s->use == SLOT_DGRAM]);
}

void options_share(struct sock *s, const struct sock *from)
{
	options_use(s, from->opt);
}

void options_drop(struct sock *s)
{
	if (s->opt != NULL && --s->opt->refs == 0)
		free(s->opt);
	s->opt = NULL;
}

int options_copy(struct sock *s, const struct sock *from)
{
	struct sock_options *opt = malloc(sizeof(*opt));

	if (opt == NULL)
		return -ENOBUFS;
	*opt = *from->opt;
	opt->refs = 0;
	options_use(s, opt);
	return 0;
}

/* The block to write to, of this socket alone, or NULL: no memory. */
struct sock_options *options_own(struct sock *s)
{
	if (s->opt->refs != 1 && options_copy(s, s) != 0)
		return NULL;
	if (s->accepted)
		s->opt->defer_accept = 0;
	s->accepted = false;
	return s->opt;
}

static void stream_apply(const struct sock *s, const struct sock_options *o)
{
	struct tcp_public *pub = tcp_public(s->tcp);

	pub->nodelay = o->nodelay;
	pub->cork = o->cork;
	pub->keepalive = o->keepalive;
	pub->reuse_addr = o->reuse_addr;
	pub->reuse_port = o->reuse_port;
	pub->linger = o->linger;
	pub->linger_s = (uint32_t)o->linger_s;
	pub->keep_idle_s = (uint16_t)o->keep_idle;
	pub->keep_interval_s = (uint16_t)o->keep_interval;
	pub->keep_count = (uint8_t)o->keep_count;
	pub->syn_count = (uint8_t)o->syncnt;
	pub->linger2_s = (int16_t)o->linger2;
	pub->defer_accept = (uint8_t)o->defer_accept;
	pub->notsent_lowat = (uint32_t)o->notsent_lowat;
	pub->window_clamp = (uint32_t)o->window_clamp;
	pub->thin_linear = o->thin_linear;
	pub->max_pacing_rate = o->max_pacing_rate == UINT64_MAX ? 0 : o->max_pacing_rate;
	pub->user_timeout_ms = (uint32_t)o->user_timeout;
	pub->max_seg = (uint16_t)o->max_seg;
	pub->rcv_locked = s->rx_want_bytes != 0;
	if (pub->rcv_locked)
		pub->rcv_space_bytes = s->rx_want_bytes;
	pub->pmtudisc = (uint8_t)o->mtu_discover;
	pub->fastopen = (uint16_t)tcp_backlog_limit(s->part->w, (uint32_t)o->fastopen);
	pub->fastopen_no_cookie = o->fastopen_no_cookie;
	pub->ttl = (uint8_t)(o->ttl == -1 ? 64 : o->ttl);
	pub->tos = (uint8_t)o->tos;
	if (o->congestion[0] != '\0')
		tcp_congestion_set(s->part->w, s->tcp, o->congestion, sizeof(o->congestion));
}

void options_apply(struct sock *s)
{
	const struct sock_options *o = s->opt;

	if (s->tcp == NULL)
		return;
	if (s->use == SLOT_STREAM) {
		stream_apply(s, o);
		stream_tx_apply(s);
		stream_rx_lowat(s);
		return;
	}
	s->udp->reuse_addr = o->reuse_addr;
	s->udp->reuse_port = o->reuse_port;
	s->udp->broadcast = o->broadcast;
	s->udp->ttl = (uint8_t)(o->ttl == -1 ? 64 : o->ttl);
	s->udp->tos = (uint8_t)o->tos;
}

/* An option is another: the pcb knows it, and what waited because of it (Nagle, cork, keepalive's
 * times) is looked at again. */
void options_changed(struct sock *s)
{
	options_apply(s);
	if (s->use != SLOT_STREAM || s->tcp == NULL || s->state & (ABI_S_LISTEN | ABI_S_RESET))
		return;
	stream_sync_tx(s);
	tcp_option_changed(s->part->w, s->tcp);
}

/* The first use of each unknown option is named in the log. */
static void note_unknown(struct sock *s, uint32_t level, uint32_t name)
{
	struct sock_layer *l = sock_layer_of(s);

	for (unsigned int i = 0; i < l->noted_count; i++)
		if (l->noted[i].level == level && l->noted[i].name == name)
			return;
	if (l->noted_count == sizeof(l->noted) / sizeof(l->noted[0]))
		return;
	l->noted[l->noted_count].level = (uint16_t)level;
	l->noted[l->noted_count++].name = (uint16_t)name;
	log_warn("%s: socket option level %u, name %u is not supported: it gets ENOPROTOOPT",
		 s->part->family->name, level, name);
}

/* Linux doubles what is asked for (book-keeping) and gives the double back. */
static int buffer_set(struct sock *s, uint32_t name, int32_t value)
{
	uint32_t bytes = (uint32_t)value < SOCK_BUFFER_MAX_BYTES ? (uint32_t)value
								 : SOCK_BUFFER_MAX_BYTES;
	bool dgram = s->use == SLOT_DGRAM;

	if (name == SO_SNDBUF || name == SO_SNDBUFFORCE) {
		s->opt->sndbuf = (int32_t)(bytes * 2 < 4608 ? 4608 : bytes * 2);
		if (dgram)
			return 0;
		s->tx_want_bytes = sock_ring_size(bytes, dgram);
		s->tx_locked = true;
		stream_fit_tx(s);
		sock_mark(s, ABI_EV_OUT);
		return 0;
	}
	s->opt->rcvbuf = (int32_t)(bytes * 2 < 2304 ? 2304 : bytes * 2);
	if (!dgram) {
		s->rx_want_bytes = (uint32_t)s->opt->rcvbuf / 2;
		options_apply(s);
		stream_rx(s); /* the window may open */
	} else if (s->rx.data == NULL) {
		s->rx_want_bytes = sock_ring_size(bytes, dgram);
	}
	return 0;
}

static int linger_set(struct sock *s, const void *data, uint32_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, data, sizeof(linger));
	s->opt->linger = linger.l_onoff != 0;
	if (linger.l_onoff != 0)
		s->opt->linger_s = linger.l_linger;
	options_apply(s);
	return 0;
}

static int timeo_set(int64_t timeo[2], const void *data, uint32_t len)
{
	if (len < 2 * sizeof(int64_t))
		return -EINVAL;
	memcpy(timeo, data, 2 * sizeof(int64_t));
	return timeo[1] < 0 || timeo[1] >= 1000000 ? -EDOM : 0;
}

static int pacing_rate_set(struct sock *s, const void *data, uint32_t len)
{
	uint32_t narrow;
	uint64_t rate;

	if (len >= sizeof(rate)) {
		memcpy(&rate, data, sizeof(rate));
	} else {
		memcpy(&narrow, data, sizeof(narrow));
		rate = narrow == UINT32_MAX ? UINT64_MAX : narrow;
	}
	s->opt->max_pacing_rate = rate;
	options_changed(s);
	return 0;
}

/* Options that are not one int. NOT_MINE: none of these. */
static int special_set(struct sock *s, uint32_t level, uint32_t name, const void *data,
		       uint32_t len)
{
	int32_t value = 0;

	if (len >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	if (level == IPPROTO_TCP && s->use == SLOT_STREAM)
		return tcp_option_set(s, name, data, len);
	if (level != SOL_SOCKET)
		return NOT_MINE;
	if (len < sizeof(value) && name != SO_BINDTODEVICE)
		return -EINVAL; /* even where there is no such option, as in Linux */
	if (options_own(s) == NULL)
		return -ENOBUFS;
	switch (name) {
	case SO_LINGER:
		return linger_set(s, data, len);
	case SO_RCVTIMEO:
		return timeo_set(s->opt->rcvtimeo, data, len);
	case SO_SNDTIMEO:
		return timeo_set(s->opt->sndtimeo, data, len);
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		return len < sizeof(value) ? -EINVAL : buffer_set(s, name, value);
	case SO_MAX_PACING_RATE:
		return len < sizeof(value) ? -EINVAL : pacing_rate_set(s, data, len);
	case SO_ERROR:
	case SO_TYPE:
	case SO_DOMAIN:
	case SO_PROTOCOL:
	case SO_ACCEPTCONN:
	case SO_COOKIE:
	case SO_INCOMING_NAPI_ID:
		return -ENOPROTOOPT;
	default:
		return NOT_MINE;
	}
}

/* Never more than a buffer as large as they get would hold before its window closes. */
static int32_t rcvlowat_of(const struct sock *s, int32_t value)
{
	int32_t most = s->use == SLOT_STREAM ? tcp_params(s->part->w)->tcp_rmem[2] / 2 : INT_MAX;

	if (value < 0 || value > most)
		return most;
	return value == 0 ? 1 : value;
}

/* Some values stand for others. */
static int32_t as_kept(const struct sock *s, uint32_t level, uint32_t name, int32_t value)
{
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return rcvlowat_of(s, value);
	if (level == IPPROTO_IP && name == IP_TOS)
		return value & (s->use == SLOT_STREAM ? 0xfc : 0xff); /* ECN is TCP's */
	return value;
}

int option_set(struct sock *s, uint32_t level, uint32_t name, const void *data, uint32_t len)
{
	const struct int_option *o;
	int32_t value;
	int ret = special_set(s, level, name, data, len);

	if (ret != NOT_MINE)
		return ret;
	o = int_option_find(s, level, name);
	if (o == NULL) {
		note_unknown(s, level, name);
		return -ENOPROTOOPT;
	}
	if (len >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	else if (len >= 1 && o->flags & OPT_BYTE)
		value = *(const uint8_t *)data;
	else
		return -EINVAL;
	if (o->flags & OPT_BOOL)
		value = value != 0;
	if (value < o->min || value > o->max || (o->flags & OPT_NOT_0 && value == 0))
		return -EINVAL;
	if (level == IPPROTO_IP && name == IP_TOS && s->use == SLOT_STREAM)
		value &= ~3; /* ECN is TCP's own business */
	if (options_own(s) == NULL)
		return -ENOBUFS;
	value = as_kept(s, level, name, value);
	*int_at(s->opt, o) = value;
	if (name == SO_OOBINLINE && level == SOL_SOCKET)
		app_oob_inline_set(s->abi, value);
	options_changed(s);
	return 0;
}

/* Four bytes or eight, as Linux has it. */
static int pacing_rate_get(const struct sock *s, void *data, uint32_t *len)
{
	uint64_t rate = s->opt->max_pacing_rate;

	if (*len >= sizeof(rate))
		return give(data, len, &rate, sizeof(rate));
	return give_int(data, len, (int32_t)(uint32_t)(rate > UINT32_MAX ? UINT32_MAX : rate));
}

/* No other socket of this weir has it, nor will soon. */
static int cookie_get(const struct sock *s, void *data, uint32_t *len)
{
	uint64_t cookie = (uint64_t)s->part->family->id << 52 |
			  (uint64_t)(s->index & 0xfffff) << 32 | s->gen;

	if (*len < sizeof(cookie))
		return -EINVAL;
	return give(data, len, &cookie, sizeof(cookie));
}

static int socket_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	struct linger linger = { .l_onoff = s->opt->linger, .l_linger = s->opt->linger_s };

	switch (name) {
	case SO_ERROR:
		return give_int(data, len, app_sock_take_error(s->abi));
	case SO_TYPE:
		return give_int(data, len, s->use == SLOT_STREAM ? SOCK_STREAM : SOCK_DGRAM);
	case SO_DOMAIN:
		return give_int(data, len, s->family);
	case SO_PROTOCOL:
		return give_int(data, len, s->use == SLOT_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
	case SO_ACCEPTCONN:
		return give_int(data, len, (s->state & ABI_S_LISTEN) != 0);
	case SO_LINGER:
		return give(data, len, &linger, sizeof(linger));
	case SO_RCVTIMEO:
		return give(data, len, s->opt->rcvtimeo, sizeof(s->opt->rcvtimeo));
	case SO_SNDTIMEO:
		return give(data, len, s->opt->sndtimeo, sizeof(s->opt->sndtimeo));
	case SO_RCVBUF:
		if (s->use == SLOT_STREAM && s->tcp != NULL && s->rx_want_bytes == 0)
			return give_int(data, len, (int32_t)tcp_public(s->tcp)->rcv_space_bytes);
		return give_int(data, len, s->opt->rcvbuf);
	case SO_SNDBUF:
		if (s->use == SLOT_STREAM && !s->tx_locked)
			return give_int(data, len, (int32_t)stream_tx_size(s));
		return give_int(data, len, s->opt->sndbuf);
	case SO_MAX_PACING_RATE:
		return pacing_rate_get(s, data, len);
	case SO_COOKIE:
		return cookie_get(s, data, len);
	case SO_INCOMING_NAPI_ID: /* 0: it is not known, as for a socket that received nothing */
		return give_int(data, len, 0);
	default:
		return NOT_MINE;
	}
}

static int ip_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	if (name == IP_TTL)
		return give_int(data, len, s->opt->ttl == -1 ? 64 : s->opt->ttl);
	if (name != IP_MTU)
		return NOT_MINE;
	if (s->tcp == NULL || !(s->state & ABI_S_CONNECTED))
		return -ENOTCONN;
	if (s->use == SLOT_DGRAM)
		return give_int(data, len, s->udp->flow.mtu_bytes);
	struct tcp_info info = { 0 };

	tcp_get_info(s->part->w, s->tcp, &info, sizeof(info));
	return give_int(data, len, (int32_t)info.tcpi_pmtu);
}

int option_get(struct sock *s, uint32_t level, uint32_t name, void *data, uint32_t *len)
{
	const struct int_option *o;
	int ret = NOT_MINE;

	if ((int32_t)*len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET)
		ret = socket_get(s, name, data, len);
	else if (level == IPPROTO_TCP && s->use == SLOT_STREAM)
		ret = tcp_option_get(s, name, data, len);
	else if (level == IPPROTO_IP)
		ret = ip_get(s, name, data, len);
	if (ret != NOT_MINE)
		return ret;
	o = int_option_find(s, level, name);
	if (o == NULL) {
		note_unknown(s, level, name);
		return -ENOPROTOOPT;
	}
	return give_int(data, len, *int_at(s->opt, o));
}
