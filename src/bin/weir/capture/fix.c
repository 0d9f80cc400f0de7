/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums that weir leaves to the card (or to the kernel behind a TAP), finished in the copy. */
#include "bin/weir/capture/capture.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

/* Where the L4 checksum stands in its header, 0: it has none that we know. */
static uint32_t csum_at(uint8_t proto, uint32_t payload)
{
	if (proto == IP_PROTO_TCP && payload >= TCP_HDR_BYTES)
		return TCP_CSUM_AT;
	return proto == IP_PROTO_UDP && payload >= UDP_HDR_BYTES ? UDP_CSUM_AT : 0;
}

void capture_fix_checksum(uint8_t *bytes, uint32_t caplen, uint32_t len, bool ethernet)
{
	uint32_t at = ethernet ? ETH_HDR_BYTES : 0, head, payload, where;
	struct ip4_hdr h;
	uint64_t sum;

	if (caplen != len || caplen < at + IP4_HDR_BYTES ||
	    (ethernet && be16_load(bytes + 12) != ETH_TYPE_IP4))
		return;
	memcpy(&h, bytes + at, sizeof(h));
	head = ip4_hdr_bytes(&h);
	if (ip4_version(&h) != 4 || head < IP4_HDR_BYTES || ip4_len(&h) < head ||
	    ip4_len(&h) > caplen - at || ip4_is_fragment(&h))
		return;
	payload = ip4_len(&h) - head;
	where = csum_at(h.proto, payload);
	if (!where)
		return;
	bytes += at + head;
	memset(bytes + where, 0, 2);
	sum = csum_add(csum_pseudo_ip4(h.src_be, h.dst_be, h.proto, payload), bytes, payload);
	memcpy(bytes + where,
	       &(uint16_t){ h.proto == IP_PROTO_UDP ? csum_finish_udp(sum) : csum_finish(sum) }, 2);
}
