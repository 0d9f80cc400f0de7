/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The synchronous calls. The request is copied once; everything is judged in the copy.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/options.h"
#include "sock/packet.h"

/* The socket that the call is for: an existing one, or a new one of the session's. */
static int ctl_sock(struct channel *ch, struct abi_ctl *ctl, struct sock **sock)
{
	int family = AF_INET, type = (int)ctl->create_type, protocol = (int)ctl->create_proto;
	int ret;

	*sock = NULL;
	if (ctl->sock != ABI_SOCK_NONE) {
		*sock = sock_find(ch->part, ctl->sock, ctl->gen);
		return *sock != NULL ? 0 : -EBADF;
	}
	if (ctl->op == ABI_CTL_OPEN) {
		family = (int)ctl->level;
		type = (int)ctl->optname;
		protocol = (int)ctl->len;
	} else if (ctl->op <= ABI_CTL_SHUTDOWN && ctl->level == AF_INET6) {
		family = AF_INET6; /* these calls use level for nothing else */
	}
	ret = sock_new(ch->part, family, type, protocol, sock);
	if (ret != 0)
		return ret;
	sock_ref(ch->session, *sock);
	ctl->sock = (*sock)->index;
	ctl->gen = (*sock)->gen;
	return 0;
}

static int port_bind(struct sock *s, const struct endpoint *at)
{
	if (!ipaddr_is_any(&at->addr) && !ipaddr_is_ip4(&at->addr))
		return -EADDRNOTAVAIL;
	if (s->use != SLOT_STREAM && s->use != SLOT_DGRAM)
		return -EINVAL;
	return s->use == SLOT_STREAM ? stream_bind(s, at) : dgram_bind(s, at);
}

static int port_connect(struct sock *s, struct endpoint *to, uint16_t flags)
{
	if (s->use == SLOT_DGRAM)
		return dgram_connect(s, to);
	if (flags & ABI_CONNECT_DISSOLVE)
		return stream_dissolve(s); /* a listener with siblings: SHARD_UNLISTEN */
	if (to->port_be == 0)
		return -ECONNREFUSED;
	/* The unspecified address is this host. */
	if (ipaddr_is_any(&to->addr))
		to->addr = ipaddr_from_ip4(htobe32(0x7f000001));
	if (!ipaddr_is_ip4(&to->addr))
		return -ENETUNREACH;
	return stream_connect(s, to, flags & ABI_CONNECT_FASTOPEN);
}

static int shut(struct sock *s, uint32_t how)
{
	if (s->use == SLOT_PACKET)
		return -EOPNOTSUPP;
	if (how > SHUT_RDWR)
		return -EINVAL;
	if (s->use == SLOT_RAW)
		return raw_shutdown(s, (int)how);
	return s->use == SLOT_STREAM ? stream_shutdown(s, (int)how) : dgram_shutdown(s, (int)how);
}

/* A program that has closed a socket may expect that its port is free, on every worker. */
static int dgram_leave(struct sock *s, struct channel *ch)
{
	const struct endpoint none = { .port_be = 0 };

	if (s->refs != 1 || s->shard_next == ABI_SOCK_NONE)
		return 0;
	return shard_request(s, ch, SHARD_LEAVE, &none);
}

static int ctl_send_check(struct sock *s, const struct abi_ctl *ctl)
{
	struct abi_dgram d;

	if (s->use != SLOT_DGRAM || ctl->len != sizeof(d))
		return -EINVAL;
	memcpy(&d, ctl->data, sizeof(d));
	return dgram_send_check(s, &d);
}

static bool sets_filter(const struct abi_ctl *ctl)
{
	return ctl->op == ABI_CTL_FILTER ||
	       (ctl->op == ABI_CTL_SETSOCKOPT && ctl->level == SOL_SOCKET &&
		ctl->optname == SO_DETACH_FILTER);
}

/* Does the call end a listener that has siblings on other workers? */
static bool unlistens(const struct sock *s, const struct abi_ctl *ctl)
{
	if (s->use != SLOT_STREAM || !(s->state & ABI_S_LISTEN) || s->shard_next == ABI_SOCK_NONE)
		return false;
	if (ctl->op == ABI_CTL_CONNECT)
		return ctl->flags & ABI_CONNECT_DISSOLVE;
	return ctl->optname == SHUT_RD || ctl->optname == SHUT_RDWR;
}

/* An option that is a sibling's, too: what it decides for itself; a listener's is its children's.
 */
static bool siblings_have(const struct sock *s, const struct abi_ctl *ctl)
{
	if (s->use == SLOT_STREAM)
		return s->shard_next != ABI_SOCK_NONE;
	return s->use == SLOT_DGRAM &&
	       (s->shard_next != ABI_SOCK_NONE ||
		(mcast_option_is(ctl->level, ctl->optname) && shard_wanted(s))) &&
	       (ctl->level == IPPROTO_IP || ctl->level == IPPROTO_UDP || ctl->level == SOL_SOCKET);
}

static int ctl_bind(struct channel *ch, struct sock *s, const struct abi_ctl *ctl,
		    const struct endpoint *at)
{
	int ret;

	if (s->use == SLOT_PACKET)
		return packet_bind(s, ctl->optname, ctl->port_be);
	if (s->use == SLOT_RAW)
		return raw_bind(s, at);
	ret = port_bind(s, at);
	/* A port that was not asked for by number is of the worker's own share. One that is in use
	 * may be so by what was closed on another worker just now. */
	if ((ret == 0 || ret == -EADDRINUSE) && shard_bind_wanted(s) &&
	    (s->use == SLOT_DGRAM || at->port_be != 0))
		ret = shard_request(s, ch, SHARD_BIND, at);
	return ret;
}

static int ctl_connect(struct channel *ch, struct sock *s, const struct abi_ctl *ctl,
		       struct endpoint *to)
{
	int ret;

	if (s->use == SLOT_PACKET)
		return -EOPNOTSUPP;
	if (s->use == SLOT_RAW)
		return raw_connect(s, to);
	if (unlistens(s, ctl))
		return shard_request(s, ch, SHARD_UNLISTEN, to);
	ret = port_connect(s, to, ctl->flags);
	if (ret == 0 && s->use == SLOT_DGRAM && s->shard_next != ABI_SOCK_NONE)
		ret = shard_request(s, ch, SHARD_CONNECT, to);
	return ret;
}

static int ctl_listen(struct channel *ch, struct sock *s, const struct abi_ctl *ctl,
		      const struct endpoint *at)
{
	int ret = s->use == SLOT_STREAM ? stream_listen(s, ctl->optname) : -EOPNOTSUPP;

	return ret == 0 && shard_wanted(s) ? shard_request(s, ch, SHARD_LISTEN, at) : ret;
}

static int ctl_shutdown(struct channel *ch, struct sock *s, const struct abi_ctl *ctl,
			const struct endpoint *at)
{
	return unlistens(s, ctl) ? shard_request(s, ch, SHARD_UNLISTEN, at) : shut(s, ctl->optname);
}

static int ctl_setsockopt(struct channel *ch, struct sock *s, const struct abi_ctl *ctl)
{
	if (ctl->len > sizeof(ctl->data))
		return -EINVAL;
	return siblings_have(s, ctl) ? shard_request_option(s, ch, ctl)
				     : option_set(s, ctl->level, ctl->optname, ctl->data, ctl->len);
}

static int ctl_getsockopt(struct sock *s, struct abi_ctl *ctl)
{
	if (ctl->len > sizeof(ctl->data))
		ctl->len = sizeof(ctl->data);
	return option_get(s, ctl->level, ctl->optname, ctl->data, &ctl->len);
}

static int ctl_linger(struct channel *ch, struct sock *s)
{
	return s->use == SLOT_STREAM  ? stream_linger(s)
	       : s->use == SLOT_DGRAM ? dgram_leave(s, ch)
				      : -EOPNOTSUPP;
}

static int ctl_filter(struct sock *s, const struct abi_ctl *ctl)
{
	if (ctl->len > sizeof(ctl->data))
		return -EINVAL;
	if (s->use == SLOT_STREAM)
		return filter_is_locked(s) ? -EPERM : -EOPNOTSUPP;
	return filter_piece(s, ctl->level, ctl->optname, ctl->data, ctl->len);
}

static int ctl_send(struct sock *s)
{
	return s->use == SLOT_PACKET ? packet_flush(s)
	       : s->use == SLOT_RAW  ? raw_flush(s)
				     : -EOPNOTSUPP;
}

static int ctl_call(struct channel *ch, struct sock *s, struct abi_ctl *ctl, struct endpoint *at)
{
	switch (ctl->op) {
	case ABI_CTL_OPEN:
		return 0;
	case ABI_CTL_BIND:
		return ctl_bind(ch, s, ctl, at);
	case ABI_CTL_CONNECT:
		return ctl_connect(ch, s, ctl, at);
	case ABI_CTL_LISTEN:
		return ctl_listen(ch, s, ctl, at);
	case ABI_CTL_SHUTDOWN:
		return ctl_shutdown(ch, s, ctl, at);
	case ABI_CTL_SETSOCKOPT:
		return ctl_setsockopt(ch, s, ctl);
	case ABI_CTL_GETSOCKOPT:
		return ctl_getsockopt(s, ctl);
	case ABI_CTL_RING:
		return stream_need_tx(s);
	case ABI_CTL_LINGER:
		return ctl_linger(ch, s);
	case ABI_CTL_SEND_CHECK:
		return ctl_send_check(s, ctl);
	case ABI_CTL_ERRQUEUE:
		return errqueue_take(s, ctl->data, &ctl->len);
	case ABI_CTL_FILTER:
		return ctl_filter(s, ctl);
	case ABI_CTL_SEND:
		return ctl_send(s);
	default:
		sock_broken(ch->part, "a control request's operation is unknown");
		return -EINVAL;
	}
}

/* A call that changes what the siblings on other workers are to be, too. Packets of all workers are
 * a raw or packet socket's. */
static bool siblings_follow(const struct sock *s, const struct abi_ctl *ctl)
{
	if (s->use == SLOT_DGRAM)
		return s->shard_next != ABI_SOCK_NONE && sets_filter(ctl);
	return s->use >= SLOT_RAW && shard_below_wanted(s) && ctl->op != ABI_CTL_GETSOCKOPT &&
	       ctl->op != ABI_CTL_SEND && ctl->op != ABI_CTL_ERRQUEUE;
}

static int ctl_do(struct channel *ch, struct abi_ctl *ctl, struct sock *s)
{
	struct endpoint at = { .addr = ctl->addr, .port_be = ctl->port_be };
	int ret = ctl_call(ch, s, ctl, &at);

	return ret == 0 && siblings_follow(s, ctl) ? shard_request(s, ch, SHARD_BELOW, &at) : ret;
}

void ctl_finish(struct channel *ch, int32_t result)
{
	struct abi_channel *abi = ch->abi;

	abi->ctl.result = result;
	ch->ctl_waiting = false;
	ch->ctl_done = ch->ctl_seq;
	atomic_store_explicit(&abi->ctl_done, ch->ctl_done, memory_order_release);
	channel_bell(ch);
}

void ctl_run(struct channel *ch)
{
	struct abi_channel *abi = ch->abi;
	struct abi_ctl ctl;
	struct sock *s;
	int ret;

	ch->ctl_seq = atomic_load_explicit(&abi->ctl_seq, memory_order_acquire);
	if (ch->ctl_waiting || ch->ctl_seq == ch->ctl_done)
		return;
	memcpy(&ctl, &abi->ctl, sizeof(ctl));
	ch->part->w->socks->ctl_calls++;
	ret = ctl_sock(ch, &ctl, &s);
	if (ret == 0)
		ret = ctl_do(ch, &ctl, s);
	if (s != NULL && s->use != SLOT_FREE)
		sock_publish(s);
	abi->ctl.sock = ctl.sock;
	abi->ctl.gen = ctl.gen;
	abi->ctl.len = ctl.len;
	if ((ctl.op == ABI_CTL_GETSOCKOPT || ctl.op == ABI_CTL_ERRQUEUE) && ret == 0)
		memcpy(abi->ctl.data, ctl.data, ctl.len);
	if (!ch->ctl_waiting)
		ctl_finish(ch, ret);
}
