/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir run`: make the environment in which the shim takes a program's sockets over, and exec it.
 * What cannot work is refused with words instead of running quietly on the host's network: a static
 * or Go program (no dynamic loader, no preload), a set-user-ID one (the loader drops preloads), no
 * daemon. Exit codes as env(1) and ip-netns-exec(8) users know them: 126 it cannot be run, 127 not
 * found.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bin/cli.h"
#include "core/slice.h"

#define EXIT_CANNOT 126
#define EXIT_NOT_FOUND 127
#define SHIM_NAME "libweir_shim.so"
#define INTERPRETER_DEPTH 4

static void run_help(FILE *to)
{
	fprintf(to,
		"usage: weir run [--instance NAME] [--rundir DIR] [--] PROGRAM [ARGUMENT...]\n\n"
		"Run a program, unchanged, on weir's network instead of the host's:\n"
		"its TCP and UDP sockets are weir's; files, pipes and UNIX sockets stay\n"
		"the system's. Children and the programs they start are on weir too.\n"
		"Reads like: ip netns exec NAME PROGRAM.\n\n"
		"  --instance NAME  which weird (default: $WEIR_INSTANCE, else %s)\n"
		"  --rundir DIR     where instances live\n"
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

/* Does an ELF file name a dynamic loader? 1, 0; -1: not a 64-bit ELF file. */
static int has_interpreter(int fd)
{
	Elf64_Ehdr header;
	Elf64_Phdr ph;

	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return -1;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(ph))
		return 0;
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(header.e_phoff + i * sizeof(ph))) !=
		    (ssize_t)sizeof(ph))
			return 0;
		if (ph.p_type == PT_INTERP)
			return 1;
	}
	return 0;
}

/* Go programs make their system calls themselves, also those that have a loader. */
static bool is_go(int fd)
{
	Elf64_Ehdr header;
	Elf64_Shdr sh, names;
	char name[32];

	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    header.e_shentsize != sizeof(sh) ||
	    pread(fd, &names, sizeof(names),
		  (off_t)(header.e_shoff + (uint64_t)header.e_shstrndx * sizeof(sh))) !=
		    (ssize_t)sizeof(names))
		return false;
	for (unsigned int i = 0; i < header.e_shnum; i++) {
		ssize_t n;

		if (pread(fd, &sh, sizeof(sh), (off_t)(header.e_shoff + i * sizeof(sh))) !=
		    (ssize_t)sizeof(sh))
			return false;
		n = pread(fd, name, sizeof(name) - 1, (off_t)(names.sh_offset + sh.sh_name));
		if (n <= 0)
			return false;
		name[n] = '\0';
		if (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0)
			return true;
	}
	return false;
}

/* "#!INTERPRETER": the program that is to be judged. */
static bool script_interpreter(int fd, char path[PATH_MAX])
{
	char line[PATH_MAX];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	char *start, *end;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	end = start + strcspn(start, " \t\n");
	*end = '\0';
	snprintf(path, PATH_MAX, "%s", start);
	return true;
}

static int refuse(const char *path, const char *why)
{
	cli_fail("%s cannot run on weir: %s", path, why);
	return EXIT_CANNOT;
}

static int judge_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) && geteuid() != 0)
		return refuse(path, "it is set-user-ID or set-group-ID, and the loader gives such "
				    "programs no preloads; run it as root");
	if (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return refuse(path,
			      "it has file capabilities, and the loader gives such programs no "
			      "preloads; run it as root");
	switch (has_interpreter(fd)) {
	case 0:
		return refuse(path,
			      "it is statically linked (or not a 64-bit program), so its socket "
			      "calls cannot be taken over; use a dynamically linked build");
	case 1:
		if (is_go(fd))
			return refuse(path,
				      "it is a Go program, which makes its system calls itself; "
				      "nothing can take them over");
		return 0;
	default:
		return 0; /* what execve() does not know either, it says */
	}
}

static int judge(const char *program)
{
	char path[PATH_MAX];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s", program);
	for (int depth = 0; depth < INTERPRETER_DEPTH && r == 0; depth++) {
		bool again;

		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return 0; /* executable and not readable: execve() decides */
		again = script_interpreter(fd, path);
		if (!again)
			r = judge_file(fd, path);
		close(fd);
		if (!again)
			break;
	}
	return r;
}

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

/* The index of PROGRAM in argv, or -1 when the command is over with *status. */
static int run_options(int argc, char **argv, int *status)
{
	static const struct option options[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "rundir", required_argument, NULL, 'r' },
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

int cmd_run(int argc, char **argv)
{
	char shim[PATH_MAX], path[PATH_MAX];
	int status, err;
	int at = run_options(argc, argv, &status);

	if (at < 0)
		return status;
	err = find_program(argv[at], path);
	if (err) {
		cli_fail("%s: %s", argv[at], err == -ENOENT ? "not found" : "not executable");
		return err == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT;
	}
	status = judge(path);
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
	execv(path, argv + at);
	cli_fail("%s: %s", path, strerror(errno));
	return EXIT_CANNOT;
}
