/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_net_hdr (Virtual I/O Device 1.2, section 5.1.6) as a TAP uses it: fields are in the host's
 * byte order, and csum_start counts from the frame's first byte, its Ethernet header included.
 * One header says of a frame what struct pkt says in flags, l4, csum_at and gso_size.
 */
#include "dev/tap.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

static bool hdr_csum(const struct virtio_net_hdr *hdr, struct pkt *p)
{
	uint32_t l4 = (uint32_t)p->mbuf.data_off + hdr->csum_start;

	if (hdr->csum_start < ETH_HDR_BYTES || l4 > UINT16_MAX || hdr->csum_offset > UINT8_MAX ||
	    !pkt_header(p, (uint16_t)l4, hdr->csum_offset + 2u))
		return false;
	p->l4 = (uint16_t)l4;
	p->csum_at = hdr->csum_offset;
	p->flags |= PKT_F_CSUM_PARTIAL | PKT_F_CSUM_OK;
	return true;
}

bool tap_hdr_to_pkt(const struct virtio_net_hdr *hdr, struct pkt *p)
{
	uint8_t gso = hdr->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!hdr_csum(hdr, p))
			return false;
	} else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		p->flags |= PKT_F_CSUM_OK;
	}
	if (gso == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* We asked for no other kind. */
	if (gso != VIRTIO_NET_HDR_GSO_TCPV4 || !hdr->gso_size)
		return false;
	p->flags |= PKT_F_GSO_TCP4;
	p->gso_size = hdr->gso_size;
	return true;
}

void tap_hdr_from_pkt(struct virtio_net_hdr *hdr, const struct pkt *p)
{
	const struct tcp_hdr *tcp;

	memset(hdr, 0, sizeof(*hdr));
	if (!(p->flags & PKT_F_CSUM_PARTIAL))
		return;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)(p->l4 - p->mbuf.data_off);
	hdr->csum_offset = p->csum_at;
	if (!(p->flags & PKT_F_GSO_TCP4))
		return;
	tcp = pkt_header(p, p->l4, TCP_HDR_BYTES);
	if (!tcp || !p->gso_size)
		return;
	hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	if (tcp->flags & TCP_F_CWR)
		hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	hdr->gso_size = p->gso_size;
	hdr->hdr_len = (uint16_t)(hdr->csum_start + tcp_hdr_bytes(tcp));
}
