/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Of the kernel's structs, the members that kdrop.bpf.c reads. Where they lie is not what is
 * written here: libbpf looks each up by name in the running kernel's BTF when the program is
 * loaded (CO-RE), so neither order nor what is between matters, and no header of a kernel is
 * needed.
 */
#ifndef WEIR_BPF_KERNEL_TYPES_H
#define WEIR_BPF_KERNEL_TYPES_H

#include <linux/types.h>

#ifdef __bpf__
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	char name[16];
	unsigned short type;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct in6_addr_bytes {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr_bytes skc_v6_daddr;
	struct in6_addr_bytes skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len, data_len;
	int skb_iif;
	__u32 vlan_all;
	__be16 vlan_proto;
	__u16 vlan_tci;
	__be16 protocol;
	__u16 network_header, mac_header;
	unsigned char *head, *data;
};

#ifdef __bpf__
#pragma clang attribute pop
#endif

#endif
