/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet as text: who it is, a line for each event with the time since the one before, its fate.
 */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "bin/weir/advice.h"
#include "bin/weir/trace/trace.h"

static void put_time(uint64_t stamp_ns, FILE *to)
{
	time_t s = (time_t)(stamp_ns / 1000000000u);
	struct tm tm;
	char text[16];

	if (!localtime_r(&s, &tm) || !strftime(text, sizeof(text), "%H:%M:%S", &tm))
		snprintf(text, sizeof(text), "?");
	fprintf(to, "%s.%06u", text, (unsigned int)(stamp_ns / 1000 % 1000000));
}

static void put_end(uint32_t ip_be, bool ports, uint16_t port, FILE *to)
{
	char text[INET_ADDRSTRLEN];

	fputs(inet_ntop(AF_INET, &ip_be, text, sizeof(text)), to);
	if (ports)
		fprintf(to, ":%u", port);
}

static void put_headers(const struct trace_packet *p, FILE *to)
{
	struct trace_headers h;

	trace_headers_read(p, &h);
	if (h.ip) {
		put_end(h.src_be, h.ports, h.src_port, to);
		fputs(" > ", to);
		put_end(h.dst_be, h.ports, h.dst_port, to);
		fputs("  ", to);
	}
	if (strcmp(h.protocol, "?") == 0)
		fputs("its headers were not seen", to);
	else
		fprintf(to, "%s%s%s, %u bytes", h.protocol, h.detail[0] ? " " : "", h.detail,
			h.len_bytes);
}

static void put_who(const json_t *about, const struct trace_packet *p, FILE *to)
{
	const char *port = p->count ? trace_port(about, p->event[0].ifindex) : "";

	fputs(cli_colour(CLI_BOLD), to);
	if (p->id)
		fprintf(to, "#%u  ", p->id);
	put_time(p->stamp_ns, to);
	fprintf(to, "  %s  ",
		p->flags & WATCH_F_ORIGINATED ? "made here"
		: port[0]		      ? port
					      : "received");
	put_headers(p, to);
	fprintf(to, "%s\n", cli_colour(CLI_PLAIN));
	if (!p->begun)
		fputs("  its beginning was not seen\n", to);
}

static void put_stage(const json_t *about, const struct trace_event *e, FILE *to)
{
	const char *linux_name = trace_stage_linux(about, e->stage);
	const char *port = strcmp(trace_stage(about, e->stage), "port-tx") == 0
				   ? trace_port(about, e->ifindex)
				   : "";

	fprintf(to, "%-12s  %s(%s)%s%s%s\n", trace_stage(about, e->stage), cli_colour(CLI_DIM),
		linux_name, cli_colour(CLI_PLAIN), port[0] ? "  " : "", port);
}

static void put_drop(const json_t *about, const struct trace_event *e, FILE *to)
{
	const json_t *reason = trace_reason(about, e->code), *site = trace_site(about, e->site);
	const char *name = cli_string(reason, "name"), *advice = advice_for(name);

	fprintf(to, "%sdropped: %s at %s() %s:%lld: %s%s\n", cli_colour(CLI_RED), name,
		cli_string(site, "function"), cli_string(site, "file"),
		(long long)cli_int(site, "line"), cli_string(reason, "text"),
		cli_colour(CLI_PLAIN));
	if (advice[0])
		fprintf(to, "                   what to do: %s\n", advice);
}

static void put_event(const json_t *about, const struct trace_packet *p, unsigned int i, FILE *to)
{
	const struct trace_event *e = &p->event[i];
	uint64_t before = i ? p->event[i - 1].cycles : e->cycles;
	char text[TRACE_WORDS_BYTES];

	fprintf(to, "  %+12.3f us  ", trace_us(about, before, e->cycles));
	switch (e->kind) {
	case WATCH_PACKET:
		put_stage(about, e, to);
		break;
	case WATCH_NOTE:
		fprintf(to, "  %s\n", trace_note(about, e, text));
		break;
	case WATCH_DROP:
		put_drop(about, e, to);
		break;
	default:
		fprintf(to, "%s%s%s\n", cli_colour(CLI_GREEN),
			i + 1 == p->count ? trace_packet_fate(about, p, text)
					  : trace_fate(about, e->code),
			cli_colour(CLI_PLAIN));
	}
}

static void put_bytes(const struct trace_packet *p, FILE *to)
{
	for (uint32_t at = 0; at < p->data_bytes; at += 16) {
		fprintf(to, "    0x%04x ", at);
		for (uint32_t i = at; i < at + 16 && i < p->data_bytes; i++)
			fprintf(to, "%s%02x", i % 2 ? "" : " ", p->data[i]);
		fputc('\n', to);
	}
	if (p->data_bytes < p->len_bytes)
		fprintf(to, "    (%u bytes more)\n", p->len_bytes - p->data_bytes);
}

/* The last event was no end: what was it waiting for? */
static void put_no_end(const json_t *about, const struct trace_packet *p, FILE *to)
{
	const struct trace_event *last = p->count ? &p->event[p->count - 1] : NULL;
	char text[TRACE_WORDS_BYTES];

	fprintf(to, "  %send %s%s", cli_colour(CLI_YELLOW), trace_packet_fate(about, p, text),
		cli_colour(CLI_PLAIN));
	if (last)
		fprintf(to, "; last seen in %s, %.3f us after its first line",
			trace_stage(about, last->stage),
			trace_us(about, p->event[0].cycles, last->cycles));
	fputc('\n', to);
}

void trace_text(const json_t *about, const struct trace_packet *p, bool verbose, FILE *to)
{
	put_who(about, p, to);
	for (unsigned int i = 0; i < p->count; i++)
		put_event(about, p, i, to);
	if (p->more)
		fprintf(to, "  %u events more, which are not shown\n", p->more);
	if (trace_packet_last(p))
		fprintf(to, "  %12.3f us  in all\n",
			trace_us(about, p->event[0].cycles, p->event[p->count - 1].cycles));
	else
		put_no_end(about, p, to);
	if (verbose)
		put_bytes(p, to);
	fputc('\n', to);
}
