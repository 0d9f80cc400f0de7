/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap's own interpreter, apart: it and Linux both have a struct bpf_insn. */
#ifndef WEIR_TESTS_UNIT_CLI_KERNEL_FILTER_PCAP_H
#define WEIR_TESTS_UNIT_CLI_KERNEL_FILTER_PCAP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool filter_of_pcap(const struct sock_filter *code, size_t count, const uint8_t *frame,
		    uint32_t len, uint32_t caplen);

#endif
