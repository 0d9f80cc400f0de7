/* SPDX-License-Identifier: BSD-3-Clause */
/* What `weir dropwatch --help` prints of its options. */
#ifndef WEIR_BIN_WEIR_DROPWATCH_HELP_H
#define WEIR_BIN_WEIR_DROPWATCH_HELP_H

#define DROPWATCH_HELP                                                                             \
	"Without --top, --for, --json and --pcap it asks with a prompt: start, stop, stack,\n"     \
	"show, stats, set ..., exit (help there says more); Ctrl-C ends watching.\n\n"             \
	"  --top N            no prompt; at the end the N places with the most drops\n"            \
	"  --for TIME         end after 10s, 500ms, 2m; else Ctrl-C ends it\n"                     \
	"  --reason A[,B]     drops for these reasons only, as NO_SOCKET,UDP_CSUM\n"               \
	"  --filter FILTER    only packets that match, in tcpdump's words: 'tcp port 80'\n"        \
	"  --packet           each packet, not counts (as set alertmode packet)\n"                 \
	"  --pcap FILE        dropped packets into a pcapng file, each with reason and place\n"    \
	"                     as its comment, which Wireshark shows; - is standard output\n"       \
	"  --json             a JSON object a line; with --top one for all\n"                      \
	"  --kernel           the host kernel's drops; needs no weird\n"                           \
	"  --netns NAME       with --kernel: of that namespace alone (. is our own)\n"             \
	"  --alertlimit N     end after N alerts\n"                                                \
	"  --trunc N          keep N bytes of each packet (0: all)\n"                              \
	"  --queue N          N packets may wait to be shown (1000)\n"                             \
	"  --stack            with the stack of each drop\n"                                       \
	"  --classic          only the lines that dropwatch prints\n"                              \
	"  -l kas             accepted, as dropwatch has it: names are always looked up\n\n"       \
	"example:\n  weir dropwatch --top 10 --for 10s\n"                                          \
	"  weir dropwatch --filter 'udp port 53' --pcap dns.pcapng --for 1m\n"                     \
	"  echo start | weir dropwatch -l kas | awk '/drops at/ {print $4}'\n"

#endif
