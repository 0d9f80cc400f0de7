/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a program may ask on a netlink socket: datagrams of any bytes, each message of them answered
 * as the daemon does it. Every answer is a whole number of messages, and a dump ends.
 */
#include "fuzz.h"
#include "host.h"
#include "netlink/rtnetlink.h"

#define DATAGRAMS_MAX 100000u

static struct nl_buf answer;

static void check_answer(void)
{
	size_t at = 0;

	while (nl_next(answer.bytes, answer.len, &at))
		;
	FUZZ_CHECK(at == answer.len);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(struct nlmsghdr) uint8_t datagram[8192];
	struct worker *worker = &host.w;
	const struct rtnl r = { .worker = &worker, .worker_count = 1 };
	struct rtnl_dump dump = { 0 };
	const struct nlmsghdr *msg;
	size_t at = 0;

	if (size > sizeof(datagram))
		return 0;
	host_open();
	memcpy(datagram, data, size);
	while ((msg = nl_next(datagram, size, &at)) != NULL) {
		nl_init(&answer);
		rtnl_request(&r, msg, 1, &answer, &dump);
		check_answer();
	}
	for (unsigned int i = 0; rtnl_dumping(&dump); i++) {
		FUZZ_CHECK(i < DATAGRAMS_MAX);
		nl_init(&answer);
		rtnl_dump(&r, &dump, &answer);
		check_answer();
	}
	host_close();
	return 0;
}
