/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/watch.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/weir/cli.h"

#define WORKERS_MAX 64u

struct reader {
	struct watch_part *shared;
	const uint8_t *ring;
	uint64_t tail;
	const struct watch_record *next; /* the first that was not given out, or NULL */
};

struct watch {
	int fd;
	json_t *about;
	struct watch_area *area;
	struct watch_area layout; /* as it was checked */
	uint32_t given_bytes;	  /* of the record that was given out last, and by whom: */
	struct reader *given;
	struct reader reader[WORKERS_MAX];
};

/* ---- the filter ---- */

static char *program_hex(const struct bpf_program *program)
{
	const uint8_t *bytes = (const uint8_t *)program->bf_insns;
	size_t n = program->bf_len * sizeof(program->bf_insns[0]);
	char *hex = malloc(2 * n + 1);

	for (size_t i = 0; hex && i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return hex;
}

/* The filter for one kind of link, or NULL: libpcap does not understand it (said where loud). */
static json_t *compile(const char *text, int link, bool loud)
{
	pcap_t *pcap = pcap_open_dead(link, WATCH_SNAP_MAX_BYTES);
	struct bpf_program program;
	json_t *result = NULL;
	char *hex;

	if (!pcap)
		return NULL;
	if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0) {
		hex = program_hex(&program);
		result = hex ? json_string(hex) : NULL;
		free(hex);
		pcap_freecode(&program);
	} else if (loud) {
		cli_fail("the filter '%s': %s (man pcap-filter has the syntax)", text,
			 pcap_geterr(pcap));
	}
	pcap_close(pcap);
	return result;
}

/* Nothing, for packets of a link that the filter cannot be for (ether host, on IP alone). */
static json_t *nothing(void)
{
	struct bpf_insn ret = { .code = BPF_RET | BPF_K, .k = 0 };
	struct bpf_program program = { .bf_len = 1, .bf_insns = &ret };
	char *hex = program_hex(&program);
	json_t *result = hex ? json_string(hex) : NULL;

	free(hex);
	return result;
}

int watch_filter(json_t *request, const char *text)
{
	json_t *ethernet = compile(text, DLT_EN10MB, true), *ip;

	if (!ethernet)
		return CLI_USAGE;
	ip = compile(text, DLT_RAW, false);
	if (!ip)
		ip = nothing();
	if (json_object_set_new(request, "filter",
				json_pack("{s:o, s:o}", "ethernet", ethernet, "ip", ip)))
		return cli_fail("out of memory");
	return 0;
}

/* ---- life ---- */

static bool layout_good(const struct watch_area *a, uint64_t file_bytes)
{
	return a->magic == WATCH_MAGIC && a->version == WATCH_VERSION &&
	       a->area_bytes <= file_bytes && a->worker_count <= WORKERS_MAX &&
	       a->ring_bytes >= WATCH_RING_MIN_BYTES && a->ring_bytes <= WATCH_RING_MAX_BYTES &&
	       !(a->ring_bytes & (a->ring_bytes - 1)) &&
	       a->site_bytes >=
		       sizeof(struct watch_site) + (uint64_t)a->reason_count * sizeof(uint64_t) &&
	       a->ring_at >= sizeof(struct watch_part) + (uint64_t)a->site_count * a->site_bytes &&
	       a->part_bytes >= a->ring_at + a->ring_bytes && a->part_at >= sizeof(*a) &&
	       a->part_at + a->part_bytes * a->worker_count <= a->area_bytes;
}

/* 0, or words are said. */
static int area_map(struct watch *watch, int fd)
{
	struct stat st;
	void *area;

	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(struct watch_area))
		return cli_fail("weird's memory cannot be looked at: %s", strerror(errno));
	area = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		return cli_fail("weird's memory cannot be mapped: %s", strerror(errno));
	watch->area = area;
	watch->layout = *watch->area;
	if (layout_good(&watch->layout, (uint64_t)st.st_size))
		return 0;
	munmap(area, (size_t)st.st_size);
	watch->area = NULL;
	return cli_fail("weird's memory is laid out otherwise: weir and weird are of different "
			"versions");
}

static void readers_begin(struct watch *watch)
{
	for (uint32_t i = 0; i < watch->layout.worker_count; i++) {
		struct reader *r = &watch->reader[i];

		r->shared = (struct watch_part *)((uint8_t *)watch->area + watch->layout.part_at +
						  i * watch->layout.part_bytes);
		r->ring = (const uint8_t *)r->shared + watch->layout.ring_at;
	}
}

struct watch *watch_open(json_t *request)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int passed, err;

	if (!watch) {
		json_decref(request);
		cli_fail("out of memory");
		return NULL;
	}
	json_object_set_new(request, "cmd", json_string("watch"));
	watch->about = cli_ask_open(request, &watch->fd, &passed);
	if (!watch->about) {
		free(watch);
		return NULL;
	}
	err = area_map(watch, passed);
	close(passed);
	if (err) {
		watch_close(watch);
		return NULL;
	}
	readers_begin(watch);
	return watch;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->area)
		munmap(watch->area, watch->layout.area_bytes);
	close(watch->fd);
	json_decref(watch->about);
	free(watch);
}

const json_t *watch_about(const struct watch *watch)
{
	return watch->about;
}

int watch_fd(const struct watch *watch)
{
	return watch->fd;
}

bool watch_gone(const struct watch *watch)
{
	struct pollfd pfd = { .fd = watch->fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/* ---- records ---- */

/* The record at the reader's place, or NULL: none is there (or what is there is none). */
static const struct watch_record *reader_look(struct reader *r, uint32_t ring_bytes)
{
	for (;;) {
		uint64_t head = atomic_load_explicit(&r->shared->head, memory_order_acquire);
		uint32_t at = (uint32_t)r->tail & (ring_bytes - 1);
		const struct watch_record *record = (const struct watch_record *)(r->ring + at);
		uint32_t bytes;

		if (head - r->tail < 8 || head - r->tail > ring_bytes)
			return NULL;
		bytes = record->record_bytes;
		if (bytes < 8 || bytes % 8 || bytes > ring_bytes - at)
			return NULL;
		if (record->kind != WATCH_PAD)
			return bytes >= sizeof(*record) &&
					       record->data_bytes <= bytes - sizeof(*record)
				       ? record
				       : NULL;
		r->tail += bytes;
		atomic_store_explicit(&r->shared->tail, r->tail, memory_order_release);
	}
}

/* The one that was given out is done with. */
static void give_back(struct watch *watch)
{
	struct reader *r = watch->given;

	if (!r)
		return;
	r->tail += watch->given_bytes;
	atomic_store_explicit(&r->shared->tail, r->tail, memory_order_release);
	r->next = NULL;
	watch->given = NULL;
}

const struct watch_record *watch_next(struct watch *watch)
{
	struct reader *oldest = NULL;

	give_back(watch);
	for (uint32_t i = 0; i < watch->layout.worker_count; i++) {
		struct reader *r = &watch->reader[i];

		if (!r->next)
			r->next = reader_look(r, watch->layout.ring_bytes);
		if (r->next && (!oldest || r->next->cycles < oldest->next->cycles))
			oldest = r;
	}
	if (!oldest)
		return NULL;
	watch->given = oldest;
	watch->given_bytes = oldest->next->record_bytes;
	return oldest->next;
}

/* ---- counts ---- */

static const struct watch_site *site_of(const struct watch *watch, uint32_t worker, uint32_t site)
{
	const uint8_t *sites =
		(const uint8_t *)watch->reader[worker].shared + sizeof(struct watch_part);

	return (const struct watch_site *)(sites + (uint64_t)site * watch->layout.site_bytes);
}

uint64_t watch_count(const struct watch *watch, uint32_t site, uint32_t reason)
{
	uint64_t sum = 0;

	if (site >= watch->layout.site_count || reason >= watch->layout.reason_count)
		return 0;
	for (uint32_t i = 0; i < watch->layout.worker_count; i++)
		sum += __atomic_load_n(&site_of(watch, i, site)->count[reason], __ATOMIC_ACQUIRE);
	return sum;
}

uint32_t watch_path(const struct watch *watch, uint32_t site)
{
	uint32_t path = 0;

	for (uint32_t i = 0; site < watch->layout.site_count && i < watch->layout.worker_count; i++)
		path |= site_of(watch, i, site)->path;
	return path;
}

uint64_t watch_pc(const struct watch *watch, uint32_t site)
{
	uint64_t pc = 0;

	for (uint32_t i = 0; site < watch->layout.site_count && i < watch->layout.worker_count; i++)
		pc = pc ? pc : site_of(watch, i, site)->pc;
	return pc;
}

uint64_t watch_lost(const struct watch *watch)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < watch->layout.worker_count; i++)
		sum += atomic_load_explicit(&watch->reader[i].shared->lost, memory_order_relaxed);
	return sum;
}

uint64_t watch_seen(const struct watch *watch)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < watch->layout.worker_count; i++)
		sum += watch->reader[i].shared->seen;
	return sum;
}

uint64_t watch_wanted(const struct watch *watch)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < watch->layout.worker_count; i++)
		sum += watch->reader[i].shared->wanted;
	return sum;
}

uint32_t watch_sites(const struct watch *watch)
{
	return watch->layout.site_count;
}

uint32_t watch_reasons(const struct watch *watch)
{
	return watch->layout.reason_count;
}
