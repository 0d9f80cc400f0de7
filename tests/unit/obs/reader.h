/* SPDX-License-Identifier: BSD-3-Clause */
/* An observer with its memory mapped, and its records read, as who watches does it. */
#ifndef WEIR_TESTS_UNIT_OBS_READER_H
#define WEIR_TESTS_UNIT_OBS_READER_H

#include <sys/mman.h>
#include <sys/stat.h>

#include "common/testing.h"
#include "obs/observer.h"
#include "wire/watch_abi.h"

struct reader {
	struct observer *o;
	struct watch_area *area;
	size_t bytes;
	uint64_t tail[8]; /* one a worker */
};

/* What most tests ask for: records at the stages, 64 bytes of each packet. */
#define READER_SPEC(at)                                                                            \
	{                                                                                          \
		.stages = (at), .records = true, .snap_bytes = 64,                                 \
		.ring_bytes = WATCH_RING_MIN_BYTES                                                 \
	}

static inline void reader_begin(struct reader *r, const struct observer_spec *spec,
				struct worker *const *workers, unsigned int n)
{
	struct stat st;

	*r = (struct reader){ 0 };
	assert_int_equal(observer_new(spec, workers, n, &r->o), 0);
	assert_int_equal(fstat(observer_fd(r->o), &st), 0);
	r->bytes = (size_t)st.st_size;
	r->area = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, observer_fd(r->o), 0);
	assert_true(r->area != MAP_FAILED);
	assert_int_equal(r->area->magic, WATCH_MAGIC);
	assert_int_equal(r->area->area_bytes, r->bytes);
	observer_start(r->o);
}

static inline void reader_end(struct reader *r)
{
	observer_stop(r->o);
	observer_free(r->o);
	munmap(r->area, r->bytes);
}

static inline struct watch_part *reader_part(struct reader *r, unsigned int worker)
{
	return watch_part_of(r->area, worker);
}

/* The next record of a worker's, which is read by that; NULL: none. */
static inline struct watch_record *reader_next(struct reader *r, unsigned int worker)
{
	struct watch_part *part = reader_part(r, worker);
	uint8_t *ring = (uint8_t *)part + r->area->ring_at;

	while (r->tail[worker] != part->head) {
		struct watch_record *record =
			(struct watch_record *)(ring + r->tail[worker] % r->area->ring_bytes);

		assert_true(record->record_bytes >= 8 && record->record_bytes % 8 == 0);
		r->tail[worker] += record->record_bytes;
		assert_true(r->tail[worker] <= part->head);
		/* It stays as it is until the worker writes again. */
		part->tail = r->tail[worker];
		if (record->kind != WATCH_PAD)
			return record;
	}
	return NULL;
}

/* Records that wait at a worker; all are read by that. */
static inline unsigned int reader_drain(struct reader *r, unsigned int worker)
{
	unsigned int n = 0;

	while (reader_next(r, worker))
		n++;
	return n;
}

/* Counted drops of a reason, over all sites and workers. */
static inline uint64_t reader_drops(struct reader *r, unsigned int reason)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->area->worker_count; i++) {
		for (uint32_t site = 0; site < r->area->site_count; site++)
			sum += watch_site_of(r->area, i, site)->count[reason];
	}
	return sum;
}

#endif
