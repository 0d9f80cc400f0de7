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
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/log.h"
#include "inet/tcp/params.h"
#include "sock/options.h"
#include "sock/packet.h"
#include "wire/app_ring.h"

static void options_use(struct sock *s, struct sock_options *opt)
{
	options_drop(s);
	s->opt = opt;
	opt->refs++;
}

void options_default(struct sock *s)
{
	options_use(s, &sock_layer_of(s)->opt_default[s->use != SLOT_STREAM]);
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
		s->opt->defer_accept = s->opt->priority = 0;
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
	pub->owner = s->part->family->owner;
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
	pub->bound_if = option_ifindex(o->bound_if);
	pub->fastopen = (uint16_t)tcp_backlog_limit(s->part->w, (uint32_t)o->fastopen);
	pub->fastopen_no_cookie = o->fastopen_no_cookie;
	pub->save_syn = (uint8_t)o->save_syn & 3;
	if (pub->state == TCP_LISTEN)
		tcp_fastopen_keys_set(s->tcp, o->fastopen_keys, o->fastopen_keys_bytes);
	pub->ttl = (uint8_t)(o->ttl == -1 ? 64 : o->ttl);
	pub->tos = (uint8_t)o->tos;
	pub->freebind = o->freebind;
	pub->transparent = o->transparent;
	if (o->congestion[0] != '\0')
		tcp_congestion_set(s->part->w, s->tcp, o->congestion, sizeof(o->congestion));
}

static void dgram_apply(struct sock *s, const struct sock_options *o)
{
	s->udp->reuse_addr = o->reuse_addr;
	s->udp->reuse_port = o->reuse_port;
	s->udp->uid = s->part->family->uid;
	s->udp->broadcast = o->broadcast;
	s->udp->ttl = (uint8_t)(o->ttl == -1 ? 64 : o->ttl);
	s->udp->tos = (uint8_t)o->tos;
	s->udp->freebind = o->freebind;
	s->udp->transparent = o->transparent;
	s->udp->recverr = o->recverr;
	s->udp->no_check = o->no_check;
	s->udp->gro = o->gro;
	s->udp->pmtudisc = (uint8_t)o->mtu_discover;
	s->udp->bound_if = option_ifindex(o->bound_if);
	s->udp->unicast_if = option_ifindex(o->unicast_if);
	s->udp->mcast_ttl = (uint8_t)o->mcast_ttl;
	s->udp->mcast_loop = o->mcast_loop;
	s->udp->mcast_all = o->mcast_all;
	dgram_limit(s);
}

/* Without room for a queue its errors are told by SO_ERROR alone. */
static void errqueue_apply(struct sock *s, const struct sock_options *o)
{
	if (o->recverr || o->zerocopy || (o->timestamping != 0 && s->use == SLOT_DGRAM))
		(void)errqueue_open(s);
	else if (!errqueue_in_use(s))
		errqueue_close(s);
	if (o->select_errq && s->use != SLOT_STREAM) /* as datagram_poll() */
		s->state |= ABI_S_ERRQ_PRI;
	else
		s->state &= ~ABI_S_ERRQ_PRI;
}

void options_apply(struct sock *s)
{
	const struct sock_options *o = s->opt;

	if (s->tcp == NULL)
		return;
	errqueue_apply(s, o);
	if (s->use == SLOT_STREAM) {
		stream_apply(s, o);
		stream_tx_apply(s);
		stream_rx_lowat(s);
		return;
	}
	if (s->use == SLOT_DGRAM)
		dgram_apply(s, o);
	else if (s->use == SLOT_RAW)
		raw_apply(s);
}

/* An option is another: the pcb knows it, and what waited because of it (Nagle, cork, keepalive's
 * times) is looked at again. */
void options_changed(struct sock *s)
{
	options_apply(s);
	if (s->use != SLOT_STREAM || s->tcp == NULL || s->state & (ABI_S_LISTEN | ABI_S_RESET))
		return;
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
	if (level == IPPROTO_IP && name == IP_MULTICAST_TTL && value == -1)
		return 1;
	if (level == IPPROTO_TCP && name == TCP_FASTOPEN)
		return (int32_t)tcp_backlog_limit(s->part->w, (uint32_t)value);
	return value;
}

/* Options that are not one int. */
static int special_set(struct sock *s, uint32_t level, uint32_t name, const void *data,
		       uint32_t len)
{
	if (level == SOL_RAW && s->use == SLOT_RAW)
		return raw_option_set(s, name, data, len);
	if (level == SOL_PACKET && s->use == SLOT_PACKET)
		return packet_option_set(s, name, data, len);
	if (level == SOL_SOCKET && (name == SO_DETACH_FILTER || name == SO_LOCK_FILTER))
		return filter_option_set(s, name, data, len);
	if (level == IPPROTO_TCP && s->use == SLOT_STREAM)
		return tcp_option_set(s, name, data, len);
	if (mcast_option_is(level, name))
		return mcast_option_set(s, name, data, len);
	if (level == IPPROTO_IP)
		return ip_option_set(s, name, data, len);
	return level == SOL_SOCKET ? socket_option_set(s, name, data, len) : NOT_MINE;
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
	else if (o->flags & OPT_BYTE) /* of the IP level: none at all is 0, as in Linux */
		value = len >= 1 ? *(const uint8_t *)data : 0;
	else
		return -EINVAL;
	if (o->flags & OPT_BOOL)
		value = value != 0;
	if (level == IPPROTO_IP && name == IP_TRANSPARENT && value && !s->part->family->net_raw)
		return -EPERM;
	if (level == SOL_SOCKET && name == SO_ZEROCOPY && s->use != SLOT_STREAM &&
	    s->use != SLOT_DGRAM)
		return -EOPNOTSUPP;
	if (o->flags & OPT_NOT_STREAM && s->use == SLOT_STREAM)
		return -EINVAL;
	if (value < o->min || value > o->max || (o->flags & OPT_NOT_0 && value == 0))
		return -EINVAL;
	if (level == IPPROTO_IP && name == IP_TOS && s->use == SLOT_STREAM)
		value &= ~3; /* ECN is TCP's own business */
	if (options_own(s) == NULL)
		return -ENOBUFS;
	/* SOF_TIMESTAMPING_OPT_ID counts from when it is set. */
	if (option_int_at(s->opt, o) == &s->opt->timestamping && s->use == SLOT_DGRAM &&
	    (value & ~s->opt->timestamping & SOF_TIMESTAMPING_OPT_ID))
		s->udp->stamp_key = 0;
	value = as_kept(s, level, name, value);
	*option_int_at(s->opt, o) = value;
	if (name == SO_OOBINLINE && level == SOL_SOCKET)
		app_oob_inline_set(s->abi, value);
	if (name == IP_RECVERR && level == IPPROTO_IP && value == 0)
		errqueue_purge(s);
	options_changed(s);
	return 0;
}

int option_get(struct sock *s, uint32_t level, uint32_t name, void *data, uint32_t *len)
{
	const struct int_option *o;
	int ret = NOT_MINE;

	if ((int32_t)*len < 0)
		return -EINVAL;
	if (level == SOL_PACKET && s->use == SLOT_PACKET)
		return packet_option_get(s, name, data, len);
	if (level == SOL_RAW && s->use == SLOT_RAW)
		return raw_option_get(s, name, data, len);
	if (level == SOL_SOCKET)
		ret = socket_option_get(s, name, data, len);
	else if (level == IPPROTO_TCP && s->use == SLOT_STREAM)
		ret = tcp_option_get(s, name, data, len);
	else if (level == IPPROTO_IP)
		ret = ip_option_get(s, name, data, len);
	if (ret != NOT_MINE)
		return ret;
	o = int_option_find(s, level, name);
	if (o == NULL) {
		note_unknown(s, level, name);
		return -ENOPROTOOPT;
	}
	return level == IPPROTO_IP ? give_ip_int(data, len, *option_int_at(s->opt, o))
				   : give_int(data, len, *option_int_at(s->opt, o));
}
