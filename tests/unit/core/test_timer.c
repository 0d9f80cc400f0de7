/* SPDX-License-Identifier: BSD-3-Clause */
/* The wheel against a model (an array that is searched), and the corners by hand. */
#include "common/testing.h"

#include <string.h>

#define TIMERS 200u
#define SECOND 1000000000ull
#define TICK (1ull << TIMER_TICK_SHIFT)

struct item {
	struct timer timer;
	bool armed; /* the model */
	uint64_t due_ns;
	unsigned int fired;
};

static struct worker w;
static struct item item[TIMERS];
static uint64_t last_due_ns; /* of the one that fired before, in this run */
static uint64_t rng;
static bool rearm_in_callback;

static uint64_t random64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void count(struct worker *worker, struct timer *t)
{
	((struct item *)t)->fired++;
}

static int setup(void **state)
{
	memset(&w, 0, sizeof(w));
	memset(item, 0, sizeof(item));
	for (unsigned int i = 0; i < TIMERS; i++)
		item[i].timer.fn = count;
	w.now_ns = 12345678;
	timer_wheel_init(&w.timers, w.now_ns);
	last_due_ns = 0;
	rearm_in_callback = false;
	rng = 88172645463325252ull;
	return 0;
}

static unsigned int run_at(uint64_t now_ns)
{
	w.now_ns = now_ns;
	return timer_run(&w, &w.timers, now_ns);
}

/* All magnitudes: from within a tick to years. */
static uint64_t random_delay(void)
{
	return random64() % (1ull << (random64() % 56));
}

static void model_set(struct item *it, uint64_t due_ns)
{
	it->armed = true;
	it->due_ns = due_ns;
	timer_set(&w.timers, &it->timer, due_ns);
}

static void model_cancel(struct item *it)
{
	it->armed = false;
	timer_cancel(&w.timers, &it->timer);
	assert_false(timer_armed(&it->timer));
}

static void model_fire(struct worker *worker, struct timer *t)
{
	struct item *it = (struct item *)t;

	assert_true(it->armed);
	assert_true(it->due_ns <= worker->now_ns);
	assert_true(it->due_ns >= last_due_ns);
	assert_int_equal(it->due_ns, t->expires_ns);
	assert_false(timer_armed(t));
	last_due_ns = it->due_ns;
	it->armed = false;
	it->fired++;
	if (!rearm_in_callback)
		return;
	/* Touch others and oneself, in the future: what is due is tested by hand below. */
	switch (random64() % 4) {
	case 0:
		model_set(it, worker->now_ns + 1 + random_delay());
		break;
	case 1:
		model_set(&item[random64() % TIMERS], worker->now_ns + 1 + random_delay());
		break;
	case 2:
		model_cancel(&item[random64() % TIMERS]);
		break;
	}
}

static uint64_t model_next(unsigned int *armed)
{
	uint64_t next = TIMER_NEVER;

	*armed = 0;
	for (unsigned int i = 0; i < TIMERS; i++) {
		assert_int_equal(item[i].armed, timer_armed(&item[i].timer));
		if (!item[i].armed)
			continue;
		(*armed)++;
		if (item[i].due_ns < next)
			next = item[i].due_ns;
	}
	return next;
}

static uint64_t random_step(uint64_t next)
{
	switch (random64() % 4) {
	case 0:
		return w.now_ns + random64() % 1000;
	case 1:
		return w.now_ns + random64() % (20 * TICK);
	case 2: /* to the very nanosecond, or one before it */
		if (next != TIMER_NEVER && next > w.now_ns)
			return next - random64() % 2;
		return w.now_ns;
	default:
		return w.now_ns + random_delay();
	}
}

static void model_round(void)
{
	unsigned int armed, changes = (unsigned int)(random64() % 6);
	uint64_t next;

	while (changes--) {
		struct item *it = &item[random64() % TIMERS];

		if (random64() % 4 == 0)
			model_cancel(it);
		else
			model_set(it, w.now_ns + random_delay());
	}
	next = model_next(&armed);
	assert_int_equal(w.timers.pending, armed);
	assert_true(w.timers.next_ns <= next);
	if (random64() % 2) {
		assert_int_equal(timer_next_ns(&w.timers), next);
		assert_int_equal(w.timers.next_ns, next);
	}
	last_due_ns = 0;
	run_at(random_step(next));
	next = model_next(&armed);
	assert_true(next == TIMER_NEVER || next > w.now_ns); /* nothing due is left */
	assert_int_equal(w.timers.pending, armed);
}

static void model_rounds(unsigned int rounds)
{
	for (unsigned int i = 0; i < TIMERS; i++)
		item[i].timer.fn = model_fire;
	while (rounds--) {
		model_round();
		if (w.now_ns > 1ull << 61) {
			setup(NULL);
			for (unsigned int i = 0; i < TIMERS; i++)
				item[i].timer.fn = model_fire;
		}
	}
}

static void test_model(void **state)
{
	model_rounds(60000);
}

static void test_model_with_callbacks(void **state)
{
	rearm_in_callback = true;
	for (unsigned int seed = 1; seed < 20; seed++) {
		setup(NULL);
		rearm_in_callback = true;
		rng += seed * 7919;
		model_rounds(3000);
	}
}

static void test_exact(void **state)
{
	uint64_t due = w.now_ns + 200000001;

	timer_set(&w.timers, &item[0].timer, due);
	assert_int_equal(timer_next_ns(&w.timers), due);
	assert_int_equal(run_at(due - 1), 0);
	assert_int_equal(run_at(due), 1);
	assert_int_equal(run_at(due + SECOND), 0);
	assert_int_equal(timer_next_ns(&w.timers), TIMER_NEVER);
	assert_int_equal(w.timers.pending, 0);
}

static void test_far_and_past(void **state)
{
	timer_set(&w.timers, &item[0].timer, UINT64_MAX);
	timer_set(&w.timers, &item[1].timer, UINT64_MAX - TICK);
	timer_set(&w.timers, &item[2].timer, 0); /* long past */
	timer_set(&w.timers, &item[3].timer, w.now_ns);
	assert_int_equal(timer_next_ns(&w.timers), 0);
	assert_int_equal(run_at(w.now_ns), 2);
	assert_int_equal(timer_next_ns(&w.timers), UINT64_MAX - TICK);
	assert_int_equal(run_at(1ull << 63), 0);
	assert_int_equal(run_at(UINT64_MAX - TICK), 1);
	assert_int_equal(run_at(UINT64_MAX), 1);
}

/* Put off again and again, as TCP's timers are: it fires once, at its last time. */
static void test_put_off(void **state)
{
	uint64_t due = 0;

	for (unsigned int i = 0; i < 100000; i++) {
		due = w.now_ns + SECOND / 5;
		timer_set(&w.timers, &item[0].timer, due);
		assert_int_equal(run_at(w.now_ns + 10000), 0);
	}
	assert_int_equal(w.timers.pending, 1);
	assert_int_equal(timer_next_ns(&w.timers), due);
	assert_int_equal(run_at(due - 1), 0);
	assert_int_equal(run_at(due), 1);
	/* And brought forward. */
	timer_set(&w.timers, &item[0].timer, w.now_ns + SECOND);
	timer_set(&w.timers, &item[0].timer, w.now_ns + 10 * SECOND);
	timer_set(&w.timers, &item[0].timer, w.now_ns + 50);
	assert_int_equal(timer_next_ns(&w.timers), w.now_ns + 50);
	assert_int_equal(run_at(w.now_ns + 50), 1);
	assert_int_equal(w.timers.pending, 0);
}

/* Too many in one slot to be looked at: whoever sleeps till the time that it is told wakes in vain
 * once a level at most, and no timer is late. */
static void test_many_in_a_slot(void **state)
{
	uint64_t first = TIMER_NEVER, now;
	unsigned int in_vain = 0, fired = 0;

	for (unsigned int i = 0; i < TIMERS; i++) {
		uint64_t due = w.now_ns + 3600 * SECOND + random64() % SECOND;

		timer_set(&w.timers, &item[i].timer, due);
		first = due < first ? due : first;
	}
	while (fired < TIMERS) {
		now = timer_next_ns(&w.timers);
		assert_true(now > w.now_ns && (fired || now <= first));
		if (run_at(now) == 0)
			in_vain++;
		fired = 0;
		for (unsigned int i = 0; i < TIMERS; i++) {
			fired += item[i].fired;
			assert_true(item[i].fired || item[i].timer.expires_ns > now);
		}
	}
	assert_in_range(in_vain, 1, 40);
}

static void cancel_all_others(struct worker *worker, struct timer *t)
{
	count(worker, t);
	for (unsigned int i = 0; i < TIMERS; i++)
		timer_cancel(&worker->timers, &item[i].timer);
}

/* Cancelled by another that is due at the same run: it does not fire. */
static void test_cancel_due(void **state)
{
	unsigned int fired = 0;

	for (unsigned int i = 0; i < TIMERS; i++) {
		item[i].timer.fn = cancel_all_others;
		timer_set(&w.timers, &item[i].timer, w.now_ns + 1 + random64() % SECOND);
	}
	assert_int_equal(run_at(w.now_ns + SECOND), 1);
	for (unsigned int i = 0; i < TIMERS; i++)
		fired += item[i].fired;
	assert_int_equal(fired, 1);
	assert_int_equal(w.timers.pending, 0);
}

static void put_off_next(struct worker *worker, struct timer *t)
{
	count(worker, t);
	timer_set(&worker->timers, &item[1].timer, worker->now_ns + 5);
}

/* A due timer that a callback puts off waits for its new time. */
static void test_put_off_due(void **state)
{
	item[0].timer.fn = put_off_next;
	timer_set(&w.timers, &item[0].timer, w.now_ns + 1);
	timer_set(&w.timers, &item[1].timer, w.now_ns + 2);
	assert_int_equal(run_at(w.now_ns + 10), 1);
	assert_int_equal(item[1].fired, 0);
	assert_int_equal(timer_next_ns(&w.timers), w.now_ns + 5);
	assert_int_equal(run_at(w.now_ns + 5), 1);
	assert_int_equal(item[1].fired, 1);
}

static void again_at_once(struct worker *worker, struct timer *t)
{
	count(worker, t);
	timer_set(&worker->timers, t, worker->now_ns);
}

/* Armed in its own callback for a time that is due: the next run, not this one, not never. */
static void test_again_at_once(void **state)
{
	item[0].timer.fn = again_at_once;
	timer_set(&w.timers, &item[0].timer, w.now_ns + 10 * TICK);
	run_at(w.now_ns + 20 * TICK);
	assert_int_equal(item[0].fired, 1);
	assert_int_equal(timer_next_ns(&w.timers), w.now_ns);
	assert_int_equal(run_at(w.now_ns), 1);
	assert_int_equal(run_at(w.now_ns + 1), 1);
	timer_cancel(&w.timers, &item[0].timer);
	timer_cancel(&w.timers, &item[0].timer); /* twice does no harm */
	assert_int_equal(run_at(w.now_ns + SECOND), 0);
}

static uint64_t order_last;

static void in_order(struct worker *worker, struct timer *t)
{
	assert_true(t->expires_ns >= order_last);
	order_last = t->expires_ns;
}

/* Thousands in one tick and one run: in order of time. */
static void test_many_in_order(void **state)
{
	static struct timer many[5000];

	memset(many, 0, sizeof(many));
	order_last = 0;
	for (unsigned int i = 0; i < 5000; i++) {
		many[i].fn = in_order;
		timer_set(&w.timers, &many[i], w.now_ns + SECOND + random64() % (3 * TICK));
	}
	assert_int_equal(run_at(w.now_ns + 2 * SECOND), 5000);
}

/* Time that goes back fires nothing early and breaks nothing. */
static void test_time_back(void **state)
{
	uint64_t start = w.now_ns;

	run_at(start + SECOND);
	timer_set(&w.timers, &item[0].timer, start + 2 * SECOND);
	timer_set(&w.timers, &item[1].timer, start + SECOND / 2);
	assert_int_equal(run_at(start), 0);
	assert_int_equal(run_at(start + SECOND / 2), 1);
	assert_int_equal(run_at(start + 2 * SECOND), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_model, setup),
		cmocka_unit_test_setup(test_model_with_callbacks, setup),
		cmocka_unit_test_setup(test_exact, setup),
		cmocka_unit_test_setup(test_far_and_past, setup),
		cmocka_unit_test_setup(test_put_off, setup),
		cmocka_unit_test_setup(test_many_in_a_slot, setup),
		cmocka_unit_test_setup(test_cancel_due, setup),
		cmocka_unit_test_setup(test_put_off_due, setup),
		cmocka_unit_test_setup(test_again_at_once, setup),
		cmocka_unit_test_setup(test_many_in_order, setup),
		cmocka_unit_test_setup(test_time_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
