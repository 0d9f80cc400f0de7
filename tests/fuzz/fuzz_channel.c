/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile program: it makes sockets, connects them to each other over weir's loopback, and writes
 * whatever it likes into the shared memory that it may write to. It alone may suffer: nothing in
 * the engine breaks, and when its sessions are gone every packet, socket and timer is gone too.
 */
#include "fuzz_engine.h"
#include "sock/session.h"
#include "sock/sock.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "wire/app_ring.h"

#define CHANNEL_SOCKS 64u
#define CHANNEL_ARENA_BYTES (32ull << 20)
#define CHANNELS 3u
#define CHILDREN 2u

static struct engine *engine;
static uint64_t now_ns = FUZZ_START_NS;
static struct session *session, *child[CHILDREN];
static struct abi_arena *arena;
static struct abi_channel *channel[CHANNELS];
static uint32_t channel_index[CHANNELS];

static void poll_engine(unsigned int times)
{
	while (times-- && engine_poll(engine, 0, now_ns) > 0)
		;
}

static void pass_time(uint64_t ns)
{
	uint64_t end = now_ns + ns;

	for (unsigned int i = 0; i < 400; i++) {
		uint64_t next = engine_next_ns(engine, 0);

		if (next >= end)
			break;
		if (next > now_ns)
			now_ns = next;
		poll_engine(20);
	}
	now_ns = end;
	poll_engine(20);
}

static struct abi_sock *sock_at(uint8_t i)
{
	struct abi_sock *table = (struct abi_sock *)((uint8_t *)arena + arena->sock_offset);

	return &table[i % CHANNEL_SOCKS];
}

static void submit(struct abi_channel *ch, const struct abi_sqe *sqe)
{
	/* Indices and positions in the channel may be anything by now. */
	uint32_t tail = atomic_load(&ch->sq_tail);

	ch->sq[tail % ABI_SQ_ENTRIES] = *sqe;
	atomic_store(&ch->sq_tail, tail + 1);
	atomic_fetch_or(&arena->sq_pending[0].bits[ch->index % ABI_MAX_CHANNELS / 64],
			1ull << ch->index % 64);
}

static int control(struct abi_channel *ch, const struct abi_ctl *ctl)
{
	struct abi_sqe sqe = { .op = ABI_OP_CTL, .sock = ctl->sock, .gen = ctl->gen };

	memcpy(&ch->ctl, ctl, sizeof(*ctl));
	atomic_fetch_add(&ch->ctl_seq, 1);
	submit(ch, &sqe);
	poll_engine(8);
	return ch->ctl.result;
}

static struct abi_ctl ctl_for(uint32_t op, uint8_t sock)
{
	struct abi_ctl ctl = { .op = op,
			       .sock = sock % CHANNEL_SOCKS,
			       .addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK)) };

	ctl.gen = atomic_load(&sock_at(sock)->gen);
	return ctl;
}

/* What an honest program does: the way into states that chance alone would not find. */
static void op_honest(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in), sock = fuzz_u8(in);
	struct abi_channel *ch = channel[what >> 4 & 1];
	uint16_t port = (uint16_t)(7000 + fuzz_u8(in) % 4);
	struct abi_ctl ctl;

	switch (what % 8) {
	case 0:
	case 1:
		ctl = (struct abi_ctl){ .op = ABI_CTL_OPEN,
					.sock = ABI_SOCK_NONE,
					.level = AF_INET,
					.optname = what & 1 ? SOCK_STREAM : SOCK_DGRAM };
		break;
	case 2:
		ctl = ctl_for(ABI_CTL_BIND, sock);
		ctl.port_be = htons(port);
		break;
	case 3:
		ctl = ctl_for(ABI_CTL_LISTEN, sock);
		ctl.optname = 4;
		break;
	case 4:
	case 5:
		ctl = ctl_for(ABI_CTL_CONNECT, sock);
		ctl.port_be = htons(port);
		break;
	case 6:
		ctl = ctl_for(ABI_CTL_SHUTDOWN, sock);
		ctl.optname = what >> 6;
		break;
	default:
		/* What it waits for, and buffers of any size, at any time. */
		ctl = ctl_for(what & 0x80 ? ABI_CTL_SETSOCKOPT : ABI_CTL_GETSOCKOPT, sock);
		ctl.level = what & 0x80 ? SOL_SOCKET : 0;
		ctl.optname = what & 0x80 ? (what & 8 ? SO_SNDBUF : SO_RCVBUF) : what >> 3;
		ctl.len = 4;
		ctl.data[1] = fuzz_u8(in);
		ctl.data[2] = fuzz_u8(in) % 32;
		atomic_fetch_or(&sock_at(sock)->want, ABI_WANT_TX);
		break;
	}
	control(ch, &ctl);
}

static void below_socket(struct abi_channel *ch, uint8_t what)
{
	static const struct {
		uint8_t family, type, protocol;
	} kinds[] = { { AF_INET, SOCK_RAW, IPPROTO_ICMP },
		      { AF_INET, SOCK_RAW, IPPROTO_RAW },
		      { AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
		      { AF_INET, SOCK_RAW, IPPROTO_UDP },
		      { AF_PACKET, SOCK_RAW, 3 },
		      { AF_PACKET, SOCK_DGRAM, 3 } };
	unsigned int i = what % (sizeof(kinds) / sizeof(kinds[0]));
	struct abi_ctl ctl = { .op = ABI_CTL_OPEN,
			       .sock = ABI_SOCK_NONE,
			       .level = kinds[i].family,
			       .optname = kinds[i].type };

	ctl.len = kinds[i].family == AF_PACKET ? htons(kinds[i].protocol) : kinds[i].protocol;
	control(ch, &ctl);
}

static void below_option(struct fuzz_in *in, struct abi_channel *ch, uint8_t sock)
{
	static const struct {
		uint16_t level, name;
	} options[] = { { SOL_SOCKET, SO_BINDTODEVICE }, { SOL_SOCKET, SO_BINDTOIFINDEX },
			{ IPPROTO_IP, IP_UNICAST_IF },	 { IPPROTO_IP, IP_HDRINCL },
			{ IPPROTO_IP, IP_RECVERR },	 { IPPROTO_IP, IP_MTU_DISCOVER },
			{ IPPROTO_IP, IP_MTU },		 { 255, 1 /* ICMP_FILTER */ },
			{ SOL_SOCKET, SO_REUSEADDR },	 { SOL_SOCKET, SO_BROADCAST } };
	uint8_t what = fuzz_u8(in);
	unsigned int i = what % (sizeof(options) / sizeof(options[0]));
	struct abi_ctl ctl = ctl_for(what & 0x80 ? ABI_CTL_GETSOCKOPT : ABI_CTL_SETSOCKOPT, sock);

	ctl.level = options[i].level;
	ctl.optname = options[i].name;
	ctl.len = fuzz_u8(in) % 24;
	fuzz_bytes(in, ctl.data, 4);
	if (what & 0x40)
		memcpy(ctl.data, "lo", 3);
	control(ch, &ctl);
}

/* An ICMP or IP header may stand at its beginning; to our own addresses, so that it comes back. */
static void below_send(struct fuzz_in *in, struct abi_channel *ch, uint8_t sock)
{
	struct abi_dgram d = { .len_bytes = fuzz_u16(in) % 2048,
			       .addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK)) };
	struct abi_sock *s = sock_at(sock);
	struct abi_ctl ctl = ctl_for(ABI_CTL_SEND, sock);
	uint64_t at = atomic_load(&s->tx_offset);
	uint32_t size = atomic_load(&s->tx_size_bytes), tail = atomic_load(&s->tx_tail);
	uint8_t head[28] = { 0 };

	fuzz_bytes(in, head, sizeof(head));
	if (head[27] & 1)
		head[0] = 0x45;
	else if (head[27] & 2)
		memcpy(head, "\x08\0", 2);
	if (size < sizeof(d) + 4096 || size > CHANNEL_ARENA_BYTES / 2 ||
	    at >= CHANNEL_ARENA_BYTES - size)
		return;
	app_ring_write((uint8_t *)arena + at, size, tail, &d, sizeof(d));
	app_ring_write((uint8_t *)arena + at, size, tail + (uint32_t)sizeof(d), head, sizeof(head));
	atomic_store(&s->tx_tail, tail + app_dgram_space(d.len_bytes));
	control(ch, &ctl);
}

/* Raw and packet sockets, ICMP datagram sockets, and what is set on them. */
static void op_below(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in), sock = fuzz_u8(in);
	struct abi_channel *ch = channel[what >> 4 & 1];
	struct abi_ctl ctl;

	switch (what % 5) {
	case 0:
		below_socket(ch, what >> 5);
		break;
	case 1:
		below_option(in, ch, sock);
		break;
	case 2:
		below_send(in, ch, sock);
		break;
	case 3:
		ctl = ctl_for(ABI_CTL_FILTER, sock);
		ctl.optname = 1 + fuzz_u8(in) % 3;
		ctl.len = ctl.optname * 8;
		fuzz_bytes(in, ctl.data, 24);
		control(ch, &ctl);
		break;
	default:
		ctl = ctl_for(what & 0x80 ? ABI_CTL_BIND : ABI_CTL_ERRQUEUE, sock);
		ctl.optname = 1;
		ctl.port_be = fuzz_u8(in);
		if (what & 0x40)
			ctl.addr = ipaddr_any();
		control(ch, &ctl);
		break;
	}
}

static void op_ctl(struct fuzz_in *in)
{
	struct abi_channel *ch = channel[fuzz_u8(in) % CHANNELS];
	struct abi_ctl ctl = ctl_for(fuzz_u8(in) % 24, fuzz_u8(in));

	ctl.level = fuzz_u8(in);
	ctl.optname = fuzz_u8(in);
	ctl.len = fuzz_u16(in);
	ctl.create_type = fuzz_u8(in);
	ctl.port_be = fuzz_u16(in);
	fuzz_bytes(in, ctl.data, 16);
	control(ch, &ctl);
}

static void op_sqe(struct fuzz_in *in)
{
	struct abi_channel *ch = channel[fuzz_u8(in) % CHANNELS];
	struct abi_sqe sqe = { .op = fuzz_u8(in) };
	uint8_t sock = fuzz_u8(in);

	sqe.arg16 = fuzz_u16(in);
	sqe.arg32 = fuzz_u32(in);
	sqe.sock = sock & 0x80 ? sqe.arg32 : sock % CHANNEL_SOCKS;
	sqe.gen = sock & 0x40 ? sqe.arg32 : atomic_load(&sock_at(sock)->gen);
	submit(ch, &sqe);
}

/* Bytes for a socket's send ring, as an honest program would put them there. */
static void op_send(struct fuzz_in *in)
{
	uint8_t sock = fuzz_u8(in);
	struct abi_sock *s = sock_at(sock);
	struct abi_sqe sqe = { .op = ABI_OP_TX, .sock = sock % CHANNEL_SOCKS };
	uint64_t at = atomic_load(&s->tx_offset);
	uint32_t len = fuzz_u16(in), size = atomic_load(&s->tx_size_bytes);
	uint8_t head[64];

	fuzz_bytes(in, head, sizeof(head));
	if (size >= sizeof(head) && size <= CHANNEL_ARENA_BYTES / 2 &&
	    at < CHANNEL_ARENA_BYTES - size)
		app_ring_write((uint8_t *)arena + at, size, atomic_load(&s->tx_tail), head,
			       sizeof(head));
	atomic_fetch_add(&s->tx_tail, len);
	sqe.gen = atomic_load(&s->gen);
	submit(channel[0], &sqe);
}

static void op_receive(struct fuzz_in *in)
{
	uint8_t sock = fuzz_u8(in);
	struct abi_sock *s = sock_at(sock);
	struct abi_sqe sqe = { .op = ABI_OP_RX, .sock = sock % CHANNEL_SOCKS };

	atomic_store(&s->rx_head, atomic_load(&s->rx_tail));
	sqe.gen = atomic_load(&s->gen);
	submit(channel[0], &sqe);
}

/* Four bytes of anything anywhere in what the program may write: all of the arena. */
static void op_scribble(struct fuzz_in *in)
{
	uint8_t where = fuzz_u8(in);
	uint32_t at = fuzz_u16(in), value = fuzz_u32(in);
	uint8_t *base = (uint8_t *)arena;

	if (where & 1)
		base = (uint8_t *)sock_at(where >> 1);
	else if (where & 2)
		base = (uint8_t *)channel[(where >> 2) % CHANNELS];
	else if (where & 4)
		at *= 256;
	if (where & 0x80)
		at %= sizeof(struct abi_sock);
	if (base + at + sizeof(value) > (uint8_t *)arena + CHANNEL_ARENA_BYTES)
		return;
	/* These offsets are this program's own way to its channels; the engine has its copies. */
	memcpy(base + at, &value, sizeof(value));
	arena->sock_offset = arena->sock_offset % (CHANNEL_ARENA_BYTES / 2) & ~255ull;
}

static void op_session(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in), i = what % CHILDREN;
	uint32_t pairs[4];

	if (what & 0x40) {
		fuzz_bytes(in, pairs, sizeof(pairs));
		pairs[0] %= CHANNEL_SOCKS;
		pairs[1] = atomic_load(&sock_at((uint8_t)pairs[0])->gen);
		if (child[i])
			session_resume(child[i], pairs, 2);
	} else if (child[i]) {
		session_destroy(child[i]);
		child[i] = NULL;
	} else if (session_fork(session, 2, &child[i]) != 0) {
		child[i] = NULL;
	}
}

static void program_open(void)
{
	static const uint32_t group = 0;
	struct family_params params = { .name = "hostile",
					.net_raw = true,
					.groups = &group,
					.group_count = 1,
					.arena_bytes = CHANNEL_ARENA_BYTES,
					.socks = CHANNEL_SOCKS,
					.workers = engine->worker,
					.worker_count = 1 };
	uint64_t offset;

	FUZZ_CHECK(session_create(&params, 1, &session) == 0);
	arena = session_arena(session);
	for (unsigned int i = 0; i < CHANNELS; i++) {
		FUZZ_CHECK(session_channel(session, 0, -1, 64, &channel_index[i], &offset) == 0);
		channel[i] = (struct abi_channel *)((uint8_t *)arena + offset);
	}
	memset(child, 0, sizeof(child));
}

static void program_close(void)
{
	struct worker *w = engine->worker[0];

	(void)session_broken(session);
	for (unsigned int i = 0; i < CHILDREN; i++)
		if (child[i])
			session_destroy(child[i]);
	session_destroy(session);
	/* Longer than any connection lingers. */
	for (unsigned int i = 0; i < 20; i++)
		pass_time(100000000000ull);
	FUZZ_CHECK(w->ledger.held == 0);
	FUZZ_CHECK(ledger_balance(&w->ledger) == 0);
	FUZZ_CHECK(worker_pool_is_full(w));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	engine = fuzz_engine();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const op[])(
		struct fuzz_in *) = { op_honest, op_honest,  op_honest,	  op_ctl,     op_sqe,
				      op_send,	 op_receive, op_scribble, op_session, op_below };
	struct fuzz_in in = { data, size };

	program_open();
	while (fuzz_more(&in)) {
		uint8_t what = fuzz_u8(&in);

		if (what < 0xf0)
			op[what % (sizeof(op) / sizeof(op[0]))](&in);
		else
			pass_time(1ull << (16 + what % 16));
		poll_engine(4);
	}
	program_close();
	return 0;
}
