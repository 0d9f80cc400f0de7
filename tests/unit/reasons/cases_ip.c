/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4: the header, addresses, groups, forwarding, and reassembly. */
#include <netinet/in.h>
#include <string.h>

#include "inet/inet.h"
#include "lab.h"

#define GROUP FRAME_IP(239, 1, 1, 1)
#define DATAGRAMS 256u /* FRAG_MAX_DATAGRAMS */
#define OF_ONE 128u    /* FRAG_MAX_OF_ONE */

/* A small right datagram, to be broken. */
static size_t good(struct lab *lab)
{
	struct frame_spec s = from_peer();

	return frame_udp(lab->frame, &s, 1, 9, "12345678", 8);
}

static uint8_t *ip_of(struct lab *lab)
{
	return lab->frame + FRAME_IP_AT;
}

/* Send it as it is now, its header's checksum right. */
static void send_fixed(struct lab *lab, size_t len)
{
	frame_fix_ip_csum(lab->frame);
	lab_send(lab, len, 1);
}

static void ip_too_small(struct lab *lab)
{
	good(lab);
	lab_send(lab, FRAME_IP_AT + 19, 1); /* no whole header */
	good(lab);
	ip_of(lab)[0] = 0x4f;
	lab_send(lab, FRAME_IP_AT + 40, 1); /* its header says 60 bytes */
	lab_send(lab, good(lab) - 1, 1);    /* less than its length says */
}

static void ip_inhdr(struct lab *lab)
{
	size_t len = good(lab);

	ip_of(lab)[0] = 0x65;
	lab_send(lab, len, 1);
	ip_of(lab)[0] = 0x44;
	lab_send(lab, len, 1);
	good(lab);
	be16_store(ip_of(lab) + 2, 19);
	send_fixed(lab, len);
}

static void with_options(struct lab *lab, const uint8_t *options, size_t len)
{
	struct frame_spec s = from_peer();

	s.options = options;
	s.options_len = len;
	lab_send(lab, frame_udp(lab->frame, &s, 1, 9, "x", 1), 1);
}

static void ip_options(struct lab *lab)
{
	with_options(lab, (const uint8_t[]){ 0x44, 9, 5, 0 }, 4); /* longer than the header */
	with_options(lab, (const uint8_t[]){ 0x44, 0, 5, 0 }, 4);
	with_options(lab, (const uint8_t[]){ 7, 3, 1, 0 }, 4); /* points in front of itself */
	with_options(lab, (const uint8_t[]){ 0x44, 4, 1, 0 }, 4);
	with_options(lab, (const uint8_t[]){ 1, 1, 1, 7 }, 4); /* no length */
}

static void ip_csum(struct lab *lab)
{
	size_t len = good(lab);

	ip_of(lab)[10] ^= 1;
	lab_send(lab, len, 5);
}

static void ip_source_route(struct lab *lab)
{
	with_options(lab, (const uint8_t[]){ 131, 7, 4, 10, 0, 0, 1, 0 }, 8);
	with_options(lab, (const uint8_t[]){ 137, 7, 4, 10, 0, 0, 1, 0 }, 8);
}

static void from_to(struct lab *lab, uint32_t src, uint32_t dst)
{
	struct frame_spec s = from_peer();

	s.src_ip = src;
	s.dst_ip = dst;
	lab_send(lab, frame_udp(lab->frame, &s, 1, 9, "x", 1), 1);
}

static void ip_localnet(struct lab *lab)
{
	from_to(lab, FRAME_IP(127, 0, 0, 1), US);
	from_to(lab, PEER, FRAME_IP(127, 1, 2, 3));
}

static void ip_own_source(struct lab *lab)
{
	from_to(lab, US, US);
	from_to(lab, FRAME_IP(198, 18, 1, 2), US); /* of our other interface */
}

static void ip_invalid_source(struct lab *lab)
{
	from_to(lab, FRAME_IP(224, 0, 0, 1), US);
	from_to(lab, FRAME_IP(255, 255, 255, 255), US);
	from_to(lab, FRAME_IP(198, 18, 0, 255), US);
	from_to(lab, FRAME_IP(0, 1, 2, 3), US);
}

static void ip_inaddr(struct lab *lab)
{
	from_to(lab, PEER, FRAME_IP(198, 18, 0, 99));
	from_to(lab, PEER, FRAME_IP(0, 0, 0, 5));
}

static void to_group(struct lab *lab, uint32_t src, uint32_t group)
{
	static const uint8_t mac[6] = { 1, 0, 0x5e, 1, 1, 1 };
	struct frame_spec s = from_peer();

	memcpy(s.dst_mac, mac, sizeof(mac));
	s.src_ip = src;
	s.dst_ip = group;
	lab_send(lab, frame_udp(lab->frame, &s, 1, 9, "x", 1), 1);
}

static void not_member(struct lab *lab)
{
	to_group(lab, PEER, GROUP);
}

static void join_source(struct lab *lab, int fd, uint32_t source)
{
	struct ip_mreq_source m = { .imr_multiaddr.s_addr = host_to_be32(GROUP),
				    .imr_interface.s_addr = host_to_be32(US),
				    .imr_sourceaddr.s_addr = host_to_be32(source) };

	assert_int_equal(
		weir_setsockopt(lab->weir, fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof(m)),
		0);
	lab_settle(lab);
}

static void source_filter(struct lab *lab)
{
	join_source(lab, lab_udp_socket(lab, 9), FRAME_IP(198, 18, 0, 5));
	to_group(lab, PEER, GROUP);
}

/* Let in for the one socket's sake, and the one at the port does not want it. */
static void source_filter_socket(struct lab *lab)
{
	join_source(lab, lab_udp_socket(lab, 9), FRAME_IP(198, 18, 0, 5));
	join_source(lab, lab_udp_socket(lab, 10), PEER);
	to_group(lab, PEER, GROUP);
}

/* ---- forwarding ---- */

static void forward_ttl(struct lab *lab)
{
	struct frame_spec s = from_peer();

	lab_meet(lab);
	s.dst_ip = FAR;
	s.ttl = 1;
	lab_send(lab, frame_udp(lab->frame, &s, 1, 9, "x", 1), 3);
}

static void forward_no_route(struct lab *lab)
{
	lab_meet(lab);
	from_to(lab, PEER, OFF);
}

static void forward_needs_frag(struct lab *lab)
{
	static const uint8_t zeros[1400];
	struct frame_spec s = from_peer();

	lab_meet(lab);
	s.dst_ip = FAR;
	s.frag = IP4_DF;
	lab->wire[1]->mtu_bytes = 1000;
	lab_send(lab, frame_udp(lab->frame, &s, 1, 9, zeros, sizeof(zeros)), 2);
}

static void no_proto(struct lab *lab)
{
	struct frame_spec s = from_peer();

	lab_send(lab, frame_ip4(lab->frame, &s, 47, "12345678", 8), 1);
	lab_send(lab, frame_ip4(lab->frame, &s, 132, "12345678", 8), 1);
}

/* ---- fragments ---- */

/* [at, at + len) of a datagram; more: it is not the last. */
static void piece(struct lab *lab, uint16_t id, uint8_t tos, unsigned int at, size_t len, bool more)
{
	static const uint8_t zeros[1480];
	struct frame_spec s = from_peer();

	s.id = id;
	s.tos = tos;
	s.frag = (uint16_t)(at / 8 | (more ? IP4_MF : 0));
	lab_send(lab, frame_ip4(lab->frame, &s, 17, zeros, len), 1);
}

static void frag_malformed(struct lab *lab)
{
	piece(lab, 1, 0, 0, 0, true);
	piece(lab, 1, 0, 0, 13, true);
	piece(lab, 1, 0, 65528, 100, false);
}

static void frag_length(struct lab *lab)
{
	piece(lab, 1, 0, 80, 80, true);
	piece(lab, 1, 0, 40, 8, false); /* ends before what is there already */
}

static void frag_overlap(struct lab *lab)
{
	piece(lab, 1, 0, 0, 80, true);
	piece(lab, 1, 0, 160, 80, true);
	piece(lab, 1, 0, 72, 16, true);
}

static void frag_again(struct lab *lab)
{
	piece(lab, 1, 0, 0, 80, true);
	piece(lab, 1, 0, 0, 80, true); /* alone: it says nothing new */
}

static void frag_ecn(struct lab *lab)
{
	piece(lab, 1, IP_ECN_CE, 0, 8, true);
	piece(lab, 1, IP_ECN_NOT_ECT, 8, 8, false);
}

static void frag_timeout(struct lab *lab)
{
	piece(lab, 1, 0, 0, 80, true);
	piece(lab, 1, 0, 160, 80, true);
	lab_wait(lab, 31 * SEC);
}

static void frag_many(struct lab *lab)
{
	for (unsigned int i = 0; i < DATAGRAMS + 3; i++)
		piece(lab, (uint16_t)(i + 1), 0, 0, 8, true);
}

static void frag_many_of_one(struct lab *lab)
{
	for (unsigned int i = 0; i <= OF_ONE; i++)
		piece(lab, 1, 0, 8 * i, 8, true);
}

static const struct reason_case cases[] = {
	{ .name = "ip: too small",
	  .run = ip_too_small,
	  .drops = { { DROP_PKT_TOO_SMALL, "sort_one", IN_IP, 3 } } },
	{ .name = "ip: malformed",
	  .run = ip_inhdr,
	  .drops = { { DROP_IP_INHDR, "sort_one", IN_IP, 3 } } },
	{ .name = "ip: options",
	  .run = ip_options,
	  .drops = { { DROP_IP_INHDR, "sort_one", IN_IP, 5 } } },
	{ .name = "ip: checksum",
	  .run = ip_csum,
	  .drops = { { DROP_IP_CSUM, "sort_one", IN_IP, 5 } } },
	{ .name = "ip: source route",
	  .run = ip_source_route,
	  .drops = { { DROP_IP_SOURCE_ROUTE, "sort_one", IN_IP, 2 } } },
	{ .name = "ip: loopback on a wire",
	  .run = ip_localnet,
	  .drops = { { DROP_IP_LOCALNET, "sort_one", IN_IP, 2 } } },
	{ .name = "ip: our own source",
	  .run = ip_own_source,
	  .drops = { { DROP_IP_OWN_SOURCE, "sort_one", IN_IP, 2 } } },
	{ .name = "ip: no source",
	  .run = ip_invalid_source,
	  .drops = { { DROP_IP_INVALID_SOURCE, "sort_one", IN_IP, 4 } } },
	{ .name = "ip: not ours",
	  .run = ip_inaddr,
	  .drops = { { DROP_IP_INADDRERRORS, "sort_one", IN_IP, 2 } } },
	{ .name = "group: not a member",
	  .run = not_member,
	  .drops = { { DROP_MCAST_NOT_MEMBER, "sort_one", IN_IP, 1 } } },
	{ .name = "group: source",
	  .run = source_filter,
	  .drops = { { DROP_MCAST_SOURCE_FILTER, "sort_one", IN_IP, 1 } } },
	{ .name = "group: source, of the socket",
	  .run = source_filter_socket,
	  .drops = { { DROP_MCAST_SOURCE_FILTER, "deliver_to_all", IN_UDP, 1 } } },
	{ .name = "forward: time to live",
	  .run = forward_ttl,
	  .drops = { { DROP_IP_TTL, "forward_one", IN_FORWARD, 3 } },
	  .forwarding = true },
	{ .name = "forward: no route",
	  .run = forward_no_route,
	  .drops = { { DROP_IP_INNOROUTES, "forward_one", IN_FORWARD, 1 } },
	  .forwarding = true },
	{ .name = "forward: may not be fragmented",
	  .run = forward_needs_frag,
	  .drops = { { DROP_PKT_NEEDS_FRAG, "forward_one", IN_FORWARD, 2 } },
	  .forwarding = true },
	{ .name = "ip: unknown protocols",
	  .run = no_proto,
	  .drops = { { DROP_IP_NOPROTO, "local_sort_one", IN_LOCAL, 2 } } },
	{ .name = "fragments: malformed",
	  .run = frag_malformed,
	  .drops = { { DROP_FRAG_MALFORMED, "frag_input", IN_FRAG, 3 } } },
	{ .name = "fragments: lengths disagree",
	  .run = frag_length,
	  .drops = { { DROP_FRAG_MALFORMED, "datagram_drop", IN_FRAG, 1 },
		     { DROP_FRAG_MALFORMED, "frag_input", IN_FRAG, 1 } } },
	{ .name = "fragments: overlap",
	  .run = frag_overlap,
	  .drops = { { DROP_FRAG_OVERLAP, "datagram_drop", IN_FRAG, 2 },
		     { DROP_FRAG_OVERLAP, "frag_input", IN_FRAG, 1 } } },
	{ .name = "fragments: one again",
	  .run = frag_again,
	  .drops = { { DROP_FRAG_OVERLAP, "frag_input", IN_FRAG, 1 } } },
	{ .name = "fragments: congestion marks",
	  .run = frag_ecn,
	  .drops = { { DROP_FRAG_ECN, "datagram_drop", IN_FRAG, 2 } } },
	{ .name = "fragments: time",
	  .run = frag_timeout,
	  .drops = { { DROP_FRAG_REASM_TIMEOUT, "datagram_drop", IN_FRAG, 2 } } },
	{ .name = "fragments: of too many datagrams",
	  .run = frag_many,
	  .drops = { { DROP_FRAG_LIMIT, "frag_input", IN_FRAG, 3 } } },
	{ .name = "fragments: too many of one",
	  .run = frag_many_of_one,
	  .drops = { { DROP_FRAG_LIMIT, "datagram_drop", IN_FRAG, OF_ONE },
		     { DROP_FRAG_LIMIT, "frag_input", IN_FRAG, 1 } } },
};

const struct case_table cases_ip = { cases, sizeof(cases) / sizeof(cases[0]) };
