/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files: pcapng, or pcap as it was before. One file, or one behind the other by size (-C)
 * and time (-G), named as tcpdump names them. In pcapng each port is an interface; so is each
 * stage of a port, and, where packets of a stage have no Ethernet header, those without.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bin/weir/capture/capture.h"
#include "bin/weir/pcapng.h"

#define INTERFACES_MAX 512u
#define NAME_BYTES 4096u
#define BUFFER_BYTES (1u << 18)
#define PCAP_MAGIC_US 0xa1b2c3d4u

struct interface {
	const char *port, *stage;
	bool ethernet;
	uint64_t packets; /* in this file */
};

struct capture_file {
	const struct capture_options *o;
	FILE *to;
	struct pcapng ng;
	int error;
	uint64_t written_bytes;	    /* of a pcap file */
	unsigned int number;	    /* of the file, in its name */
	unsigned int periods;	    /* of -G, so far */
	uint64_t period_ns;	    /* when this one began; 0: with the first packet */
	uint64_t now_ns;	    /* the last packet's time */
	uint64_t lost, lost_before; /* records that the ring lost; when this file began */
	unsigned int port_count, interface_count;
	const char *port[CAPTURE_PORTS_MAX];
	struct interface interface[INTERFACES_MAX];
	char name[NAME_BYTES];
};

/* ---- names ---- */

/* -C with -W: numbers from 0, as wide as the last one. */
static int number_width(const struct capture_options *o)
{
	int width = 0;

	for (unsigned int n = o->file_bytes && o->file_nr ? o->file_nr - 1 : 0; n; n /= 10)
		width++;
	return o->file_bytes && o->file_nr && !width ? 1 : width;
}

static void name_make(struct capture_file *f)
{
	time_t now = time(NULL);
	int width = number_width(f->o);
	size_t used;
	struct tm tm;

	localtime_r(&now, &tm);
	if (f->o->file_s) {
		if (!strftime(f->name, sizeof(f->name), f->o->file, &tm))
			snprintf(f->name, sizeof(f->name), "%s", f->o->file);
	} else {
		snprintf(f->name, sizeof(f->name), "%s", f->o->file);
	}
	used = strlen(f->name);
	if (f->number || width)
		snprintf(f->name + used, sizeof(f->name) - used, "%0*u", width, f->number);
}

/* ---- one file ---- */

static void put(struct capture_file *f, const void *bytes, size_t len)
{
	errno = 0;
	if (!f->error && fwrite(bytes, 1, len, f->to) != len)
		f->error = errno ? -errno : -EIO;
	f->written_bytes += len;
}

static void pcap_begin(struct capture_file *f)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		int32_t zone;
		uint32_t accuracy, snap, link_type;
	} head = { PCAP_MAGIC_US, 2, 4, 0, 0, f->o->snap_bytes, PCAPNG_LINKTYPE_ETHERNET };

	put(f, &head, sizeof(head));
}

static int interface_new(struct capture_file *f, const char *port, const char *stage, bool ethernet)
{
	char name[256], description[512];

	if (f->interface_count == INTERFACES_MAX)
		return -ENOSPC;
	snprintf(name, sizeof(name), "%s%s%s", port, stage ? "/" : "", stage ? stage : "");
	snprintf(description, sizeof(description), "weir %s: %s %s%s", cli.instance,
		 strcmp(port, "weir") == 0 ? "packets of" : "port", port,
		 stage && strcmp(stage, "drops") == 0 ? ", dropped packets"
		 : stage			      ? ", at a stage"
						      : "");
	f->interface[f->interface_count++] = (struct interface){ port, stage, ethernet, 0 };
	return pcapng_interface(&f->ng, name, description, f->o->filter,
				ethernet ? PCAPNG_LINKTYPE_ETHERNET : PCAPNG_LINKTYPE_RAW,
				f->o->snap_bytes);
}

static int interface_of(struct capture_file *f, const char *port, const char *stage, bool ethernet)
{
	for (unsigned int i = 0; i < f->interface_count; i++) {
		const struct interface *known = &f->interface[i];

		if (known->port == port && known->stage == stage && known->ethernet == ethernet)
			return (int)i;
	}
	return interface_new(f, port, stage, ethernet);
}

static void ports_begin(struct capture_file *f)
{
	for (unsigned int i = 0; !f->o->old_format && i < f->port_count; i++)
		interface_of(f, f->port[i], NULL, true);
}

static int file_begin(struct capture_file *f)
{
	name_make(f);
	f->to = strcmp(f->o->file, "-") == 0 ? stdout : fopen(f->name, "wbe");
	if (!f->to)
		return -errno;
	if (f->to != stdout)
		setvbuf(f->to, NULL, _IOFBF, BUFFER_BYTES);
	f->interface_count = 0;
	f->written_bytes = 0;
	f->lost_before = f->lost;
	if (f->o->old_format)
		pcap_begin(f);
	else
		pcapng_begin(&f->ng, f->to, "weir capture");
	ports_begin(f);
	return 0;
}

/* What the ring lost cannot be told by interface: it is the first one's. */
static int file_end(struct capture_file *f)
{
	uint64_t lost = f->lost - f->lost_before;
	struct timespec now;
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned int i = 0; !f->o->old_format && i < f->interface_count; i++) {
		uint64_t dropped = i == 0 ? lost : 0;

		pcapng_statistics(&f->ng, i,
				  (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
				  f->interface[i].packets + dropped, dropped);
	}
	err = capture_file_flush(f);
	if (f->to != stdout && fclose(f->to) && !err)
		err = -errno;
	f->to = NULL;
	return err;
}

/* ---- many ---- */

static int next_by_size(struct capture_file *f)
{
	int err = file_end(f);

	f->number++;
	if (f->o->file_nr && f->number >= f->o->file_nr)
		f->number = 0;
	return err ? err : file_begin(f);
}

static int next_by_time(struct capture_file *f, uint64_t now_ns)
{
	int err;

	f->periods++;
	if (f->o->file_nr && !f->o->file_bytes && f->periods >= f->o->file_nr)
		return 1;
	err = file_end(f);
	f->period_ns = now_ns;
	f->number = 0;
	return err ? err : file_begin(f);
}

/* Before a packet: is it the next file's? */
static int rotate(struct capture_file *f, uint64_t now_ns)
{
	uint64_t written = f->o->old_format ? f->written_bytes : f->ng.written_bytes;

	if (!f->period_ns)
		f->period_ns = now_ns;
	if (f->o->file_s && now_ns - f->period_ns >= f->o->file_s * 1000000000u &&
	    now_ns > f->period_ns)
		return next_by_time(f, now_ns);
	return f->o->file_bytes && written > f->o->file_bytes ? next_by_size(f) : 0;
}

/* ---- for run.c ---- */

struct capture_file *capture_file_open(const struct capture_options *o)
{
	struct capture_file *f = calloc(1, sizeof(*f));
	int err;

	if (!f) {
		cli_fail("out of memory");
		return NULL;
	}
	f->o = o;
	err = file_begin(f);
	if (!err)
		return f;
	cli_fail("the file %s cannot be written: %s", f->name, strerror(-err));
	free(f);
	return NULL;
}

void capture_file_port(struct capture_file *f, const char *port)
{
	if (f->port_count == CAPTURE_PORTS_MAX || f->o->old_format)
		return;
	f->port[f->port_count++] = port;
	interface_of(f, port, NULL, true);
}

void capture_file_lost(struct capture_file *f, uint64_t lost)
{
	f->lost = lost;
}

static int pcap_packet(struct capture_file *f, const struct captured *c)
{
	const uint32_t head[4] = { (uint32_t)(c->time_ns / 1000000000u),
				   (uint32_t)(c->time_ns / 1000 % 1000000), c->caplen_bytes,
				   c->len_bytes };

	put(f, head, sizeof(head));
	put(f, c->bytes, c->caplen_bytes);
	return f->error;
}

static int pcapng_packet_of(struct capture_file *f, const struct captured *c)
{
	static const uint32_t flags[] = { 0, PCAPNG_INBOUND, PCAPNG_OUTBOUND };
	int interface = interface_of(f, c->port, c->stage, c->ethernet);
	const struct pcapng_packet packet = {
		.interface = (uint32_t)interface,
		.time_ns = c->time_ns,
		.bytes = c->bytes,
		.caplen_bytes = c->caplen_bytes,
		.len_bytes = c->len_bytes,
		.flags = flags[c->direction],
		.comment = c->comment,
	};

	if (interface < 0)
		return interface;
	f->interface[interface].packets++;
	return pcapng_packet(&f->ng, &packet);
}

int capture_file_packet(struct capture_file *f, const struct captured *c)
{
	int err = rotate(f, c->time_ns);

	if (err)
		return err;
	err = f->o->old_format ? pcap_packet(f, c) : pcapng_packet_of(f, c);
	return !err && f->o->unbuffered ? capture_file_flush(f) : err;
}

int capture_file_flush(struct capture_file *f)
{
	int err = f->o->old_format ? f->error : f->ng.error;

	return !err && fflush(f->to) ? -errno : err;
}

int capture_file_close(struct capture_file *f)
{
	int err = f && f->to ? file_end(f) : 0;

	free(f);
	return err;
}
