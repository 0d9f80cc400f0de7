/* SPDX-License-Identifier: BSD-3-Clause */
/* The interfaces of weir, as programs are told of them. */
#ifndef WEIR_BIN_WEIRD_NETIF_H
#define WEIR_BIN_WEIRD_NETIF_H

#include "engine/engine.h"
#include "wire/app_netif.h"

/* The first interface with an ifindex of at least from, with ABI_NETIF_ADDRS of its addresses at
 * most, first_addr the first. 0 or -ENODEV. Workers are parked. */
int netif_fill(struct engine *engine, uint64_t from, uint64_t first_addr, struct abi_netif *netif);

#endif
