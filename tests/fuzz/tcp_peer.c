/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_peer.h"

#include "inet/tcp/tcp_impl.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"

struct tcp_peer peer;

static uint8_t stream_byte(uint32_t n)
{
	return (uint8_t)(n * 7 + (n >> 8));
}

/* ---- what the host sends ---- */

static void watch_options(const uint8_t *opt, uint32_t len)
{
	for (uint32_t i = 0; i < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1]) {
		if (opt[i] == 1)
			continue;
		FUZZ_CHECK(i + 1 < len && opt[i + 1] >= 2 && i + opt[i + 1] <= len);
		if (opt[i] == 8) {
			FUZZ_CHECK(opt[i + 1] == 10);
			peer.ts_recent = be32_load(opt + i + 2);
		}
	}
}

static void watch_syn(const struct tcp_hdr *t, uint32_t end)
{
	uint32_t iss = be32_to_host(t->seq_be);

	peer.acked = false;
	if (peer.syn_seen && iss == peer.host_iss)
		return;
	peer.syn_seen = true;
	peer.host_port = be16_to_host(t->src_port_be);
	peer.host_iss = peer.host_una = iss;
	peer.host_nxt = end;
	peer.right_edge = end + (peer.fastopen ? peer.syn_window : 0);
}

static void watch_data(const struct tcp_hdr *t, const uint8_t *data, uint32_t len)
{
	uint32_t seq = be32_to_host(t->seq_be), at = seq - peer.host_iss - 1;

	FUZZ_CHECK(tcp_seq_leq(seq + len, peer.right_edge));
	for (uint32_t i = 0; i < len; i++)
		FUZZ_CHECK(data[i] == stream_byte(at + i));
}

static void watch_ack(const struct tcp_hdr *t)
{
	uint32_t ack = be32_to_host(t->ack_be);

	if (!(t->flags & TCP_F_ACK))
		return;
	FUZZ_CHECK(!peer.acked || tcp_seq_geq(ack, peer.host_ack));
	peer.host_ack = ack;
	peer.acked = true;
}

static void watch(const uint8_t *frame, size_t frame_len)
{
	const uint8_t *l3 = frame + ETH_HDR_BYTES, *l4;
	struct ip4_hdr ip;
	struct tcp_hdr t;
	uint32_t end, hdr, len;

	if (frame_len < ETH_HDR_BYTES + sizeof(ip) + sizeof(t) ||
	    be16_load(frame + 12) != ETH_TYPE_IP4)
		return;
	memcpy(&ip, l3, sizeof(ip));
	FUZZ_CHECK(csum_of(l3, ip4_hdr_bytes(&ip)) == 0);
	if (ip.proto != IP_PROTO_TCP)
		return;
	l4 = l3 + ip4_hdr_bytes(&ip);
	memcpy(&t, l4, sizeof(t));
	hdr = tcp_hdr_bytes(&t);
	FUZZ_CHECK(hdr >= TCP_HDR_BYTES && ip4_hdr_bytes(&ip) + hdr <= ip4_len(&ip));
	len = ip4_len(&ip) - ip4_hdr_bytes(&ip) - hdr;
	FUZZ_CHECK(
		csum_fold(csum_add(csum_pseudo_ip4(ip.src_be, ip.dst_be, IP_PROTO_TCP, hdr + len),
				   l4, hdr + len)) == 0xffff);
	if (be16_to_host(t.dst_port_be) != PEER_PORT || (t.flags & TCP_F_RST))
		return;
	end = be32_to_host(t.seq_be) + len + !!(t.flags & TCP_F_SYN) + !!(t.flags & TCP_F_FIN);
	if (t.flags & TCP_F_SYN)
		watch_syn(&t, end);
	if (!peer.syn_seen || be16_to_host(t.src_port_be) != peer.host_port)
		return;
	watch_options(l4 + sizeof(t), hdr - (uint32_t)sizeof(t));
	watch_ack(&t);
	watch_data(&t, l4 + hdr, t.flags & TCP_F_SYN ? 0 : len);
	if (tcp_seq_gt(end, peer.host_nxt))
		peer.host_nxt = end;
}

void peer_begin(uint8_t options)
{
	peer = (struct tcp_peer){
		.host_port = HOST_TCP_PORT,
		.snd_nxt = PEER_ISN,
		.ts_ok = options & PEER_TS,
		.sack_ok = options & PEER_SACK,
		.wscale_ok = options & PEER_WSCALE,
	};
	host.on_frame = watch;
}

/* ---- what we send ---- */

static uint32_t put_option(uint8_t *opt, uint32_t at, const void *bytes, uint32_t len)
{
	memcpy(opt + at, bytes, len);
	return at + len;
}

static uint32_t syn_options(uint8_t *opt, uint32_t at)
{
	at = put_option(opt, at, "\2\4\5\264", 4);
	if (peer.sack_ok)
		at = put_option(opt, at, "\1\1\4\2", 4);
	if (peer.wscale_ok)
		at = put_option(opt, at, "\1\3\3\7", 4);
	return at;
}

static uint32_t build_options(const struct peer_seg *seg, uint8_t *opt)
{
	uint32_t at = 0, room;

	if (peer.ts_ok && !seg->no_ts) {
		be32_store(opt, 0x0101080a);
		be32_store(opt + 4, (uint32_t)(host.w.now_ns / 1000000) + (uint32_t)seg->ts_shift);
		be32_store(opt + 8, peer.ts_recent);
		at = 12;
	}
	if (seg->flags & TCP_F_SYN)
		at = syn_options(opt, at);
	room = 40 - at < seg->options_len ? 40 - at : seg->options_len;
	at = put_option(opt, at, seg->options, room & ~3u);
	return at;
}

/* The furthest that this lets the host send, were it taken: it is not where it acknowledges what
 * was never sent. */
static void right_edge(const struct peer_seg *seg)
{
	uint32_t window = (uint32_t)seg->window << (peer.wscale_ok ? 7 : 0);

	if ((seg->flags & TCP_F_SYN) && seg->window > peer.syn_window)
		peer.syn_window = seg->window;
	if (seg->ack - peer.host_iss <= peer.host_nxt - peer.host_iss + HOST_RING_BYTES &&
	    tcp_seq_gt(seg->ack + window, peer.right_edge))
		peer.right_edge = seg->ack + window;
}

void peer_send(const struct peer_seg *seg)
{
	uint8_t l4[TCP_HDR_MAX_BYTES + PEER_DATA_MAX], frame[HOST_FRAME_BYTES];
	uint8_t opt[40];
	uint32_t opt_len = build_options(seg, opt), at = TCP_HDR_BYTES + opt_len;
	uint32_t room = HOST_FRAME_BYTES - ETH_HDR_BYTES - 20 - at;
	uint32_t len = seg->len < PEER_DATA_MAX ? seg->len : PEER_DATA_MAX;
	struct tcp_hdr t = {
		.src_port_be = WIRE_BE16(PEER_PORT),
		.dst_port_be = host_to_be16(seg->port ? seg->port : peer.host_port),
		.seq_be = host_to_be32(seg->seq),
		.ack_be = host_to_be32(seg->ack),
		.offset_reserved = tcp_offset_of(at),
		.flags = seg->flags,
		.window_be = host_to_be16(seg->window),
		.urgent_be = host_to_be16(seg->urgent),
	};
	uint32_t first = seg->seq + !!(seg->flags & TCP_F_SYN) - PEER_ISN - 1;
	size_t total;

	len = len < room ? len : room;
	memcpy(l4, &t, sizeof(t));
	memcpy(l4 + sizeof(t), opt, opt_len);
	for (uint32_t i = 0; i < len; i++)
		l4[at + i] = stream_byte(first + i);
	total = host_ip_frame(frame, IP_PROTO_TCP, l4, at + len);
	host_fix_frame(frame, total);
	right_edge(seg);
	host_put(frame, total);
	if (!peer.hold)
		host_poll();
}

void peer_say(uint8_t flags, uint32_t len, uint16_t window)
{
	peer_send(&(struct peer_seg){ .seq = peer.snd_nxt,
				      .ack = flags & TCP_F_ACK ? peer.host_nxt : 0,
				      .flags = flags,
				      .len = len,
				      .window = window });
	peer.snd_nxt += len + !!(flags & TCP_F_SYN) + !!(flags & TCP_F_FIN);
	if (flags & TCP_F_ACK)
		peer.host_una = peer.host_nxt;
}

/* An error about a segment of the host's. */
void peer_icmp(uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq)
{
	uint8_t msg[ICMP_HDR_BYTES + IP4_HDR_BYTES + 8] = { type, code }, frame[256];
	struct ip4_hdr ip = {
		.version_ihl = 0x45,
		.len_be = WIRE_BE16(1500),
		.ttl = 63,
		.proto = IP_PROTO_TCP,
		.src_be = WIRE_BE32(HOST_IP),
		.dst_be = WIRE_BE32(HOST_PEER_IP),
	};
	size_t total;

	be16_store(msg + 6, mtu);
	memcpy(msg + ICMP_HDR_BYTES, &ip, sizeof(ip));
	be16_store(msg + ICMP_HDR_BYTES + IP4_HDR_BYTES, peer.host_port);
	be16_store(msg + ICMP_HDR_BYTES + IP4_HDR_BYTES + 2, PEER_PORT);
	be32_store(msg + ICMP_HDR_BYTES + IP4_HDR_BYTES + 4, seq);
	total = host_ip_frame(frame, IP_PROTO_ICMP, msg, sizeof(msg));
	host_fix_frame(frame, total);
	host_put(frame, total);
	if (!peer.hold)
		host_poll();
}

/* ---- the host's program ---- */

void peer_program_connect(void)
{
	struct endpoint to = { .addr = ipaddr_from_ip4(WIRE_BE32(HOST_PEER_IP)),
			       .port_be = WIRE_BE16(PEER_PORT) };
	struct tcp_pcb *pcb;

	FUZZ_CHECK(tcp_open(&host.w, &pcb, &host) == 0);
	tcp_public(pcb)->rcv_space_bytes = HOST_RING_BYTES;
	host.conn[0] = pcb;
	host.broken[0] = false;
	FUZZ_CHECK(tcp_connect(&host.w, pcb, &to) == 0);
	host_poll();
}

void peer_program_write(uint32_t max)
{
	struct byte_ring *snd;

	if (!host.conn[0] || !tcp_public(host.conn[0])->snd.data)
		return;
	snd = &tcp_public(host.conn[0])->snd;
	for (; max && byte_ring_free(snd); max--, snd->tail++)
		snd->data[snd->tail & (snd->size_bytes - 1)] = stream_byte(snd->tail);
	tcp_push(&host.w, host.conn[0]);
}

void peer_program_read(uint32_t max)
{
	struct byte_ring *rcv;
	uint32_t offset;

	if (!host.conn[0] || !tcp_public(host.conn[0])->rcv.data)
		return;
	rcv = &tcp_public(host.conn[0])->rcv;
	offset = host.conn[0]->irs - PEER_ISN;
	for (; max && byte_ring_used(rcv); max--, rcv->head++)
		FUZZ_CHECK(rcv->data[rcv->head & (rcv->size_bytes - 1)] ==
			   stream_byte(rcv->head + offset));
	tcp_consumed(&host.w, host.conn[0]);
}

/* ---- states ---- */

static void reach_established(bool active)
{
	if (active) {
		peer_program_connect();
		peer_say(TCP_F_SYN | TCP_F_ACK, 0, 1000);
	} else {
		peer_say(TCP_F_SYN, 0, 1000);
		peer_say(TCP_F_ACK, 0, 1000);
	}
	FUZZ_CHECK(peer.syn_seen && host.conn[0]);
}

static void reach_flight(void)
{
	reach_established(false);
	peer_program_write(HOST_RING_BYTES);
	host_poll();
	FUZZ_CHECK(peer.host_nxt != peer.host_una);
}

static void reach_sacked(void)
{
	struct peer_seg seg = { .seq = peer.snd_nxt,
				.ack = peer.host_una,
				.flags = TCP_F_ACK,
				.window = 1000,
				.options_len = 20,
				.options = { 1, 1, 5, 18 } };

	be32_store(seg.options + 4, peer.host_una + 600);
	be32_store(seg.options + 8, peer.host_una + 900);
	be32_store(seg.options + 12, peer.host_una + 200);
	be32_store(seg.options + 16, peer.host_una + 300);
	peer_send(&seg);
}

static void reach_fin(bool closed)
{
	reach_established(false);
	peer_program_write(500);
	if (closed)
		host_conn_close(0);
	else
		tcp_shutdown_write(&host.w, host.conn[0]);
	host_poll();
}

static enum tcp_state state_now(void)
{
	return host.conn[0] ? tcp_public(host.conn[0])->state : TCP_CLOSED;
}

static void reach_closing(uint8_t which)
{
	struct peer_seg fin = { .seq = peer.snd_nxt,
				.ack = peer.host_una,
				.flags = TCP_F_ACK | TCP_F_FIN,
				.window = 1000 };

	switch (which) {
	case 10: /* FIN_WAIT_1 */
		break;
	case 11: /* FIN_WAIT_2 */
		peer_say(TCP_F_ACK, 0, 1000);
		FUZZ_CHECK(state_now() == TCP_FIN_WAIT_2 || !host.conn[0]);
		break;
	case 12: /* CLOSING */
		peer_send(&fin);
		peer.snd_nxt++;
		FUZZ_CHECK(state_now() == TCP_CLOSING || !host.conn[0]);
		break;
	default: /* TIME_WAIT */
		peer_say(TCP_F_ACK, 0, 1000);
		peer_say(TCP_F_ACK | TCP_F_FIN, 0, 1000);
		break;
	}
}

/* Data in flight, and more. */
static void reach_sending(uint8_t which)
{
	reach_flight();
	switch (which) {
	case 5: /* some of it SACKed, so RECOVERY */
		reach_sacked();
		break;
	case 6: /* LOSS */
		host_advance(1500000000);
		break;
	case 7: /* the peer's window is closed */
		peer_say(TCP_F_ACK, 0, 0);
		host_advance(300000000);
		break;
	default:
		break;
	}
}

static void reach_received(uint8_t which)
{
	reach_established(false);
	if (which == 8) { /* behind two holes */
		for (uint32_t at = 100; at < 900; at += 400)
			peer_send(&(struct peer_seg){ .seq = peer.snd_nxt + at,
						      .ack = peer.host_nxt,
						      .flags = TCP_F_ACK,
						      .len = 200,
						      .window = 1000 });
	} else { /* the host's window is closed */
		for (int i = 0; i < 8; i++)
			peer_say(TCP_F_ACK | TCP_F_PSH, 1024, 1000);
	}
}

static void reach_ended_by_peer(uint8_t which)
{
	reach_established(false);
	peer_say(TCP_F_ACK | TCP_F_FIN, 100, 1000);
	FUZZ_CHECK(state_now() == TCP_CLOSE_WAIT);
	if (which == 15) {
		tcp_shutdown_write(&host.w, host.conn[0]);
		host_poll();
		FUZZ_CHECK(state_now() == TCP_LAST_ACK);
	}
}

void peer_reach(uint8_t which)
{
	switch (which) {
	case 0: /* LISTEN */
		break;
	case 1: /* SYN_RECEIVED */
		peer_say(TCP_F_SYN, 0, 1000);
		break;
	case 2: /* SYN_SENT */
		peer_program_connect();
		FUZZ_CHECK(state_now() == TCP_SYN_SENT);
		break;
	case 3: /* SYN_RECEIVED, both opened */
		peer_program_connect();
		peer_say(TCP_F_SYN, 0, 1000);
		FUZZ_CHECK(state_now() == TCP_SYN_RECEIVED);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		reach_sending(which);
		break;
	case 8:
	case 9:
		reach_received(which);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
		reach_fin(false);
		reach_closing(which);
		break;
	case 14:
	case 15:
		reach_ended_by_peer(which);
		break;
	case 16:
	case 17:
	case 18:
	case 19: /* the same, and the program has let go */
		reach_fin(true);
		reach_closing(which - 6);
		break;
	case 20:
		reach_established(true);
		break;
	default:
		reach_established(false);
		break;
	}
}
