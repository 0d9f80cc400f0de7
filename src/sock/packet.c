/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet sockets, packet(7). They listen at two stages: frames as a port received them,
 * before any protocol looks at them, and frames as they go to a port. Each that a socket's filter
 * accepts is copied into its ring; what finds no room there is lost to this socket alone, and
 * counted. The loop port's packets have no Ethernet header: one of zeros is put in front, as Linux
 * has it. A VLAN tag is taken out of a received frame, and told beside it, as Linux does.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/packet.h"
#include "wire/eth.h"

#define VLAN_STATUS (TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID)

/* ---- seeing ---- */

/* A frame that goes by, and what is told of it. */
struct seen {
	struct filter_packet fp;
	struct abi_packet header;
	uint8_t prefix[ETH_HDR_BYTES];
	bool outgoing;
};

static void seen_loop(struct seen *f, const struct pkt *p)
{
	memset(f->prefix, 0, sizeof(f->prefix));
	f->prefix[12] = ETH_P_IP >> 8;
	f->prefix[13] = ETH_P_IP & 0xff;
	f->fp.prefix = f->prefix;
	f->fp.prefix_bytes = ETH_HDR_BYTES;
	f->fp.protocol = ETH_P_IP;
	f->fp.hatype = ARPHRD_LOOPBACK;
	f->fp.pkttype = PACKET_HOST;
	f->fp.len_bytes = ETH_HDR_BYTES + pkt_len(p);
}

/* The tag goes from the frame into the description. */
static void seen_vlan(struct seen *f, const struct pkt *p)
{
	uint8_t tag[ETH_VLAN_BYTES];

	if (pkt_len(p) < ETH_HDR_BYTES + ETH_VLAN_BYTES)
		return;
	pkt_copy_out(p, p->mbuf.data_off + 12u, tag, sizeof(tag));
	f->fp.vlan_present = true;
	f->fp.vlan_tpid = (uint16_t)(tag[0] << 8 | tag[1]);
	f->fp.vlan_tci = (uint16_t)(tag[2] << 8 | tag[3]);
	f->fp.prefix = f->prefix; /* both addresses */
	f->fp.prefix_bytes = 12;
	f->fp.start = p->mbuf.data_off + 12u + ETH_VLAN_BYTES;
	f->fp.len_bytes -= ETH_VLAN_BYTES;
	f->header.status |= VLAN_STATUS;
	f->header.vlan_tci = f->fp.vlan_tci;
	f->header.vlan_tpid = f->fp.vlan_tpid;
}

static uint8_t pkttype_of(const uint8_t *dst, const struct port *port)
{
	if (memcmp(dst, port->mac, ETH_ADDR_BYTES) == 0)
		return PACKET_HOST;
	if (!eth_addr_is_group(dst))
		return PACKET_OTHERHOST;
	return eth_addr_is_broadcast(dst) ? PACKET_BROADCAST : PACKET_MULTICAST;
}

/* False: too short to be a frame. */
static bool seen_ethernet(struct seen *f, const struct pkt *p, const struct port *port)
{
	uint8_t type[2];

	if (pkt_len(p) < ETH_HDR_BYTES)
		return false;
	f->fp.len_bytes = pkt_len(p);
	pkt_copy_out(p, p->mbuf.data_off, f->prefix, 12);
	f->fp.hatype = ARPHRD_ETHER;
	f->fp.pkttype = pkttype_of(f->prefix, port);
	filter_packet_copy(&f->fp, 12, type, 2);
	f->fp.protocol = (uint16_t)(type[0] << 8 | type[1]);
	if (!f->outgoing && (f->fp.protocol == ETH_P_8021Q || f->fp.protocol == ETH_P_8021AD)) {
		seen_vlan(f, p);
		filter_packet_copy(&f->fp, 12, type, 2);
		f->fp.protocol = (uint16_t)(type[0] << 8 | type[1]);
	}
	if (f->fp.protocol < ETH_P_802_3_MIN)
		f->fp.protocol = ETH_P_802_2;
	memcpy(f->header.addr, f->prefix + ETH_ADDR_BYTES, ETH_ADDR_BYTES);
	return true;
}

static bool seen_fill(struct seen *f, struct worker *w, unsigned int ifindex,
		      const struct port *port, const struct pkt *p, bool outgoing)
{
	*f = (struct seen){ .outgoing = outgoing };
	f->fp.p = p;
	f->fp.start = p->mbuf.data_off;
	f->fp.net_at = ETH_HDR_BYTES;
	f->fp.ifindex = ifindex;
	f->fp.cpu = w->id;
	if (port->caps & PORT_CAP_LOOP)
		seen_loop(f, p);
	else if (!seen_ethernet(f, p, port))
		return false;
	if (outgoing)
		f->fp.pkttype = PACKET_OUTGOING;
	if (f->fp.net_at > f->fp.len_bytes)
		f->fp.net_at = f->fp.len_bytes;
	f->header.ifindex = ifindex;
	f->header.protocol_be = host_to_be16(f->fp.protocol);
	f->header.hatype = f->fp.hatype;
	f->header.pkttype = f->fp.pkttype;
	f->header.halen = ETH_ADDR_BYTES;
	f->header.status |= TP_STATUS_USER;
	if (p->flags & PKT_F_CSUM_PARTIAL)
		f->header.status |= TP_STATUS_CSUMNOTREADY;
	else if (p->flags & PKT_F_CSUM_OK && !outgoing)
		f->header.status |= TP_STATUS_CSUM_VALID;
	f->header.stamp_ns = (outgoing ? w->now_ns : p->stamp_ns) + w->wall_offset_ns;
	return true;
}

/* Frames on their way out are seen by who asked for all protocols only. */
static bool packet_wants(const struct packet_sock *ps, const struct seen *f)
{
	if (ps->ifindex != 0 && ps->ifindex != f->header.ifindex)
		return false;
	if (ps->protocol_be == WIRE_BE16(ETH_P_ALL))
		return !f->outgoing || !ps->ignore_outgoing;
	return !f->outgoing && ps->protocol_be == f->header.protocol_be;
}

static void packet_deliver(struct packet_sock *ps, struct seen *f)
{
	struct sock *s = ps->s;
	uint32_t len;

	f->fp.data_at = ps->type == SOCK_DGRAM ? f->fp.net_at : 0;
	len = filter_wants(s, &f->fp);
	if (len == 0)
		return;
	if (!record_room(s, len)) {
		ps->drops++;
		ps->drops_total++;
		return;
	}
	ps->accepted++;
	f->header.len_bytes = len;
	f->header.wire_bytes = f->fp.len_bytes - f->fp.data_at;
	f->header.net = (uint16_t)(f->fp.net_at - f->fp.data_at);
	record_put(s, &f->header, &f->fp, f->fp.data_at, len);
}

static void packets_seen(struct watcher *watcher, struct worker *w, enum stage stage,
			 unsigned int ifindex, struct pkt **pkts, unsigned int n)
{
	bool outgoing = stage == STAGE_PORT_TX;
	struct sock_layer *l = w->socks;
	const struct port *port = inet_netif_port(w, ifindex);
	struct seen f;

	if (port == NULL)
		return;
	for (unsigned int i = 0; i < n; i++) {
		if (!seen_fill(&f, w, ifindex, port, pkts[i], outgoing))
			continue;
		for (struct packet_sock *ps = l->packets; ps != NULL; ps = ps->next) {
			/* Nobody hears himself. */
			if (packet_wants(ps, &f) && !(outgoing && ps == l->packet_sender))
				packet_deliver(ps, &f);
		}
	}
}

/* ---- sending ---- */

/* Bytes of the frame or packet that fit. */
static uint32_t send_limit(const struct packet_sock *ps, const struct port *port,
			   const struct eth_hdr *eth)
{
	uint32_t limit = port->mtu_bytes;

	if (ps->type != SOCK_DGRAM)
		limit += ETH_HDR_BYTES +
			 (eth->type_be == WIRE_BE16(ETH_P_8021Q) ? ETH_VLAN_BYTES : 0);
	return limit;
}

static int send_frame(struct sock *s, struct port *port, const struct eth_hdr *eth, uint32_t len)
{
	struct worker *w = s->part->w;
	struct sock_layer *l = w->socks;
	const void *run[2];
	uint32_t run_len[2];
	bool loop = port->caps & PORT_CAP_LOOP;
	struct pkt *p;

	/* The loop port carries IP alone. */
	if (loop && eth->type_be != WIRE_BE16(ETH_P_IP))
		return 0;
	p = pkt_alloc(w);
	if (p == NULL)
		return -ENOBUFS;
	stage_enter_one(w, STAGE_SOCK_SEND, p);
	record_runs(s, len, run, run_len);
	if ((s->packet->type == SOCK_DGRAM && pkt_append(w, p, eth, sizeof(*eth)) != 0) ||
	    (run_len[0] != 0 && pkt_append(w, p, run[0], run_len[0]) != 0) ||
	    (run_len[1] != 0 && pkt_append(w, p, run[1], run_len[1]) != 0)) {
		pkt_drop(w, p, DROP_NOMEM);
		return -ENOBUFS;
	}
	if (loop)
		rte_pktmbuf_adj(&p->mbuf, ETH_HDR_BYTES);
	p->l2 = p->mbuf.data_off;
	p->l3 = (uint16_t)(p->l2 + (loop ? 0 : ETH_HDR_BYTES));
	p->l4 = p->l7 = p->l3;
	/* What waits before it is not ours. */
	port_flush(w, port);
	l->packet_sender = s->packet;
	port_send(w, port, p);
	port_flush(w, port);
	l->packet_sender = NULL;
	return 0;
}

static int send_one(struct sock *s, const struct abi_packet *h, uint32_t len)
{
	const struct packet_sock *ps = s->packet;
	uint32_t ifindex = h->ifindex != 0 ? h->ifindex : ps->ifindex;
	struct port *port = inet_netif_port(s->part->w, ifindex);
	struct eth_hdr eth = { .type_be = h->protocol_be ? h->protocol_be : ps->protocol_be };

	if (port == NULL)
		return -ENXIO;
	if (!port->up)
		return -ENETDOWN;
	if (ps->type == SOCK_DGRAM) {
		memcpy(eth.dst, h->addr, sizeof(eth.dst));
		memcpy(eth.src, port->mac, sizeof(eth.src));
	} else if (len < sizeof(eth)) {
		return -EINVAL;
	} else {
		const void *run[2];
		uint32_t run_len[2], n;

		record_runs(s, sizeof(eth), run, run_len);
		n = run_len[0];
		memcpy(&eth, run[0], n);
		memcpy((uint8_t *)&eth + n, run[1], sizeof(eth) - n);
	}
	if (len > send_limit(ps, port, &eth))
		return -EMSGSIZE;
	return send_frame(s, port, &eth, len);
}

int packet_flush(struct sock *s)
{
	struct abi_packet h;
	uint32_t len;
	int ret = 0;

	for (unsigned int n = 0; n < SOCK_DGRAM_BURST && record_next(s, &h, &len) == 0; n++) {
		ret = s->state & ABI_S_TX_SHUT ? -EPIPE : send_one(s, &h, len);
		record_sent(s, len);
	}
	return ret;
}

/* ---- life ---- */

static const struct watcher_ops packets_watch = { .stage = packets_seen };

static void listen_begin(struct packet_sock *ps)
{
	struct worker *w = ps->s->part->w;
	struct sock_layer *l = w->socks;

	if (l->packets == NULL) {
		l->watcher.ops = &packets_watch;
		l->watcher.wants = 1u << STAGE_PORT_RX | 1u << STAGE_PORT_TX;
		watcher_add(w, &l->watcher);
	}
	ps->next = l->packets;
	ps->pprev = &l->packets;
	if (ps->next != NULL)
		ps->next->pprev = &ps->next;
	l->packets = ps;
}

static void listen_end(struct packet_sock *ps)
{
	struct worker *w = ps->s->part->w;
	struct sock_layer *l = w->socks;

	if (ps->pprev == NULL)
		return;
	*ps->pprev = ps->next;
	if (ps->next != NULL)
		ps->next->pprev = ps->pprev;
	ps->pprev = NULL;
	if (l->packets == NULL)
		watcher_del(w, &l->watcher);
}

/* What the program sees of the socket's name. */
static void name_publish(struct sock *s)
{
	s->abi->local_addr = ipaddr_any();
	s->abi->local_addr.w[0] = s->packet->ifindex;
	s->abi->local_port_be = s->packet->protocol_be;
}

int packet_open(struct sock *s, int type, int protocol)
{
	struct packet_sock *ps = calloc(1, sizeof(*ps));
	int ret = ps != NULL ? record_open(s) : -ENOBUFS;

	if (ret != 0) {
		free(ps);
		return ret;
	}
	ps->s = s;
	ps->type = (uint8_t)type;
	ps->protocol_be = (uint16_t)protocol;
	s->packet = ps;
	if (ps->protocol_be != 0)
		listen_begin(ps);
	name_publish(s);
	return 0;
}

void packet_close(struct sock *s)
{
	listen_end(s->packet);
	free(s->packet);
	s->packet = NULL;
	record_close(s);
}

static void rebind(struct sock *s, uint32_t ifindex, uint16_t protocol_be)
{
	listen_end(s->packet);
	s->packet->ifindex = ifindex;
	s->packet->protocol_be = protocol_be;
	if (protocol_be != 0)
		listen_begin(s->packet);
	name_publish(s);
}

int packet_bind(struct sock *s, uint32_t ifindex, uint16_t protocol_be)
{
	if (ifindex != 0 && inet_netif_port(s->part->w, ifindex) == NULL)
		return -ENODEV;
	rebind(s, ifindex, protocol_be != 0 ? protocol_be : s->packet->protocol_be);
	return 0;
}

void packet_copy(struct sock *s, const struct sock *from)
{
	rebind(s, from->packet->ifindex, from->packet->protocol_be);
	s->packet->ignore_outgoing = from->packet->ignore_outgoing;
}

/* ---- options ---- */

/* A port gives everything that comes, so the modes change nothing; who asks for one of a port that
 * is not there is told. */
static int membership(struct sock *s, const void *data, uint32_t len, bool add)
{
	struct packet_mreq mreq;

	if (len < sizeof(mreq))
		return -EINVAL;
	memcpy(&mreq, data, sizeof(mreq));
	if (inet_netif_port(s->part->w, (unsigned int)mreq.mr_ifindex) == NULL)
		return add ? -ENODEV : -EADDRNOTAVAIL;
	if (mreq.mr_type > PACKET_MR_UNICAST)
		return -EINVAL;
	if (!add && s->packet->memberships == 0)
		return -EADDRNOTAVAIL;
	s->packet->memberships += add ? 1 : UINT32_MAX;
	return 0;
}

/* What is there for programs that set it; NULL: no such option. */
static bool *flag_of(struct packet_sock *ps, uint32_t name)
{
	switch (name) {
	case PACKET_LOSS:
		return &ps->loss;
	case PACKET_ORIGDEV:
		return &ps->origdev;
	case PACKET_QDISC_BYPASS:
		return &ps->qdisc_bypass;
	default:
		return NULL;
	}
}

static int flag_set(struct packet_sock *ps, uint32_t name, bool on)
{
	bool *flag = flag_of(ps, name);

	if (flag == NULL)
		return -ENOPROTOOPT;
	*flag = on;
	return 0;
}

int packet_option_set(struct sock *s, uint32_t name, const void *data, uint32_t len)
{
	int32_t value = 0;

	if (name == PACKET_ADD_MEMBERSHIP || name == PACKET_DROP_MEMBERSHIP)
		return membership(s, data, len, name == PACKET_ADD_MEMBERSHIP);
	if (len < sizeof(value))
		return -EINVAL;
	memcpy(&value, data, sizeof(value));
	switch (name) {
	case PACKET_IGNORE_OUTGOING:
		if (value < 0 || value > 1)
			return -EINVAL;
		s->packet->ignore_outgoing = value;
		return 0;
	case PACKET_COPY_THRESH:
		return 0;
	case PACKET_TIMESTAMP:
		s->packet->timestamp = value;
		return 0;
	default:
		return flag_set(s->packet, name, value != 0);
	}
}

/* Asking sets the counters back. */
static int statistics(struct packet_sock *ps, void *data, uint32_t *len)
{
	struct tpacket_stats stats = { .tp_packets = ps->accepted + ps->drops,
				       .tp_drops = ps->drops };

	ps->accepted = ps->drops = 0;
	*len = *len < sizeof(stats) ? *len : (uint32_t)sizeof(stats);
	memcpy(data, &stats, *len);
	return 0;
}

int packet_option_get(struct sock *s, uint32_t name, void *data, uint32_t *len)
{
	int32_t value;

	if (name == PACKET_STATISTICS)
		return statistics(s->packet, data, len);
	switch (name) {
	case PACKET_IGNORE_OUTGOING:
		value = s->packet->ignore_outgoing;
		break;
	case PACKET_TIMESTAMP:
		value = s->packet->timestamp;
		break;
	default:
		if (flag_of(s->packet, name) == NULL)
			return -ENOPROTOOPT;
		value = *flag_of(s->packet, name);
	}
	*len = *len < sizeof(value) ? *len : (uint32_t)sizeof(value);
	memcpy(data, &value, *len);
	return 0;
}
