/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket filters: any bytes as a program, any as a packet. What the check lets through must run to
 * its end within both. (libFuzzer's sanitizers see a load outside.)
 */
#include <stdlib.h>
#include <string.h>

#include "core/filter.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint32_t count = fuzz_u8(&in), prefix_bytes = fuzz_u8(&in) % 32;
	struct filter_packet fp = { .prefix_bytes = prefix_bytes, .len_bytes = prefix_bytes };
	struct sock_filter *insn = calloc(count ? count : 1, sizeof(*insn));
	uint8_t *prefix = calloc(1, prefix_bytes ? prefix_bytes : 1);

	fp.prefix = prefix;
	fp.data_at = prefix_bytes ? fuzz_u8(&in) % (prefix_bytes + 1) : 0;
	fp.net_at = prefix_bytes ? fuzz_u8(&in) % (prefix_bytes + 1) : 0;
	fp.vlan_tci = fuzz_u8(&in);
	fuzz_bytes(&in, prefix, prefix_bytes < in.left ? prefix_bytes : in.left);
	fuzz_bytes(&in, insn, count * sizeof(*insn) < in.left ? count * sizeof(*insn) : in.left);
	if (filter_check(insn, count) == 0)
		(void)filter_run(insn, &fp);
	free(prefix);
	free(insn);
	return 0;
}
