/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet: an rte_mbuf with one cache line of ours behind it (the mbuf's private area), so that a
 * struct pkt ** is an rte_mbuf ** to DPDK.
 *
 * Offsets l2, l3, l4 and l7 are counted from the start of the mbuf's buffer (buf_addr), so they
 * stay true when headers are put in front. Headers up to l7 lie in the first segment; payload may
 * run over several (a chain).
 *
 * Life of a packet: made by pkt_entered() (a port received it) or pkt_alloc() (we made it); ended
 * by pkt_drop() or pkt_consume() only (core/ledger.h). Between, whoever holds the pointer owns it;
 * handing it to a function of the path gives it away, unless the header says otherwise.
 *
 * Threads: a packet belongs to one worker.
 */
#ifndef WEIR_CORE_PKT_H
#define WEIR_CORE_PKT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

/* pkt.flags */
#define PKT_F_ENTERED 0x0001u /* came from a port; else we made it */
#define PKT_F_CSUM_OK 0x0002u /* the L4 checksum is known to be good, or needs no check */
#define PKT_F_CSUM_PARTIAL                                                                         \
	0x0004u			/* the L4 checksum field holds the pseudo-header sum,              \
				 * folded, not inverted; the port or the far side finishes it */
#define PKT_F_BROADCAST 0x0008u /* link-layer broadcast */
#define PKT_F_MULTICAST 0x0010u /* link-layer multicast */
#define PKT_F_LOOPBACK 0x0020u	/* came from weir's own loopback */
#define PKT_F_GSO_TCP4 0x0040u	/* a TCP super-segment, to be cut into gso_size pieces */
#define PKT_F_RAW 0x0100u	/* a raw socket took a copy: nobody else need want it */
#define PKT_F_ROUTED 0x0080u	/* was forwarded: its end on a port counts as forwarded */

struct pkt {
	struct rte_mbuf mbuf;
	/* private area: 64 bytes */
	uint32_t path;	 /* one bit a stage (core/stage.def) */
	uint16_t flags;	 /* PKT_F_* */
	uint8_t stage;	 /* where it is now */
	uint8_t ifindex; /* interface it came from, 0: none (ours) */
	uint16_t l2, l3, l4, l7;
	uint16_t gso_size; /* payload bytes a piece, where PKT_F_GSO_*, else 0 */
	uint16_t csum_at;  /* offset of the checksum field from l4, where PKT_F_CSUM_PARTIAL */
	uint32_t queue_id; /* free for whoever queues it */
	uint64_t stamp_ns; /* when it entered or was made */
	struct pkt *next;  /* for whoever queues it; not a chain of segments */
	uint64_t user[2];  /* for the stage that holds it (TCP: sequence range; reassembly: offsets)
			    */
	uint8_t steered;   /* workers that had it before and did not know whose it is */
	uint8_t loop_ifindex; /* on the loop port: the interface it seems to come from; 0: that one
			       */
	uint8_t followed;     /* one bit for each who follows it (core/watch.h) */
	uint8_t follow_epoch; /* who began later does not follow it: a bit is used again */
	uint32_t follow_id;   /* its number for them; 0: it is not decided yet */
};

_Static_assert(sizeof(struct pkt) == sizeof(struct rte_mbuf) + 64, "one cache line of our own");

#define PKT_PRIV_BYTES ((uint16_t)(sizeof(struct pkt) - sizeof(struct rte_mbuf)))
#define PKT_HEADROOM_BYTES RTE_PKTMBUF_HEADROOM /* 128: eth + ip + options + tcp fit in front */
#define PKT_ROOM_BYTES 2048u			/* data room of one segment behind the headroom */

static inline uint8_t *pkt_at(const struct pkt *p, uint16_t offset)
{
	return (uint8_t *)p->mbuf.buf_addr + offset;
}

/* First byte of what the packet holds now (its outermost header). */
static inline uint8_t *pkt_data(const struct pkt *p)
{
	return pkt_at(p, p->mbuf.data_off);
}

/* Bytes in the whole packet, all segments. */
static inline uint32_t pkt_len(const struct pkt *p)
{
	return p->mbuf.pkt_len;
}

/* Bytes from offset (counted from buf_addr) to the packet's end. */
static inline uint32_t pkt_len_from(const struct pkt *p, uint16_t offset)
{
	return p->mbuf.pkt_len - (uint32_t)(offset - p->mbuf.data_off);
}

/* Bytes from offset to the end of the first segment: what may be read through a pointer. */
static inline uint32_t pkt_head_len_from(const struct pkt *p, uint16_t offset)
{
	return p->mbuf.data_len - (uint32_t)(offset - p->mbuf.data_off);
}

/*
 * The bounds-checked getter: a pointer to len bytes at offset, or NULL when the first segment holds
 * fewer. Every header is read through it.
 */
static inline void *pkt_header(const struct pkt *p, uint16_t offset, uint32_t len)
{
	/* Huge where offset lies in front of the data. */
	uint32_t skip = (uint32_t)offset - p->mbuf.data_off;

	if (skip > p->mbuf.data_len || p->mbuf.data_len - skip < len)
		return NULL;
	return pkt_at(p, offset);
}

/* Put len bytes in front (headroom must be there: NULL when it is not). */
static inline void *pkt_push(struct pkt *p, uint16_t len)
{
	return rte_pktmbuf_prepend(&p->mbuf, len);
}

/*
 * Make an empty packet of ours: counted as originated. NULL when the pool is empty (counted in the
 * ledger's alloc_failed). Owner: the caller.
 */
struct pkt *pkt_alloc(struct worker *w);

/*
 * Buffers for a port's receive side: not in the ledger until pkt_entered(). Returns 0, or -ENOMEM
 * with none taken.
 */
int pkt_alloc_raw(struct worker *w, struct pkt **pkts, unsigned int n);

/* Give back buffers that never became packets (pkt_alloc_raw without pkt_entered). */
void pkt_free_raw(struct pkt **pkts, unsigned int n);

/*
 * n packets came from a port: counts them as entered; begins each anew: flags PKT_F_ENTERED alone,
 * path empty, stamp, ifindex, l2 to l7 at data_off, all else of ours zero. So data_off and lengths
 * are set before, further flags after it.
 */
void pkt_entered(struct worker *w, struct pkt **pkts, unsigned int n, uint8_t ifindex);

/*
 * Append len bytes, adding segments where the last one is full. src may be NULL: room only.
 * Returns 0, or -ENOMEM with the packet as it was (no partial append).
 */
int pkt_append(struct worker *w, struct pkt *p, const void *src, uint32_t len);

/* Copy len bytes at offset (from buf_addr, over segments; the end of a super-segment is beyond
 * 65,535). The caller has checked the length: what the packet does not have is not written. */
void pkt_copy_out(const struct pkt *p, uint32_t offset, void *dst, uint32_t len);

/* Make the first len bytes from data_off contiguous. 0, or -EINVAL when the packet is shorter or
 * the first segment has no room for them. */
int pkt_pull(struct pkt *p, uint32_t len);

/* Cut the packet to len bytes in all, giving back segments behind. */
void pkt_trim(struct pkt *p, uint32_t len);

/* A copy of our own (originated), headers and payload, same offsets, flags (but ENTERED, ROUTED)
 * and path. NULL when out of buffers (counted in alloc_failed). */
struct pkt *pkt_copy(struct worker *w, const struct pkt *p);

/* Internet checksum over len bytes from offset, over segments, folded, not inverted. */
uint16_t pkt_csum(const struct pkt *p, uint16_t offset, uint32_t len, uint32_t start);

#endif
