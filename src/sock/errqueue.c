/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The error queue of a socket [sk_error_queue]: what ICMP errors and our own say about datagrams
 * that were sent (IP_RECVERR). Records in a ring of our own memory, made when the option is set; a
 * full one loses the newest, as Linux's does. Programs take entries by ABI_CTL_ERRQUEUE.
 *
 * And which sends with MSG_ZEROCOPY are complete (SO_ZEROCOPY): each has a number, and an entry
 * tells of a range of them. The shim copies what it sends, so they are complete when they return,
 * and each is told as copied. None of these is lost: what has no room waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <linux/errqueue.h>

#include "sock/sock_priv.h"
#include "wire/app_ring.h"
#include "wire/ip4.h"

#define ERRQUEUE_BYTES 16384u	/* power of two */
#define ERRQUEUE_PART_MAX 4096u /* rings of one family on one worker */
#define ERRQUEUE_PAYLOAD (ABI_CTL_DATA_BYTES - sizeof(struct abi_error))

/* A socket has no room for a pointer to it, and few have one. */
struct errqueue {
	struct errqueue *next;	    /* in its bucket */
	uint32_t sock;		    /* number of its socket */
	uint32_t head, tail;	    /* run freely */
	uint32_t last;		    /* where the newest entry begins, if any is there */
	uint32_t zc_first, zc_next; /* complete and not told yet: from, and behind */
	uint8_t ring[ERRQUEUE_BYTES];
};

static uint32_t record_space(uint32_t payload)
{
	return (uint32_t)(sizeof(struct abi_error) + payload + 7) & ~7u;
}

static struct errqueue **errqueue_link(const struct sock *s)
{
	struct errqueue **link = &s->part->errqueues[s->index % SOCK_ERRQUEUE_BUCKETS];

	while (*link != NULL && (*link)->sock != s->index)
		link = &(*link)->next;
	return link;
}

int errqueue_open(struct sock *s)
{
	struct errqueue **link = errqueue_link(s);

	if (*link != NULL)
		return 0;
	if (s->part->errqueue_count == ERRQUEUE_PART_MAX)
		return -ENOBUFS;
	*link = malloc(sizeof(**link));
	if (*link == NULL)
		return -ENOBUFS;
	(*link)->next = NULL;
	(*link)->sock = s->index;
	(*link)->head = (*link)->tail = 0;
	(*link)->zc_first = (*link)->zc_next = 0;
	s->part->errqueue_count++;
	return 0;
}

void errqueue_close(struct sock *s)
{
	struct errqueue **link = errqueue_link(s), *q = *link;

	if (q == NULL)
		return;
	*link = q->next;
	free(q);
	s->part->errqueue_count--;
	s->state &= ~ABI_S_ERRQ;
}

bool errqueue_in_use(const struct sock *s)
{
	const struct errqueue *q = *errqueue_link(s);

	return q != NULL && (q->head != q->tail || q->zc_next != 0);
}

void errqueue_purge(struct sock *s)
{
	struct errqueue *q = *errqueue_link(s);
	uint32_t from, end;
	struct abi_error e;

	if (q == NULL || q->head == q->tail)
		return;
	from = q->head;
	end = q->tail;
	q->tail = q->head;
	for (; from != end; from += record_space(e.len_bytes)) {
		app_ring_read(&e, q->ring, ERRQUEUE_BYTES, from, sizeof(e));
		if (e.origin != SO_EE_ORIGIN_ZEROCOPY)
			continue;
		app_ring_write(q->ring, ERRQUEUE_BYTES, q->tail, &e, sizeof(e));
		q->last = q->tail;
		q->tail += record_space(0);
	}
	if (q->head == q->tail)
		s->state &= ~ABI_S_ERRQ;
	sock_mark(s, 0);
}

void errqueue_put(struct sock *s, const struct abi_error *e, const void *payload)
{
	struct errqueue *q = *errqueue_link(s);
	uint32_t space = record_space(e->len_bytes);

	if (q == NULL || space > ERRQUEUE_BYTES - (q->tail - q->head))
		return;
	app_ring_write(q->ring, ERRQUEUE_BYTES, q->tail, e, sizeof(*e));
	app_ring_write(q->ring, ERRQUEUE_BYTES, q->tail + (uint32_t)sizeof(*e), payload,
		       e->len_bytes);
	q->last = q->tail;
	q->tail += space;
	s->state |= ABI_S_ERRQ;
	/* The pending error is there at once, and who sees that looks here. */
	sock_publish(s);
	sock_mark(s, ABI_EV_ERR | ABI_EV_PRI);
}

/* The newest entry is of the sends just before: it grows [skb_zerocopy_notify_extend]. */
static bool zerocopy_extend(struct errqueue *q)
{
	struct abi_error e;

	if (q->head == q->tail)
		return false;
	app_ring_read(&e, q->ring, ERRQUEUE_BYTES, q->last, sizeof(e));
	if (e.origin != SO_EE_ORIGIN_ZEROCOPY || e.data + 1 != q->zc_first)
		return false;
	e.data = q->zc_next - 1;
	app_ring_write(q->ring, ERRQUEUE_BYTES, q->last, &e, sizeof(e));
	return true;
}

static void zerocopy_tell(struct sock *s, struct errqueue *q)
{
	struct abi_error e = { .origin = SO_EE_ORIGIN_ZEROCOPY,
			       .code = SO_EE_CODE_ZEROCOPY_COPIED,
			       .info = q->zc_first,
			       .data = q->zc_next - 1 };

	if (q->zc_first == q->zc_next)
		return;
	if (zerocopy_extend(q)) {
		sock_mark(s, ABI_EV_ERR | ABI_EV_PRI);
	} else {
		if (record_space(0) > ERRQUEUE_BYTES - (q->tail - q->head))
			return;
		errqueue_put(s, &e, &e);
	}
	q->zc_first = q->zc_next;
}

void errqueue_zerocopy(struct sock *s, uint32_t n)
{
	struct errqueue *q = *errqueue_link(s);

	if (q == NULL)
		return;
	q->zc_next += n;
	zerocopy_tell(s, q);
}

static void of_icmp(const struct pkt *p, struct abi_error *e)
{
	const struct ip4_hdr *ip = pkt_header(p, p->l3, sizeof(*ip));

	if (ip == NULL)
		return;
	e->ttl = ip->ttl;
	e->tos = ip->tos;
	e->local = ipaddr_from_ip4(ip->dst_be);
	e->ifindex = p->ifindex;
}

void errqueue_net_error(struct sock *s, const struct net_error *net)
{
	struct worker *w = s->part->w;
	struct abi_error e = {
		.error = (uint32_t)net->error,
		.origin = net->from,
		.type = net->type,
		.code = net->code,
		.info = net->info,
		.offender = net->offender,
		.addr = net->remote,
		.stamp_ns = w->now_ns + w->wall_offset_ns,
	};
	uint8_t payload[ERRQUEUE_PAYLOAD];

	if (s->use != SLOT_RAW) /* which has no ports */
		memcpy(&e.port_be, net->l4 + 2, sizeof(e.port_be));
	if (net->p != NULL) {
		of_icmp(net->p, &e);
		e.wire_bytes = pkt_len_from(net->p, net->data_at);
		e.len_bytes =
			(uint16_t)(e.wire_bytes < sizeof(payload) ? e.wire_bytes : sizeof(payload));
		pkt_copy_out(net->p, net->data_at, payload, e.len_bytes);
	}
	errqueue_put(s, &e, payload);
}

/* As Linux: while the next one tells of an ICMP error, that is the pending error. */
static void pending_error(struct sock *s, const struct errqueue *q, bool was_icmp)
{
	struct abi_error next;

	if (q->head != q->tail) {
		app_ring_read(&next, q->ring, ERRQUEUE_BYTES, q->head, sizeof(next));
		if (next.origin == SO_EE_ORIGIN_ICMP) {
			sock_set_error(s, (int)next.error);
			return;
		}
	} else {
		s->state &= ~ABI_S_ERRQ;
		sock_mark(s, 0);
	}
	if (was_icmp)
		sock_set_error(s, 0);
}

int errqueue_take(struct sock *s, void *data, uint32_t *len)
{
	struct errqueue *q = *errqueue_link(s);
	struct abi_error e;

	if (q == NULL || q->head == q->tail)
		return -EAGAIN;
	app_ring_read(&e, q->ring, ERRQUEUE_BYTES, q->head, sizeof(e));
	*len = (uint32_t)sizeof(e) + e.len_bytes;
	app_ring_read(data, q->ring, ERRQUEUE_BYTES, q->head, *len);
	q->head += record_space(e.len_bytes);
	zerocopy_tell(s, q);
	pending_error(s, q, e.origin == SO_EE_ORIGIN_ICMP);
	return 0;
}
