/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bin/weir/dropwatch/kernel_filter.h"

#define TRACEPOINT "kfree_skb"
#define RING_LEAST_BYTES (64u * 1024)
#define RING_MOST_BYTES (64u * 1024 * 1024)
/* What a packet takes in the ring when people do not say how much of it they want. */
#define USUAL_PACKET_BYTES 1600u
#define BATCH 1024u /* keys read at once */

extern const unsigned char kdrop_btf[], kdrop_raw[]; /* made of kdrop.bpf.c by the build */
extern const size_t kdrop_btf_bytes, kdrop_raw_bytes;

/* How many arguments the tracepoint has in this kernel: 2, with a reason 3, with a socket 4. */
static int tracepoint_args(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "btf_trace_" TRACEPOINT, BTF_KIND_TYPEDEF);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (unsigned int)id) : NULL;

	while (t && (btf_is_typedef(t) || btf_is_ptr(t)))
		t = btf__type_by_id(btf, t->type);
	/* The first of the prototype is the tracepoint's own. */
	return t && btf_is_func_proto(t) ? (int)btf_vlen(t) - 1 : -ENOENT;
}

/* ---- loading ---- */

static struct bpf_object *open_object(bool raw)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "kdrop");
	struct bpf_object *object =
		raw ? bpf_object__open_mem(kdrop_raw, kdrop_raw_bytes, &options)
		    : bpf_object__open_mem(kdrop_btf, kdrop_btf_bytes, &options);

	return libbpf_get_error(object) ? NULL : object;
}

/* The ring is a power of two of bytes; a packet that finds it full is counted as skipped. */
static uint32_t ring_bytes(const struct kdrop_config *config)
{
	uint64_t each = config->trunc_bytes < USUAL_PACKET_BYTES ? config->trunc_bytes
								 : USUAL_PACKET_BYTES;
	uint64_t wanted, bytes = RING_LEAST_BYTES;

	each += offsetof(struct kdrop_packet, bytes);
	wanted = each * config->queue_packets;
	while (bytes < wanted && bytes < RING_MOST_BYTES)
		bytes *= 2;
	return (uint32_t)bytes;
}

/* The table of counts: its size, less where a test wants to see it full. */
static uint32_t count_keys(void)
{
	const char *text = getenv("WEIR_KDROP_KEYS");
	unsigned long keys = text ? strtoul(text, NULL, 10) : 0;

	return keys && keys < KDROP_KEYS ? (uint32_t)keys : KDROP_KEYS;
}

static int shrink(struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

static int configure(struct bpf_object *object, const struct kdrop_config *config)
{
	struct bpf_map *constants = bpf_object__find_map_by_name(object, ".rodata");
	int rc = constants ? bpf_map__set_initial_value(constants, config, sizeof(*config))
			   : -ENOENT;

	if (rc)
		return rc;
	rc = shrink(object, "ring", config->packets ? ring_bytes(config) : 4096);
	if (!rc)
		rc = shrink(object, "counts", count_keys());
	if (!rc && (!config->stacks || config->packets))
		rc = shrink(object, "stacks", 1);
	return rc;
}

static int map_of(const struct bpf_object *object, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__fd(map) : -1;
}

static int program_of(const struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ? bpf_program__fd(program) : -1;
}

/* The program's own variables, as it sees them. */
static int map_shared(struct kernel_bpf *b)
{
	void *shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			    map_of(b->object, ".bss"), 0);

	if (shared == MAP_FAILED)
		return -errno;
	b->shared = shared;
	return 0;
}

static int load(struct kernel_bpf *b, const struct kdrop_config *config, bool raw)
{
	int rc;

	b->object = open_object(raw);
	if (!b->object)
		return -errno;
	rc = configure(b->object, config);
	if (!rc)
		rc = bpf_object__load(b->object);
	if (rc) {
		bpf_object__close(b->object);
		b->object = NULL;
		return rc;
	}
	b->raw = raw;
	b->counts = map_of(b->object, "counts");
	b->stats = map_of(b->object, "stats");
	b->stacks = map_of(b->object, "stacks");
	b->program = program_of(b->object, "kdrop");
	return map_shared(b);
}

/* The key of what finds no room of its own is there before there can be no room. */
static int add_overflow_key(const struct kernel_bpf *b)
{
	uint64_t *zeros = calloc((size_t)b->cpus, sizeof(*zeros));
	struct kdrop_key key = { .stack = KDROP_NO_STACK };
	int rc = zeros ? bpf_map_update_elem(b->counts, &key, zeros, BPF_ANY) : -ENOMEM;

	free(zeros);
	return rc;
}

/* ---- the filter between the two programs ---- */

static int load_filter(struct kernel_bpf *b, const struct bpf_insn *insns, size_t count)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options);
	int id = 0;

	if (!b->raw) {
		id = libbpf_find_vmlinux_btf_id(TRACEPOINT, BPF_TRACE_RAW_TP);
		options.expected_attach_type = BPF_TRACE_RAW_TP;
		options.attach_btf_id = (__u32)id;
	}
	if (id < 0)
		return id;
	b->filter = bpf_prog_load(b->raw ? BPF_PROG_TYPE_RAW_TRACEPOINT : BPF_PROG_TYPE_TRACING,
				  "kdrop_filter", "Dual BSD/GPL", insns, count, &options);
	return b->filter < 0 ? -errno : 0;
}

static int insert_filter(struct kernel_bpf *b, const struct sock_filter *code, size_t count)
{
	struct kernel_filter_maps maps = { map_of(b->object, "scratch"), b->stats,
					   map_of(b->object, "programs") };
	int matched = program_of(b->object, "kdrop_matched");
	uint32_t slot_filter = KDROP_SLOT_FILTER, slot_matched = KDROP_SLOT_MATCHED;
	struct bpf_insn *insns = NULL;
	size_t insn_count = 0;
	int rc = kernel_filter_translate(code, count, &maps, &insns, &insn_count);

	if (!rc)
		rc = load_filter(b, insns, insn_count);
	free(insns);
	if (!rc)
		rc = bpf_map_update_elem(maps.programs, &slot_matched, &matched, BPF_ANY);
	if (!rc)
		rc = bpf_map_update_elem(maps.programs, &slot_filter, &b->filter, BPF_ANY);
	return rc;
}

/* ---- start and end ---- */

/* libbpf would tell its story on standard error; ours is kernel_why(). */
static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!getenv("WEIR_KDROP_LOG"))
		return 0;
	return vfprintf(stderr, format, args);
}

static int ring_sample(void *context, void *data, size_t bytes);

/* Where kernel_bpf_take() keeps what libbpf's callback needs. */
struct taking {
	struct kernel_bpf *b;
	kernel_bpf_packet_fn *fn;
	void *context;
};

static struct taking taking; /* of the one thread that takes */

static int attach(struct kernel_bpf *b, bool packets)
{
	struct bpf_program *program = bpf_object__find_program_by_name(b->object, "kdrop");

	if (packets) {
		b->ring = ring_buffer__new(map_of(b->object, "ring"), ring_sample, &taking, NULL);
		if (!b->ring)
			return -errno;
	}
	b->link = bpf_program__attach(program);
	if (libbpf_get_error(b->link)) {
		b->link = NULL;
		return -errno;
	}
	return 0;
}

static void complete(struct kdrop_config *config, int args, const struct sock_filter *filter,
		     size_t filter_count)
{
	uint32_t reach = filter ? kernel_filter_reach(filter, filter_count) : 0;

	config->with_reason = args >= 3;
	config->with_rx_sk = args >= 4;
	config->filter = filter != NULL;
	config->snap_bytes = config->packets ? config->trunc_bytes : 0;
	if (config->snap_bytes < reach)
		config->snap_bytes = reach;
}

int kernel_bpf_start(struct kernel_bpf *b, const struct btf *btf, struct kdrop_config *config,
		     const struct sock_filter *filter, size_t filter_count, char *error,
		     size_t error_bytes)
{
	const char *what = "loading the BPF program";
	int rc, args = tracepoint_args(btf);

	memset(b, 0, sizeof(*b));
	b->btf = btf;
	b->filter = b->program = -1;
	b->cpus = libbpf_num_possible_cpus();
	libbpf_set_print(quiet);
	if (args < 0) {
		kernel_why("finding the tracepoint skb:kfree_skb", args, error, error_bytes);
		return args;
	}
	complete(config, args, filter, filter_count);
	rc = getenv("WEIR_KDROP_RAW") ? -EINVAL : load(b, config, false);
	if (rc && rc != -EPERM)
		rc = load(b, config, true);
	if (!rc)
		rc = add_overflow_key(b);
	if (!rc && filter) {
		what = "loading the packet filter";
		rc = insert_filter(b, filter, filter_count);
	}
	if (!rc) {
		what = "attaching to the tracepoint skb:kfree_skb";
		rc = attach(b, config->packets);
	}
	if (rc) {
		kernel_why(what, rc, error, error_bytes);
		kernel_bpf_close(b);
	}
	return rc;
}

void kernel_bpf_detach(struct kernel_bpf *b)
{
	if (!b->link)
		return;
	bpf_link__destroy(b->link);
	b->link = NULL;
	/* The link is gone, but a CPU may still be inside: the kernel waits for each of them. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

void kernel_bpf_close(struct kernel_bpf *b)
{
	kernel_bpf_detach(b);
	if (b->ring)
		ring_buffer__free(b->ring);
	if (b->filter >= 0)
		close(b->filter);
	if (b->shared)
		munmap(b->shared, sizeof(*b->shared));
	if (b->object)
		bpf_object__close(b->object);
	b->ring = NULL;
	b->shared = NULL;
	b->object = NULL;
	b->filter = -1;
}

/* ---- reading ---- */

static uint64_t sum(const uint64_t *values, int cpus)
{
	uint64_t all = 0;

	for (int i = 0; i < cpus; i++)
		all += values[i];
	return all;
}

int kernel_bpf_counts(const struct kernel_bpf *b,
		      void (*fn)(void *context, const struct kdrop_key *key, uint64_t count),
		      void *context)
{
	struct kdrop_key *keys = calloc(BATCH, sizeof(*keys));
	uint64_t *values = calloc((size_t)BATCH * (size_t)b->cpus, sizeof(*values));
	uint32_t at = 0, got;
	bool first = true;
	int rc = keys && values ? 0 : -ENOMEM;

	while (!rc) {
		got = BATCH;
		rc = bpf_map_lookup_batch(b->counts, first ? NULL : &at, &at, keys, values, &got,
					  NULL);
		if (rc && rc != -ENOENT)
			break;
		first = false;
		for (uint32_t i = 0; i < got; i++)
			fn(context, &keys[i], sum(&values[(size_t)i * (size_t)b->cpus], b->cpus));
	}
	free(keys);
	free(values);
	return rc == -ENOENT ? 0 : rc; /* that is how the end is told */
}

void kernel_bpf_stats(const struct kernel_bpf *b, uint64_t stats[KDROP_STATS])
{
	uint64_t *values = calloc((size_t)b->cpus, sizeof(*values));

	for (uint32_t i = 0; i < KDROP_STATS; i++) {
		bool ok = values && bpf_map_lookup_elem(b->stats, &i, values) == 0;

		stats[i] = ok ? sum(values, b->cpus) : 0;
	}
	free(values);
}

uint64_t kernel_bpf_missed(const struct kernel_bpf *b)
{
	struct bpf_prog_info info = { 0 };
	uint32_t bytes = sizeof(info);

	if (b->program < 0 || bpf_obj_get_info_by_fd(b->program, &info, &bytes))
		return 0;
	return info.recursion_misses;
}

static int ring_sample(void *context, void *data, size_t bytes)
{
	struct taking *t = context;

	__atomic_fetch_add(&t->b->shared->taken, 1, __ATOMIC_RELAXED);
	return t->fn(t->context, data, bytes) ? 0 : -ECANCELED;
}

void kernel_bpf_take(struct kernel_bpf *b, kernel_bpf_packet_fn *fn, void *context)
{
	taking = (struct taking){ b, fn, context };
	if (b->ring)
		ring_buffer__consume(b->ring);
}

int kernel_bpf_poll_fd(const struct kernel_bpf *b)
{
	return b->ring ? ring_buffer__epoll_fd(b->ring) : -1;
}

size_t kernel_bpf_stack(const struct kernel_bpf *b, int32_t stack, __u64 frames[KDROP_FRAMES])
{
	uint32_t id = (uint32_t)stack;
	size_t count = 0;

	if (stack < 0 || bpf_map_lookup_elem(b->stacks, &id, frames))
		return 0;
	while (count < KDROP_FRAMES && frames[count])
		count++;
	return count;
}
