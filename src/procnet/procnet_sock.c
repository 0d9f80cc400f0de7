/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp, udp, raw, sockstat: the sockets of all programs of the instance. */
#include <string.h>

#include "inet/tcp/tcp.h"
#include "procnet/procnet.h"
#include "sock/session.h"
#include "wire/byteorder.h"

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
static bool is_twin(const struct sock_info *info)
{
	return info->worker != 0 && (info->state == TCP_LISTEN || info->state == TCP_CLOSED);
}

static void sock_line(const struct sock_info *info, void *arg)
{
	struct listing *l = arg;
	bool tcp = strcmp(l->proto, "tcp") == 0;
	char line[192];
	int at;

	if (strcmp(info->proto, l->proto) != 0 || is_twin(info) ||
	    (tcp && info->state == TCP_CLOSED))
		return;
	at = snprintf(line, sizeof(line),
		      "%*u: %08X:%04X %08X:%04X %02X %08X:%08X 00:00000000 00000000"
		      "     0        0 0 1 0000000000000000",
		      tcp ? 4 : 5, l->line++, ip4_of(&info->local.addr),
		      be16_to_host(info->local.port_be), ip4_of(&info->remote.addr),
		      be16_to_host(info->remote.port_be), tcp_state_number(info->state),
		      info->state == TCP_LISTEN ? 0 : info->tx_queue_bytes, info->rx_queue_bytes);
	if (at > 0 && (size_t)at < sizeof(line) && !tcp)
		snprintf(line + at, sizeof(line) - (size_t)at, " %llu",
			 (unsigned long long)info->drops);
	fprintf(l->out, "%-*s\n", l->width, line);
}

static void list_sockets(const struct procnet *p, FILE *out, const char *proto, int width,
			 const char *head)
{
	struct listing l = { .out = out, .proto = proto, .width = width };

	fprintf(out, "%-*s\n", width, head);
	for (unsigned int w = 0; w < p->worker_count; w++)
		sock_for_each(p->worker[w], sock_line, &l);
}

void procnet_tcp(const struct procnet *p, FILE *out)
{
	list_sockets(p, out, "tcp", 149,
		     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"
		     "   uid  timeout inode");
}

#define DGRAM_HEAD                                                                                 \
	"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "     \
	"timeout inode ref pointer drops"

void procnet_udp(const struct procnet *p, FILE *out)
{
	list_sockets(p, out, "udp", 127, DGRAM_HEAD);
}

void procnet_raw(const struct procnet *p, FILE *out)
{
	list_sockets(p, out, "raw", 127, DGRAM_HEAD);
}

/* ---- sockstat ---- */

struct counts {
	unsigned int used, tcp, orphan, time_wait, udp, raw;
};

static void sock_count(const struct sock_info *info, void *arg)
{
	struct counts *c = arg;

	if (is_twin(info))
		return;
	c->used++;
	if (strcmp(info->proto, "udp") == 0)
		c->udp++;
	else if (strcmp(info->proto, "raw") == 0)
		c->raw++;
	else if (strcmp(info->proto, "tcp") == 0 && info->state == TCP_TIME_WAIT)
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
