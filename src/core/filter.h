/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet filters: classic BPF as programs attach it to sockets (SO_ATTACH_FILTER) and as libpcap
 * makes it, with Linux's additions to the load instructions. A program is checked once, and then
 * run on each packet: it always ends (jumps go forward only), and every load is bounded by the
 * packet. Why an interpreter of our own: neither DPDK's rte_bpf_convert() nor libpcap's
 * bpf_filter() has the loads behind SKF_AD_OFF, which libpcap uses for "any" and for VLANs.
 */
#ifndef WEIR_CORE_FILTER_H
#define WEIR_CORE_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/pkt.h"

#define FILTER_MAX_INSNS 4096u

/* The packet as a filter sees it: prefix_bytes of prefix, then p from offset start on. */
struct filter_packet {
	const struct pkt *p;
	const uint8_t *prefix;
	uint32_t prefix_bytes;
	uint32_t start;	    /* counted from buf_addr */
	uint32_t len_bytes; /* of all that */
	uint32_t data_at;   /* where the data of the socket begin: what an offset of 0 means */
	uint32_t net_at;    /* the network header: SKF_NET_OFF */
	/* SKF_AD_*, as Linux gives them */
	uint32_t ifindex, cpu, random;
	uint16_t protocol, hatype, vlan_tci, vlan_tpid;
	uint8_t pkttype;
	bool vlan_present;
};

/* 0, or -EINVAL for what Linux would not accept either. */
int filter_check(const struct sock_filter *insn, uint32_t count);

/* Bytes of the packet's data that are accepted, 0: none. The program was checked. */
uint32_t filter_run(const struct sock_filter *insn, const struct filter_packet *fp);

/* Copy len bytes from offset at of the packet; false where it does not have them. */
bool filter_packet_copy(const struct filter_packet *fp, uint32_t at, void *to, uint32_t len);

#endif
