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

static int ctl_bind(struct sock *s, const struct endpoint *at)
{
	if (!ipaddr_is_any(&at->addr) && !ipaddr_is_ip4(&at->addr))
		return -EADDRNOTAVAIL;
	if (s->use != SLOT_STREAM && s->use != SLOT_DGRAM)
		return -EINVAL;
	return s->use == SLOT_STREAM ? stream_bind(s, at) : dgram_bind(s, at);
}

static int ctl_connect(struct sock *s, struct endpoint *to, uint16_t flags)
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

static int ctl_shutdown(struct sock *s, uint32_t how)
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

static int ctl_do(struct channel *ch, struct abi_ctl *ctl, struct sock *s)
{
	struct endpoint at = { .addr = ctl->addr, .port_be = ctl->port_be };
	int ret = 0;

	switch (ctl->op) {
	case ABI_CTL_OPEN:
		break;
	case ABI_CTL_BIND:
		if (s->use == SLOT_PACKET) {
			ret = packet_bind(s, ctl->optname, ctl->port_be);
			break;
		}
		if (s->use == SLOT_RAW) {
			ret = raw_bind(s, &at);
			break;
		}
		ret = ctl_bind(s, &at);
		/* A port that was not asked for by number is of the worker's own share. One that is
		 * in use may be so by what was closed on another worker just now. */
		if ((ret == 0 || ret == -EADDRINUSE) && shard_bind_wanted(s) &&
		    (s->use == SLOT_DGRAM || at.port_be != 0))
			ret = shard_request(s, ch, SHARD_BIND, &at);
		break;
	case ABI_CTL_CONNECT:
		if (s->use == SLOT_PACKET)
			return -EOPNOTSUPP;
		if (s->use == SLOT_RAW) {
			ret = raw_connect(s, &at);
			break;
		}
		if (unlistens(s, ctl)) {
			ret = shard_request(s, ch, SHARD_UNLISTEN, &at);
			break;
		}
		ret = ctl_connect(s, &at, ctl->flags);
		if (ret == 0 && s->use == SLOT_DGRAM && s->shard_next != ABI_SOCK_NONE)
			ret = shard_request(s, ch, SHARD_CONNECT, &at);
		break;
	case ABI_CTL_LISTEN:
		if (s->use != SLOT_STREAM)
			return -EOPNOTSUPP;
		ret = stream_listen(s, ctl->optname);
		if (ret == 0 && shard_wanted(s))
			ret = shard_request(s, ch, SHARD_LISTEN, &at);
		break;
	case ABI_CTL_SHUTDOWN:
		ret = unlistens(s, ctl) ? shard_request(s, ch, SHARD_UNLISTEN, &at)
					: ctl_shutdown(s, ctl->optname);
		break;
	case ABI_CTL_SETSOCKOPT:
		if (ctl->len > sizeof(ctl->data))
			return -EINVAL;
		if (siblings_have(s, ctl))
			ret = shard_request_option(s, ch, ctl);
		else
			ret = option_set(s, ctl->level, ctl->optname, ctl->data, ctl->len);
		break;
	case ABI_CTL_GETSOCKOPT:
		if (ctl->len > sizeof(ctl->data))
			ctl->len = sizeof(ctl->data);
		ret = option_get(s, ctl->level, ctl->optname, ctl->data, &ctl->len);
		break;
	case ABI_CTL_RING:
		ret = stream_need_tx(s);
		break;
	case ABI_CTL_LINGER:
		ret = s->use == SLOT_STREAM  ? stream_linger(s)
		      : s->use == SLOT_DGRAM ? dgram_leave(s, ch)
					     : -EOPNOTSUPP;
		break;
	case ABI_CTL_SEND_CHECK:
		ret = ctl_send_check(s, ctl);
		break;
	case ABI_CTL_ERRQUEUE:
		ret = errqueue_take(s, ctl->data, &ctl->len);
		break;
	case ABI_CTL_FILTER:
		if (ctl->len > sizeof(ctl->data))
			return -EINVAL;
		ret = s->use == SLOT_STREAM
			      ? (filter_is_locked(s) ? -EPERM : -EOPNOTSUPP)
			      : filter_piece(s, ctl->level, ctl->optname, ctl->data, ctl->len);
		break;
	case ABI_CTL_SEND:
		ret = s->use == SLOT_PACKET ? packet_flush(s)
		      : s->use == SLOT_RAW  ? raw_flush(s)
					    : -EOPNOTSUPP;
		break;
	default:
		sock_broken(ch->part, "a control request's operation is unknown");
		ret = -EINVAL;
	}
	if (ret == 0 && s->use == SLOT_DGRAM && s->shard_next != ABI_SOCK_NONE && sets_filter(ctl))
		ret = shard_request(s, ch, SHARD_BELOW, &at);
	/* Packets of all workers are such a socket's. */
	if (ret == 0 && s->use >= SLOT_RAW && shard_below_wanted(s) &&
	    ctl->op != ABI_CTL_GETSOCKOPT && ctl->op != ABI_CTL_SEND && ctl->op != ABI_CTL_ERRQUEUE)
		ret = shard_request(s, ch, SHARD_BELOW, &at);
	return ret;
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
