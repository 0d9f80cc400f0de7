/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ancillary data of datagrams, both ways. What a datagram carries is in its record; which of it
 * recvmsg() hands out says abi_sock.recv_opts. In Linux's order.
 */
#include "shim/shim.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <time.h>
#include <linux/net_tstamp.h>

#define CMSG_STAMP_NEW 63 /* SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW */
#define CMSG_STAMPNS_NEW 64
#define CMSG_STAMPING_NEW 65
/* What a send may ask for by itself; the last is TX_COMPLETION, which older headers have not. */
#define STAMPING_TX_RECORD                                                                         \
	(SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | \
	 SOF_TIMESTAMPING_TX_ACK | 1u << 18)

void cmsg_put(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len)
{
	struct cmsghdr c = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	uint8_t *at = (uint8_t *)msg->msg_control + *used;
	size_t room = msg->msg_control ? msg->msg_controllen - *used : 0;

	/* As Linux: what does not fit whole is cut, where its header fits. */
	if (room < sizeof(c)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < CMSG_LEN(len)) {
		msg->msg_flags |= MSG_CTRUNC;
		c.cmsg_len = room;
		len = room - CMSG_LEN(0);
	}
	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), data, len);
	*used += CMSG_SPACE(len) < room ? CMSG_SPACE(len) : room;
}

/* Time stamps [__sock_recv_timestamp]. */
void cmsg_stamp(uint32_t opts, struct msghdr *msg, size_t *used, uint64_t stamp_ns)
{
	struct timespec ts[3] = { { (time_t)(stamp_ns / 1000000000),
				    (long)(stamp_ns % 1000000000) } };
	struct timeval tv = { ts[0].tv_sec, ts[0].tv_nsec / 1000 };
	bool new = opts &ABI_R_STAMP_NEW;

	if (opts & ABI_R_STAMP_NS)
		cmsg_put(msg, used, SOL_SOCKET, new ? CMSG_STAMPNS_NEW : SCM_TIMESTAMPNS, &ts[0],
			 sizeof(ts[0]));
	else if (opts & ABI_R_STAMP)
		cmsg_put(msg, used, SOL_SOCKET, new ? CMSG_STAMP_NEW : SCM_TIMESTAMP, &tv,
			 sizeof(tv));
	if (opts & ABI_R_STAMPING)
		cmsg_put(msg, used, SOL_SOCKET,
			 opts & ABI_R_STAMPING_NEW ? CMSG_STAMPING_NEW : SCM_TIMESTAMPING, ts,
			 sizeof(ts));
}

static void pktinfo_put(uint32_t opts, struct msghdr *msg, size_t *used, const struct abi_dgram *d)
{
	struct in_pktinfo info = { .ipi_ifindex = (int)d->ifindex,
				   .ipi_spec_dst.s_addr = d->flags & ABI_DGRAM_SPEC_DST
								  ? d->spec_dst_be
								  : ipaddr_ip4(&d->local),
				   .ipi_addr.s_addr = ipaddr_ip4(&d->local) };

	if (opts & ABI_R_PKTINFO)
		cmsg_put(msg, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
}

/* What the IP level adds [ip_cmsg_recv_offset]. */
static void ip_put(uint32_t opts, struct msghdr *msg, size_t *used, const struct abi_dgram *d,
		   uint16_t port_be)
{
	struct sockaddr_in orig = { .sin_family = AF_INET,
				    .sin_port = port_be,
				    .sin_addr.s_addr = ipaddr_ip4(&d->local) };
	int ttl = d->ttl;

	pktinfo_put(opts, msg, used, d);
	if (opts & ABI_R_TTL)
		cmsg_put(msg, used, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (opts & ABI_R_TOS)
		cmsg_put(msg, used, IPPROTO_IP, IP_TOS, &d->tos, sizeof(d->tos));
	if (opts & ABI_R_ORIGDSTADDR)
		cmsg_put(msg, used, IPPROTO_IP, IP_ORIGDSTADDR, &orig, sizeof(orig));
}

/* And IPv6's, of which an IPv4 datagram has but this [ip6_datagram_recv_common_ctl]. */
static void ip6_put(uint32_t opts, struct msghdr *msg, size_t *used, const struct abi_dgram *d)
{
	struct in6_pktinfo info = { .ipi6_ifindex = d->ifindex };

	memcpy(&info.ipi6_addr, d->local.b, sizeof(info.ipi6_addr));
	if (opts & ABI_R_PKTINFO6)
		cmsg_put(msg, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

void cmsg_ip(const struct wsock *ws, uint32_t opts, struct msghdr *msg, size_t *used,
	     const struct abi_dgram *d)
{
	if (ws->family == AF_INET6)
		ip6_put(opts, msg, used, d);
	ip_put(opts, msg, used, d, ws->shm->local_port_be);
}

void cmsg_out(const struct wsock *ws, struct msghdr *msg, const struct abi_dgram *d)
{
	uint32_t opts = atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed);
	int segment = d->segment_bytes;
	size_t used = 0;

	if (likely((opts & ~ABI_R_PEEK_OFF) == 0)) {
		msg->msg_controllen = 0;
		return;
	}
	cmsg_stamp(opts, msg, &used, d->stamp_ns);
	if ((opts & ABI_R_RXQ_OVFL) && d->drops)
		cmsg_put(msg, &used, SOL_SOCKET, SO_RXQ_OVFL, &d->drops, sizeof(d->drops));
	if ((opts & ABI_R_GRO) && segment)
		cmsg_put(msg, &used, SOL_UDP, UDP_GRO, &segment, sizeof(segment));
	cmsg_ip(ws, opts, msg, &used, d);
	msg->msg_controllen = used;
}

/* ---- what a send says ---- */

static int pktinfo_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	struct in_pktinfo info;

	if (c->cmsg_len != CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	if (info.ipi_ifindex)
		d->ifindex = (uint32_t)info.ipi_ifindex;
	if (info.ipi_spec_dst.s_addr)
		d->local = ipaddr_from_ip4(info.ipi_spec_dst.s_addr);
	return 0;
}

static int pktinfo6_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	struct in6_pktinfo info;
	struct ipaddr src;

	if (c->cmsg_len < CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	memcpy(src.b, &info.ipi6_addr, sizeof(src.b));
	if (!ipaddr_is_ip4(&src)) /* also :: */
		return -EINVAL;
	if (info.ipi6_ifindex)
		d->ifindex = info.ipi6_ifindex;
	if (ipaddr_ip4(&src))
		d->local = src;
	return 0;
}

/* IP_TTL is an int, IP_TOS an int or a byte. */
static int ttl_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	int value;

	if (c->cmsg_len != CMSG_LEN(sizeof(value)))
		return -EINVAL;
	memcpy(&value, CMSG_DATA(c), sizeof(value));
	if (value < 1 || value > 255)
		return -EINVAL;
	d->ttl = (uint8_t)value;
	d->flags |= ABI_DGRAM_TTL;
	return 0;
}

static int tos_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	int value;

	if (c->cmsg_len == CMSG_LEN(sizeof(value)))
		memcpy(&value, CMSG_DATA(c), sizeof(value));
	else if (c->cmsg_len == CMSG_LEN(1))
		value = *CMSG_DATA(c);
	else
		return -EINVAL;
	if (value < 0 || value > 255)
		return -EINVAL;
	d->tos = (uint8_t)value;
	d->flags |= ABI_DGRAM_TOS;
	return 0;
}

static int ip_in(const struct wsock *ws, const struct cmsghdr *c, struct abi_dgram *d)
{
	switch (c->cmsg_type) {
	case IP_PKTINFO:
		return pktinfo_in(c, d);
	case IP_TTL:
		return ttl_in(c, d);
	case IP_TOS:
		return tos_in(c, d);
	case IP_RETOPTS:
		session_note("sendmsg(IP_RETOPTS): weir sends no IP options");
		return -EINVAL;
	default:
		return -EINVAL;
	}
}

/* Which time stamps of this datagram are wanted. Hardware and completion have none to give. */
static int stamping_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	uint32_t flags;

	if (c->cmsg_len != CMSG_LEN(sizeof(flags)))
		return -EINVAL;
	memcpy(&flags, CMSG_DATA(c), sizeof(flags));
	if (flags & ~(uint32_t)STAMPING_TX_RECORD)
		return -EINVAL;
	d->flags |= ABI_DGRAM_STAMP;
	if (flags & SOF_TIMESTAMPING_TX_SOFTWARE)
		d->flags |= ABI_DGRAM_STAMP_SND;
	if (flags & SOF_TIMESTAMPING_TX_SCHED)
		d->flags |= ABI_DGRAM_STAMP_SCHED;
	return 0;
}

/* Marks and priorities mean nothing here; a time to send at would be ignored by most queues too. */
static int socket_in(const struct cmsghdr *c, struct abi_dgram *d)
{
	switch (c->cmsg_type) {
	case SO_TIMESTAMPING:
	case CMSG_STAMPING_NEW:
		return stamping_in(c, d);
	case SO_MARK:
	case SO_PRIORITY:
		return c->cmsg_len == CMSG_LEN(sizeof(uint32_t)) ? 0 : -EINVAL;
	case SCM_RIGHTS:
	case SCM_CREDENTIALS:
		return 0;
	default:
		return -EINVAL;
	}
}

static int udp_in(const struct wsock *ws, const struct cmsghdr *c, struct abi_dgram *d)
{
	if (ws->protocol != IPPROTO_UDP)
		return 0;
	if (c->cmsg_type != UDP_SEGMENT || c->cmsg_len != CMSG_LEN(sizeof(d->segment_bytes)))
		return -EINVAL;
	memcpy(&d->segment_bytes, CMSG_DATA(c), sizeof(d->segment_bytes));
	return 0;
}

/* Lengths and levels are judged as Linux does it [__sock_cmsg_send, ip_cmsg_send]. */
int cmsg_in(const struct wsock *ws, const struct msghdr *msg, struct abi_dgram *d)
{
	struct msghdr m = *msg;
	int err = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c && !err; c = CMSG_NXTHDR(&m, c)) {
		size_t room = (size_t)((uint8_t *)m.msg_control + m.msg_controllen - (uint8_t *)c);

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > room)
			return -EINVAL;
		if (ws->family == AF_INET6 && c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_PKTINFO)
			err = pktinfo6_in(c, d);
		else if (c->cmsg_level == IPPROTO_IP)
			err = ip_in(ws, c, d);
		else if (c->cmsg_level == SOL_SOCKET)
			err = socket_in(c, d);
		else if (c->cmsg_level == IPPROTO_UDP)
			err = udp_in(ws, c, d);
	}
	return err;
}
