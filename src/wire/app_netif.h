/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interface as programs learn of it: the answer to ABI_MSG_NETIF (wire/app_abi.h), one interface
 * a message. Values are Linux's: IFF_* flags (IFF_LOWER_UP too), ARPHRD_* types, statistics as in
 * struct rtnl_link_stats64.
 */
#ifndef WEIR_WIRE_APP_NETIF_H
#define WEIR_WIRE_APP_NETIF_H

#include <stdint.h>

#include "wire/ipaddr.h"

#define ABI_NETIF_ADDRS 16u /* addresses in one message */
#define ABI_NETIF_NAME_BYTES 16u

struct abi_netaddr {
	struct ipaddr addr;
	struct ipaddr broadcast; /* any: there is none */
	uint32_t prefix_len;
	uint32_t reserved;
};

struct abi_netif {
	uint32_t ifindex;
	uint32_t flags;
	uint32_t mtu_bytes;
	uint16_t hatype;
	uint16_t txqlen;
	char name[ABI_NETIF_NAME_BYTES]; /* ends with a zero byte */
	uint8_t mac[6], broadcast[6];
	uint32_t addr_total; /* of the interface */
	uint32_t addr_count; /* of those that follow, from the one that was asked for on */
	uint32_t reserved;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_errors, tx_errors, rx_dropped, tx_dropped, multicast;
	struct abi_netaddr addr[ABI_NETIF_ADDRS];
};

_Static_assert(sizeof(struct abi_netif) % sizeof(uint32_t) == 0, "it travels in words");

#endif
