/* SPDX-License-Identifier: BSD-3-Clause */
/* The header in front of a TAP's frames, both ways, and nonsense in it. No privileges. */
#include "dev_testing.h"

#include "dev/tap.h"

static int setup(void **state)
{
	*state = test_worker();
	return 0;
}

static int teardown(void **state)
{
	test_worker_done(*state);
	return 0;
}

/* What we say of a packet is what we understand of it. */
static void test_round_trip(void **state)
{
	struct worker *w = *state;
	struct pkt *p = dev_tcp(w, 5000, TCP_F_ACK | TCP_F_CWR, 1448);
	struct virtio_net_hdr hdr;
	uint16_t l4 = p->l4;

	tap_hdr_from_pkt(&hdr, p);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	assert_int_equal(hdr.csum_start, 34); /* from the Ethernet header on */
	assert_int_equal(hdr.csum_offset, 16);
	assert_int_equal(hdr.hdr_len, 54);
	assert_int_equal(hdr.gso_size, 1448);
	p->flags = 0;
	p->l4 = p->csum_at = p->gso_size = 0;
	assert_true(tap_hdr_to_pkt(&hdr, p));
	assert_int_equal(p->flags, PKT_F_CSUM_OK | PKT_F_CSUM_PARTIAL | PKT_F_GSO_TCP4);
	assert_int_equal(p->l4, l4);
	assert_int_equal(p->csum_at, 16);
	assert_int_equal(p->gso_size, 1448);
	p->flags = 0;
	tap_hdr_from_pkt(&hdr, p);
	assert_memory_equal(&hdr, &(struct virtio_net_hdr){ 0 }, sizeof(hdr));
	assert_true(tap_hdr_to_pkt(&hdr, p));
	assert_int_equal(p->flags, 0);
	hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	assert_true(tap_hdr_to_pkt(&hdr, p));
	assert_int_equal(p->flags, PKT_F_CSUM_OK);
	pkt_consume(w, p, FATE_ABSORBED);
}

/* Any header over any frame: never an offset outside, never "good" by mistake. */
static void test_nonsense(void **state)
{
	struct worker *w = *state;

	for (unsigned int i = 0; i < 20000; i++) {
		struct pkt *p = dev_raw(w, worker_random(w) % 200, 0);
		struct virtio_net_hdr hdr = {
			.flags = (uint8_t)worker_random(w),
			.gso_type = (uint8_t)(worker_random(w) % 8),
			.hdr_len = (uint16_t)worker_random(w),
			.gso_size = (uint16_t)(worker_random(w) % 3 * 700),
			.csum_start = (uint16_t)(worker_random(w) % (i & 1 ? 65536 : 256)),
			.csum_offset = (uint16_t)(worker_random(w) % (i & 2 ? 65536 : 64)),
		};

		if (tap_hdr_to_pkt(&hdr, p) && (p->flags & PKT_F_CSUM_PARTIAL)) {
			assert_non_null(pkt_header(p, p->l4, p->csum_at + 2u));
			assert_true(p->l4 >= p->l2 + ETH_HDR_BYTES);
		}
		if (p->flags & PKT_F_GSO_TCP4) {
			assert_int_equal(hdr.gso_type & 0x7f, VIRTIO_NET_HDR_GSO_TCPV4);
			assert_true(p->gso_size > 0);
		}
		if (!(hdr.flags & 3))
			assert_false(p->flags & PKT_F_CSUM_OK);
		pkt_consume(w, p, FATE_ABSORBED);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests_name("tap_hdr", tests, test_eal, NULL);
}
