/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole receive path: frames as the input says, of any kind, with time steps between them.
 * Input: records of an opcode and its operands.
 *   0, 1: u16 length, bytes     a frame as it is
 *   2, 3: u16 length, bytes     a frame whose lengths and checksums are made right, to our MAC
 *   4:    u8 proto, u16, bytes  an IPv4 packet from the attacker, right but for what is in it
 *   5:    u8                    time passes: up to 2^(n % 40) nanoseconds
 *   6:    u8                    the program closes, or shuts down, a connection
 */
#include "host.h"
#include "inet/tcp/tcp.h"
#include "wire/eth.h"

#define RX_PAYLOAD_BYTES 1500u

static size_t take_len(struct fuzz_in *in)
{
	size_t len = fuzz_u16(in) % (HOST_FRAME_BYTES + 1);

	return len < in->left ? len : in->left;
}

static void op_frame(struct fuzz_in *in, bool fix)
{
	uint8_t frame[HOST_FRAME_BYTES];
	size_t len = take_len(in);

	fuzz_bytes(in, frame, len);
	if (fix && len >= ETH_HDR_BYTES) {
		memcpy(frame, host_mac, sizeof(host_mac));
		host_fix_frame(frame, len);
	}
	host_put(frame, len);
}

static void op_ip(struct fuzz_in *in)
{
	uint8_t payload[HOST_FRAME_BYTES], frame[HOST_FRAME_BYTES + 64];
	uint8_t proto = fuzz_u8(in);
	size_t len = take_len(in);

	if (len > RX_PAYLOAD_BYTES - 20)
		len = RX_PAYLOAD_BYTES - 20;
	fuzz_bytes(in, payload, len);
	len = host_ip_frame(frame, proto, payload, len);
	host_fix_frame(frame, len);
	host_put(frame, len);
}

static void op_program(uint8_t what)
{
	struct tcp_pcb *pcb = host.conn[what % HOST_CONNS];

	if (!pcb)
		return;
	if (what & 0x80) {
		tcp_shutdown_write(&host.w, pcb);
		return;
	}
	host_conn_close(what % HOST_CONNS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };

	host_open();
	while (fuzz_more(&in)) {
		uint8_t op = fuzz_u8(&in) % 8;

		if (op < 2)
			op_frame(&in, false);
		else if (op < 4)
			op_frame(&in, true);
		else if (op == 4)
			op_ip(&in);
		else if (op == 5)
			host_advance(1ull << fuzz_u8(&in) % 40);
		else if (op == 6)
			op_program(fuzz_u8(&in));
		host_poll();
	}
	host_close();
	return 0;
}
