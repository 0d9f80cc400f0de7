/* SPDX-License-Identifier: BSD-3-Clause */
/* Software checksums and segmentation: every byte of every piece is checked, sums by other code. */
#include "dev_testing.h"

#include "dev/offload.h"

static uint8_t frame[70000];

static int setup(void **state)
{
	*state = test_worker_sized(2048);
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* Send a super-segment over a wire without offloads and check what comes out. */
static void check_cut(struct worker *w, uint32_t payload, uint16_t mss, uint8_t flags,
		      uint16_t flag)
{
	struct port *port = dev_port(w, "wire,mtu=9000");
	uint32_t pieces = payload ? (payload + mss - 1) / mss : 1;
	uint64_t originated = w->ledger.originated;
	struct pkt *p = dev_tcp(w, payload, flags, mss);

	p->flags |= flag;
	port_send(w, port, p);
	test_ledger(w);
	assert_int_equal(port_flush(w, port), 0);
	assert_int_equal(w->ledger.originated - originated, pieces);
	assert_int_equal(wire_waiting(port), pieces);
	for (uint32_t i = 0; i < pieces; i++) {
		uint32_t offset = i * mss, len = payload - offset < mss ? payload - offset : mss;
		uint8_t expected = flags;
		struct ip4_hdr ip;
		struct tcp_hdr tcp;

		assert_int_equal(wire_take(port, frame, sizeof(frame)), FRAME_HEADERS + len);
		memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
		memcpy(&tcp, frame + ETH_HDR_BYTES + IP4_HDR_BYTES, sizeof(tcp));
		dev_check_csums(frame, FRAME_HEADERS + len);
		assert_int_equal(be16_to_host(ip.id_be), (uint16_t)(0xfffe + i));
		assert_int_equal(be32_to_host(tcp.seq_be), FRAME_SEQ + offset);
		if (i + 1 < pieces)
			expected &= (uint8_t) ~(TCP_F_PSH | TCP_F_FIN);
		if (i)
			expected &= (uint8_t)~TCP_F_CWR;
		assert_int_equal(tcp.flags, expected);
		for (uint32_t b = 0; b < len; b++)
			assert_int_equal(frame[FRAME_HEADERS + b], dev_byte(offset + b));
	}
	port_close(port);
}

static void test_tso(void **state)
{
	check_cut(*state, 64000, 1460, TCP_F_ACK | TCP_F_PSH | TCP_F_FIN | TCP_F_CWR, 0);
	check_cut(*state, 2920, 1460, TCP_F_ACK | TCP_F_PSH, 0);
	check_cut(*state, 2921, 1460, TCP_F_ACK | TCP_F_PSH | TCP_F_ECE, 0);
	check_cut(*state, 1460, 1460, TCP_F_ACK | TCP_F_PSH, 0);
	check_cut(*state, 1, 1460, TCP_F_ACK | TCP_F_FIN, 0);
	check_cut(*state, 0, 1460, TCP_F_ACK, 0);
	check_cut(*state, 301, 7, TCP_F_ACK | TCP_F_PSH, 0);
	check_cut(*state, 50, 1, TCP_F_ACK | TCP_F_PSH, 0);
	check_cut(*state, 60000, 8960, TCP_F_ACK | TCP_F_PSH, 0);
}

/* Each piece has the urgent pointer from its own number, those behind the byte have none. */
static void test_tso_urgent(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire,mtu=9000");
	struct pkt *p = dev_tcp(w, 3000, TCP_F_ACK | TCP_F_URG, 1000);

	((struct tcp_hdr *)pkt_at(p, p->l4))->urgent_be = host_to_be16(1500);
	port_send(w, port, p);
	assert_int_equal(port_flush(w, port), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct tcp_hdr tcp;

		wire_take(port, frame, sizeof(frame));
		memcpy(&tcp, frame + ETH_HDR_BYTES + IP4_HDR_BYTES, sizeof(tcp));
		dev_check_csums(frame, FRAME_HEADERS + 1000);
		assert_int_equal(tcp.flags, TCP_F_ACK | (i < 2 ? TCP_F_URG : 0));
		assert_int_equal(be16_to_host(tcp.urgent_be), i < 2 ? 1500 - i * 1000 : 0);
	}
	port_close(port);
}

/* Each piece of a routed super-segment counts as forwarded. */
static void test_tso_routed(void **state)
{
	struct worker *w = *state;

	check_cut(w, 5000, 1000, TCP_F_ACK, PKT_F_ROUTED);
	assert_int_equal(w->ledger.fate[FATE_FORWARDED], 5);
	assert_int_equal(w->ledger.fate[FATE_TRANSMITTED], 0);
}

/* Not enough buffers for all pieces: all or nothing, and it is said. */
static void test_tso_nomem(void **state)
{
	struct worker *w = *state;
	struct port *port = dev_port(w, "wire");
	struct pkt *super = dev_tcp(w, 60000, TCP_F_ACK, 1460), *head = NULL, *p;

	while ((p = pkt_alloc(w))) {
		p->next = head;
		head = p;
	}
	for (unsigned int i = 0; i < 20; i++) {
		p = head;
		head = p->next;
		pkt_consume(w, p, FATE_ABSORBED);
	}
	port_send(w, port, super);
	port_flush(w, port);
	assert_int_equal(wire_waiting(port), 0);
	assert_int_equal(test_drops(w, NOMEM), 21);
	while ((p = head)) {
		head = p->next;
		pkt_consume(w, p, FATE_ABSORBED);
	}
	port_close(port);
}

/* Headers that lie about themselves. */
static void test_tso_malformed(void **state)
{
	struct worker *w = *state;
	static const struct {
		uint16_t at; /* behind the Ethernet header */
		uint8_t value;
	} lies[] = {
		{ 0, 0x65 },  /* IPv6 */
		{ 0, 0x44 },  /* 16 bytes of header */
		{ 0, 0x46 },  /* longer than l4 says */
		{ 9, 17 },    /* UDP */
		{ 6, 0x20 },  /* a fragment */
		{ 32, 0x40 }, /* TCP header of 16 bytes */
	};

	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct pkt *p = dev_tcp(w, 3000, TCP_F_ACK, 1000);

		pkt_at(p, p->l3)[lies[i].at] = lies[i].value;
		assert_int_equal(offload_tso4(w, p), -EINVAL);
		assert_int_equal(pkt_len(p), FRAME_HEADERS + 3000);
		pkt_consume(w, p, FATE_ABSORBED);
	}
	for (uint16_t l4 = 0; l4 < 4000; l4 += 13) {
		struct pkt *p = dev_tcp(w, 3000, TCP_F_ACK, 1000);

		p->l4 = l4;
		if (l4 != p->l3 + IP4_HDR_BYTES)
			assert_int_equal(offload_tso4(w, p), -EINVAL);
		pkt_consume(w, p, FATE_ABSORBED);
	}
}

/* UDP: a checksum of zero goes out as all ones (RFC 768); odd lengths over segments. */
static void test_csum_udp(void **state)
{
	struct worker *w = *state;

	for (uint32_t len = 0; len < 5000; len += 331) {
		struct pkt *p = dev_tcp(w, len, TCP_F_ACK, 0);

		assert_true(offload_csum_finish(p));
		assert_false(p->flags & PKT_F_CSUM_PARTIAL);
		pkt_copy_out(p, p->l2, frame, pkt_len(p));
		dev_check_csums(frame, pkt_len(p));
		assert_true(offload_csum_finish(p)); /* nothing more to do */
		pkt_consume(w, p, FATE_ABSORBED);
	}
	/* A "UDP" packet of 8 bytes whose sum is 0xffff already: the result must not be zero. */
	struct pkt *p = pkt_alloc(w);
	uint8_t udp[8] = { 0xff, 0xff, 0, 0, 0, 0, 0, 0 };

	assert_int_equal(pkt_append(w, p, udp, sizeof(udp)), 0);
	p->l4 = p->mbuf.data_off;
	p->csum_at = UDP_CSUM_AT;
	p->flags |= PKT_F_CSUM_PARTIAL;
	assert_true(offload_csum_finish(p));
	assert_memory_equal(pkt_data(p) + 6, "\xff\xff", 2);
	pkt_consume(w, p, FATE_ABSORBED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tso, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tso_urgent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tso_routed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tso_nomem, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tso_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_csum_udp, setup, teardown),
	};

	return cmocka_run_group_tests_name("offload", tests, test_eal, NULL);
}
