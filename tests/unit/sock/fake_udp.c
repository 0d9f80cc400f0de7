/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP of the transport that a test drives by hand. */
#include "fake_inet.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

unsigned int fake_udp_count;
int fake_udp_result;
unsigned int fake_udp_sent;
uint8_t fake_udp_last[65536];
uint32_t fake_udp_last_len;
struct udp_send fake_udp_last_send;

static struct udp_pcb *udp_pcbs;

int udp_open(struct worker *w, struct udp_pcb **result, void *user)
{
	struct udp_pcb *pcb = calloc(1, sizeof(*pcb));

	if (pcb == NULL)
		return -ENOMEM;
	pcb->user = user;
	pcb->next = udp_pcbs;
	udp_pcbs = pcb;
	fake_udp_count++;
	*result = pcb;
	return 0;
}

void udp_close(struct worker *w, struct udp_pcb *pcb)
{
	struct udp_pcb **link = &udp_pcbs;

	while (*link != pcb)
		link = &(*link)->next;
	*link = pcb->next;
	fake_udp_count--;
	free(pcb);
}

int udp_bind(struct worker *w, struct udp_pcb *pcb, const struct endpoint *local)
{
	pcb->local = *local;
	if (local->port_be == 0)
		pcb->local.port_be = fake_port_be();
	return 0;
}

void udp_unbind(struct worker *w, struct udp_pcb *pcb)
{
	pcb->local = (struct endpoint){ .port_be = 0 };
}

int udp_connect(struct worker *w, struct udp_pcb *pcb, const struct endpoint *remote)
{
	if (pcb->local.port_be == 0)
		pcb->local.port_be = fake_port_be();
	pcb->remote = *remote;
	return 0;
}

int udp_send_check(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send)
{
	if (send->to == NULL && pcb->remote.port_be == 0)
		return -EDESTADDRREQ;
	if (pcb->local.port_be == 0)
		pcb->local.port_be = fake_port_be();
	return fake_udp_result;
}

int udp_send_as(struct worker *w, struct udp_pcb *pcb, const struct udp_send *send)
{
	int ret = udp_send_check(w, pcb, send);

	if (ret != 0)
		return ret;
	memcpy(fake_udp_last, send->run[0], send->len[0]);
	memcpy(fake_udp_last + send->len[0], send->run[1], send->len[1]);
	fake_udp_last_len = send->len[0] + send->len[1];
	fake_udp_last_send = *send;
	fake_udp_sent++;
	return 0;
}

int udp_mtu(struct worker *w, struct udp_pcb *pcb)
{
	return pcb->remote.port_be != 0 ? 1500 : -ENOTCONN;
}

static struct udp_pcb *udp_of_port(uint16_t port)
{
	struct udp_pcb *pcb = udp_pcbs;

	while (pcb != NULL && pcb->local.port_be != htobe16(port))
		pcb = pcb->next;
	return pcb;
}

void fake_udp_deliver(struct worker *w, uint16_t port, const void *data, uint32_t len)
{
	struct endpoint from = { ipaddr_from_ip4(htobe32(0xc6120001)), htobe16(9999) };
	struct endpoint to = { ipaddr_from_ip4(htobe32(0xc6120002)), htobe16(port) };
	struct pkt *p;

	if (pkt_alloc_raw(w, &p, 1) != 0)
		return;
	pkt_entered(w, &p, 1, 2);
	p->l2 = p->l3 = p->l4 = p->l7 = p->mbuf.data_off;
	if (pkt_append(w, p, data, len) != 0) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	fake_up.udp_deliver(w, udp_of_port(port), p, &from, &to);
}

void fake_udp_error(struct worker *w, uint16_t port, int error)
{
	static const uint8_t l4[8] = { 0, 53, 0, 99 };
	struct net_error e = { .error = error,
			       .from = NET_ERROR_ICMP,
			       .type = 3,
			       .code = 3,
			       .offender = ipaddr_from_ip4(htobe32(0xc6120001)),
			       .remote = ipaddr_from_ip4(htobe32(0xc6120009)),
			       .l4 = l4 };

	fake_up.udp_error(w, udp_of_port(port), &e);
}
