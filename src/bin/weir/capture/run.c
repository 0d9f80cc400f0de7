/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture, from the request to the counts at its end. weird writes into the ring, and nobody is
 * woken: while packets come they are taken as fast as they can be, and after that the ring is
 * looked at every few milliseconds, at most IDLE_MAX_MS late.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bin/weir/capture/capture.h"
#include "bin/weir/watch.h"

#define IDLE_MAX_MS 20
#define IFINDEX_COUNT 256u
#define STAGES_MAX 32u
#define PROGRESS_NS 1000000000u
#define BURST 256u

static volatile sig_atomic_t stop_signal, stats_asked;

static const char drops_stage[] = "drops";
static const char ingress_stage[] = "port-rx", egress_stage[] = "port-tx";

struct capture {
	const struct capture_options *o;
	struct watch *watch;
	struct capture_file *file; /* NULL: to the screen */
	const char *port[IFINDEX_COUNT];
	char port_unknown[IFINDEX_COUNT][12];
	const char *stage[STAGES_MAX];
	enum capture_direction stage_direction[STAGES_MAX];
	uint64_t taken;		     /* records */
	uint64_t captured, headless; /* headless: without a header (yet), so not shown */
	uint64_t end_ns, progress_ns;
	bool progress; /* a line on the terminal that says how many */
	int error;     /* of writing: -errno */
	bool full;     /* the last file is */
	uint8_t bytes[CAPTURE_ETH_BYTES + WATCH_SNAP_MAX_BYTES + 1];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the request ---- */

static void stages_add(json_t *list, const char *text)
{
	for (size_t n; text && *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		json_array_append_new(list, json_stringn(text, n));
	}
}

/* 0, or the status after words. */
static int request_make(const struct capture_options *o, json_t **request)
{
	json_t *stages = json_array(), *ports = json_array();
	uint32_t most = WATCH_SNAP_MAX_BYTES;

	stages_add(stages, o->ingress ? ingress_stage : NULL);
	stages_add(stages, o->egress ? egress_stage : NULL);
	stages_add(stages, o->stages);
	for (unsigned int i = 0; i < o->port_count; i++)
		json_array_append_new(ports, json_string(o->port[i]));
	*request = json_pack("{s:o, s:o, s:b, s:b, s:i, s:i}", "stages", stages, "ports", ports,
			     "drops", o->drops, "records", 1, "snap",
			     (int)(o->snap_bytes < most ? o->snap_bytes : most), "ring",
			     (int)o->ring_bytes);
	if (!*request)
		return cli_fail("out of memory");
	return o->filter ? watch_filter(*request, o->filter) : 0;
}

/* ---- what the numbers mean ---- */

static void ports_learn(struct capture *c)
{
	const json_t *port;
	size_t i;

	c->port[0] = "weir";
	json_array_foreach(json_object_get(watch_about(c->watch), "ports"), i, port)
	{
		json_int_t n = cli_int(port, "ifindex");

		if (n > 0 && n < (json_int_t)IFINDEX_COUNT)
			c->port[n] = cli_string(port, "name");
	}
}

static void stages_learn(struct capture *c)
{
	const json_t *stage;
	size_t i;

	json_array_foreach(json_object_get(watch_about(c->watch), "stages"), i, stage)
	{
		if (i >= STAGES_MAX)
			break;
		c->stage[i] = cli_string(stage, "stage");
		c->stage_direction[i] = strcmp(cli_string(stage, "direction"), "send") == 0
						? CAPTURE_OUT
						: CAPTURE_IN;
	}
}

/* Of a port that was added since. */
static const char *port_name(struct capture *c, unsigned int ifindex)
{
	if (!c->port[ifindex]) {
		snprintf(c->port_unknown[ifindex], sizeof(c->port_unknown[ifindex]), "port-%u",
			 ifindex);
		c->port[ifindex] = c->port_unknown[ifindex];
	}
	return c->port[ifindex];
}

/* What weir sends has no port before port-tx: -i would show none of it. */
static int stages_fit_ports(const struct capture *c)
{
	for (unsigned int i = 0; c->o->stages && c->o->port_count && i < STAGES_MAX; i++) {
		size_t len = c->stage[i] ? strlen(c->stage[i]) : 0;
		const char *at = len ? strstr(c->o->stages, c->stage[i]) : NULL;

		if (at && c->stage_direction[i] == CAPTURE_OUT &&
		    strcmp(c->stage[i], egress_stage) != 0 &&
		    (at == c->o->stages || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return cli_fail("at %s no port is chosen yet: leave -i out, or use "
					"--egress",
					c->stage[i]);
	}
	return 0;
}

/* ---- packets ---- */

static void comment_of(struct capture *c, const struct watch_record *r, char *text, size_t room)
{
	const json_t *about = watch_about(c->watch);
	const json_t *reason = json_array_get(json_object_get(about, "reasons"), r->code);
	const json_t *site = json_array_get(json_object_get(about, "sites"), r->site);
	size_t used = (size_t)snprintf(text, room, "%s (%s) at %s() %s:%d",
				       cli_string(reason, "name"), cli_string(reason, "text"),
				       cli_string(site, "function"), cli_string(site, "file"),
				       (int)cli_int(site, "line"));
	const char *before = ", after ";

	for (unsigned int i = 0; i < STAGES_MAX && used < room; i++) {
		if (!(r->path >> i & 1) || !c->stage[i])
			continue;
		used += (size_t)snprintf(text + used, room - used, "%s%s", before, c->stage[i]);
		before = " > ";
	}
}

static const char *reason_name(struct capture *c, const struct watch_record *r)
{
	return cli_string(
		json_array_get(json_object_get(watch_about(c->watch), "reasons"), r->code), "name");
}

static void where(struct capture *c, const struct watch_record *r, struct captured *p)
{
	const char *stage = r->stage < STAGES_MAX ? c->stage[r->stage] : NULL;

	p->port = port_name(c, r->ifindex);
	if (r->kind == WATCH_DROP) {
		p->stage = drops_stage;
		p->direction = r->flags & WATCH_F_ORIGINATED ? CAPTURE_OUT : CAPTURE_IN;
	} else if (stage && strcmp(stage, ingress_stage) == 0) {
		p->direction = CAPTURE_IN;
	} else if (stage && strcmp(stage, egress_stage) == 0) {
		p->direction = CAPTURE_OUT;
	} else {
		p->stage = stage ? stage : "unknown-stage";
		p->direction = stage ? c->stage_direction[r->stage] : CAPTURE_NO_DIRECTION;
	}
}

/* The loop port's packets have no Ethernet header: they get one of zeros, as Linux's have. */
static void bytes_take(struct capture *c, const struct watch_record *r, struct captured *p)
{
	static const uint8_t zeros[CAPTURE_ETH_BYTES] = { [12] = 0x08 };
	uint32_t n = r->data_bytes < WATCH_SNAP_MAX_BYTES ? r->data_bytes : WATCH_SNAP_MAX_BYTES;

	p->ethernet = r->link == WATCH_LINK_ETHERNET;
	p->bytes = c->bytes + CAPTURE_ETH_BYTES;
	p->caplen_bytes = n;
	p->len_bytes = r->len_bytes < n ? n : r->len_bytes;
	memcpy(p->bytes, r->data, n);
	if (p->csum_partial && c->o->fix_checksums)
		capture_fix_checksum(p->bytes, n, p->len_bytes, p->ethernet);
	if (p->ethernet || (p->stage && !c->o->old_format))
		return;
	p->bytes -= CAPTURE_ETH_BYTES;
	memcpy(p->bytes, zeros, CAPTURE_ETH_BYTES);
	p->caplen_bytes += CAPTURE_ETH_BYTES;
	if (p->caplen_bytes > c->o->snap_bytes)
		p->caplen_bytes = c->o->snap_bytes;
	p->len_bytes += CAPTURE_ETH_BYTES;
	p->ethernet = true;
}

static void give_out(struct capture *c, const struct captured *p)
{
	int rc = 0;

	if (c->file)
		rc = capture_file_packet(c->file, p);
	else if (c->o->json)
		capture_print_json(p);
	else
		capture_print(c->o, p);
	if (!c->file && ferror(stdout))
		rc = errno ? -errno : -EIO;
	c->error = rc < 0 ? rc : 0;
	c->full = rc > 0;
	c->captured += rc == 0;
}

static void take(struct capture *c, const struct watch_record *r)
{
	char comment[1024];
	struct captured p = { .time_ns = r->stamp_ns,
			      .csum_partial = r->flags & WATCH_F_CSUM_PARTIAL,
			      .super_segment = r->flags & WATCH_F_GSO };

	if (r->kind != WATCH_PACKET && r->kind != WATCH_DROP)
		return;
	if (r->kind == WATCH_PACKET && r->link == WATCH_LINK_NONE) {
		c->headless++;
		return;
	}
	where(c, r, &p);
	bytes_take(c, r, &p);
	if (r->kind == WATCH_DROP) {
		comment_of(c, r, comment, sizeof(comment));
		p.comment = comment;
		p.reason = reason_name(c, r);
	}
	give_out(c, &p);
}

/* ---- counts ---- */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void counts(const struct capture *c)
{
	uint64_t lost = watch_lost(c->watch), wanted = watch_wanted(c->watch);

	fprintf(stderr,
		"%llu packet%s captured\n%llu packet%s received by filter\n%llu packet%s dropped "
		"for want of room in the ring%s\n",
		(unsigned long long)c->captured, plural(c->captured), (unsigned long long)wanted,
		plural(wanted), (unsigned long long)lost, plural(lost),
		lost ? " (-B makes it larger, -s takes less of each, a filter fewer)" : "");
	if (c->headless)
		fprintf(stderr, "%llu packet%s had no header yet at this stage: not shown\n",
			(unsigned long long)c->headless, plural(c->headless));
}

static void counts_json(const struct capture *c)
{
	cli_print_json(json_pack(
		"{s:s, s:I, s:I, s:I, s:I}", "filter", cli_string(watch_about(c->watch), "filter"),
		"captured", (json_int_t)c->captured, "received_by_filter",
		(json_int_t)watch_wanted(c->watch), "lost", (json_int_t)watch_lost(c->watch),
		"without_header", (json_int_t)c->headless));
}

/* How many, once a second, where somebody looks and nothing else is printed. */
static void progress(struct capture *c)
{
	uint64_t now = now_ns();

	if (!c->progress || now < c->progress_ns)
		return;
	c->progress_ns = now + PROGRESS_NS;
	fprintf(stderr, "\rGot %llu", (unsigned long long)c->captured);
}

/* ---- the loop ---- */

/* Nothing more is to be taken. */
static bool done(const struct capture *c)
{
	return c->error || c->full || (c->o->count && c->captured >= c->o->count);
}

/* What is in the ring by now is the last. */
static bool over(const struct capture *c)
{
	return stop_signal || done(c) || (c->end_ns && now_ns() >= c->end_ns);
}

/* Were there any? */
static bool take_some(struct capture *c, uint64_t most)
{
	unsigned int n = 0;

	while (n < most && !done(c)) {
		const struct watch_record *r = watch_next(c->watch);

		if (!r)
			break;
		take(c, r);
		n++;
	}
	c->taken += n;
	if (c->file)
		capture_file_lost(c->file, watch_lost(c->watch));
	return n > 0;
}

/* What was in the ring when the end came. */
static void take_rest(struct capture *c)
{
	uint64_t written = watch_wanted(c->watch) - watch_lost(c->watch);

	if (written > c->taken)
		take_some(c, written - c->taken);
}

/* Nothing is left in the ring: who reads what we write gets it now. */
static void flush(struct capture *c)
{
	if (c->error)
		return;
	if (c->file)
		c->error = capture_file_flush(c->file);
	else if (fflush(stdout))
		c->error = -errno;
}

static int idle_ms(const struct capture *c, unsigned int idle)
{
	uint64_t left_ms = c->end_ns ? (c->end_ns - now_ns()) / 1000000 + 1 : IDLE_MAX_MS;
	int ms = idle < 8 ? 1 : idle < 16 ? 5 : IDLE_MAX_MS;

	return left_ms < (uint64_t)ms ? (int)left_ms : ms;
}

/* Returns false when weird has ended, and all that it had shown is taken. */
static bool loop(struct capture *c)
{
	unsigned int idle = 0;

	while (!over(c)) {
		struct pollfd pfd = { .fd = watch_fd(c->watch), .events = POLLIN };
		bool gone = watch_gone(c->watch);

		if (stats_asked) {
			stats_asked = 0;
			counts(c);
		}
		progress(c);
		if (take_some(c, BURST)) {
			idle = 0;
			continue;
		}
		if (gone)
			return false;
		if (idle == 0)
			flush(c);
		if (!over(c))
			poll(&pfd, 1, idle_ms(c, idle++));
	}
	take_rest(c);
	return true;
}

/* ---- begin and end ---- */

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		stats_asked = 1;
	else
		stop_signal = signal;
}

static void signals(void)
{
	/* SIGINT also where it is ignored, as a script's shell has it for what runs beside it. */
	static const int ends[] = { SIGINT, SIGTERM, SIGUSR1 };
	struct sigaction sa = { .sa_handler = on_signal }, old;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &sa, NULL);
	/* nohup has its way. */
	if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void announce(const struct capture *c)
{
	const struct capture_options *o = c->o;

	if (o->quiet || o->json)
		return;
	fprintf(stderr, "weir capture: listening on ");
	for (unsigned int i = 0; i < o->port_count; i++)
		fprintf(stderr, "%s%s", i ? "," : "", o->port[i]);
	fprintf(stderr, "%s of instance %s at", o->port_count ? "" : "any port", cli.instance);
	fprintf(stderr, "%s%s%s%s%s, snapshot length %u bytes\n", o->ingress ? " ingress" : "",
		o->egress ? " egress" : "", o->stages ? " " : "", o->stages ? o->stages : "",
		o->drops ? " drops" : "", o->snap_bytes);
}

/* The ports are in the file from the start, so that whoever reads it knows what was listened to. */
static int file_open(struct capture *c)
{
	const json_t *port;
	size_t i;

	c->file = capture_file_open(c->o);
	if (!c->file)
		return CLI_FAILED;
	if (!c->o->ingress && !c->o->egress)
		return 0;
	json_array_foreach(json_object_get(watch_about(c->watch), "ports"), i, port)
	{
		json_int_t n = cli_int(port, "ifindex");
		bool chosen = !c->o->port_count && !json_is_true(json_object_get(port, "loop"));

		for (unsigned int k = 0; k < c->o->port_count; k++)
			chosen |= strcmp(c->o->port[k], cli_string(port, "name")) == 0;
		if (chosen && n > 0 && n < (json_int_t)IFINDEX_COUNT)
			capture_file_port(c->file, c->port[n]);
	}
	flush(c);
	return 0;
}

static int finish(struct capture *c, bool weird_there)
{
	int status = CLI_OK, err;

	if (c->file)
		capture_file_lost(c->file, watch_lost(c->watch));
	flush(c);
	err = capture_file_close(c->file);
	err = c->error ? c->error : err;
	if (c->progress)
		fputc('\r', stderr);
	if (c->o->json)
		counts_json(c);
	else if (!c->o->quiet)
		counts(c);
	if (err && err != -EPIPE)
		cli_fail("packets cannot be written to %s: %s",
			 c->o->file && strcmp(c->o->file, "-") ? c->o->file : "standard output",
			 strerror(-err));
	if (!weird_there)
		cli_fail("the weird of instance '%s' has ended, and the capture with it",
			 cli.instance);
	if (err || !weird_there)
		status = CLI_FAILED;
	return status;
}

static int capture_with(struct capture *c)
{
	int status;

	ports_learn(c);
	stages_learn(c);
	status = stages_fit_ports(c);
	if (!status && c->o->file)
		status = file_open(c);
	if (status)
		return status;
	announce(c);
	c->end_ns = c->o->for_ns ? now_ns() + c->o->for_ns : 0;
	c->progress = c->file && !c->o->quiet && isatty(STDERR_FILENO);
	c->progress_ns = now_ns() + 2 * (uint64_t)PROGRESS_NS;
	return finish(c, loop(c));
}

int capture_run(const struct capture_options *o)
{
	static struct capture capture;
	json_t *request = NULL;
	int status;

	if (o->file && strcmp(o->file, "-") == 0 && isatty(STDOUT_FILENO))
		return cli_fail("packets are no text for a terminal: -w FILE, or a pipe behind "
				"-w -");
	status = request_make(o, &request);
	if (status) {
		json_decref(request);
		return status;
	}
	capture = (struct capture){ .o = o };
	signals();
	capture.watch = watch_open(request);
	if (!capture.watch)
		return CLI_FAILED;
	status = capture_with(&capture);
	watch_close(capture.watch);
	return status;
}
