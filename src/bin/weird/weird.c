/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon. Start: options, the instance's lock, the engine with its ports, addresses and routes,
 * privileges given up, the workers' threads, the two sockets, "ready". Then the control thread
 * serves programs and commands until SIGTERM, SIGINT or the command "stop". Stop is the same
 * backwards; between the end of the programs' sessions and the engine's, the workers have a moment
 * to say goodbye to the peers.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bin/weird/attach/attach.h"
#include "bin/weird/config.h"
#include "bin/weird/control/control.h"
#include "bin/weird/loop.h"
#include "bin/weird/netlink.h"
#include "bin/weird/privs.h"
#include "bin/weird/rundir.h"
#include "bin/weird/setup.h"
#include "core/log.h"
#include "core/slice.h"
#include "engine/clock.h"

#define WEIR_VERSION_TEXT "0.1.0"
#define GOODBYE_NS 30000000u

static bool stopping;
static struct control_watch signal_watch, request_watch;
static struct engine *request_engine;

/* ---- control thread events ---- */

static void on_signal(struct control_watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		log_info("signal %u (%s): stopping", info.ssi_signo,
			 strsignal((int)info.ssi_signo));
	stopping = true;
}

/* A worker's sockets asked for something. */
static void on_request(struct control_watch *watch, uint32_t events)
{
	eventfd_t count;

	eventfd_read(watch->fd, &count);
	control_park();
	engine_control(request_engine);
}

/* Before any thread: they all inherit the mask, so that signals come here. */
static int signals_begin(void)
{
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL))
		return -errno;
	signal_watch.fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	signal_watch.fn = on_signal;
	return signal_watch.fd < 0 ? -errno : 0;
}

static void serve(void)
{
	while (!stopping && !control_stop_due()) {
		int attach_ms = attach_tick(), control_ms = control_tick();
		int timeout_ms = attach_ms;

		if (control_ms >= 0 && (timeout_ms < 0 || control_ms < timeout_ms))
			timeout_ms = control_ms;
		if (control_loop_round(timeout_ms) < 0)
			return;
	}
}

/* Let the workers send what the end of the sessions made (FIN, RST). */
static void say_goodbye(void)
{
	uint64_t end_ns = clock_now_ns() + GOODBYE_NS;

	do
		control_loop_round((int)(GOODBYE_NS / 1000000u));
	while (clock_now_ns() < end_ns);
}

/* ---- start ---- */

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int configure(struct engine *engine, const struct weird_config *config, char *error)
{
	for (unsigned int i = 0; i < config->item_count; i++) {
		const struct config_item *item = &config->item[i];
		int err = 0;

		switch (item->kind) {
		case CONFIG_PORT:
			err = setup_port(engine, item->text, error);
			break;
		case CONFIG_ADDR:
			err = setup_addr(engine, item->text, error);
			break;
		case CONFIG_ROUTE:
			err = setup_route(engine, item->text, error);
			break;
		case CONFIG_SYSCTL:
			err = setup_sysctl(engine, item->text, error);
			break;
		}
		if (err < 0)
			return err;
	}
	engine_forwarding(engine, config->forward);
	return 0;
}

/* --user: who that is, before anything is opened. */
static int find_user(const struct weird_config *config, struct privs_user *user, char *error)
{
	int err = config->user[0] ? privs_find_user(config->user, user) : 0;

	if (!err && config->user[0] && geteuid() != 0)
		err = -EPERM;
	if (err)
		snprintf(error, CONFIG_ERROR_BYTES, "cannot become user '%s': %s", config->user,
			 err == -ENOENT ? "there is no such user" : "only root can");
	return err;
}

static int become_user(const struct weird_config *config, const struct privs_user *user,
		       struct rundir *rundir, char *error)
{
	int err;

	if (!config->user[0])
		return 0;
	err = rundir_chown(rundir, user->uid, user->gid);
	if (!err)
		err = privs_become(user);
	if (err)
		snprintf(error, CONFIG_ERROR_BYTES, "cannot become user '%s': %s", config->user,
			 strerror(-err));
	return err;
}

static int start_serving(struct engine *engine, const struct weird_config *config,
			 struct rundir *rundir, char *error)
{
	int err;

	slice_shorten(); /* before the workers' threads, which inherit it; a wish, no more */
	err = engine_start(engine, config->spin_us);

	if (!err)
		err = control_loop_init(engine);
	if (!err)
		err = control_watch_add(&signal_watch, EPOLLIN);
	request_engine = engine;
	request_watch.fd = engine_control_fd(engine);
	request_watch.fn = on_request;
	if (!err)
		err = control_watch_add(&request_watch, EPOLLIN);
	if (!err)
		err = attach_start(engine, rundir->app_fd, config->allow_users, config->sockets);
	if (!err)
		err = control_start(engine, rundir->ctl_fd);
	if (err)
		snprintf(error, CONFIG_ERROR_BYTES, "cannot start serving: %s", strerror(-err));
	return err;
}

static void write_pidfile(const char *path)
{
	FILE *file = path[0] ? fopen(path, "we") : NULL;

	if (path[0] && !file)
		log_warn("cannot write the process id to %s: %s", path, strerror(errno));
	if (!file)
		return;
	fprintf(file, "%d\n", (int)getpid());
	fclose(file);
}

static void say_ready(const struct weird_config *config, const struct rundir *rundir)
{
	printf("weird: ready, instance %s, process %d, directory %s\n", config->instance,
	       (int)getpid(), rundir->dir);
	fflush(stdout);
	if (config->ready_fd >= 0) {
		if (write(config->ready_fd, "ready\n", 6) != 6)
			log_warn("cannot write to --ready-fd %d: %s", config->ready_fd,
				 strerror(errno));
		close(config->ready_fd);
	}
}

/* ---- stop ---- */

static void log_ledger(struct engine *engine)
{
	struct ledger sum;

	if (ledger_init(&sum))
		return;
	engine_park(engine);
	engine_ledger(engine, &sum);
	engine_unpark(engine);
	log_info("stopped; ledger: %lu entered, %lu originated, %lu dropped, %lu held, balance %ld",
		 sum.entered, sum.originated, sum.dropped, sum.held, ledger_balance(&sum));
	ledger_free(&sum);
}

/* From the instance's lock to its release. */
static int run_engine(const struct weird_config *config, struct rundir *rundir, char *error)
{
	struct engine_config engine_config = {
		.workers = config->workers,
		.packets = config->packets,
	};
	struct privs_user user;
	struct engine *engine;
	int err = find_user(config, &user, error);

	if (!err)
		err = engine_open(&engine_config, &engine, error);
	if (err)
		return err;
	err = configure(engine, config, error);
	if (!err)
		err = rundir_listen(rundir, error);
	if (!err)
		err = become_user(config, &user, rundir, error);
	if (!err)
		err = start_serving(engine, config, rundir, error);
	if (!err) {
		write_pidfile(config->pidfile);
		say_ready(config, rundir);
		serve();
		control_stop();
		attach_stop();
		weird_netlink_stop();
		say_goodbye();
		log_ledger(engine);
		if (config->pidfile[0])
			unlink(config->pidfile);
	}
	engine_close(engine);
	return err;
}

static int run(const struct weird_config *config)
{
	char error[CONFIG_ERROR_BYTES] = "";
	struct rundir rundir;
	int err;

	log_set_level(config->log_level);
	err = signals_begin();
	if (!err)
		err = privs_reduce();
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		return 1;
	}
	raise_limits();
	err = rundir_lock(&rundir, config, error);
	if (!err)
		err = run_engine(config, &rundir, error);
	if (err)
		log_error("%s", error[0] ? error : strerror(-err));
	rundir_close(&rundir);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct weird_config config;
	char error[CONFIG_ERROR_BYTES];

	if (config_parse(argc, argv, &config, error)) {
		fprintf(stderr, "weird: %s\n", error);
		return 2;
	}
	if (config.help) {
		fputs(config_help, stdout);
		return 0;
	}
	if (config.version) {
		printf("weird %s\n", WEIR_VERSION_TEXT);
		return 0;
	}
	return run(&config);
}
