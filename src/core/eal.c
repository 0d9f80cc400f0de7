/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting EAL so that it does as little as possible to the machine: no files, no sockets, no
 * devices taken that nobody named, no change of the caller's CPU affinity, hugepages only where
 * there are enough of them.
 */
#include "core/eal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "core/log.h"

#define EAL_ARGS_MAX 64
#define EAL_MEMORY_MB "512"
#define EAL_HUGE_DIR "/sys/kernel/mm/hugepages"
/* A worker's pool and the sockets' share; with less than this, ordinary pages do better. */
#define EAL_HUGE_MIN_KB (256ull * 1024)

struct eal_args {
	const char *const *extra;
	char *argv[EAL_ARGS_MAX + 1];
	int argc;
	int error;
};

static pthread_mutex_t eal_lock = PTHREAD_MUTEX_INITIALIZER;
static bool eal_done;
static bool eal_huge;
static int eal_result;
static struct eal_args eal_args; /* EAL may keep pointers into it */

static void eal_arg(struct eal_args *a, const char *text)
{
	if (a->argc == EAL_ARGS_MAX) {
		a->error = -E2BIG;
		return;
	}
	a->argv[a->argc] = strdup(text);
	if (!a->argv[a->argc])
		a->error = -ENOMEM;
	else
		a->argc++;
}

/* Did the caller say `option` himself, as "--option", "--option=value" or "-ovalue"? */
static bool eal_extra_has(const struct eal_args *a, const char *option)
{
	size_t len = strlen(option);
	bool is_short = option[1] != '-';

	for (const char *const *e = a->extra; e && *e; e++) {
		if (strncmp(*e, option, len) != 0)
			continue;
		if (is_short || (*e)[len] == '\0' || (*e)[len] == '=')
			return true;
	}
	return false;
}

static void eal_arg_default(struct eal_args *a, const char *option, const char *value)
{
	if (eal_extra_has(a, option))
		return;
	eal_arg(a, option);
	if (value)
		eal_arg(a, value);
}

/* Free hugepage memory of all sizes. */
static unsigned long long eal_huge_free_kb(void)
{
	unsigned long long total_kb = 0;
	DIR *dir = opendir(EAL_HUGE_DIR);
	struct dirent *entry;

	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		unsigned long long size_kb, count;
		char path[sizeof(EAL_HUGE_DIR) + 300];
		FILE *file;

		if (sscanf(entry->d_name, "hugepages-%llukB", &size_kb) != 1)
			continue;
		snprintf(path, sizeof(path), EAL_HUGE_DIR "/%s/free_hugepages", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &count) == 1)
			total_kb += count * size_kb;
		fclose(file);
	}
	closedir(dir);
	return total_kb;
}

static void eal_args_memory(struct eal_args *a)
{
	bool says_no_huge = eal_extra_has(a, "--no-huge");

	eal_huge = !says_no_huge && eal_huge_free_kb() >= EAL_HUGE_MIN_KB;
	if (eal_huge) {
		/* memfds instead of files; one file a segment list, which vhost ports ask for. */
		eal_arg_default(a, "--in-memory", NULL);
		eal_arg_default(a, "--single-file-segments", NULL);
		return;
	}
	eal_arg_default(a, "--no-huge", NULL);
	eal_arg_default(a, "-m", EAL_MEMORY_MB);
	if (!says_no_huge)
		log_info("no hugepages free (vm.nr_hugepages): using ordinary pages, %s MB at most",
			 eal_extra_has(a, "-m") ? "as given" : EAL_MEMORY_MB);
}

/* EAL's main lcore is the first CPU we may use: EAL's own choice might not be among them. */
static void eal_args_lcore(struct eal_args *a, const cpu_set_t *cpus)
{
	char text[32];
	int cpu = 0;

	if (eal_extra_has(a, "-l") || eal_extra_has(a, "-c") || eal_extra_has(a, "-s") ||
	    eal_extra_has(a, "--lcores"))
		return;
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cpus))
		cpu++;
	snprintf(text, sizeof(text), "--lcores=0@%d", cpu);
	eal_arg(a, text);
}

static void eal_args_build(struct eal_args *a, const cpu_set_t *cpus)
{
	char prefix[48];

	eal_arg(a, "weir");
	snprintf(prefix, sizeof(prefix), "weir-%ld", (long)getpid());
	eal_arg_default(a, "--file-prefix", prefix);
	eal_arg_default(a, "--no-telemetry", NULL);
	eal_arg_default(a, "--no-shconf", NULL);
	eal_arg_default(a, "--log-level", "error");
	eal_arg_default(a, "--iova-mode", "va");
	/* An allow list that names no network device: PCI devices are then used only when a port's
	 * specification names them, never because they are there. */
	if (!eal_extra_has(a, "--no-pci") && !eal_extra_has(a, "-b") &&
	    !eal_extra_has(a, "--block"))
		eal_arg_default(a, "--allow", "0000:00:00.0");
	eal_args_lcore(a, cpus);
	eal_args_memory(a);
	for (const char *const *e = a->extra; e && *e; e++)
		eal_arg(a, *e);
}

static int eal_start(const char *const *extra_args)
{
	char *argv[EAL_ARGS_MAX + 1];
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return -errno;
	eal_args.extra = extra_args;
	eal_args_build(&eal_args, &cpus);
	eal_args.extra = NULL;
	if (eal_args.error)
		return eal_args.error;
	memcpy(argv, eal_args.argv, sizeof(argv)); /* EAL moves the pointers about */
	if (rte_eal_init(eal_args.argc, argv) < 0) {
		log_error("DPDK's environment did not start: %s", rte_strerror(rte_errno));
		return rte_errno ? -rte_errno : -EINVAL;
	}
	/* EAL's directory under /run (or /tmp), empty as we start it. It stays where it is needed.
	 */
	(void)rmdir(rte_eal_get_runtime_dir());
	if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
		log_warn("cannot go back to the CPUs this thread had: %m");
	return 0;
}

int core_eal_init(const char *const *extra_args)
{
	pthread_mutex_lock(&eal_lock);
	if (!eal_done) {
		eal_result = eal_start(extra_args);
		eal_done = true;
	}
	pthread_mutex_unlock(&eal_lock);
	return eal_result;
}

bool core_eal_has_hugepages(void)
{
	return eal_done && eal_result == 0 && eal_huge;
}
