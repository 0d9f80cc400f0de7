/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir run`: make the environment in which the shim takes a program's sockets over, and exec it.
 * A static program, which no loader gives the shim to, is started by weir-launch. What cannot work
 * is refused with words instead of running quietly on the host's network: a set-user-ID program
 * (the loader drops preloads), one for another processor, no daemon. Exit codes as env(1) and
 * ip-netns-exec(8) users know them: 126 it cannot be run, 127 not found.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bin/weir/cli.h"
#include "core/slice.h"
#include "wire/program.h"

#define EXIT_CANNOT 126
#define EXIT_NOT_FOUND 127
#define SHIM_NAME "libweir_shim.so"
#define LAUNCHER_NAME "weir-launch"

static void run_help(FILE *to)
{
	fprintf(to,
		"usage: weir run [--instance NAME] [--rundir DIR] [--kernel NET]... [--]\n"
		"                PROGRAM [ARGUMENT...]\n\n"
		"Run a program, unchanged, on weir's network instead of the host's:\n"
		"its TCP and UDP sockets are weir's; files, pipes and UNIX sockets stay\n"
		"the system's. Children and the programs they start are on weir too.\n"
		"Reads like: ip netns exec NAME PROGRAM.\n\n"
		"  --instance NAME  which weird (default: $WEIR_INSTANCE, else %s)\n"
		"  --rundir DIR     where instances live\n"
		"  --kernel NET     addresses that stay the host's, as 127.0.0.0/8; may be\n"
		"                   repeated, and holds for children, too\n"
		"  --help           this text\n\n"
		"Exit code: the program's; 126 when it cannot run on weir, 127 when it\n"
		"is not found.\n\n"
		"  weir run -- nginx\n"
		"  weir run -- curl http://198.18.0.1/\n",
		CLI_INSTANCE);
}

/* ---- the shim ---- */

static bool readable(char path[PATH_MAX])
{
	char real[PATH_MAX];

	if (!realpath(path, real) || access(real, R_OK) != 0)
		return false;
	snprintf(path, PATH_MAX, "%s", real);
	return true;
}

/* Beside the executable, in the build tree or where it was installed. */
static bool find_shim(char path[PATH_MAX])
{
	static const char *const places[] = {
		"../shim/" SHIM_NAME,
		"../lib/x86_64-linux-gnu/weir/" SHIM_NAME,
		"../lib/weir/" SHIM_NAME,
		"../lib64/weir/" SHIM_NAME,
	};
	const char *named = getenv("WEIR_SHIM");
	char dir[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	char *slash;

	if (named && *named) {
		snprintf(path, PATH_MAX, "%s", named);
		return readable(path);
	}
	dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, PATH_MAX, "%s/%s", dir, places[i]);
		if (readable(path))
			return true;
	}
	return false;
}

/* ---- the daemon ---- */

static int check_daemon(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err = 0;

	if (snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s/app.sock", cli.rundir,
		     cli.instance) >= (int)sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int explain_daemon(int err)
{
	cli_fail("no weird answers at %s/%s/app.sock: %s", cli.rundir, cli.instance,
		 strerror(-err));
	if (err == -EACCES || err == -EPERM)
		fprintf(stderr,
			"      it belongs to another user: run weir as that user, or as root\n");
	else
		fprintf(stderr,
			"      start one:     weird --instance %s --port tap,name=weir0 "
			"--addr 198.18.0.2/24\n"
			"      or name it:    weir run --instance NAME -- PROGRAM\n",
			cli.instance);
	return EXIT_CANNOT;
}

/* ---- the program ---- */

static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As execvp() would find it. 0, -ENOENT, -EACCES. */
static int find_program(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH");
	const char *at, *end;

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		if (access(path, F_OK) != 0)
			return -ENOENT;
		return executable(path) ? 0 : -EACCES;
	}
	for (at = list ? list : "/usr/local/bin:/usr/bin:/bin"; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, ':');
		snprintf(path, PATH_MAX, "%.*s/%s", end > at ? (int)(end - at) : 1,
			 end > at ? at : ".", name);
		if (executable(path))
			return 0;
	}
	return -ENOENT;
}

static int refuse(const char *path, const char *why)
{
	cli_fail("%s cannot run on weir: %s", path, why);
	return EXIT_CANNOT;
}

static int judge(const char *path, struct program *p)
{
	struct program_at at = { AT_FDCWD, path, 0, AT_FDCWD, path };
	struct program_caller caller = program_caller();
	int err = program_judge(&at, p);
	const char *why;

	if (err)
		return refuse(p->path, strerror(-err));
	if (p->kind == PROGRAM_UNKNOWN)
		return refuse(p->path, "it is neither a program nor a script (files of binfmt_misc "
				       "are not started)");
	if (p->kind == PROGRAM_HIDDEN)
		return refuse(p->path, "it cannot be read, so it cannot be seen which kind of "
				       "program it is");
	if (p->kind == PROGRAM_NOT_OURS)
		return refuse(p->path, "it is not a program for 64-bit x86");
	why = program_secure(&p->file, &caller);
	return why ? refuse(p->path, why) : 0;
}

/* ---- running it ---- */

static void set_environment(const char *shim)
{
	const char *before = getenv("LD_PRELOAD");
	char preload[2 * PATH_MAX];

	setenv("WEIR_INSTANCE", cli.instance, 1);
	setenv("WEIR_RUNDIR", cli.rundir, 1);
	unsetenv("WEIR_SESSION");
	if (before && *before && strstr(before, shim))
		return;
	snprintf(preload, sizeof(preload), "%s%s%s", shim, before && *before ? ":" : "",
		 before && *before ? before : "");
	setenv("LD_PRELOAD", preload, 1);
}

/* An address, or one and its length. */
static bool is_net(const char *text)
{
	char copy[INET6_ADDRSTRLEN + 8], *slash, *end = NULL;
	unsigned long bits = 0;
	struct in6_addr addr;

	if (strlen(text) >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		bits = slash[1] ? strtoul(slash + 1, &end, 10) : 999;
	}
	if (end && *end)
		return false;
	return (inet_pton(AF_INET, copy, &addr) == 1 && bits <= 32) ||
	       (inet_pton(AF_INET6, copy, &addr) == 1 && bits <= 128);
}

/* To the list that the program and its children find in the environment. */
static bool kernel_net_add(const char *net)
{
	const char *before = getenv("WEIR_KERNEL");
	char list[1024];

	if (!is_net(net) || snprintf(list, sizeof(list), "%s%s%s", before ? before : "",
				     before && *before ? "," : "", net) >= (int)sizeof(list))
		return false;
	setenv("WEIR_KERNEL", list, 1);
	return true;
}

/* The index of PROGRAM in argv, or -1 when the command is over with *status. */
static int run_options(int argc, char **argv, int *status)
{
	static const struct option options[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "rundir", required_argument, NULL, 'r' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*status = CLI_USAGE;
	optind = 0;
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (!*optarg || *optarg == '.' || strchr(optarg, '/')) {
				cli_fail("run: '%s' cannot be an instance's name", optarg);
				return -1;
			}
			cli.instance = optarg;
			break;
		case 'r':
			cli.rundir = optarg;
			break;
		case 'k':
			if (!kernel_net_add(optarg)) {
				cli_fail("run: '%s' is no network: --kernel 10.0.0.0/8", optarg);
				return -1;
			}
			break;
		case 'h':
			run_help(stdout);
			*status = CLI_OK;
			return -1;
		default:
			run_help(stderr);
			return -1;
		}
	}
	if (optind >= argc) {
		cli_fail("run: which program?");
		run_help(stderr);
		return -1;
	}
	return optind;
}

/* As execve() gives a script's interpreter its arguments. NULL: no memory. */
static char **prefixed(const struct program *p, int argc, char **argv)
{
	char **all = calloc((size_t)argc + p->prefix_count + 1, sizeof(*all));
	size_t n = 0;

	for (unsigned int i = 0; all && i < p->prefix_count; i++)
		all[n++] = (char *)(uintptr_t)p->prefix[i];
	for (int i = p->prefix_count ? 1 : 0; all && i < argc; i++)
		all[n++] = argv[i];
	return all;
}

/* Start the program by the way that its kind needs. Comes back where that fails. */
static int start(const char *path, const struct program *p, const char *shim, int argc, char **argv)
{
	char launcher[PATH_MAX];

	if (p->kind != PROGRAM_FOREIGN) {
		execv(path, argv);
		cli_fail("%s: %s", path, strerror(errno));
		return EXIT_CANNOT;
	}
	snprintf(launcher, sizeof(launcher), "%.*s/%s", (int)(strrchr(shim, '/') - shim), shim,
		 LAUNCHER_NAME);
	setenv("WEIR_LAUNCH", p->path, 1);
	argv = prefixed(p, argc, argv);
	if (argv)
		execv(launcher, argv);
	cli_fail("%s: %s", launcher, strerror(errno));
	return EXIT_CANNOT;
}

int cmd_run(int argc, char **argv)
{
	char shim[PATH_MAX], path[PATH_MAX];
	struct program program;
	int status, err;
	int at = run_options(argc, argv, &status);

	if (at < 0)
		return status;
	err = find_program(argv[at], path);
	if (err) {
		cli_fail("%s: %s", argv[at], err == -ENOENT ? "not found" : "not executable");
		return err == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT;
	}
	status = judge(path, &program);
	if (status)
		return status;
	if (!find_shim(shim)) {
		cli_fail("%s was not found beside this program: build it (ninja) or install weir",
			 SHIM_NAME);
		return EXIT_CANNOT;
	}
	err = check_daemon();
	if (err)
		return explain_daemon(err);
	set_environment(shim);
	slice_shorten(); /* the program and what it starts inherit it; a wish, no more */
	return start(path, &program, shim, argc - at, argv + at);
}
