/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the daemon for its interfaces. Each question is answered afresh: there is no stale copy.
 */
#include "shim/shim.h"

#include "wire/app_netif.h"

int netif_next(uint32_t from, uint32_t first_addr, struct abi_netif *netif)
{
	union {
		struct abi_msg msg;
		uint8_t bytes[sizeof(struct abi_msg) + sizeof(struct abi_netif)];
	} u = { .msg = { .type = ABI_MSG_NETIF, .version = ABI_VERSION } };
	int err = session_attach();

	if (err)
		return err;
	u.msg.arg[0] = from;
	u.msg.arg[1] = first_addr;
	err = session_request_words(&u.msg, sizeof(u), NULL, 0);
	if (err)
		return err;
	if (u.msg.word_count != sizeof(*netif) / sizeof(uint32_t))
		return -EPROTO;
	memcpy(netif, u.msg.words, sizeof(*netif));
	netif->name[sizeof(netif->name) - 1] = '\0';
	if (netif->ifindex < from || netif->ifindex == 0)
		return -EPROTO;
	if (netif->addr_count > ABI_NETIF_ADDRS)
		netif->addr_count = ABI_NETIF_ADDRS;
	return 0;
}

int netif_by_name(const char *name, struct abi_netif *netif)
{
	uint32_t from = 1;
	int err;

	while ((err = netif_next(from, 0, netif)) == 0) {
		if (strncmp(netif->name, name, sizeof(netif->name)) == 0)
			return 0;
		from = netif->ifindex + 1;
	}
	return err;
}

int netif_by_index(uint32_t ifindex, struct abi_netif *netif)
{
	int err = ifindex ? netif_next(ifindex, 0, netif) : -ENODEV;

	return !err && netif->ifindex != ifindex ? -ENODEV : err;
}
