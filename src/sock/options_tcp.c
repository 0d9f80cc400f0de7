/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of TCP that are more than one int with bounds, as tcp(7) and Linux have them. What weir
 * has no use for is refused as Linux refuses it where it was built without, or where the caller
 * may not: never taken in silence.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <string.h>

#include "inet/tcp/info.h"
#include "inet/tcp/params.h"
#include "sock/options.h"

#define LINGER2_MAX_S 120     /* [TCP_FIN_TIMEOUT_MAX] */
#define MSS_MIN 88	      /* [TCP_MIN_MSS] */
#define WINDOW_CLAMP_MIN 1152 /* [SOCK_MIN_RCVBUF / 2] */
#define SYNACK_MAX_S 120      /* between two SYN,ACKs [TCP_RTO_MAX] */

/* Any length but none is right, as in Linux; what is too long for a name is cut. */
static int congestion_set(struct sock *s, const void *data, uint32_t len)
{
	char name[TCP_CONGESTION_NAME_BYTES] = "";
	int ret;

	if (len == 0)
		return -EINVAL;
	memcpy(name, data, len < sizeof(name) ? len : sizeof(name) - 1);
	if (options_own(s) == NULL)
		return -ENOBUFS;
	ret = tcp_congestion_set(s->part->w, s->tcp, name, sizeof(name));
	if (ret == 0)
		memcpy(s->opt->congestion, name, sizeof(name));
	return ret;
}

/* Of a socket that may become a listener; two keys: the second is what the first was before. */
static int fastopen_key_set(struct sock *s, const void *data, uint32_t len)
{
	struct sock_options *o;

	if (len != TCP_FASTOPEN_KEY_BYTES && len != 2 * TCP_FASTOPEN_KEY_BYTES)
		return -EINVAL;
	o = options_own(s);
	if (o == NULL)
		return -ENOBUFS;
	memcpy(o->fastopen_keys, data, len);
	o->fastopen_keys_bytes = len;
	options_apply(s);
	return 0;
}

static int saved_syn_get(struct sock *s, void *data, uint32_t *len)
{
	if (s->tcp == NULL || s->state & ABI_S_LISTEN) {
		*len = 0;
		return 0;
	}
	return tcp_saved_syn_take(s->part->w, s->tcp, data, len);
}

static int congestion_get(struct sock *s, void *data, uint32_t *len)
{
	char name[TCP_CONGESTION_NAME_BYTES] = "";

	strcpy(name,
	       s->tcp != NULL ? tcp_congestion_name(s->tcp) : tcp_congestion_default(s->part->w));
	return give(data, len, name, sizeof(name));
}

static int cc_info_get(struct sock *s, void *data, uint32_t *len)
{
	union tcp_cc_info info;
	uint32_t bytes = 0;

	memset(&info, 0, sizeof(info));
	if (s->tcp != NULL)
		bytes = tcp_congestion_info(s->tcp, &info, sizeof(info));
	return give(data, len, &info, bytes);
}

/* TCP_DEFER_ACCEPT is told in seconds and kept as so many time-outs of the SYN,ACK, which double
 * from 1 s on: when the n-th of them is over. */
static int32_t synack_seconds(int32_t n)
{
	int32_t total = 0, next = 1;

	for (; n > 0; n--) {
		total += next;
		next = next * 2 < SYNACK_MAX_S ? next * 2 : SYNACK_MAX_S;
	}
	return total;
}

static int32_t synack_timeouts(int32_t seconds)
{
	int32_t n = 0;

	while (n < 255 && synack_seconds(n) < seconds)
		n++;
	return n;
}

static int window_clamp_set(struct sock *s, int32_t value)
{
	bool fresh = !(s->state & (ABI_S_LISTEN | ABI_S_CONNECTING | ABI_S_CONNECTED));

	if (value == 0 && !fresh)
		return -EINVAL;
	s->opt->window_clamp = value != 0 && value < WINDOW_CLAMP_MIN ? WINDOW_CLAMP_MIN : value;
	return 0;
}

/* Of a socket that is not being moved elsewhere, which none is: who may not gets EPERM. */
static int repair_set(struct sock *s, uint32_t name)
{
	bool closed = !(s->state & (ABI_S_LISTEN | ABI_S_CONNECTING | ABI_S_CONNECTED));

	if (name == TCP_REPAIR_OPTIONS || (name == TCP_QUEUE_SEQ && closed))
		return -EINVAL;
	return -EPERM;
}

/* An int that is kept as another. */
static int adjusted_set(struct sock *s, uint32_t name, int32_t value)
{
	struct sock_options *o = options_own(s);
	int ret = 0;

	if (o == NULL)
		return -ENOBUFS;
	switch (name) {
	case TCP_LINGER2:
		o->linger2 = value < 0 ? -1 : value > LINGER2_MAX_S ? LINGER2_MAX_S : value;
		break;
	case TCP_DEFER_ACCEPT:
		o->defer_accept = synack_timeouts(value);
		break;
	case TCP_WINDOW_CLAMP:
		ret = window_clamp_set(s, value);
		break;
	case TCP_MAXSEG:
		if (value != 0 && (value < MSS_MIN || value > 32767))
			return -EINVAL;
		o->max_seg = value;
		break;
	default:
		break;
	}
	if (ret == 0)
		options_changed(s);
	return ret;
}

int tcp_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	int32_t value = 0;

	if (name == TCP_CONGESTION)
		return congestion_set(s, data, len);
	if (name == TCP_FASTOPEN_KEY)
		return fastopen_key_set(s, data, len);
	if (name == TCP_ULP) /* upper layers, as "tls": none is there */
		return len < 1 ? -EINVAL : -ENOENT;
	if (len < sizeof(value))
		return -EINVAL;
	memcpy(&value, data, sizeof(value));
	switch (name) {
	case TCP_LINGER2:
	case TCP_DEFER_ACCEPT:
	case TCP_WINDOW_CLAMP:
	case TCP_MAXSEG:
		return adjusted_set(s, name, value);
	case TCP_QUICKACK:
		if (s->tcp != NULL)
			tcp_quickack_set(s->part->w, s->tcp, value);
		return 0;
	case TCP_REPAIR:
	case TCP_REPAIR_QUEUE:
	case TCP_QUEUE_SEQ:
	case TCP_REPAIR_OPTIONS:
	case TCP_REPAIR_WINDOW:
		return repair_set(s, name);
	case TCP_TIMESTAMP:
		return -EPERM; /* in repair only */
	default:
		return NOT_MINE;
	}
}

static int info_get(struct sock *s, void *data, uint32_t *len)
{
	/* TCP_CLOSE, where the pcb is gone */
	struct tcp_info_full info = { .known = { .tcpi_state = 7 } };

	if (s->tcp != NULL)
		tcp_get_info(s->part->w, s->tcp, &info, sizeof(info));
	if (s->state & ABI_S_LISTEN) { /* of its accept queue: what waits, and how many may */
		info.known.tcpi_unacked = accept_waiting(s);
		info.known.tcpi_sacked = s->backlog;
	}
	return give(data, len, &info, sizeof(info));
}

static int maxseg_get(struct sock *s, void *data, uint32_t *len)
{
	struct tcp_info info;

	if (s->tcp == NULL || !(s->state & ABI_S_CONNECTED))
		return give_int(data, len, s->opt->max_seg != 0 ? s->opt->max_seg : 536);
	tcp_get_info(s->part->w, s->tcp, &info, sizeof(info));
	return give_int(data, len, (int32_t)info.tcpi_snd_mss);
}

/* What was not set is the parameter. */
static int32_t or_param(int32_t value, int32_t param)
{
	return value != 0 ? value : param;
}

static int32_t rcv_space(const struct sock *s)
{
	return (int32_t)tcp_public(s->tcp)->rcv_space_bytes;
}

static int adjusted_get(const struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	const struct tcp_params *p = tcp_params(s->part->w);
	const struct sock_options *o = s->opt;

	switch (name) {
	case TCP_KEEPIDLE:
		return give_int(data, len, or_param(o->keep_idle, p->tcp_keepalive_time));
	case TCP_KEEPINTVL:
		return give_int(data, len, or_param(o->keep_interval, p->tcp_keepalive_intvl));
	case TCP_KEEPCNT:
		return give_int(data, len, or_param(o->keep_count, p->tcp_keepalive_probes));
	case TCP_SYNCNT:
		return give_int(data, len, or_param(o->syncnt, p->tcp_syn_retries));
	case TCP_LINGER2:
		return give_int(data, len, or_param(o->linger2, p->tcp_fin_timeout));
	case TCP_DEFER_ACCEPT: /* of a listener only */
		return give_int(data, len, s->accepted ? 0 : synack_seconds(o->defer_accept));
	case TCP_WINDOW_CLAMP:
		if (s->tcp == NULL || !(s->state & ABI_S_CONNECTED))
			return NOT_MINE;
		return give_int(data, len, or_param(o->window_clamp, rcv_space(s)));
	case TCP_THIN_DUPACK: /* taken and without effect, since Linux 4.12 */
		return give_int(data, len, 0);
	default:
		return NOT_MINE;
	}
}

int tcp_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	switch (name) {
	case TCP_INFO:
		return info_get(s, data, len);
	case TCP_CONGESTION:
		return congestion_get(s, data, len);
	case TCP_CC_INFO:
		return cc_info_get(s, data, len);
	case TCP_MAXSEG:
		return maxseg_get(s, data, len);
	case TCP_QUICKACK:
		return give_int(data, len, s->tcp == NULL || tcp_quickack_get(s->tcp));
	case TCP_ULP:
		*len = 0;
		return 0;
	case TCP_SAVED_SYN:
		return saved_syn_get(s, data, len);
	case TCP_FASTOPEN_KEY:
		return give(data, len, s->opt->fastopen_keys, s->opt->fastopen_keys_bytes);
	case TCP_REPAIR:
		return give_int(data, len, 0);
	case TCP_REPAIR_QUEUE:
	case TCP_QUEUE_SEQ:
		return -EINVAL;
	case TCP_REPAIR_WINDOW:
		return -EPERM;
	case TCP_TIMESTAMP:
		return give_int(data, len, (int32_t)tcp_timestamp(s->part->w, s->tcp));
	default:
		return adjusted_get(s, name, data, len);
	}
}
