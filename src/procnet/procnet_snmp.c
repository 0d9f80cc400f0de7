/* SPDX-License-Identifier: BSD-3-Clause */
/* snmp, netstat: TCP's counters (inet/tcp/mib.def), a group a pair of lines. */
#include <inttypes.h>
#include <string.h>

#include "inet/tcp/mib.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"
#include "procnet/procnet.h"

static uint64_t counter(const struct procnet *p, unsigned int i)
{
	uint64_t sum = 0;

	for (unsigned int w = 0; w < p->worker_count; w++)
		sum += tcp_counter(p->worker[w], i);
	return sum;
}

static void group_lines(const struct procnet *p, const char *group, const char *names,
			const char *values, FILE *out)
{
	fprintf(out, "%s:%s", group, names);
	for (unsigned int i = 0; i < TCP_MIB_MAX; i++) {
		if (strcmp(tcp_mib_info(i)->group, group) == 0)
			fprintf(out, " %s", tcp_mib_info(i)->name);
	}
	fprintf(out, "\n%s:%s", group, values);
	for (unsigned int i = 0; i < TCP_MIB_MAX; i++) {
		if (strcmp(tcp_mib_info(i)->group, group) == 0)
			fprintf(out, " %" PRIu64, counter(p, i));
	}
	fputc('\n', out);
}

/* RFC 1213's tcpRtoAlgorithm 4 is Van Jacobson's; Linux says 1 (other), and -1: no fixed limit of
 * connections. */
void procnet_snmp(const struct procnet *p, FILE *out)
{
	const struct tcp_params *params = tcp_params(p->worker[0]);
	char values[64];

	snprintf(values, sizeof(values), " 1 %d %d -1", (int)params->tcp_rto_min_us / 1000,
		 (int)params->tcp_rto_max_ms);
	group_lines(p, "Tcp", " RtoAlgorithm RtoMin RtoMax MaxConn", values, out);
}

void procnet_netstat(const struct procnet *p, FILE *out)
{
	group_lines(p, "TcpExt", "", "", out);
}
