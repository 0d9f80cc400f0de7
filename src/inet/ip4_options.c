/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 options (RFC 791 section 3.1, RFC 1122 section 3.2.1.8): checked, and otherwise ignored. */
#include "core/ledger.h"
#include "inet/ip4.h"

/* Record route and time stamp: the pointer, from 1, says where the next entry goes. */
static bool pointer_ok(const uint8_t *opt, unsigned int len, unsigned int smallest)
{
	return len >= smallest - 1 && (len < 3 || opt[2] >= smallest);
}

unsigned int ip4_options_check(const uint8_t *header, unsigned int header_len, unsigned int *at)
{
	unsigned int i = IP4_HDR_BYTES, len;

	while (i < header_len) {
		*at = i;
		if (header[i] == IP4_OPT_END)
			break;
		if (header[i] == IP4_OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= header_len)
			return DROP_IP_INHDR;
		len = header[i + 1];
		if (len < 2 || len > header_len - i)
			return DROP_IP_INHDR;
		switch (header[i]) {
		case IP4_OPT_LSRR:
		case IP4_OPT_SSRR:
			return DROP_IP_SOURCE_ROUTE;
		case IP4_OPT_RR:
			if (len < 3 || !pointer_ok(header + i, len, 4))
				return DROP_IP_INHDR;
			break;
		case IP4_OPT_TIMESTAMP:
			if (len < 4 || !pointer_ok(header + i, len, 5))
				return DROP_IP_INHDR;
			break;
		default:
			break;
		}
		i += len;
	}
	return 0;
}
