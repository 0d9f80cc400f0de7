/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP, and the sockets that datagrams end in. */
#include <netinet/in.h>
#include <string.h>

#include "dev/wire.h"
#include "lab.h"

static size_t good(struct lab *lab, size_t len)
{
	static const uint8_t data[1472];
	struct frame_spec s = from_peer();

	return frame_udp(lab->frame, &s, 4000, 9, data, len);
}

static void malformed(struct lab *lab)
{
	struct frame_spec s = from_peer();
	size_t len;

	lab_send(lab, frame_ip4(lab->frame, &s, IP_PROTO_UDP, "1234567", 7), 1);
	len = good(lab, 10);
	be16_store(lab->frame + FRAME_L4_AT + 4, 7);
	lab_send(lab, len, 1);
	be16_store(lab->frame + FRAME_L4_AT + 4, 19);
	lab_send(lab, len, 1);
}

static void csum(struct lab *lab)
{
	size_t len = good(lab, 10);

	lab->frame[len - 1] ^= 1;
	lab_send(lab, len, 3);
}

static void closed_port(struct lab *lab)
{
	lab_meet(lab);
	lab_udp(lab, 9, "x", 1, 4);
}

static void closed_port_broadcast(struct lab *lab)
{
	struct frame_spec s = from_peer();

	memcpy(s.dst_mac, frame_broadcast, 6);
	s.dst_ip = FRAME_IP(198, 18, 0, 255);
	lab_send(lab, frame_udp(lab->frame, &s, 4000, 9, "x", 1), 2);
}

static struct app_sock sock_of(struct lab *lab, int fd)
{
	return (struct app_sock){ lab->weir->fd[fd].sock, lab->weir->fd[fd].gen };
}

static void filter(struct lab *lab)
{
	lab_filter_all(lab, sock_of(lab, lab_udp_socket(lab, 9)));
	lab_udp(lab, 9, "x", 1, 2);
}

static void buffer(struct lab *lab)
{
	size_t len = good(lab, 1400);

	lab_udp_socket(lab, 9);
	while (test_drops(lab->w, SOCKET_RCVBUFF) == 0) {
		lab_mark(lab);
		lab_send(lab, len, 1);
	}
	lab_mark(lab);
	lab_send(lab, len, 5);
}

/* The program writes nonsense where it says how far it has read: its sockets are closed to it at
 * once. Both datagrams are in one burst, and the second comes when that is known. */
static void broken(struct lab *lab)
{
	int fd = lab_udp_socket(lab, 9);
	struct app_sock s = sock_of(lab, fd);
	size_t len = good(lab, 10);

	lab_send(lab, len, 1);
	atomic_store(&app_slot(&lab->app, s)->rx_head, 0x70000000u);
	lab_mark(lab);
	assert_int_equal(wire_put(lab->wire[0], lab->frame, len), 0);
	lab_send(lab, len, 1);
}

/* For this host alone, and nobody here wants it. */
static void ttl_zero(struct lab *lab)
{
	int fd = lab_udp_socket(lab, 0);
	struct in_addr out = { .s_addr = host_to_be32(US) };

	assert_int_equal(lab_option(lab, fd, IPPROTO_IP, IP_MULTICAST_TTL, 0), 0);
	assert_int_equal(
		weir_setsockopt(lab->weir, fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
	assert_int_equal(lab_udp_send(lab, fd, FRAME_IP(239, 1, 1, 1), 9, "x", 1), 0);
}

/* The arena has no room for one more buffer. */
static void no_ring(struct lab *lab)
{
	unsigned int n = 0;

	while (test_drops(lab->w, NOMEM) == 0) {
		uint16_t port = (uint16_t)(1000 + n);

		assert_true(++n < 4000);
		lab_udp_socket(lab, port);
		lab_mark(lab);
		lab_udp(lab, port, "x", 1, 1);
	}
}

static const struct reason_case cases[] = {
	{ .name = "udp: malformed",
	  .run = malformed,
	  .drops = { { DROP_UDP_MALFORMED, "udp_input_one", IN_UDP, 3 } } },
	{ .name = "udp: checksum",
	  .run = csum,
	  .drops = { { DROP_UDP_CSUM, "udp_input_one", IN_UDP, 3 } } },
	{ .name = "udp: closed port",
	  .run = closed_port,
	  .drops = { { DROP_NO_SOCKET, "udp_input_one", IN_UDP, 4 } } },
	{ .name = "udp: broadcast to a closed port",
	  .run = closed_port_broadcast,
	  .drops = { { DROP_NO_SOCKET, "deliver_to_all", IN_UDP, 2 } } },
	{ .name = "udp: the socket's filter",
	  .run = filter,
	  .drops = { { DROP_SOCKET_FILTER, "dgram_deliver", IN_SOCK, 2 } } },
	{ .name = "udp: the socket's buffer is full",
	  .run = buffer,
	  .drops = { { DROP_SOCKET_RCVBUFF, "dgram_deliver", IN_SOCK, 5 } } },
	{ .name = "udp: the program broke its channel",
	  .run = broken,
	  .drops = { { DROP_SOCKET_RCVBUFF, "dgram_deliver", IN_SOCK, 1 },
		     { DROP_SOCKET_CLOSED, "dgram_deliver", IN_SOCK, 1 } } },
	{ .name = "udp: to a group, with time to live 0",
	  .run = ttl_zero,
	  .drops = { { DROP_IP_TTL, "output_one", AT(SOCK_SEND) | AT(UDP_OUTPUT), 1 } } },
	{ .name = "udp: no memory for the socket's buffer",
	  .run = no_ring,
	  .drops = { { DROP_NOMEM, "dgram_deliver", IN_SOCK, 1 } },
	  .memory_bytes = 16u << 20 },
};

const struct case_table cases_udp = { cases, sizeof(cases) / sizeof(cases[0]) };
