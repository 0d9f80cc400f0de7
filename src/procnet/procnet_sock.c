/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp, udp, raw and their IPv6 twins, sockstat: the sockets of all programs of the instance. */
#include <string.h>

#include "procnet/procnet.h"
#include "sock/session.h"
#include "wire/byteorder.h"

/* A socket's state as Linux numbers it (its TCP states, for all kinds of sockets). */
static unsigned int state_number(const char *state)
{
	static const char *const names[] = {
		[1] = "ESTAB",	    [2] = "SYN-SENT",  [3] = "SYN-RECV", [4] = "FIN-WAIT-1",
		[5] = "FIN-WAIT-2", [6] = "TIME-WAIT", [7] = "UNCONN",	 [8] = "CLOSE-WAIT",
		[9] = "LAST-ACK",   [10] = "LISTEN",   [11] = "CLOSING",
	};

	for (unsigned int i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], state) == 0)
			return i;
	}
	return 7;
}

#define STATE_TIME_WAIT 6u
#define STATE_CLOSE 7u
#define STATE_LISTEN 10u

struct listing {
	FILE *out;
	const char *proto;
	int width; /* of a line; Linux pads them */
	unsigned int line;
};

static uint32_t ip4_of(const struct ipaddr *addr)
{
	return ipaddr_is_ip4(addr) ? ipaddr_ip4(addr) : 0;
}

/* A listener or a socket that is not connected has a twin on each worker: one line for all. */
static bool is_twin(const struct sock_info *info, unsigned int state)
{
	return info->worker != 0 && (state == STATE_LISTEN || state == STATE_CLOSE);
}

static void sock_line(const struct sock_info *info, void *arg)
{
	struct listing *l = arg;
	bool tcp = strcmp(l->proto, "tcp") == 0;
	unsigned int state = state_number(info->state);
	char line[192];
	int at;

	if (strcmp(info->proto, l->proto) != 0 || is_twin(info, state) ||
	    (tcp && state == STATE_CLOSE))
		return;
	at = snprintf(line, sizeof(line),
		      "%*u: %08X:%04X %08X:%04X %02X %08X:%08X 00:00000000 00000000"
		      " %5u %8u %lu %d %016x",
		      tcp ? 4 : 5, l->line++, ip4_of(&info->local.addr),
		      be16_to_host(info->local.port_be), ip4_of(&info->remote.addr),
		      be16_to_host(info->remote.port_be), state,
		      state == STATE_LISTEN ? 0 : info->tx_queue_bytes, info->rx_queue_bytes, 0u,
		      0u, 0ul, 1, 0u);
	if (at > 0 && (size_t)at < sizeof(line) && !tcp)
		snprintf(line + at, sizeof(line) - (size_t)at, " %llu",
			 (unsigned long long)info->drops);
	fprintf(l->out, "%-*s\n", l->width, line);
}

static void list_sockets(const struct procnet *p, struct listing *l, const char *head)
{
	fprintf(l->out, "%-*s\n", l->width, head);
	for (unsigned int w = 0; w < p->worker_count; w++)
		sock_for_each(p->worker[w], sock_line, l);
}

#define TCP_HEAD                                                                                   \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "      \
	"timeout inode"

void procnet_tcp(const struct procnet *p, FILE *out)
{
	struct listing l = { .out = out, .proto = "tcp", .width = 149 };

	list_sockets(p, &l, TCP_HEAD);
}

#define DGRAM_HEAD                                                                                 \
	"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "     \
	"timeout inode ref pointer drops"

void procnet_udp(const struct procnet *p, FILE *out)
{
	struct listing l = { .out = out, .proto = "udp", .width = 127 };

	list_sockets(p, &l, DGRAM_HEAD);
}

void procnet_raw(const struct procnet *p, FILE *out)
{
	struct listing l = { .out = out, .proto = "raw", .width = 127 };

	list_sockets(p, &l, DGRAM_HEAD);
}

/* weir has no IPv6 sockets: the heads alone. */
#define HEAD6                                                                                      \
	"  sl  local_address                         remote_address                        st "    \
	"tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"

void procnet_tcp6(const struct procnet *p, FILE *out)
{
	(void)p;
	fputs(HEAD6 "\n", out);
}

void procnet_udp6(const struct procnet *p, FILE *out)
{
	(void)p;
	fputs(HEAD6 " ref pointer drops\n", out);
}

void procnet_raw6(const struct procnet *p, FILE *out)
{
	procnet_udp6(p, out);
}

/* ---- sockstat ---- */

struct counts {
	unsigned int used, tcp, orphan, time_wait, udp, raw;
};

static void sock_count(const struct sock_info *info, void *arg)
{
	struct counts *c = arg;
	unsigned int state = state_number(info->state);

	if (is_twin(info, state))
		return;
	c->used++;
	if (strcmp(info->proto, "udp") == 0)
		c->udp++;
	else if (strcmp(info->proto, "raw") == 0)
		c->raw++;
	else if (strcmp(info->proto, "tcp") == 0 && state == STATE_TIME_WAIT)
		c->time_wait++;
	else if (strcmp(info->proto, "tcp") == 0)
		*(info->program[0] ? &c->tcp : &c->orphan) += 1;
}

void procnet_sockstat(const struct procnet *p, FILE *out)
{
	struct counts c = { 0 };

	for (unsigned int w = 0; w < p->worker_count; w++)
		sock_for_each(p->worker[w], sock_count, &c);
	fprintf(out,
		"sockets: used %u\nTCP: inuse %u orphan %u tw %u\nUDP: inuse %u\nRAW: inuse %u\n",
		c.used, c.tcp, c.orphan, c.time_wait, c.udp, c.raw);
}
