/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one packet costs, without devices: frames of 64 bytes lie on a wire in memory, in bursts of
 * 32, and are forwarded to a device that throws them away, or are UDP for a port that nobody has
 * (dropped, and an ICMP error wanted and refused by its limit).
 *
 *   packets forward|drop [COUNT]
 *
 * Prints nanoseconds a packet and, where it fits, how the ledger counted: what
 * tests/bench/ledger.py compares between a build with the ledger and one without (-Dledger=false).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/eal.h"
#include "core/log.h"
#include "dev/wire.h"
#include "inet/inet.h"
#include "inet/neigh.h"
#include "inet/state.h"
#include "wire/csum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#define BURST 32u
#define FRAME_BYTES 64u
#define COUNT_DEFAULT 20000000ull
#define US 0xc6120002u /* 198.18.0.2 */
#define PEER 0xc6120001u
#define OURS 0xc6120102u /* 198.18.1.2, the way out */
#define FAR 0xc6120101u

static const uint8_t mac_us[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t mac_peer[6] = { 2, 0, 0, 0, 0, 1 };

static struct worker w;
static struct port *in, *out;

static void die(const char *what)
{
	fprintf(stderr, "packets: %s\n", what);
	exit(1);
}

static struct port *open_port(const char *spec)
{
	struct worker *workers[1] = { &w };
	struct port_open_params params = { .workers = 1, .worker = workers };
	char error[PORT_ERROR_BYTES];
	struct port *port;

	if (port_open(spec, &params, &port, error))
		die(error);
	if (inet_netif_add(&w, port) < 0)
		die("the port cannot become an interface");
	return port;
}

static void address(struct port *port, uint32_t ip)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));

	if (inet_addr_add(&w, port->ifindex, &addr, 24))
		die("the address is refused");
}

/* Who is behind the way out is known, for as long as it takes. */
static void meet(uint32_t ip)
{
	struct ipaddr addr = ipaddr_from_ip4(host_to_be32(ip));
	struct neigh *n = neigh_get(&w, inet_netif(w.inet, out->ifindex), &addr);

	if (!n || !neigh_update(&w, n, mac_peer, true, true))
		die("no neighbour");
}

static void frame_fill(uint8_t *frame, uint32_t dst)
{
	struct ip4_hdr ip = { .version_ihl = 0x45,
			      .len_be = host_to_be16(FRAME_BYTES - ETH_HDR_BYTES),
			      .ttl = 64,
			      .proto = IP_PROTO_UDP,
			      .src_be = host_to_be32(PEER),
			      .dst_be = host_to_be32(dst) };

	memset(frame, 0, FRAME_BYTES);
	eth_hdr_fill((struct eth_hdr *)frame, mac_us, mac_peer, ETH_TYPE_IP4);
	ip.csum_be = csum_of(&ip, sizeof(ip));
	memcpy(frame + ETH_HDR_BYTES, &ip, sizeof(ip));
	be16_store(frame + 34, 1000);
	be16_store(frame + 36, 9);
	be16_store(frame + 38, FRAME_BYTES - 34); /* no checksum */
}

/* Apart, so that it can be counted apart (valgrind --toggle-collect). */
__attribute__((noinline)) static void run_burst(void)
{
	struct pkt *pkts[BURST];
	uint16_t n = port_rx(&w, in, 0, pkts, BURST);

	eth_input(&w, pkts, n);
	port_flush(&w, out);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t run(const uint8_t *frame, uint64_t count)
{
	uint64_t ns = 0;

	for (uint64_t done = 0; done < count; done += BURST) {
		uint64_t begin;

		for (unsigned int i = 0; i < BURST; i++)
			if (wire_put(in, frame, FRAME_BYTES))
				die("the wire is full");
		begin = now_ns();
		run_burst();
		ns += now_ns() - begin;
	}
	return ns;
}

int main(int argc, char **argv)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "128", NULL };
	static const struct inet_upcalls up;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : COUNT_DEFAULT, ns;
	bool drop = argc > 1 && strcmp(argv[1], "drop") == 0;
	uint8_t frame[FRAME_BYTES];

	if (argc < 2 || (!drop && strcmp(argv[1], "forward")) || count < BURST)
		die("usage: packets forward|drop [COUNT]");
	log_set_level(LOG_LEVEL_ERROR);
	if (core_eal_init(args) || worker_init(&w, 0, 1024, 1000000000ull, 1) || inet_init(&w, &up))
		die("it does not start");
	open_port("loop");
	in = open_port("wire,mac=02:00:00:00:00:02");
	out = open_port("null");
	address(in, US);
	address(out, OURS);
	inet_forwarding(&w, true);
	meet(FAR);
	frame_fill(frame, drop ? US : FAR);
	run(frame, BURST * 100);
	ns = run(frame, count);
	printf("%.2f ns a packet; ledger: %" PRIu64 " entered, %" PRIu64 " forwarded, %" PRIu64
	       " dropped, balance %" PRId64 "\n",
	       (double)ns / (double)count, w.ledger.entered, w.ledger.fate[FATE_FORWARDED],
	       w.ledger.dropped, ledger_balance(&w.ledger));
	return 0;
}
