/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options. Those that only the shim can serve (time-outs, what recvmsg() adds) stay here;
 * booleans that cannot fail go to the engine without waiting for an answer; the rest asks it.
 */
#include "shim/call/packet.h"

#include <linux/filter.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#ifndef SO_TIMESTAMPING_NEW
#define SO_TIMESTAMPING_NEW 65
#endif

#define OPT_SETINT 0x1u /* cannot fail: ABI_OP_SETINT */
#define OPT_LOCAL 0x2u	/* kept here */

struct option {
	int level, name;
	unsigned int kind;
	uint32_t bit; /* OPT_LOCAL: WS_* */
};

static const struct option options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPT_SETINT, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, OPT_SETINT, 0 },
	{ SOL_SOCKET, SO_KEEPALIVE, OPT_SETINT, 0 },
	{ SOL_SOCKET, SO_BROADCAST, OPT_SETINT, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, OPT_SETINT, 0 },
	{ IPPROTO_TCP, TCP_CORK, OPT_SETINT, 0 },
	{ IPPROTO_TCP, TCP_QUICKACK, OPT_SETINT, 0 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPT_LOCAL, WS_V6ONLY },
};

static const struct option *find(int level, int name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	}
	return NULL;
}

static int set_timeout(int64_t *timeout_ns, const void *value, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	*timeout_ns = tv.tv_sec < 0 ? 0 : tv.tv_sec * 1000000000ll + tv.tv_usec * 1000ll;
	return 0;
}

/* One byte is enough for the IP level, and none at all is 0, as in Linux. */
static int int_value(int level, const void *value, socklen_t len, int *out)
{
	if (len >= sizeof(*out))
		memcpy(out, value, sizeof(*out));
	else if (level == IPPROTO_IP)
		*out = len >= 1 ? *(const uint8_t *)value : 0;
	else
		return -EINVAL;
	return 0;
}

static int set_known(struct wsock *ws, const struct option *o, int on)
{
	struct ctl_args args = { .op = ABI_CTL_SETSOCKOPT,
				 .level = (uint32_t)o->level,
				 .optname = (uint32_t)o->name,
				 .in = &on,
				 .in_len = sizeof(on) };
	int err;

	if (o->kind == OPT_LOCAL) {
		if (on)
			atomic_fetch_or(&ws->opts, o->bit);
		else
			atomic_fetch_and(&ws->opts, ~o->bit);
		return 0;
	}
	if (atomic_load(&ws->opts) & WS_QUIET)
		return 0;
	err = ctl_create(ws);
	if (err)
		return err;
	if (o->level == IPPROTO_TCP && o->name == TCP_CORK) {
		atomic_fetch_and(&ws->opts, ~(WS_MORE | WS_CORK));
		atomic_fetch_or(&ws->opts, on ? WS_CORK : 0);
	}
	/* The shards are to have it too, and to have it before the next call. */
	if (wsock_next_shard(ws->shm, 0))
		return ctl_call(ws, &args);
	return submit_sock(ws, ABI_OP_SETINT, (uint16_t)(o->level << 8 | o->name), (uint32_t)on);
}

/* Options that need no answer of the engine. 1: none of these. */
static int set_without_asking(struct wsock *ws, int level, int name, const void *value,
			      socklen_t len)
{
	const struct option *o = find(level, name);
	bool peek = level == SOL_SOCKET && name == SO_PEEK_OFF && ws->family != AF_PACKET;
	int on;
	int err;

	if (!o && !peek && !recvopt_is(level, name))
		return 1;
	err = int_value(level, value, len, &on);
	if (err)
		return err;
	if (peek)
		return recvopt_peek_off(ws, on);
	return o ? set_known(ws, o, on) : recvopt_set(ws, level, name, on);
}

/* What close() has to know. The engine has checked the length. */
static void note_linger(struct wsock *ws, const void *value)
{
	struct linger linger;

	memcpy(&linger, value, sizeof(linger));
	atomic_store(&ws->linger_s, linger.l_onoff ? linger.l_linger : 0);
}

/* The engine took it, and checked its length. */
static void note_set(struct wsock *ws, int name, const void *value)
{
	int flags;

	if (name == SO_LINGER)
		note_linger(ws, value);
	if (name == SO_ZEROCOPY)
		zerocopy_note(ws, *(const uint8_t *)value != 0);
	if (name != SO_TIMESTAMPING && name != SO_TIMESTAMPING_NEW)
		return;
	memcpy(&flags, value, sizeof(flags));
	recvopt_timestamping(ws, name, flags);
}

int call_setsockopt(struct wsock *ws, int level, int name, const void *value, socklen_t len)
{
	struct ctl_args args = { .op = ABI_CTL_SETSOCKOPT };
	int err;

	if (len > INT32_MAX)
		return -EINVAL;
	if (!value && len)
		return -EFAULT;
	if (level == SOL_PACKET && ws->family == AF_PACKET)
		return packet_setsockopt(ws, name, value, len);
	if (level == SOL_SOCKET && name == SO_ATTACH_FILTER)
		return filter_attach(ws, value, len);
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		return set_timeout(&ws->rcv_timeout_ns, value, len);
	if (level == SOL_SOCKET && name == SO_SNDTIMEO)
		return set_timeout(&ws->snd_timeout_ns, value, len);
	if (level == IPPROTO_TCP && ws->type != SOCK_STREAM)
		return -ENOPROTOOPT;
	if (level == IPPROTO_IPV6 && ws->family != AF_INET6)
		return -ENOPROTOOPT;
	known_forget(ws);
	if (level == IPPROTO_UDP)
		return udpopt_set(ws, name, value, len);
	if (level == IPPROTO_IP && name == MCAST_MSFILTER)
		return mcastopt_set_filter(ws, value, len);
	err = set_without_asking(ws, level, name, value, len);
	if (err <= 0)
		return err;
	if (len > ABI_CTL_DATA_BYTES)
		return -EINVAL;
	if (atomic_load(&ws->opts) & WS_QUIET)
		return 0;
	args.level = (uint32_t)level;
	args.optname = (uint32_t)name;
	args.in = value;
	args.in_len = len;
	/* Only now: level means something else in a call that creates. */
	err = ctl_create(ws);
	if (!err)
		err = ctl_call(ws, &args);
	if (!err && level == SOL_SOCKET)
		note_set(ws, name, value);
	/* What it does not know at all (ENOPROTOOPT) the engine names in the log itself. */
	if (err == -EOPNOTSUPP)
		session_notef("setsockopt(level %d, option %d): weir has no such option", level,
			      name);
	return err;
}

static int give(void *value, socklen_t *len, const void *from, socklen_t n)
{
	if (*len > n)
		*len = n;
	memcpy(value, from, *len);
	return 0;
}

static int give_int(void *value, socklen_t *len, int v)
{
	return give(value, len, &v, sizeof(v));
}

/* Of the IP level: one byte, where there is no room for an int. */
static int give_known(int level, void *value, socklen_t *len, int v)
{
	uint8_t byte = (uint8_t)v;

	if (level == IPPROTO_IP && *len > 0 && *len < sizeof(v))
		return give(value, len, &byte, 1);
	return give_int(value, len, v);
}

static int give_timeout(void *value, socklen_t *len, int64_t ns)
{
	struct timeval tv = { ns / 1000000000, ns % 1000000000 / 1000 };

	return give(value, len, &tv, sizeof(tv));
}

static int pending_error(struct wsock *ws)
{
	if (session_is_dead())
		return ws->type == SOCK_STREAM ? ECONNRESET : ENETDOWN;
	if (!ws->shm)
		return 0;
	return wsock_take_error(ws);
}

static int peek_off(const struct wsock *ws)
{
	if (!ws->shm || !(atomic_load(&ws->shm->recv_opts) & ABI_R_PEEK_OFF))
		return -1;
	return (int)atomic_load(&ws->shm->peek_off);
}

/* getpeername(), but that an address for which there is no room is an error. */
static int give_peer_name(struct wsock *ws, void *value, socklen_t *len)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	int err = wsock_getname(ws, true, (struct sockaddr *)(void *)&name, &size);

	if (err)
		return err;
	if (*len > size)
		*len = size;
	else if (*len < size)
		return -EINVAL;
	memcpy(value, &name, *len);
	return 0;
}

/* 1: not an option of the shim's. */
static int get_local(struct wsock *ws, int name, void *value, socklen_t *len)
{
	switch (name) {
	case SO_ERROR:
		return give_int(value, len, pending_error(ws));
	case SO_TYPE:
		return give_int(value, len, ws->type);
	case SO_DOMAIN:
		return give_int(value, len, ws->family);
	case SO_PROTOCOL:
		return give_int(value, len, ws->protocol);
	case SO_ACCEPTCONN:
		return give_int(value, len,
				ws->shm ? !!(atomic_load(&ws->shm->state) & ABI_S_LISTEN)
					: ws->quiet_listen);
	case SO_SNDLOWAT:
		return give_int(value, len, 1);
	case SO_BPF_EXTENSIONS:
		return give_int(value, len, SKF_AD_MAX);
	case SO_RCVTIMEO:
		return give_timeout(value, len, ws->rcv_timeout_ns);
	case SO_SNDTIMEO:
		return give_timeout(value, len, ws->snd_timeout_ns);
	case SO_PEERNAME:
		return give_peer_name(ws, value, len);
	case SO_PEERCRED: /* nobody's, as of any socket that is not AF_UNIX */
		return give(value, len, &(struct ucred){ 0, (uid_t)-1, (gid_t)-1 },
			    sizeof(struct ucred));
	case SO_PEEK_OFF:
		if (ws->family == AF_PACKET)
			return 1;
		return give_int(value, len, peek_off(ws));
	default:
		return 1;
	}
}

static bool level_is_there(const struct wsock *ws, int level)
{
	return level == SOL_SOCKET || level == IPPROTO_IP || level == ws->protocol ||
	       (level == SOL_RAW && ws->type == SOCK_RAW) ||
	       (level == IPPROTO_IPV6 && ws->family == AF_INET6);
}

int call_getsockopt(struct wsock *ws, int level, int name, void *value, socklen_t *len)
{
	struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT };
	const struct option *o = find(level, name);
	int err;

	if (!value || !len)
		return -EFAULT;
	if (*len > INT32_MAX)
		return -EINVAL;
	if (level == SOL_PACKET && ws->family == AF_PACKET)
		return packet_getsockopt(ws, name, value, len);
	if (!level_is_there(ws, level))
		return -EOPNOTSUPP;
	if (level == SOL_SOCKET) {
		err = get_local(ws, name, value, len);
		if (err <= 0)
			return err;
	}
	if (level == IPPROTO_IPV6 && ws->family != AF_INET6)
		return -EOPNOTSUPP;
	if (o && o->kind == OPT_LOCAL)
		return give_int(value, len, !!(atomic_load(&ws->opts) & o->bit));
	if (level == IPPROTO_UDP) {
		err = udpopt_get(ws, name);
		return err < 0 ? err : give_int(value, len, err);
	}
	if (level == IPPROTO_IP && (name == IP_MSFILTER || name == MCAST_MSFILTER))
		return mcastopt_get_filter(ws, name, value, len);
	if (recvopt_is(level, name))
		return give_known(level, value, len, recvopt_get(ws, level, name));
	if (level == IPPROTO_TCP && ws->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (atomic_load(&ws->opts) & WS_QUIET)
		return give_int(value, len, 0);
	err = ctl_create(ws);
	if (err)
		return err;
	args.level = (uint32_t)level;
	args.optname = (uint32_t)name;
	args.out = value;
	args.out_len = *len;
	err = ctl_call(ws, &args);
	/* A TIME_WAIT is no socket's any more in Linux. */
	if (!err && level == IPPROTO_TCP && name == TCP_INFO && args.out_len &&
	    *(uint8_t *)value == TCP_TIME_WAIT)
		*(uint8_t *)value = TCP_CLOSE;
	if (!err || (err == -EINVAL && level == IPPROTO_TCP && name == TCP_SAVED_SYN))
		*len = args.out_len;
	if (err == -EOPNOTSUPP)
		session_notef("getsockopt(level %d, option %d): weir has no such option", level,
			      name);
	return err;
}
