/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP against an established connection: the attacker knows the sequence numbers and sends segments
 * near them, with any flags, options and data, while the program above reads, writes and closes.
 */
#include "host.h"
#include "inet/tcp/tcp.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

#define PEER_PORT 40000u
#define PEER_ISN 0xfffff000u /* wraps soon */

static struct {
	uint32_t snd_nxt;  /* what we would send next, were we honest */
	uint32_t host_una; /* the oldest byte of the host's that we might acknowledge */
	uint32_t host_nxt; /* behind the newest that it sent */
	bool open;	   /* its SYN came */
} peer;

/* The host sent something: where is it now? */
static void watch(const uint8_t *frame, size_t len)
{
	struct ip4_hdr ip;
	struct tcp_hdr t;
	uint32_t end;

	if (len < ETH_HDR_BYTES + sizeof(ip) + sizeof(t) || be16_load(frame + 12) != ETH_TYPE_IP4)
		return;
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	FUZZ_CHECK(csum_of(frame + ETH_HDR_BYTES, ip4_hdr_bytes(&ip)) == 0);
	if (ip.proto != IP_PROTO_TCP)
		return;
	memcpy(&t, frame + ETH_HDR_BYTES + ip4_hdr_bytes(&ip), sizeof(t));
	FUZZ_CHECK(tcp_hdr_bytes(&t) >= TCP_HDR_BYTES);
	if (be16_to_host(t.dst_port_be) != PEER_PORT)
		return;
	end = be32_to_host(t.seq_be) + ip4_len(&ip) - ip4_hdr_bytes(&ip) - tcp_hdr_bytes(&t);
	end += !!(t.flags & TCP_F_SYN) + !!(t.flags & TCP_F_FIN);
	if ((t.flags & TCP_F_SYN) && !peer.open) {
		peer.open = true;
		peer.host_una = be32_to_host(t.seq_be);
		peer.host_nxt = end;
	}
	if (tcp_seq_gt(end, peer.host_nxt))
		peer.host_nxt = end;
}

static void segment(uint32_t seq, uint32_t ack, uint8_t flags, uint16_t window, const void *options,
		    uint32_t options_len, const void *data, uint32_t len)
{
	uint8_t payload[TCP_HDR_MAX_BYTES + 1500], frame[HOST_FRAME_BYTES + 64];
	struct tcp_hdr t = {
		.src_port_be = WIRE_BE16(PEER_PORT),
		.dst_port_be = WIRE_BE16(HOST_TCP_PORT),
		.seq_be = host_to_be32(seq),
		.ack_be = host_to_be32(ack),
		.offset_reserved = tcp_offset_of(TCP_HDR_BYTES + options_len),
		.flags = flags,
		.window_be = host_to_be16(window),
	};
	size_t total;

	memcpy(payload, &t, sizeof(t));
	memcpy(payload + sizeof(t), options, options_len);
	memcpy(payload + sizeof(t) + options_len, data, len);
	total = host_ip_frame(frame, IP_PROTO_TCP, payload, sizeof(t) + options_len + len);
	host_fix_frame(frame, total);
	host_put(frame, total);
	host_poll();
}

static void handshake(struct fuzz_in *in)
{
	static const uint8_t options[12] = { 2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7 };

	memset(&peer, 0, sizeof(peer));
	peer.snd_nxt = PEER_ISN + 1;
	segment(PEER_ISN, 0, TCP_F_SYN, 65535, options, fuzz_u8(in) & 1 ? 12 : 4, "", 0);
	FUZZ_CHECK(peer.open);
	segment(peer.snd_nxt, peer.host_nxt, TCP_F_ACK, 1000, "", 0, "", 0);
	FUZZ_CHECK(host.conn[0]);
}

/* A sequence number near a sensible one. */
static uint32_t near(uint32_t base, uint8_t how, struct fuzz_in *in)
{
	switch (how % 4) {
	case 0:
		return base;
	case 1:
		return base + (uint32_t)(int32_t)(int8_t)fuzz_u8(in);
	case 2:
		return base + (uint32_t)(int32_t)(int16_t)fuzz_u16(in);
	default:
		return base + fuzz_u32(in);
	}
}

static void op_segment(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in), flags = fuzz_u8(in), options[40], data[1400];
	uint32_t seq = near(peer.snd_nxt, how, in);
	uint32_t ack = near(how & 0x10 ? peer.host_una : peer.host_nxt, how >> 2, in);
	uint32_t options_len = (how >> 5) * 4u, len = fuzz_u8(in);

	if (how & 0x80)
		len = len * 5;
	fuzz_bytes(in, options, options_len);
	memset(data, 'x', sizeof(data));
	segment(seq, ack, flags, fuzz_u16(in), options, options_len, data, len);
	if (seq == peer.snd_nxt && !(flags & (TCP_F_SYN | TCP_F_RST)))
		peer.snd_nxt += len + !!(flags & TCP_F_FIN);
}

/* The honest peer: acknowledges all, with data of its own. */
static void op_honest(struct fuzz_in *in)
{
	uint8_t data[1400];
	uint32_t len = fuzz_u8(in);

	memset(data, 'h', sizeof(data));
	segment(peer.snd_nxt, peer.host_nxt, TCP_F_ACK | TCP_F_PSH, fuzz_u16(in), "", 0, data, len);
	peer.snd_nxt += len;
}

static void op_program(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	struct tcp_pcb *pcb = host.conn[0];
	struct tcp_public *pub = tcp_public(pcb);

	if (!pcb)
		return;
	switch (what % 8) {
	case 0:
		host_conn_close(0);
		break;
	case 1:
		tcp_shutdown_write(&host.w, pcb);
		break;
	case 2:
		host.conn[0] = NULL;
		tcp_abort(&host.w, pcb);
		break;
	case 3:
	case 4:
		pub->rcv.head += byte_ring_used(&pub->rcv) >> (what >> 6);
		tcp_consumed(&host.w, pcb);
		break;
	case 5:
		pub->nodelay = what & 0x10;
		pub->cork = what & 0x20;
		pub->keepalive = what & 0x40;
		pub->keep_idle_s = 10;
		pub->keep_interval_s = 1;
		pub->keep_count = 3;
		break;
	default:
		if (!pub->snd.data && host.w.inet)
			break;
		pub->snd.tail += byte_ring_free(&pub->snd) >> (what >> 5);
		tcp_push(&host.w, pcb);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_setup();
	host.on_frame = watch;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };

	host_open();
	handshake(&in);
	while (fuzz_more(&in)) {
		uint8_t op = fuzz_u8(&in) % 8;

		if (op < 4)
			op_segment(&in);
		else if (op == 4)
			op_honest(&in);
		else if (op < 7)
			op_program(&in);
		else
			host_advance(1ull << (20 + fuzz_u8(&in) % 20));
		host_poll();
		FUZZ_CHECK(!host.conn[0] ||
			   byte_ring_used(&tcp_public(host.conn[0])->rcv) <= HOST_RING_BYTES);
	}
	host_close();
	return 0;
}
