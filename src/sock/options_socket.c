/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the level SOL_SOCKET that are not one int of the table. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/sock_diag.h>

#include "dev/port.h"
#include "inet/tcp/params.h"
#include "sock/options.h"
#include "sock/packet.h"
#include "wire/app_ring.h"

/* Linux doubles what is asked for (book-keeping) and gives the double back. */
static int buffer_set(struct sock *s, uint32_t name, int32_t value)
{
	bool dgram = s->use != SLOT_STREAM, send = name == SO_SNDBUF || name == SO_SNDBUFFORCE;
	uint32_t most = send ? SOCK_BUFFER_MAX_BYTES : (uint32_t)tcp_params(s->part->w)->rmem_max;
	uint32_t bytes = (uint32_t)value < most ? (uint32_t)value : most;

	if (send) {
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
		s->rx_asked = true;
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

/* ---- the interface ---- */

/* Who is bound already may be bound anew, or loosed, by those with privileges alone. */
static int bind_to(struct sock *s, int32_t ifindex)
{
	if (s->opt->bound_if != 0 && !s->part->family->net_raw)
		return -EPERM;
	if (ifindex < 0)
		return -EINVAL;
	s->opt->bound_if = ifindex;
	options_changed(s);
	return 0;
}

/* The name may lack its zero; an empty one looses. */
static int device_set(struct sock *s, const void *data, uint32_t len)
{
	char name[IF_NAMESIZE] = "";
	unsigned int ifindex;

	memcpy(name, data, len < sizeof(name) - 1 ? len : sizeof(name) - 1);
	ifindex = inet_ifindex(s->part->w, name);
	return ifindex == 0 && name[0] != '\0' ? -ENODEV : bind_to(s, (int32_t)ifindex);
}

static int device_get(struct sock *s, void *data, uint32_t *len)
{
	const struct port *port;

	if (s->opt->bound_if == 0) {
		*len = 0;
		return 0;
	}
	if (*len < IF_NAMESIZE)
		return -EINVAL;
	port = inet_netif_port(s->part->w, (unsigned int)s->opt->bound_if);
	if (port == NULL)
		return -ENODEV;
	return give(data, len, port->name, (uint32_t)strlen(port->name) + 1);
}

int socket_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	int32_t value = 0;

	if (len >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	if (len < sizeof(value) && name != SO_BINDTODEVICE)
		return -EINVAL; /* even where there is no such option, as in Linux */
	if (options_own(s) == NULL)
		return -ENOBUFS;
	switch (name) {
	case SO_BINDTODEVICE:
		return device_set(s, data, len);
	case SO_BINDTOIFINDEX:
		return bind_to(s, value);
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
	case SO_MEMINFO:
	case SO_PEERNAME:
	case SO_PEERCRED:
		return -ENOPROTOOPT;
	default:
		return NOT_MINE;
	}
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

static int32_t rcvbuf_of(const struct sock *s)
{
	if (s->use == SLOT_STREAM && s->tcp != NULL && s->rx_want_bytes == 0)
		return (int32_t)tcp_public(s->tcp)->rcv_space_bytes;
	if (s->use != SLOT_STREAM && !s->rx_asked)
		return (int32_t)s->rx_want_bytes; /* rmem_default, of when it was opened */
	return s->opt->rcvbuf;
}

static int32_t sndbuf_of(const struct sock *s)
{
	if (s->use == SLOT_STREAM && !s->tx_locked)
		return (int32_t)stream_tx_size(s);
	return s->opt->sndbuf;
}

/* What lies in its buffers, as bytes of payload (and records' headers): weir has no other. */
static int meminfo_get(const struct sock *s, void *data, uint32_t *len)
{
	uint32_t info[SK_MEMINFO_VARS] = {
		[SK_MEMINFO_RMEM_ALLOC] = s->state & ABI_S_LISTEN ? 0 : app_sock_rx_used(s->abi),
		[SK_MEMINFO_RCVBUF] = (uint32_t)rcvbuf_of(s),
		[SK_MEMINFO_SNDBUF] = (uint32_t)sndbuf_of(s),
	};
	uint32_t size = atomic_load_explicit(&s->abi->tx_size_bytes, memory_order_relaxed);

	info[SK_MEMINFO_WMEM_ALLOC] = size - app_sock_tx_free(s->abi);
	if (s->use == SLOT_STREAM)
		info[SK_MEMINFO_WMEM_QUEUED] = info[SK_MEMINFO_WMEM_ALLOC];
	if (s->use == SLOT_DGRAM)
		info[SK_MEMINFO_DROPS] = s->udp->drops;
	return give(data, len, info, sizeof(info));
}

int socket_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	struct linger linger = { .l_onoff = s->opt->linger, .l_linger = s->opt->linger_s };

	switch (name) {
	case SO_BINDTODEVICE:
		return device_get(s, data, len);
	case SO_BINDTOIFINDEX:
		return give_int(data, len, s->opt->bound_if);
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
		return give_int(data, len, rcvbuf_of(s));
	case SO_SNDBUF:
		return give_int(data, len, sndbuf_of(s));
	case SO_MEMINFO:
		return meminfo_get(s, data, len);
	case SO_PRIORITY:
		return s->accepted ? give_int(data, len, 0) : NOT_MINE;
	case SO_LOCK_FILTER:
		return give_int(data, len, filter_is_locked(s));
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
