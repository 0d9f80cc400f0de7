/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's counters (mib.def) [SNMP MIBs]. Each worker has its own; counting is one increment.
 *
 * Threads: the worker's; read by any while it is parked.
 */
#ifndef WEIR_INET_TCP_MIB_H
#define WEIR_INET_TCP_MIB_H

#include <stdint.h>

enum tcp_mib {
#define TCP_MIB(group, name, text) TCP_MIB_##name,
#include "inet/tcp/mib.def"
#undef TCP_MIB
	TCP_MIB_MAX
};

struct tcp_mib_info {
	const char *group, *name, *text; /* "TcpExt", "TCPTimeouts" */
};

/* Never NULL for what is below TCP_MIB_MAX. */
const struct tcp_mib_info *tcp_mib_info(unsigned int i);

/* By name, with its group in front or not ("TcpExtTCPTimeouts", "TCPTimeouts"); -1: none such. */
int tcp_mib_find(const char *name);

#define tcp_mib_add(w, name, n) ((w)->tcp->mib[TCP_MIB_##name] += (n))
#define tcp_mib(w, name) tcp_mib_add(w, name, 1)

#endif
