/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TAP port against the kernel's own TCP and UDP, in a network namespace that this test makes.
 * Suite "root": without privileges it is skipped (77). weir's side of each conversation is played
 * by hand, so that each frame's flags can be checked.
 */
#include "dev_testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KERNEL_IP 0xc6120001u
#define WEIR_IP 0xc6120002u
#define WEIR_PORT 4000
#define KERNEL_PORT 80

static uint8_t kernel_mac[6];
static uint8_t bytes[70000];

static int setup(void **state)
{
	*state = test_worker_sized(2048);
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = dev_byte(i);
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* The next frame from the kernel, within two seconds. */
static struct pkt *next_frame(struct worker *w, struct port *port)
{
	struct pollfd fd = { .fd = port->ops->sleep_fd(port, 0), .events = POLLIN };
	struct pkt *p;

	while (!port_rx(w, port, 0, &p, 1)) {
		if (poll(&fd, 1, 2000) != 1)
			fail_msg("the kernel sends nothing");
	}
	return p;
}

static void answer_arp(struct worker *w, struct port *port, const uint8_t *request)
{
	struct pkt *p = pkt_alloc(w);
	uint8_t reply[42];

	memcpy(reply, request, 42);
	memcpy(kernel_mac, request + 6, 6);
	memcpy(reply, kernel_mac, 6);
	memcpy(reply + 6, port->mac, 6);
	reply[21] = 2;
	memcpy(reply + 22, port->mac, 6);
	memcpy(reply + 28, request + 38, 4);
	memcpy(reply + 32, request + 22, 10);
	assert_int_equal(pkt_append(w, p, reply, sizeof(reply)), 0);
	port_send(w, port, p);
	port_flush(w, port);
}

/* The next IPv4 frame of a protocol; ARP is answered, other things (IPv6 discovery) are skipped. */
static struct pkt *next_ip(struct worker *w, struct port *port, uint8_t proto)
{
	for (;;) {
		struct pkt *p = next_frame(w, port);
		const uint8_t *frame = pkt_data(p);

		if (pkt_head_len_from(p, p->l2) >= 42 && frame[12] == 8 && frame[13] == 0 &&
		    frame[23] == proto)
			return p;
		if (pkt_len(p) >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 1)
			answer_arp(w, port, frame);
		pkt_consume(w, p, FATE_ABSORBED);
	}
}

/* Finish headers of p (from l4 on built) and send it: partial checksum, as the stack does. */
static void send_ip(struct worker *w, struct port *port, struct pkt *p, uint8_t proto,
		    uint16_t csum_at)
{
	uint32_t l4_len = pkt_len(p);
	struct ip4_hdr *ip = pkt_push(p, IP4_HDR_BYTES);
	struct eth_hdr *eth = pkt_push(p, ETH_HDR_BYTES);
	uint8_t pseudo[12] = { 0 };
	uint16_t sum;

	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = 0x45;
	ip->ttl = 64;
	ip->proto = proto;
	ip->len_be = host_to_be16((uint16_t)(IP4_HDR_BYTES + l4_len));
	ip->src_be = host_to_be32(WEIR_IP);
	ip->dst_be = host_to_be32(KERNEL_IP);
	ip->csum_be = host_to_be16((uint16_t)~dev_sum(0, (uint8_t *)ip, sizeof(*ip)));
	eth_hdr_fill(eth, kernel_mac, port->mac, ETH_TYPE_IP4);
	memcpy(pseudo, &ip->src_be, 8);
	pseudo[9] = proto;
	pseudo[10] = (uint8_t)(l4_len >> 8);
	pseudo[11] = (uint8_t)l4_len;
	sum = host_to_be16((uint16_t)dev_sum(0, pseudo, 12));
	p->l2 = p->mbuf.data_off;
	p->l3 = (uint16_t)(p->l2 + ETH_HDR_BYTES);
	p->l4 = (uint16_t)(p->l3 + IP4_HDR_BYTES);
	p->csum_at = csum_at;
	p->flags |= PKT_F_CSUM_PARTIAL;
	memcpy(pkt_at(p, (uint16_t)(p->l4 + csum_at)), &sum, 2);
	port_send(w, port, p);
	assert_int_equal(port_flush(w, port), 0);
}

static void send_tcp(struct worker *w, struct port *port, uint32_t seq, uint32_t ack, uint8_t flags,
		     uint32_t payload, uint16_t gso_size)
{
	struct tcp_hdr tcp = { .src_port_be = WIRE_BE16(WEIR_PORT),
			       .dst_port_be = WIRE_BE16(KERNEL_PORT),
			       .offset_reserved = 0x50,
			       .flags = flags,
			       .window_be = 0xffff };
	struct pkt *p = pkt_alloc(w);

	tcp.seq_be = host_to_be32(seq);
	tcp.ack_be = host_to_be32(ack);
	assert_int_equal(pkt_append(w, p, &tcp, sizeof(tcp)), 0);
	assert_int_equal(pkt_append(w, p, bytes, payload), 0);
	if (gso_size) {
		p->flags |= PKT_F_GSO_TCP4;
		p->gso_size = gso_size;
	}
	send_ip(w, port, p, IP_PROTO_TCP, TCP_CSUM_AT);
}

static int kernel_socket(int type, bool bound)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = WIRE_BE16(KERNEL_PORT) };
	struct timeval two = { .tv_sec = 2 };
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	sin.sin_addr.s_addr = host_to_be32(KERNEL_IP);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof(two));
	if (bound)
		assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* The kernel sends a datagram: we learn its MAC address, and see the checksum unfinished or not. */
static void udp_from_kernel(struct worker *w, struct port *port, int fd, bool offload)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = WIRE_BE16(WEIR_PORT) };
	struct pkt *p;
	uint8_t out[2000];

	to.sin_addr.s_addr = host_to_be32(WEIR_IP);
	assert_int_equal(sendto(fd, bytes, 1000, 0, (struct sockaddr *)&to, sizeof(to)), 1000);
	p = next_ip(w, port, IP_PROTO_UDP);
	pkt_copy_out(p, p->l2, out, pkt_len(p));
	assert_memory_equal(out + 42, bytes, 1000);
	if (offload) {
		assert_int_equal(p->flags, PKT_F_ENTERED | PKT_F_CSUM_OK | PKT_F_CSUM_PARTIAL);
		assert_int_equal(p->l4, p->l2 + 34);
		assert_int_equal(p->csum_at, UDP_CSUM_AT);
	} else {
		assert_int_equal(p->flags, PKT_F_ENTERED);
		dev_check_csums(out, pkt_len(p));
	}
	pkt_consume(w, p, FATE_DELIVERED);
}

static void udp_to_kernel(struct worker *w, struct port *port, int fd, uint32_t len)
{
	struct udp_hdr udp = { .src_port_be = WIRE_BE16(WEIR_PORT),
			       .dst_port_be = WIRE_BE16(KERNEL_PORT) };
	struct pkt *p = pkt_alloc(w);
	uint8_t out[2000];

	udp.len_be = host_to_be16((uint16_t)(UDP_HDR_BYTES + len));
	assert_int_equal(pkt_append(w, p, &udp, sizeof(udp)), 0);
	assert_int_equal(pkt_append(w, p, bytes, len), 0);
	send_ip(w, port, p, IP_PROTO_UDP, UDP_CSUM_AT);
	assert_int_equal(recv(fd, out, sizeof(out), 0), len);
	assert_memory_equal(out, bytes, len);
}

static void test_udp(void **state)
{
	struct worker *w = *state;

	for (int offload = 1; offload >= 0; offload--) {
		struct port *port =
			dev_port(w, offload ? "tap,name=weirt0,addr=198.18.0.1/24"
					    : "tap,name=weirt0,addr=198.18.0.1/24,offload=0");
		int fd = kernel_socket(SOCK_DGRAM, true);

		udp_from_kernel(w, port, fd, offload);
		for (uint32_t len = 0; len <= 1472; len += 368)
			udp_to_kernel(w, port, fd, len);
		close(fd);
		port_close(port);
		test_quiet(w);
	}
}

/* Bytes of a received TCP frame's payload against what the kernel was given. */
static uint32_t check_payload(const struct pkt *p, uint32_t at)
{
	static uint8_t out[70000];
	uint32_t hdr = 34 + (uint32_t)(pkt_data(p)[46] >> 4) * 4;

	pkt_copy_out(p, p->l2, out, pkt_len(p));
	assert_memory_equal(out + hdr, bytes + at, pkt_len(p) - hdr);
	return pkt_len(p) - hdr;
}

static uint32_t get32(const struct pkt *p, unsigned int at)
{
	uint32_t value;

	memcpy(&value, pkt_data(p) + at, 4);
	return be32_to_host(value);
}

/* A connection by hand; returns the kernel's sequence number. */
static uint32_t tcp_open(struct worker *w, struct port *port, int listener, int *fd)
{
	uint32_t iss;
	struct pkt *p;

	assert_int_equal(listen(listener, 1), 0);
	send_tcp(w, port, 1000, 0, TCP_F_SYN, 0, 0);
	p = next_ip(w, port, IP_PROTO_TCP);
	assert_int_equal(pkt_data(p)[47], TCP_F_SYN | TCP_F_ACK);
	assert_true(p->flags & PKT_F_CSUM_OK);
	iss = get32(p, 38);
	pkt_consume(w, p, FATE_ABSORBED);
	send_tcp(w, port, 1001, iss + 1, TCP_F_ACK, 0, 0);
	*fd = accept(listener, NULL, NULL);
	assert_true(*fd >= 0);
	return iss + 1;
}

static void test_tcp_super_segments(void **state)
{
	static uint8_t got[70000];
	struct worker *w = *state;
	struct port *port = dev_port(w, "tap,name=weirt0,addr=198.18.0.1/24");
	int udp = kernel_socket(SOCK_DGRAM, true), listener = kernel_socket(SOCK_STREAM, true), fd;
	uint32_t seq, from_kernel = 0, largest = 0;

	udp_from_kernel(w, port, udp, true);
	seq = tcp_open(w, port, listener, &fd);
	/* To the kernel: 40,000 bytes in one frame, in many segments of memory. */
	send_tcp(w, port, 1001, seq, TCP_F_ACK | TCP_F_PSH, 40000, 1460);
	assert_int_equal(recv(fd, got, 40000, MSG_WAITALL), 40000);
	assert_memory_equal(got, bytes, 40000);
	/* From the kernel: frames far larger than the MTU, checksums unfinished. */
	assert_int_equal(send(fd, bytes, 40000, 0), 40000);
	while (from_kernel < 40000) {
		struct pkt *p = next_ip(w, port, IP_PROTO_TCP);
		uint32_t len = check_payload(p, get32(p, 38) - seq);

		assert_true(p->flags & PKT_F_CSUM_OK);
		if (pkt_len(p) > 1514) {
			assert_true(p->flags & PKT_F_GSO_TCP4);
			assert_true(p->gso_size > 0 && p->gso_size <= 1460);
		}
		largest = len > largest ? len : largest;
		if (get32(p, 38) - seq == from_kernel)
			from_kernel += len;
		pkt_consume(w, p, FATE_DELIVERED);
		send_tcp(w, port, 41001, seq + from_kernel, TCP_F_ACK, 0, 0);
	}
	assert_true(largest > 4000);
	close(fd);
	close(listener);
	close(udp);
	port_close(port);
}

/* No buffers: nothing is read and nothing leaks; later the frames are there. */
static void test_nombuf(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "tap,name=weirt0,addr=198.18.0.1/24");
	int udp = kernel_socket(SOCK_DGRAM, true);
	struct pkt *head = NULL, *p;
	struct port_stats stats;

	udp_from_kernel(w, port, udp, true);
	for (unsigned int keep = 0; keep < 40; keep += 13) {
		while ((p = pkt_alloc(w))) {
			p->next = head;
			head = p;
		}
		for (unsigned int i = 0; i < keep; i++) {
			p = head;
			head = p->next;
			pkt_consume(w, p, FATE_ABSORBED);
		}
		for (unsigned int i = 0; i < 3; i++) {
			if (port_rx(w, port, 0, &p, 1))
				pkt_consume(w, p, FATE_ABSORBED);
		}
		while ((p = head)) {
			head = p->next;
			pkt_consume(w, p, FATE_ABSORBED);
		}
		udp_from_kernel(w, port, udp, true);
	}
	port_stats(port, &stats);
	assert_true(stats.rx_packets > 0);
	close(udp);
	port_close(port);
}

/* The interface goes down below us: packets end with a reason. */
static void test_down(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "tap,name=weirt0");
	struct port_stats stats;
	struct ifreq ifr = { .ifr_name = "weirt0" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	assert_true(ifr.ifr_flags & IFF_UP);
	ifr.ifr_flags &= (short)~IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	port_send(w, port, dev_raw(w, 60, 0));
	port_flush(w, port);
	assert_int_equal(test_drops(w, PORT_DOWN), 1);
	port_stats(port, &stats);
	assert_int_equal(stats.tx_errors, 1);
	close(fd);
	port_close(port);
}

static void test_options_and_errors(void **state)
{
	struct worker *w = *state;
	struct worker *workers[2] = { w, w };
	struct port_open_params params = { .workers = 2, .worker = workers };
	char error[PORT_ERROR_BYTES];
	struct port *port, *other;
	struct ifreq ifr = { .ifr_name = "weirt1" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	/* Two queues; the kernel's side as asked for; weir's own address. */
	assert_int_equal(
		port_open("tap,name=weirt1,mtu=9000,mac=02:00:00:00:00:09,addr=198.18.5.1/25",
			  &params, &port, error),
		0);
	assert_int_equal(port->queues, 2);
	assert_memory_equal(port->mac, "\x02\0\0\0\0\x09", 6);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &ifr), 0);
	assert_int_equal(ifr.ifr_mtu, 9000);
	assert_int_equal(ioctl(fd, SIOCGIFNETMASK, &ifr), 0);
	assert_int_equal(((struct sockaddr_in *)(void *)&ifr.ifr_netmask)->sin_addr.s_addr,
			 inet_addr("255.255.255.128"));
	params.workers = 1;
	/* Same name, another kind of tap; and a name that is another kind of interface. */
	assert_true(port_open("tap,name=weirt1", &params, &other, error) < 0);
	assert_non_null(strstr(error, "weirt1"));
	assert_int_equal(port_open("tap,name=lo", &params, &other, error), -EINVAL);
	assert_non_null(strstr(error, "already"));
	port_close(port);
	assert_int_equal(port_open("tap,name=weirt1", &params, &port, error), 0);
	assert_int_equal(port_open("tap,name=weirt1", &params, &other, error), -EBUSY);
	assert_non_null(strstr(error, "in use by another process"));
	port_close(port);
	/* Round a fault link there are no offloads. */
	assert_int_equal(port_open("fault,loss=0:tap,name=weirt1", &params, &port, error), 0);
	assert_int_equal(port->caps, 0);
	assert_string_equal(port->sleep_how, "fd");
	port_close(port);
	close(fd);
}

/* Without the right, the words say what to do. In a child: privileges do not come back. */
static void test_no_permission(void **state)
{
	struct worker *w = *state;
	struct worker *workers[1] = { w };
	struct port_open_params params = { .workers = 1, .worker = workers };
	char error[PORT_ERROR_BYTES];
	struct port *port;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		int err;

		if (setresuid(65534, 65534, 65534))
			_exit(1);
		err = port_open("tap,name=weirt2", &params, &port, error);
		if (err != -EPERM && err != -EACCES)
			_exit(2);
		_exit(strstr(error, "sudo") ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_udp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_super_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nombuf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options_and_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
	};

	if (unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
		puts("skipped: needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN) and /dev/net/tun");
		return 77;
	}
	return cmocka_run_group_tests_name("tap", tests, test_eal, NULL);
}
