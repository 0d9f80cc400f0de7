/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon placement: a thread for each worker, which polls while there is work, spins and yields
 * for a while when there is none, and then sleeps.
 *
 * How long to spin. A wake-up across cores costs 7 to 300 us (DESIGN.md), so spinning that long for
 * what is about to come is cheaper than sleeping; spinning for what does not come takes the CPU
 * from the programs. Every gap between two pieces of work teaches: one that was shorter than the
 * longest spin allowed (whether we spun through it or slept) doubles the spin, a longer one halves
 * it, down to 1/16. While it spins the thread yields every few rounds, so that a program that can
 * run does. Timers are no work in this sense: an idle daemon with a timer a second does not spin.
 *
 * Going to sleep, so that no wake-up is lost: say so in the daemon page, full fence, arm the ports,
 * look once more at the submissions; a program publishes its submission, full fence, and reads the
 * page. One of the two sees the other.
 *
 * Each family of programs has a bell of its own to ring, and nobody ever reads one: a program
 * shares its flags and its count, and could make a reader wait. The engine's own is given to
 * nobody.
 */
#include "engine/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_lcore.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/log.h"
#include "engine/clock.h"
#include "engine/loop.h"
#include "engine/steer.h"
#include "sock/sock.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SPIN_SHARE_MIN 16u /* the shortest spin is this share of the longest */
/* A yield costs a switch there and one back, 1.3 us each, where a program shares the processor; an
 * empty loop costs 0.07 us. What comes from another processor comes within some of those. */
#define POLLS_PER_YIELD 8u
/* Where others compete for the processor a yield gives them whole slices, and the clock runs on
 * without us: so many turns are taken in any case. */
#define SPIN_YIELDS_MIN 16u
#define SLEEP_MAX_NS 250000000u
/* Ports that cannot wake us: look again after a quarter of the silence so far, within bounds. */
#define TIMER_POLL_MIN_NS 50000u
#define TIMER_POLL_MAX_NS 10000000u
#define SLEEP_EVENTS 8

/* ---- what a sleeper waits for ---- */

static int epoll_watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void threads_port_added(struct engine *engine, unsigned int worker, struct port *port)
{
	struct worker_thread *t;
	int fd, err = -ENOTSUP;

	if (!engine->threads || port->caps & PORT_CAP_LOOP)
		return;
	t = &engine->threads->thread[worker];
	fd = port->ops->sleep_fd ? port->ops->sleep_fd(port, (uint16_t)worker) : -ENOTSUP;
	if (fd >= 0)
		err = epoll_watch(t->epoll_fd, fd, EPOLLIN);
	if (err && err != -EEXIST)
		t->needs_timer = true;
}

static bool ports_arm(struct engine_loop *loop, bool on)
{
	bool waiting = false;

	for (unsigned int i = 0; i < loop->port_count; i++) {
		struct port *port = loop->port[i].port;

		if (port->ops->arm && port->ops->arm(port, loop->port[i].queue, on))
			waiting = true;
		loop->port[i].next_poll_ns = 0;
	}
	return waiting && on;
}

/* How long to sleep; 0: not at all. */
static uint64_t sleep_ns(struct worker_thread *t, uint64_t now_ns)
{
	uint64_t next_ns = engine_next_ns(t->engine, t->id);
	uint64_t sleep = SLEEP_MAX_NS;

	if (next_ns <= now_ns)
		return 0;
	if (next_ns - now_ns < sleep)
		sleep = next_ns - now_ns;
	if (t->needs_timer) {
		uint64_t quarter = (now_ns - t->engine->loop[t->id]->last_io_ns) / 4;

		if (quarter < TIMER_POLL_MIN_NS)
			quarter = TIMER_POLL_MIN_NS;
		if (quarter > TIMER_POLL_MAX_NS)
			quarter = TIMER_POLL_MAX_NS;
		if (quarter < sleep)
			sleep = quarter;
	}
	return sleep;
}

static void wait_for_event(struct worker_thread *t, uint64_t ns)
{
	struct epoll_event events[SLEEP_EVENTS];
	struct timespec timeout = { .tv_sec = (time_t)(ns / 1000000000u),
				    .tv_nsec = (long)(ns % 1000000000u) };
	int n = epoll_pwait2(t->epoll_fd, events, SLEEP_EVENTS, &timeout, NULL);

	if (n < 0 && errno == ENOSYS) /* Linux before 5.11 */
		epoll_wait(t->epoll_fd, events, SLEEP_EVENTS, (int)(ns / 1000000u) + 1);
}

static void worker_sleep(struct worker_thread *t)
{
	struct engine_loop *loop = t->engine->loop[t->id];
	_Atomic uint32_t *sleeping = &t->engine->threads->page->worker[t->id].sleeping;
	uint64_t ns;

	t->nap = (t->nap + 2) | 1;
	atomic_store(sleeping, t->nap);
	atomic_thread_fence(memory_order_seq_cst);
	if (!ports_arm(loop, true) && !sock_pending(loop->w) && !steer_pending(t->engine, t->id)) {
		ns = sleep_ns(t, clock_now_ns());
		if (ns) {
			loop->stats.sleeps++;
			thread_sleep_begin(t);
			wait_for_event(t, ns);
			thread_sleep_end(t);
		}
	}
	ports_arm(loop, false);
	atomic_store_explicit(sleeping, 0, memory_order_relaxed);
}

/* ---- the thread ---- */

/* There was work after a gap without. */
static void spin_learn(struct worker_thread *t, uint64_t gap_ns)
{
	uint64_t max_ns = t->engine->threads->spin_max_ns;

	if (gap_ns <= max_ns) {
		t->spin_ns = t->spin_ns * 2 < max_ns ? t->spin_ns * 2 : max_ns;
	} else {
		t->spin_ns /= 2;
		if (t->spin_ns < max_ns / SPIN_SHARE_MIN)
			t->spin_ns = max_ns / SPIN_SHARE_MIN;
	}
	t->engine->loop[t->id]->stats.spin_ns = t->spin_ns;
}

/* Nothing to do: look again, let others run, or sleep. polls: empty loops since there was work. */
static void worker_idle(struct worker_thread *t, uint64_t gap_ns, unsigned int polls)
{
	if (gap_ns >= t->spin_ns && polls >= SPIN_YIELDS_MIN * POLLS_PER_YIELD)
		worker_sleep(t);
	else if (polls % POLLS_PER_YIELD == 0)
		sched_yield();
}

static void worker_loop(struct worker_thread *t)
{
	struct engine_loop *loop = t->engine->loop[t->id];
	_Atomic uint32_t *request = &t->engine->threads->request;
	unsigned int polls = 0;

	for (;;) {
		uint64_t now_ns = clock_now_ns(), last_ns = loop->last_io_ns;
		unsigned int work = engine_poll(t->engine, t->id, now_ns);
		uint32_t asked = atomic_load_explicit(request, memory_order_acquire);

		if (asked & REQUEST_STOP)
			return;
		if (asked & REQUEST_PARK) {
			thread_park(t);
			continue;
		}
		if (loop->last_io_ns != last_ns && polls) {
			spin_learn(t, now_ns - last_ns);
			polls = 0;
		}
		if (!work)
			worker_idle(t, now_ns - loop->last_io_ns, ++polls);
	}
}

static void *worker_main(void *arg)
{
	struct worker_thread *t = arg;
	char name[16];

	snprintf(name, sizeof(name), "weir-worker%u", t->id);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 10000ul);
	/* An identity of its own gives the thread its share of each pool's cache. */
	if (rte_thread_register() < 0)
		log_warn("worker %u: DPDK does not know its thread; packet buffers cost more",
			 t->id);
	worker_loop(t);
	rte_thread_unregister();
	atomic_store(&t->state, THREAD_GONE);
	return NULL;
}

/* ---- start and stop ---- */

/* A page that programs can map for reading only. */
static int daemon_page_make(struct engine_threads *threads, struct engine *engine)
{
	int fd = memfd_create("weir-daemon", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct abi_daemon *page;

	if (fd < 0)
		return -errno;
	threads->page_fd = fd;
	if (ftruncate(fd, sizeof(*page)))
		return -errno;
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	threads->page = page;
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	page->magic = ABI_MAGIC;
	page->version = ABI_VERSION;
	page->pid = (uint32_t)getpid();
	page->workers = engine->worker_count;
	page->spin_us = (uint32_t)(threads->spin_max_ns / 1000);
	return 0;
}

static int thread_prepare(struct engine *engine, unsigned int id)
{
	struct worker_thread *t = &engine->threads->thread[id];
	int err;

	t->engine = engine;
	t->id = id;
	t->spin_ns = engine->threads->spin_max_ns;
	t->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->bell_fd < 0 || t->epoll_fd < 0)
		return -errno;
	err = epoll_watch(t->epoll_fd, t->bell_fd, EPOLLIN | EPOLLET);
	for (unsigned int i = 0; i < engine->port_count; i++)
		threads_port_added(engine, id, engine->port[i]);
	engine->loop[id]->stats.spin_ns = t->spin_ns;
	return err;
}

static int thread_begin(struct worker_thread *t)
{
	sigset_t all, before;
	int err;

	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t->thread, NULL, worker_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		atomic_store(&t->state, THREAD_GONE);
	return -err;
}

/* A worker's sockets want the control thread. */
static void wake_control(void *arg)
{
	struct engine_threads *threads = arg;

	eventfd_write(threads->control_fd, 1);
}

static void hooks_set(struct engine *engine, struct engine_threads *threads)
{
	struct sock_hooks hooks = { .wake_control = threads ? wake_control : NULL, .arg = threads };

	for (unsigned int i = 0; i < engine->worker_count; i++)
		sock_layer_hooks(engine->worker[i], &hooks);
}

static struct engine_threads *threads_new(unsigned int workers)
{
	struct engine_threads *threads = aligned_alloc(ABI_CACHE_LINE, sizeof(*threads));
	struct worker_thread *array = aligned_alloc(ABI_CACHE_LINE, workers * sizeof(*array));

	if (!threads || !array) {
		free(threads);
		free(array);
		return NULL;
	}
	memset(threads, 0, sizeof(*threads));
	memset(array, 0, workers * sizeof(*array));
	threads->thread = array;
	threads->page_fd = -1;
	for (unsigned int i = 0; i < workers; i++) {
		array[i].bell_fd = array[i].epoll_fd = -1;
		atomic_store(&array[i].state, THREAD_GONE);
	}
	return threads;
}

int engine_start(struct engine *engine, unsigned int spin_us)
{
	struct engine_threads *threads;
	int err = 0;

	if (engine->threads)
		return -EALREADY;
	threads = threads_new(engine->worker_count);
	if (!threads)
		return -ENOMEM;
	engine->threads = threads;
	threads->spin_max_ns = (uint64_t)spin_us * 1000;
	threads->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (threads->control_fd < 0)
		err = -errno;
	hooks_set(engine, threads);
	if (!err)
		err = daemon_page_make(threads, engine);
	for (unsigned int i = 0; i < engine->worker_count && !err; i++)
		err = thread_prepare(engine, i);
	for (unsigned int i = 0; i < engine->worker_count && !err; i++) {
		atomic_store(&threads->thread[i].state, THREAD_RUNNING);
		err = thread_begin(&threads->thread[i]);
	}
	if (err)
		engine_stop(engine);
	return err;
}

void engine_stop(struct engine *engine)
{
	struct engine_threads *threads = engine->threads;

	if (!threads)
		return;
	atomic_fetch_or(&threads->request, REQUEST_STOP);
	for (unsigned int i = 0; i < engine->worker_count; i++) {
		struct worker_thread *t = &threads->thread[i];

		if (t->thread) {
			eventfd_write(t->bell_fd, 1);
			pthread_join(t->thread, NULL);
		}
		if (t->bell_fd >= 0)
			close(t->bell_fd);
		if (t->epoll_fd >= 0)
			close(t->epoll_fd);
	}
	hooks_set(engine, NULL);
	if (threads->page)
		munmap(threads->page, sizeof(*threads->page));
	if (threads->page_fd >= 0)
		close(threads->page_fd);
	if (threads->control_fd >= 0)
		close(threads->control_fd);
	engine->threads = NULL;
	free(threads->thread);
	free(threads);
}

int engine_bell_make(struct engine *engine, unsigned int worker)
{
	int fd, err;

	if (!engine->threads)
		return -ENOTCONN;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = epoll_watch(engine->threads->thread[worker].epoll_fd, fd, EPOLLIN | EPOLLET);
	if (!err)
		return fd;
	close(fd);
	return err;
}

struct abi_daemon *engine_daemon_page(struct engine *engine)
{
	return engine->threads ? engine->threads->page : NULL;
}

int engine_daemon_page_fd(struct engine *engine)
{
	return engine->threads ? engine->threads->page_fd : -1;
}

int engine_control_fd(struct engine *engine)
{
	return engine->threads ? engine->threads->control_fd : -1;
}
