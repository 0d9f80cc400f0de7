/* SPDX-License-Identifier: BSD-3-Clause */
/* What an idle connection costs outside of its buffers. */
#include "common/testing.h"
#include "inet/tcp/tcp_impl.h"
#include "sock/sock_priv.h"

static void test_an_idle_connection_is_small(void **state)
{
	size_t pcb = sizeof(struct tcp_pcb);

#ifdef WEIR_CHECKS
	pcb = offsetof(struct tcp_pcb, shadow); /* which is not in what is released */
#endif
	pcb = (pcb + 63) & ~(size_t)63; /* as its slab has it */
	assert_true(sizeof(struct sock) <= 256);
	assert_true(sizeof(struct abi_sock) == 192);
	/* 64: its share of tables (by 4-tuple, descriptors, rings), as tcp_connections measures. */
	assert_true(sizeof(struct sock) + sizeof(struct abi_sock) + pcb + 64 <= 1536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_idle_connection_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
