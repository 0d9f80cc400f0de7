/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP in each of its states (tcp_peer.c: peer_reach()): the attacker knows the sequence numbers and
 * sends bursts of segments near them, with any flags, options, data and time stamps, and ICMP
 * errors about the connection, while time passes and the program above reads, writes and closes.
 * The assertions of tcp_check.h are on; every byte that is read or sent is compared.
 *
 * An input: state, options of our SYN, then operations.
 */
#include <string.h>

#include "inet/tcp/cc.h"
#include "tcp_peer.h"

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

/* SACK blocks in what the host has sent, or a little beside it. */
static void sack_blocks(struct fuzz_in *in, struct peer_seg *seg)
{
	uint32_t n = 1 + fuzz_u8(in) % 4;

	seg->options[0] = seg->options[1] = 1;
	seg->options[2] = 5;
	seg->options[3] = (uint8_t)(2 + 8 * n);
	seg->options_len = (uint8_t)(4 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t start = near(peer.host_una, 2, in);

		be32_store(seg->options + 4 + 8 * i, start);
		be32_store(seg->options + 8 + 8 * i, start + fuzz_u16(in) % 3000);
	}
}

static void options(struct fuzz_in *in, struct peer_seg *seg)
{
	uint8_t what = fuzz_u8(in);

	seg->no_ts = what & 1;
	if (what & 2)
		seg->ts_shift = (int16_t)fuzz_u16(in);
	if (what & 4) {
		sack_blocks(in, seg);
	} else if (what & 8) {
		seg->options_len = (uint8_t)(what >> 4) * 4;
		if (seg->options_len > sizeof(seg->options))
			seg->options_len = sizeof(seg->options);
		fuzz_bytes(in, seg->options, seg->options_len);
	}
}

static void op_segment(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct peer_seg seg = { 0 };

	seg.flags = fuzz_u8(in);
	seg.len = fuzz_u8(in);
	seg.seq = near(peer.snd_nxt, how, in);
	seg.ack = near(how & 0x10 ? peer.host_una : peer.host_nxt, how >> 2, in);
	seg.window = fuzz_u16(in);
	if (how & 0x80)
		seg.len *= 5;
	if (how & 0x40)
		options(in, &seg);
	if (how & 0x20)
		seg.flags |= TCP_F_ACK;
	if (seg.flags & TCP_F_URG)
		seg.urgent = fuzz_u8(in);
	peer_send(&seg);
	if (seg.seq == peer.snd_nxt && !(seg.flags & TCP_F_RST))
		peer.snd_nxt += seg.len + !!(seg.flags & TCP_F_SYN) + !!(seg.flags & TCP_F_FIN);
	if ((seg.flags & TCP_F_ACK) && tcp_seq_gt(seg.ack, peer.host_una) &&
	    tcp_seq_leq(seg.ack, peer.host_nxt))
		peer.host_una = seg.ack;
}

/* As if honest: acknowledges a part of what is on the way, with SACK of a part of the rest. */
static void op_ack(struct fuzz_in *in)
{
	uint32_t flight = peer.host_nxt - peer.host_una, step = fuzz_u16(in);
	struct peer_seg seg = { .seq = peer.snd_nxt, .flags = TCP_F_ACK };

	seg.window = fuzz_u16(in);
	seg.ack = peer.host_una + (flight ? step % (flight + 1) : 0);
	peer.host_una = seg.ack;
	if (step & 0x8000)
		sack_blocks(in, &seg);
	peer_send(&seg);
}

/* Parameters of the stack: what they change must hold in every state, too. */
static void op_param(uint8_t what)
{
	static const char *const set[][2] = {
		{ "tcp_congestion_control", "reno" },
		{ "tcp_congestion_control", "cubic" },
		{ "tcp_ecn", "1" },
		{ "tcp_mtu_probing", "2" },
		{ "tcp_retries2", "2" },
		{ "tcp_orphan_retries", "1" },
		{ "tcp_syncookies", "2" },
		{ "tcp_abort_on_overflow", "1" },
		{ "tcp_max_tw_buckets", "0" },
		{ "tcp_max_orphans", "0" },
		{ "tcp_rfc1337", "1" },
		{ "tcp_stdurg", "1" },
		{ "tcp_timestamps", "0" },
		{ "tcp_sack", "0" },
		{ "tcp_dsack", "0" },
		{ "tcp_fin_timeout", "1" },
		{ "tcp_fastopen", "1543" }, /* both sides, all listeners, no cookies */
	};
	const char *const *one = set[what % (sizeof(set) / sizeof(set[0]))];

	FUZZ_CHECK(tcp_param_set(&host.w, one[0], one[1]) == 0);
	peer.fastopen |= !strcmp(one[0], "tcp_fastopen");
}

static void op_congestion(uint8_t what)
{
	const struct tcp_cc_ops *ops = tcp_cc_at(what % 8);

	if (ops && host.conn[0])
		tcp_congestion_set(&host.w, host.conn[0], ops->name, TCP_CONGESTION_NAME_BYTES);
}

static void op_program(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	struct tcp_pcb *pcb = host.conn[0];
	struct tcp_public *pub = tcp_public(pcb);

	if (!pcb) {
		if (what == 0xff && peer.host_port == HOST_TCP_PORT && !peer.syn_seen)
			peer_program_connect();
		return;
	}
	switch (what % 8) {
	case 0:
		pub->linger = what & 0x80;
		pub->linger_s = what >> 4 & 3;
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
		peer_program_read(what & 0x80 ? UINT32_MAX : what * 8u);
		break;
	case 5:
		pub->nodelay = what & 0x10;
		pub->cork = what & 0x20;
		pub->keepalive = what & 0x40;
		tcp_quickack_set(&host.w, pcb, what >> 7);
		pub->keep_idle_s = 10;
		pub->keep_interval_s = 1;
		pub->keep_count = 3;
		pub->user_timeout_ms = what & 0x08 ? 5000 : 0;
		tcp_option_changed(&host.w, pcb);
		break;
	default:
		peer_program_write(what & 0x80 ? UINT32_MAX : what * 16u);
		break;
	}
}

static void op_icmp(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	uint16_t mtu = fuzz_u16(in);

	peer_icmp(how & 0x80 ? 11 : 3, how & 0x0f, mtu, near(peer.host_una, how >> 4, in));
}

static void op_honest(struct fuzz_in *in, uint8_t flags)
{
	uint32_t len = fuzz_u8(in) * 4u;

	peer_say(flags, len, fuzz_u16(in));
}

static void operation(struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);

	/* Held frames are received as one burst with the next. */
	peer.hold = op & 0x80;
	switch (op % 14) {
	case 0:
	case 1:
	case 2:
		op_segment(in);
		break;
	case 3:
	case 4:
		op_ack(in);
		break;
	case 5:
		op_honest(in, op & 0x40 ? TCP_F_ACK | TCP_F_PSH : TCP_F_ACK);
		break;
	case 6:
	case 7:
	case 8:
		op_program(in);
		break;
	case 9:
		op_icmp(in);
		break;
	case 10:
		op_param(fuzz_u8(in));
		break;
	case 11:
		op_congestion(fuzz_u8(in));
		break;
	default:
		host_advance(1ull << (18 + fuzz_u8(in) % 20));
		break;
	}
	if (!peer.hold)
		host_poll();
	FUZZ_CHECK(!host.conn[0] ||
		   byte_ring_used(&tcp_public(host.conn[0])->rcv) <= HOST_RING_BYTES);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t state = fuzz_u8(&in), how = fuzz_u8(&in);

	host_open();
	peer_begin(how);
	peer_reach(state % PEER_STATES);
	while (fuzz_more(&in))
		operation(&in);
	peer.hold = false;
	host_poll();
	/* The peer falls silent: what waits for it ends some day, all but a half close. */
	if ((how & 0xf0) == 0x80)
		host_advance(2000ull * 1000000000);
	host_close();
	return 0;
}
