/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time stamps of datagrams that were sent (SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_*): entries of the
 * error queue [skb_tstamp_tx]. Scheduled (TX_SCHED) and sent (TX_SOFTWARE) are one moment here: the
 * turn in which the engine took the datagram and gave it to its port. What is quoted begins with
 * the Ethernet header, as there; so much as an entry of the queue has room for.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "sock/sock_priv.h"
#include "wire/byteorder.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#define QUOTED_BYTES 900u /* of an entry, which goes through a control slot */

struct quoted_headers {
	struct eth_hdr eth;
	struct ip4_hdr ip;
	struct udp_hdr udp;
} __attribute__((packed));

/* SOF_TIMESTAMPING_TX_SOFTWARE, _SCHED: of this datagram, else of the socket. */
static uint32_t wanted(const struct sock *s, const struct abi_dgram *d)
{
	uint32_t stamps = (uint32_t)s->opt->timestamping;

	if (d->flags & ABI_DGRAM_STAMP)
		stamps = (d->flags & ABI_DGRAM_STAMP_SND ? SOF_TIMESTAMPING_TX_SOFTWARE : 0) |
			 (d->flags & ABI_DGRAM_STAMP_SCHED ? SOF_TIMESTAMPING_TX_SCHED : 0);
	return stamps & (SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED);
}

static void headers_fill(const struct sock *s, const struct udp_send *send, uint32_t len,
			 struct quoted_headers *h)
{
	const struct udp_pcb *pcb = s->udp;
	const struct ip_flow *flow = &pcb->flow;

	memset(h, 0, sizeof(*h));
	if (flow->port != NULL)
		memcpy(h->eth.src, flow->port->mac, sizeof(h->eth.src));
	h->eth.type_be = WIRE_BE16(ETH_TYPE_IP4);
	h->ip.version_ihl = 0x45;
	h->ip.tos = flow->tos;
	h->ip.len_be = host_to_be16((uint16_t)(sizeof(h->ip) + sizeof(h->udp) + len));
	h->ip.ttl = flow->hops;
	h->ip.proto = IP_PROTO_UDP;
	h->ip.src_be = ipaddr_ip4(&flow->src);
	h->ip.dst_be = ipaddr_ip4(&flow->dst);
	h->ip.csum_be = csum_of(&h->ip, sizeof(h->ip));
	h->udp.src_port_be = pcb->local.port_be;
	h->udp.dst_port_be = send->to != NULL ? send->to->port_be : pcb->remote.port_be;
	h->udp.len_be = host_to_be16((uint16_t)(sizeof(h->udp) + len));
}

static uint16_t quote(const struct sock *s, const struct udp_send *send, uint8_t *out)
{
	uint32_t room = QUOTED_BYTES - (uint32_t)sizeof(struct quoted_headers);
	uint32_t first = send->len[0] < room ? send->len[0] : room;
	uint32_t second = send->len[1] < room - first ? send->len[1] : room - first;
	struct quoted_headers h;

	headers_fill(s, send, send->len[0] + send->len[1], &h);
	memcpy(out, &h, sizeof(h));
	out += sizeof(h);
	memcpy(out, send->run[0], first);
	if (second != 0)
		memcpy(out + first, send->run[1], second);
	return (uint16_t)(sizeof(h) + first + second);
}

void txstamp_sent(struct sock *s, const struct abi_dgram *d, const struct udp_send *send)
{
	uint32_t flags = (uint32_t)s->opt->timestamping, stamps = wanted(s, d);
	const struct worker *w = s->part->w;
	struct abi_error e = { .error = ENOMSG, .origin = SO_EE_ORIGIN_TIMESTAMPING };
	uint8_t quoted[QUOTED_BYTES];

	if (stamps == 0)
		return;
	if (flags & SOF_TIMESTAMPING_OPT_ID)
		e.data = s->udp->stamp_key++;
	if (flags & SOF_TIMESTAMPING_SOFTWARE)
		e.stamp_ns = w->now_ns + w->wall_offset_ns;
	if (!(flags & SOF_TIMESTAMPING_OPT_TSONLY)) {
		e.len_bytes = quote(s, send, quoted);
		e.wire_bytes = (uint32_t)sizeof(struct quoted_headers) + d->len_bytes;
	}
	if (stamps & SOF_TIMESTAMPING_TX_SCHED) {
		e.info = SCM_TSTAMP_SCHED;
		errqueue_put(s, &e, quoted);
	}
	if (stamps & SOF_TIMESTAMPING_TX_SOFTWARE) {
		e.info = SCM_TSTAMP_SND;
		errqueue_put(s, &e, quoted);
	}
}
