/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The BPF program of `weir dropwatch --kernel`: it runs at each drop of the host's kernel, at the
 * tracepoint skb:kfree_skb.
 *
 * Compiled twice. As tp_btf the kernel knows the types of the arguments and lets the program read
 * through their pointers; with KDROP_RAW, for kernels before 5.5, as raw_tp, each read is a call.
 *
 * The way of a drop:  kdrop() -> [the user's packet filter] -> kdrop_matched() -> count, packet.
 * The filter is a program of its own, made from libpcap's (bin/weir/dropwatch/kernel_filter.c), and
 * tail calls join the three. They speak through the CPU's scratch: the kernel lets no second run of
 * kdrop() begin on a CPU before the first is done with all of them (it counts those that it kept
 * out, and the user is told).
 *
 * Nothing here loops over anything; each read is bounded, and one that faults reads 0.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#include "bpf/kdrop.h"
#include "bpf/kernel_types.h"

/* bpf_probe_read_kernel() and the stacks are for programs under the GPL, among other licenses. */
char kdrop_license[] SEC("license") = "Dual BSD/GPL";

#ifdef KDROP_RAW
#define SECTION "raw_tp/kfree_skb"
#define READ(from, member) BPF_CORE_READ(from, member)
#else
#define SECTION "tp_btf/kfree_skb"
#define READ(from, member) ((from)->member)
#endif

#define ETH_BYTES 14u
#define VLAN_BYTES 4u
#define ARPHRD_ETHER 1
#define ARPHRD_LOOPBACK 772
#define HEADER_UNSET 0xffffu
#define DST_NOREF 1ul
#define AF_INET 2
#define AF_INET6 10
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12
#define IPPROTO_TCP 6
/* Inode numbers of namespaces begin about here; less was read from something else. */
#define NETNS_LEAST 0xe0000000u

const volatile struct kdrop_config config;
struct kdrop_shared shared;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, KDROP_KEYS);
	__type(key, struct kdrop_key);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KDROP_STATS);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kdrop_scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, KDROP_STACKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, KDROP_FRAMES * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* the user's side sets it */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

/* The arguments of the tracepoint: struct sk_buff *, void *, enum skb_drop_reason, struct sock *.
 */
struct args {
	struct sk_buff *skb;
	__u64 location;
	__u32 reason;
	struct sock *rx_sk; /* NULL: none, or not told */
};

/* A packet's bytes: offsets are from skb->head. */
struct extent {
	__u32 start;	 /* of what is shown */
	__u32 end;	 /* of what is in one piece */
	__u32 len_bytes; /* from start on, pages included */
	__u32 ethernet;	 /* start is at an Ethernet header */
};

static __always_inline void stat_add(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&stats, &which);

	if (counter)
		*counter += 1;
}

/* len, in a register that the compiler knows nothing of: so that the comparison which follows is
 * made on this very register, which is what the verifier wants to see. */
static __always_inline __u64 bounded(__u64 len)
{
	asm volatile("" : "+r"(len));
	return len;
}

/* ---- whose drop it is ---- */

static __always_inline __u32 inum_ok(__u32 inum)
{
	return inum >= NETNS_LEAST ? inum : 0;
}

static __always_inline __u32 netns_of_dev(struct net_device *dev)
{
	struct net *net;

	if (!dev || !bpf_core_field_exists(dev->nd_net.net))
		return 0;
	net = READ(dev, nd_net.net);
	return net ? inum_ok(READ(net, ns.inum)) : 0;
}

static __always_inline __u32 netns_of_sock(struct sock *sk)
{
	struct net *net;

	if (!sk || !bpf_core_field_exists(sk->__sk_common.skc_net.net))
		return 0;
	net = READ(sk, __sk_common.skc_net.net);
	return net ? inum_ok(READ(net, ns.inum)) : 0;
}

/* The device of the packet's route: a number until it is read, so by calls in either kind. */
static __always_inline __u32 netns_of_route(struct sk_buff *skb)
{
	struct dst_entry *dst = (void *)(READ(skb, _skb_refdst) & ~DST_NOREF);

	if (!dst || !bpf_core_field_exists(((struct net_device *)0)->nd_net.net))
		return 0;
	return inum_ok(BPF_CORE_READ(dst, dev, nd_net.net, ns.inum));
}

/*
 * The socket that it was for knows best. Then the device: but sk_buff keeps other things in its
 * place while a packet waits in a socket's queue, which then read as no namespace. The packet's own
 * socket comes later, for it may be the sender's, in another namespace. What a UDP socket had in
 * its queue when it was closed has none of these (and is freed by whoever ends RCU's grace period,
 * so the process that runs says nothing): its namespace is not known.
 */
static __always_inline __u32 netns_of(const struct args *a)
{
	struct sk_buff *skb = a->skb;
	__u32 inum = netns_of_sock(a->rx_sk);

	if (!inum)
		inum = netns_of_dev(READ(skb, dev));
	if (!inum)
		inum = netns_of_sock(READ(skb, sk));
	if (!inum)
		inum = netns_of_route(skb);
	return inum;
}

/* ---- counts ---- */

static __always_inline void count(void *ctx, struct kdrop_key *key)
{
	__u64 one = 1, *counter;

	key->stack = KDROP_NO_STACK;
	if (config.stacks && !config.packets) {
		key->stack = bpf_get_stackid(ctx, &stacks, 0);
		if (key->stack < 0) {
			key->stack = KDROP_NO_STACK;
			stat_add(KDROP_STACK_LOST);
		}
	}
	counter = bpf_map_lookup_elem(&counts, key);
	if (counter) {
		*counter += 1;
		return;
	}
	if (bpf_map_update_elem(&counts, key, &one, BPF_NOEXIST) == 0)
		return;
	/* Another CPU was first with this key, or the table is full: then it has no place of its
	 * own, but it is counted. */
	counter = bpf_map_lookup_elem(&counts, key);
	if (!counter) {
		__builtin_memset(key, 0, sizeof(*key));
		key->stack = KDROP_NO_STACK;
		counter = bpf_map_lookup_elem(&counts, key);
	}
	if (counter)
		*counter += 1;
	else
		stat_add(KDROP_FAILED);
}

/* ---- packets ---- */

static __always_inline __u32 is_ethernet(struct net_device *dev)
{
	__u32 type;

	if (!dev)
		return 1; /* not known: then headers that lie as Ethernet's do are believed */
	type = READ(dev, type);
	return type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK;
}

/* Where the frame begins: at the Ethernet header where there is one, else at the network's. */
static __always_inline void find_extent(struct sk_buff *skb, struct net_device *dev,
					struct extent *x)
{
	__u64 head = (__u64)READ(skb, head);
	__u32 data = (__u32)((__u64)READ(skb, data) - head);
	__u32 len = READ(skb, len), paged = READ(skb, data_len);
	__u32 mac = READ(skb, mac_header), net = READ(skb, network_header);

	x->ethernet = 0;
	x->start = data;
	x->end = data + len - paged;
	if (mac != HEADER_UNSET && is_ethernet(dev) &&
	    (net >= mac + ETH_BYTES || data == mac + ETH_BYTES || data == mac)) {
		x->ethernet = 1;
		x->start = mac;
	} else if (net && net != HEADER_UNSET && net <= x->end) {
		x->start = net;
	}
	if (x->start > x->end)
		x->start = x->end;
	x->len_bytes = data + len > x->start ? data + len - x->start : 0;
}

/* A tag that the card, or the kernel, took out of the frame: its EtherType, 0 for none. */
static __always_inline __be16 vlan_proto_of(struct sk_buff *skb)
{
	if (!bpf_core_field_exists(skb->vlan_all) || !READ(skb, vlan_all))
		return 0;
	return READ(skb, vlan_proto);
}

/*
 * Copy the frame into p->bytes, with a header of Ethernet made up where there is none, and the
 * VLAN's tag put back in its place.
 */
static __always_inline void copy_frame(struct sk_buff *skb, struct extent *x,
				       struct kdrop_packet *p)
{
	__be16 *words = (__be16 *)p->bytes;
	__u32 at = 0, len = x->end - x->start, from = x->start;
	__be16 vlan = vlan_proto_of(skb);
	const unsigned char *head = READ(skb, head);
	__u64 room;

	if (!x->ethernet) {
		__builtin_memset(p->bytes, 0, 12);
		words[vlan ? 8 : 6] = READ(skb, protocol);
		at = vlan ? ETH_BYTES + VLAN_BYTES : ETH_BYTES;
	} else if (vlan && len >= 12) {
		bpf_probe_read_kernel(p->bytes, 12, head + from);
		from += 12;
		len -= 12;
		at = 12 + VLAN_BYTES;
	}
	if (vlan && at) {
		words[6] = vlan;
		words[7] = bpf_htons(READ(skb, vlan_tci));
	}
	p->made_up = !x->ethernet;
	p->len_bytes = at + x->len_bytes - (from - x->start);
	p->caplen_bytes = at;
	if (at >= config.snap_bytes)
		return;
	if (len > config.snap_bytes - at)
		len = config.snap_bytes - at;
	room = bounded(len);
	if (room > KDROP_SNAP - ETH_BYTES - VLAN_BYTES || at > ETH_BYTES + VLAN_BYTES)
		return;
	if (bpf_probe_read_kernel(p->bytes + at, room, head + from) == 0)
		p->caplen_bytes = at + len;
}

static __always_inline void copy_dev(struct net_device *dev, struct kdrop_packet *p)
{
	p->ifindex = READ(dev, ifindex);
	bpf_core_read(p->ifname, sizeof(p->ifname), &dev->name);
	p->ifname[sizeof(p->ifname) - 1] = 0;
}

/* Addresses are where their names say also in the small sockets of TIME_WAIT and SYN_RECV. */
static __always_inline void copy_socket(struct sock *sk, struct kdrop_socket *s)
{
	s->family = READ(sk, __sk_common.skc_family);
	s->state = READ(sk, __sk_common.skc_state);
	s->local_port = READ(sk, __sk_common.skc_num);
	s->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	s->protocol = IPPROTO_TCP;
	if (s->state != TCP_TIME_WAIT && s->state != TCP_NEW_SYN_RECV)
		s->protocol = READ(sk, sk_protocol);
	if (s->family == AF_INET) {
		bpf_core_read(s->local, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(s->remote, 4, &sk->__sk_common.skc_daddr);
	} else if (s->family == AF_INET6 && bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		bpf_core_read(s->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(s->remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
}

/* All that is to be known of the packet, for the filter and for the user. */
static __always_inline void gather(const struct args *a, __u32 netns, struct kdrop_packet *p)
{
	struct sk_buff *skb = a->skb;
	struct net_device *dev = READ(skb, dev);
	struct sock *sk = READ(skb, sk);
	struct extent x;

	if (!netns_of_dev(dev))
		dev = 0; /* what stands there is no device */
	p->location = a->location;
	p->reason = a->reason;
	p->netns = netns;
	find_extent(skb, dev, &x);
	copy_frame(skb, &x, p);
	if (!config.packets)
		return;
	p->protocol = bpf_ntohs(READ(skb, protocol));
	p->ifindex = READ(skb, skb_iif);
	p->ifname[0] = 0;
	if (dev)
		copy_dev(dev, p);
	p->socket.family = 0;
	if (a->rx_sk)
		copy_socket(a->rx_sk, &p->socket);
	else if (sk)
		copy_socket(sk, &p->socket);
}

/* Whether one more packet may wait; the same counter answers how many do. */
static __always_inline int queue_room(void)
{
	return shared.queued - shared.taken < config.queue_packets;
}

static __always_inline void show(void *ctx, struct kdrop_packet *p)
{
	__u64 len = p->caplen_bytes;
	long stack = 0;

	if (!queue_room()) {
		stat_add(KDROP_SKIPPED);
		return;
	}
	if (config.stacks)
		stack = bpf_get_stack(ctx, p->frames, sizeof(p->frames), 0);
	p->frames_bytes = stack > 0 ? stack : 0;
	p->time_ns = bpf_ktime_get_ns();
	if (len > config.trunc_bytes)
		len = config.trunc_bytes;
	p->caplen_bytes = len;
	len = bounded(len);
	if (len > KDROP_SNAP)
		return;
	if (config.stacks)
		stack = bpf_ringbuf_output(&ring, p, offsetof(struct kdrop_packet, bytes) + len, 0);
	else
		stack = bpf_ringbuf_output(&ring, &p->time_ns,
					   offsetof(struct kdrop_packet, bytes) -
						   offsetof(struct kdrop_packet, time_ns) + len,
					   0);
	if (stack)
		stat_add(KDROP_SKIPPED);
	else
		__sync_fetch_and_add(&shared.queued, 1);
}

/* ---- the programs ---- */

static __always_inline int reason_wanted(__u32 reason)
{
	__u64 at = bounded(reason);

	return !config.choose || (at < KDROP_REASONS && config.chosen[at]);
}

static __always_inline void take(void *ctx, struct kdrop_packet *p)
{
	struct kdrop_key key = { .location = p->location, .reason = p->reason, .netns = p->netns };

	count(ctx, &key);
	if (config.packets)
		show(ctx, p);
}

static __always_inline void seen(__u64 *ctx, const struct args *a, __u32 netns)
{
	struct kdrop_scratch *s;
	__u32 zero = 0;

	if (!config.filter && (!config.packets || !queue_room())) {
		struct kdrop_key key = { .location = a->location,
					 .reason = a->reason,
					 .netns = netns };

		count(ctx, &key);
		if (config.packets)
			stat_add(KDROP_SKIPPED);
		return;
	}
	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!s) {
		stat_add(KDROP_FAILED);
		return;
	}
	gather(a, netns, &s->packet);
	if (config.filter) {
		bpf_tail_call(ctx, &programs, KDROP_SLOT_FILTER);
		stat_add(KDROP_FAILED); /* a call that succeeds does not return */
		return;
	}
	take(ctx, &s->packet);
}

SEC(SECTION)
int kdrop(__u64 *ctx)
{
	struct args a = { .skb = (void *)ctx[0], .location = ctx[1] };
	__u32 netns;

	if (config.with_reason)
		a.reason = (__u32)ctx[2];
	if (!reason_wanted(a.reason))
		return 0;
	if (config.with_rx_sk)
		a.rx_sk = (void *)ctx[3];
	netns = netns_of(&a);
	if (config.netns && config.netns != netns) {
		if (!netns)
			stat_add(KDROP_NETNS_UNKNOWN);
		return 0;
	}
	seen(ctx, &a, netns);
	return 0;
}

/* Behind the filter: the packet in the scratch matched. */
SEC(SECTION)
int kdrop_matched(__u64 *ctx)
{
	struct kdrop_scratch *s;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&scratch, &zero);
	if (s)
		take(ctx, &s->packet);
	else
		stat_add(KDROP_FAILED);
	return 0;
}
