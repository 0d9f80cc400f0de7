/* SPDX-License-Identifier: BSD-3-Clause */
/* What `weir trace --help` says. */
#ifndef WEIR_BIN_WEIR_TRACE_HELP_H
#define WEIR_BIN_WEIR_TRACE_HELP_H

#define TRACE_HELP                                                                                 \
	"  FILTER         which packets, as tcpdump has it (man pcap-filter); none: all of them\n" \
	"  -n COUNT       end after so many packets\n"                                             \
	"  --for TIME     end after so long: 10s, 500ms, 2m\n"                                     \
	"  --drops-only   show only packets that were dropped\n"                                   \
	"  --summary      no packets, but the latency between stages and the fates, at the end\n"  \
	"  -v             with the bytes of each packet\n"                                         \
	"  --ring BYTES   what a worker may have written before this reads it (default 4194304)\n" \
	"  --open N       packets on their way at a time (default 4096); then the oldest goes\n"   \
	"  --json         one JSON object a line for each packet, and one for the end\n\n"         \
	"example:\n  weir trace 'host 198.18.0.1 and tcp port 80'\n"                               \
	"  weir trace -n 100 --drops-only --json | jq -r '.reason // empty'\n"                     \
	"  weir trace --for 10s --summary udp\n"

#endif
