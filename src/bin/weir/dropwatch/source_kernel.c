/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's kernel as a source of drops (source.h): a BPF program at skb:kfree_skb counts
 * (kernel_bpf.h); kernel_words.h puts its numbers into words.
 *
 * Each start loads the program anew, with what is wanted as constants, so its counters begin at 0;
 * what came before is in `before`. After a stop the program stays loaded, detached, so that the
 * last poll can read what it has counted.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bin/weir/dropwatch/kernel_bpf.h"
#include "bin/weir/dropwatch/kernel_filter.h"
#include "bin/weir/dropwatch/kernel_netns.h"
#include "bin/weir/dropwatch/kernel_packets.h"
#include "bin/weir/dropwatch/kernel_tally.h"
#include "bin/weir/dropwatch/kernel_words.h"
#include "bin/weir/dropwatch/source.h"

#define GATHER_MS 100 /* counts come at any time: they are looked at so often */
#define WATCHES_BYTES 320

struct kernel_source {
	struct drop_source base;
	char watches[WATCHES_BYTES];
	uint32_t netns; /* 0: all */
	struct sock_filter *filter;
	size_t filter_count;
	bool choose;
	uint8_t chosen[KDROP_REASONS];

	struct btf *btf;
	struct kernel_words *words;

	struct kernel_bpf bpf;
	bool loaded; /* a start was, and no other since */
	bool packets;
	bool stopped, told; /* and what was counted and not shown has been said */
	struct kernel_tally *tally;
	struct kernel_packets *queue;
	size_t queue_most;
	struct drop_stats before; /* of starts that are over */
	uint64_t shown;		  /* packets handed over in this one */
};

static struct kernel_source *of(struct drop_source *s)
{
	return (struct kernel_source *)s;
}

/* ---- counts ---- */

static void see(void *context, const struct kdrop_key *key, uint64_t count)
{
	kernel_tally_see(context, key, count);
}

/* The program's counters into the tally: what has grown is there then. */
static int look(struct kernel_source *k, char *error)
{
	int rc;

	kernel_tally_begin(k->tally);
	rc = kernel_bpf_counts(&k->bpf, see, k->tally);
	if (rc)
		kernel_why("reading the counters", rc, error, DROP_ERROR_BYTES);
	return rc;
}

/* What has grown, as events behind those that there are. */
static void add_growth(struct kernel_source *k)
{
	size_t count;
	const struct kernel_growth *growth = kernel_tally_growth(k->tally, &count);

	for (size_t i = 0; i < count; i++) {
		const struct kdrop_key *key = &growth[i].key;
		__u64 frames[KDROP_FRAMES];

		kernel_words_add(k->words, key, growth[i].count);
		kernel_words_frames(k->words, frames,
				    kernel_bpf_stack(&k->bpf, key->stack, frames));
	}
}

static int events_of_counts(struct kernel_source *k, char *error)
{
	size_t count;
	int rc = look(k, error);

	if (rc)
		return rc;
	kernel_tally_growth(k->tally, &count);
	rc = kernel_words_begin(k->words, count);
	if (!rc)
		add_growth(k);
	return rc;
}

/* ---- packets ---- */

static bool take_packet(void *context, const void *record, size_t bytes)
{
	struct kernel_source *k = context;

	if (kernel_packets_add(k->queue, record, bytes))
		k->shown++;
	/* A burst of drops is not to keep us here; when it is stopped, all there is comes out. */
	return k->stopped || kernel_packets_count(k->queue) < k->queue_most;
}

static int64_t realtime_offset_ns(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (int64_t)(real.tv_sec - mono.tv_sec) * 1000000000 + real.tv_nsec - mono.tv_nsec;
}

static struct kdrop_key key_of(const struct kdrop_packet *p)
{
	return (struct kdrop_key){ .location = p->location,
				   .reason = p->reason,
				   .netns = p->netns,
				   .stack = KDROP_NO_STACK };
}

static void add_packets(struct kernel_source *k)
{
	int64_t realtime_ns = realtime_offset_ns();
	size_t count = kernel_packets_count(k->queue);

	for (size_t i = 0; i < count; i++) {
		const struct kdrop_packet *p = kernel_packets_at(k->queue, i);
		struct kdrop_key key = key_of(p);

		kernel_words_add(k->words, &key, 1);
		kernel_words_frames(k->words, p->frames, p->frames_bytes / sizeof(p->frames[0]));
		kernel_words_packet(k->words, p, realtime_ns);
	}
}

/* Take packets; in *unshown, once, at the end, the kinds of which some were counted only. */
static int take_packets(struct kernel_source *k, size_t *unshown, char *error)
{
	int rc = 0;

	*unshown = 0;
	kernel_packets_clear(k->queue);
	kernel_bpf_take(&k->bpf, take_packet, k);
	for (size_t i = 0; i < kernel_packets_count(k->queue); i++) {
		struct kdrop_key key = key_of(kernel_packets_at(k->queue, i));

		kernel_tally_shown(k->tally, &key);
	}
	if (k->stopped && !k->told) {
		rc = look(k, error);
		kernel_tally_unshown(k->tally);
		kernel_tally_growth(k->tally, unshown);
		k->told = true;
	}
	return rc;
}

static int events_of_packets(struct kernel_source *k, char *error)
{
	size_t unshown;
	int rc = take_packets(k, &unshown, error);

	if (!rc)
		rc = kernel_words_begin(k->words, kernel_packets_count(k->queue) + unshown);
	if (rc)
		return rc;
	add_packets(k);
	if (unshown)
		add_growth(k);
	return 0;
}

/* ---- polling ---- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* False: who polls is to be answered at once, for wake_fd is readable or a signal came. */
static bool wait_for(const struct kernel_source *k, int timeout_ms, int wake_fd)
{
	struct pollfd fds[2] = { { .fd = kernel_bpf_poll_fd(&k->bpf), .events = POLLIN },
				 { .fd = wake_fd, .events = POLLIN } };

	return poll(fds, 2, timeout_ms) >= 0 && !fds[1].revents;
}

static int gather(struct kernel_source *k, char *error)
{
	return k->packets ? events_of_packets(k, error) : events_of_counts(k, error);
}

static int source_poll(struct drop_source *s, int timeout_ms, int wake_fd,
		       const struct drop_event **events, size_t *count,
		       char error[DROP_ERROR_BYTES])
{
	struct kernel_source *k = of(s);
	uint64_t end_ms = now_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
	bool again = true;
	int rc = 0;

	*count = 0;
	while (k->loaded && again && !rc && !*count) {
		uint64_t now = now_ms();
		int left_ms = now < end_ms ? (int)(end_ms - now) : 0;
		bool undisturbed;

		if (!k->packets && left_ms > GATHER_MS)
			left_ms = GATHER_MS;
		undisturbed = wait_for(k, left_ms, wake_fd);
		rc = gather(k, error);
		*events = kernel_words_events(k->words, count);
		again = undisturbed && now_ms() < end_ms;
	}
	if (rc == -ENOMEM)
		snprintf(error, DROP_ERROR_BYTES, "no memory for the kernel's drops");
	return rc;
}

/* ---- start, stop, statistics ---- */

/* What this start has counted: added to `to`. */
static void add_stats(struct kernel_source *k, struct drop_stats *to)
{
	uint64_t stats[KDROP_STATS];

	kernel_bpf_stats(&k->bpf, stats);
	to->drops += kernel_tally_total(k->tally);
	to->packets += k->shown;
	to->packets_skipped += stats[KDROP_SKIPPED];
	to->lost_events += stats[KDROP_NETNS_UNKNOWN] + stats[KDROP_UNDECIDED] +
			   stats[KDROP_FAILED] + kernel_bpf_missed(&k->bpf);
}

static void unload(struct kernel_source *k)
{
	char error[DROP_ERROR_BYTES];

	if (!k->loaded)
		return;
	kernel_bpf_detach(&k->bpf);
	look(k, error);
	add_stats(k, &k->before);
	kernel_bpf_close(&k->bpf);
	kernel_tally_free(k->tally);
	kernel_packets_free(k->queue);
	k->tally = NULL;
	k->queue = NULL;
	k->shown = 0;
	k->loaded = false;
}

static void configure(const struct kernel_source *k, const struct drop_settings *settings,
		      struct kdrop_config *config)
{
	*config = (struct kdrop_config){
		.netns = k->netns,
		.choose = k->choose,
		.packets = settings->packets,
		.stacks = settings->stack,
		.trunc_bytes = settings->trunc_bytes,
		.queue_packets = settings->queue_packets ? settings->queue_packets
							 : DROP_QUEUE_DEFAULT,
	};
	if (config->trunc_bytes == 0 || config->trunc_bytes > KDROP_SNAP)
		config->trunc_bytes = KDROP_SNAP;
	memcpy(config->chosen, k->chosen, sizeof(config->chosen));
}

static int source_start(struct drop_source *s, const struct drop_settings *settings,
			char error[DROP_ERROR_BYTES])
{
	struct kernel_source *k = of(s);
	struct kdrop_config config;
	int rc;

	if (!settings->software) {
		snprintf(error, DROP_ERROR_BYTES,
			 "of the kernel only software drops can be watched: set sw true");
		return -EOPNOTSUPP;
	}
	unload(k);
	configure(k, settings, &config);
	k->tally = kernel_tally_new();
	k->queue = kernel_packets_new(settings->stack);
	rc = k->tally && k->queue ? 0 : -ENOMEM;
	if (rc)
		snprintf(error, DROP_ERROR_BYTES, "no memory for the kernel's drops");
	else
		rc = kernel_bpf_start(&k->bpf, k->btf, &config, k->filter, k->filter_count, error,
				      DROP_ERROR_BYTES);
	if (rc) {
		kernel_tally_free(k->tally);
		kernel_packets_free(k->queue);
		k->tally = NULL;
		k->queue = NULL;
		return rc;
	}
	k->packets = settings->packets;
	k->queue_most = config.queue_packets;
	k->stopped = k->told = false;
	k->loaded = true;
	return 0;
}

static int source_stop(struct drop_source *s, char error[DROP_ERROR_BYTES])
{
	struct kernel_source *k = of(s);

	if (k->loaded)
		kernel_bpf_detach(&k->bpf);
	k->stopped = true;
	return 0;
}

static int source_stats(struct drop_source *s, struct drop_stats *stats,
			char error[DROP_ERROR_BYTES])
{
	struct kernel_source *k = of(s);
	int rc = 0;

	*stats = k->before;
	if (!k->loaded)
		return 0;
	/* Counts that a look finds are those of the next poll: only packets mode has none. */
	if (k->packets)
		rc = look(k, error);
	add_stats(k, stats);
	return rc;
}

static void source_close(struct drop_source *s)
{
	struct kernel_source *k = of(s);

	unload(k);
	kernel_words_free(k->words);
	btf__free(k->btf);
	free(k->filter);
	free(k);
}

static const struct drop_source_ops ops = {
	.start = source_start,
	.stop = source_stop,
	.poll = source_poll,
	.stats = source_stats,
	.close = source_close,
};

/* ---- opening ---- */

static int choose_netns(struct kernel_source *k, const struct drop_options *o, char *error)
{
	int rc;

	if (o->all_netns) {
		snprintf(k->watches, sizeof(k->watches), "the kernel, every network namespace");
		return 0;
	}
	rc = kernel_netns_find(o->netns, &k->netns, error, DROP_ERROR_BYTES);
	if (!rc && o->netns && strcmp(o->netns, "."))
		snprintf(k->watches, sizeof(k->watches), "the kernel, network namespace '%s'",
			 o->netns);
	else if (!rc)
		snprintf(k->watches, sizeof(k->watches), "the kernel, this network namespace");
	return rc;
}

static int choose_reasons(struct kernel_source *k, const struct drop_options *o, char *error)
{
	for (size_t i = 0; i < o->reason_count; i++) {
		int number = kernel_words_reason(k->words, o->reasons[i]);

		if (number < 0 || number >= (int)KDROP_REASONS) {
			snprintf(error, DROP_ERROR_BYTES,
				 "this kernel has no drop reason '%s': its names are those of "
				 "SKB_DROP_REASON_* in Linux, such as NO_SOCKET",
				 o->reasons[i]);
			return -ENOENT;
		}
		k->chosen[number] = 1;
		k->choose = true;
	}
	return 0;
}

static int open_all(struct kernel_source *k, const struct drop_options *options, char *error)
{
	int rc = choose_netns(k, options, error);

	if (!rc && options->filter)
		rc = kernel_filter_compile(options->filter, &k->filter, &k->filter_count, error,
					   DROP_ERROR_BYTES);
	if (rc)
		return rc;
	k->btf = btf__load_vmlinux_btf();
	if (libbpf_get_error(k->btf)) {
		k->btf = NULL;
		rc = -ENOENT;
		kernel_why("reading the kernel's types", rc, error, DROP_ERROR_BYTES);
		return rc;
	}
	k->words = kernel_words_new(k->btf, &k->base.note);
	if (!k->words) {
		snprintf(error, DROP_ERROR_BYTES, "no memory for the kernel's names");
		return -ENOMEM;
	}
	return choose_reasons(k, options, error);
}

int drop_source_kernel_open(const struct drop_options *options, struct drop_source **source,
			    char error[DROP_ERROR_BYTES])
{
	struct kernel_source *k = calloc(1, sizeof(*k));
	int rc;

	if (!k) {
		snprintf(error, DROP_ERROR_BYTES, "no memory");
		return -ENOMEM;
	}
	k->base.ops = &ops;
	k->base.watches = k->watches;
	rc = open_all(k, options, error);
	if (rc) {
		source_close(&k->base);
		return rc;
	}
	*source = &k->base;
	return 0;
}
