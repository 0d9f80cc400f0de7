/* SPDX-License-Identifier: BSD-3-Clause */
/* Words to classic BPF: apart from the rest, for libpcap and Linux both have a struct bpf_insn. */
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/weir/dropwatch/kernel_filter.h"
#include "bpf/kdrop.h"

static int copy_program(const struct bpf_program *program, struct sock_filter **code, size_t *count)
{
	size_t n = program->bf_len;
	struct sock_filter *to = calloc(n ? n : 1, sizeof(*to));

	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct bpf_insn *from = &program->bf_insns[i];

		to[i] = (struct sock_filter){ from->code, from->jt, from->jf, from->k };
	}
	*code = to;
	*count = n;
	return 0;
}

int kernel_filter_compile(const char *words, struct sock_filter **code, size_t *count, char *error,
			  size_t error_bytes)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, KDROP_SNAP);
	struct bpf_program program;
	int rc = -ENOMEM;

	if (!pcap) {
		snprintf(error, error_bytes, "no memory for the filter");
		return rc;
	}
	if (pcap_compile(pcap, &program, words, 1, PCAP_NETMASK_UNKNOWN) == 0) {
		rc = copy_program(&program, code, count);
		pcap_freecode(&program);
		if (rc)
			snprintf(error, error_bytes, "no memory for the filter");
	} else {
		rc = -EINVAL;
		snprintf(error, error_bytes, "the filter '%s': %s: pcap-filter(7) has the words",
			 words, pcap_geterr(pcap));
	}
	pcap_close(pcap);
	return rc;
}
