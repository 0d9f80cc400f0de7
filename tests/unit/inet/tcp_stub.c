/* SPDX-License-Identifier: BSD-3-Clause */
/* In TCP's place: inet's other parts are tested without it. */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "inet/pmtu.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"

struct told tcp_told;
bool tcp_stub_knows;
unsigned int tcp_stub_in;
uint8_t tcp_stub_tos;

int tcp_init(struct worker *w)
{
	return 0;
}

const struct tcp_params *tcp_params(const struct worker *w)
{
	static const struct tcp_params params = { .ip_local_port_range = { 32768, 60999 },
						  .ipfrag_time = 30,
						  .ipfrag_high_thresh = FRAG_MAX_BYTES,
						  .ipfrag_max_datagrams = FRAG_MAX_DATAGRAMS };

	return &params;
}

void tcp_free(struct worker *w)
{
}

void tcp_input(struct worker *w, struct pkt **pkts, unsigned int n)
{
	tcp_stub_in += n;
	for (unsigned int i = 0; i < n; i++) {
		tcp_stub_tos = ((struct ip4_hdr *)pkt_at(pkts[i], pkts[i]->l3))->tos;
		pkt_consume(w, pkts[i], FATE_ABSORBED);
	}
}

enum icmp_told tcp_icmp_error(struct worker *w, const struct ipaddr *local,
			      const struct ipaddr *remote, const uint8_t l4[8], int error,
			      bool hard, uint16_t mtu_bytes)
{
	tcp_told.count++;
	tcp_told.error = error;
	tcp_told.hard = hard;
	tcp_told.mtu_bytes = mtu_bytes;
	tcp_told.local = *local;
	tcp_told.remote = *remote;
	memcpy(tcp_told.l4, l4, 8);
	if (tcp_stub_knows && error == EMSGSIZE)
		pmtu_report(w, local, remote, mtu_bytes); /* as TCP does where it believes it */
	return tcp_stub_knows ? ICMP_BELIEVED : ICMP_NOBODY;
}
