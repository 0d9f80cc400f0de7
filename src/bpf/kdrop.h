/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the BPF program on skb:kfree_skb (kdrop.bpf.c) and `weir dropwatch --kernel` have in common.
 *
 * Aggregated in place: each drop adds 1 to the counter of its key, in a hash of each CPU's own, so
 * no count is lost, however many come. Packets and stacks are copies beside that: a packet that
 * finds no room is counted as skipped.
 */
#ifndef WEIR_BPF_KDROP_H
#define WEIR_BPF_KDROP_H

#include <linux/types.h>

#define KDROP_KEYS 16384u   /* places times reasons times namespaces */
#define KDROP_STACKS 8192u  /* different stacks */
#define KDROP_FRAMES 32u    /* of one stack */
#define KDROP_SNAP 10240u   /* bytes of a packet, at most */
#define KDROP_REASONS 256u  /* reasons that can be chosen */
#define KDROP_NO_STACK (-1) /* a key's: none was asked for, or there was no room for it */

/* Slots of the array of programs, by which a packet filter stands between two of ours. */
#define KDROP_SLOT_FILTER 0u
#define KDROP_SLOT_MATCHED 1u

/* What the user chose: constant once the program is loaded, so what is off costs nothing. */
struct kdrop_config {
	__u32 with_reason; /* the kernel gives a reason: since Linux 5.17 */
	__u32 with_rx_sk;  /* and the socket that the packet was for: since 6.10 */
	__u32 netns;	   /* only this namespace's drops, by inode number; 0: all */
	__u32 choose;	   /* only the reasons that are not 0 below */
	__u32 filter;	   /* a packet filter is in KDROP_SLOT_FILTER */
	__u32 packets;	   /* a packet for each drop */
	__u32 stacks;
	__u32 snap_bytes;  /* of each packet, for the filter or for the user */
	__u32 trunc_bytes; /* of each packet, for the user */
	__u32 queue_packets;
	__u8 chosen[KDROP_REASONS];
};

struct kdrop_key {
	__u64 location; /* 0: one of those that came when KDROP_KEYS others were there */
	__u32 reason;	/* enum skb_drop_reason */
	__u32 netns;	/* inode number; 0: not known */
	__s32 stack;	/* in the map of stacks, or KDROP_NO_STACK */
	__u32 pad;
};

/* Counters of each CPU, in the map "stats". */
enum kdrop_stat {
	KDROP_SKIPPED,	     /* counted, but the queue of packets was full */
	KDROP_NETNS_UNKNOWN, /* not counted: one namespace is wanted, and this drop's is not known
			      */
	KDROP_UNDECIDED,     /* not counted: the filter looked beyond the bytes that there were */
	KDROP_FAILED,	     /* not counted: the kernel refused a look-up or a call */
	KDROP_STACK_LOST,    /* counted, without its stack */
	KDROP_STATS
};

/* A socket that a drop concerns; family 0: none, or not known. */
struct kdrop_socket {
	__u16 family, protocol;
	__u16 local_port, remote_port; /* host order */
	__u32 state;
	__u8 local[16], remote[16]; /* IPv4: the first four */
};

/* A packet as it goes through the ring: from `time_ns` on, or from `frames` on where stacks are
 * wanted. */
struct kdrop_packet {
	__u64 frames[KDROP_FRAMES];
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 location;
	__u32 reason;
	__u32 netns;
	__u32 ifindex;	    /* 0: none */
	__u32 len_bytes;    /* of the frame as it was */
	__u32 caplen_bytes; /* of `bytes` */
	__u32 frames_bytes;
	__u16 protocol; /* EtherType, host order */
	__u16 made_up;	/* the Ethernet header is ours: there was none, or none that is known */
	char ifname[16];
	__u32 pad;
	struct kdrop_socket socket;
	__u8 bytes[KDROP_SNAP]; /* an Ethernet frame */
};

/* Where a CPU keeps the packet that it looks at. */
struct kdrop_scratch {
	struct kdrop_packet packet;
};

/* Shared with the user's side, to know how many packets wait in the ring. */
struct kdrop_shared {
	__u64 queued; /* the program's: put into the ring */
	__u64 taken;  /* the user's side: taken out of it */
};

#endif
