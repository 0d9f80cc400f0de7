/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/kernel_filter_pcap.h"

#include <pcap/pcap.h>

bool filter_of_pcap(const struct sock_filter *code, size_t count, const uint8_t *frame,
		    uint32_t len, uint32_t caplen)
{
	struct bpf_insn insns[4096];

	for (size_t i = 0; i < count; i++)
		insns[i] = (struct bpf_insn){ code[i].code, code[i].jt, code[i].jf, code[i].k };
	return bpf_filter(insns, frame, len, caplen) != 0;
}
