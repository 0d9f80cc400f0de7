/* SPDX-License-Identifier: BSD-3-Clause */
/* stdio on sockets, and what else the C library does to descriptors inside itself. */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim_case.h"

static void streams(void)
{
	char line[100], *grown = NULL;
	size_t room = 0;
	FILE *f, *g;
	int a, b, n;

	pair(&a, &b);
	f = fdopen(a, "r+");
	g = fdopen(b, "r+");
	CHECK(f && g && fileno(f) == a && fileno(g) == b);
	CHECK(fprintf(f, "number %d\n", 5) == 9 && fflush(f) == 0);
	CHECK(fgets(line, sizeof(line), g) && strcmp(line, "number 5\n") == 0);
	CHECK(dprintf(b, "%s %s\n", "two", "words") == 10);
	CHECK(getline(&grown, &room, f) == 10 && strcmp(grown, "two words\n") == 0);
	CHECK(fputs("17 x", g) >= 0 && fclose(g) == 0);
	fseek(f, 0, SEEK_CUR);
	CHECK(fscanf(f, "%d %s", &n, line) == 2 && n == 17 && strcmp(line, "x") == 0);
	CHECK(fgetc(f) == EOF && feof(f) && !ferror(f));
	CHECK(fclose(f) == 0 && fcntl(a, F_GETFD) < 0 && fcntl(b, F_GETFD) < 0);
	free(grown);
}

/* More than any buffer, so that fwrite and fread call with their own, large ones. */
static void bulk(void)
{
	static char out[300000], in[300000];
	int a, b;
	FILE *g;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 251);
	pair(&a, &b);
	if (fork() == 0) {
		FILE *f = fdopen(a, "w");

		CHECK(fwrite(out, 1, sizeof(out), f) == sizeof(out) && fclose(f) == 0);
		_exit(0);
	}
	close(a);
	g = fdopen(b, "r");
	CHECK(fread(in, 1, sizeof(in), g) == sizeof(in) && memcmp(in, out, sizeof(in)) == 0);
	CHECK(fgetc(g) == EOF);
	fclose(g);
}

/* Descriptors 0 to 2 closed and taken by sockets: the standard streams are on them. */
static void standard(void)
{
	int err = fcntl(2, F_DUPFD, 20), peer[3], one, other;
	char line[20];

	for (int i = 0; i < 3; i++) {
		pair(&one, &other);
		peer[i] = fcntl(other, F_DUPFD, 20);
		close(other);
		CHECK(close(i) == 0 && dup(one) == i); /* the lowest that is free */
		close(one);
	}
	CHECK(write(peer[0], "in\n", 3) == 3);
	CHECK(fgets(line, sizeof(line), stdin) && strcmp(line, "in\n") == 0);
	printf("out\n");
	CHECK(fflush(stdout) == 0 && read(peer[1], line, sizeof(line)) == 4);
	fprintf(stderr, "err\n");
	CHECK(read(peer[2], line, sizeof(line)) == 4 && memcmp(line, "err\n", 4) == 0);
	perror("p");
	CHECK(read(peer[2], line, sizeof(line)) > 2);
	CHECK(freopen("/dev/null", "w", stdout) && read(peer[1], line, sizeof(line)) == 0);
	dup2(err, 2);
}

static _Atomic int stage;

static void *reads(void *arg)
{
	char line[100];
	FILE *f = arg;

	stage = 1;
	fgets(line, sizeof(line), f);
	stage = 2;
	return NULL;
}

static void in_cleanup(void *arg)
{
	*(int *)arg += 1;
}

static int cleaned;

static void *reads_with_cleanup(void *arg)
{
	pthread_cleanup_push(in_cleanup, &cleaned);
	reads(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_reader(int fd)
{
	struct timespec moment = { .tv_nsec = 20000000 };
	pthread_t thread;
	void *result;

	CHECK(pthread_create(&thread, NULL, reads_with_cleanup, fdopen(fd, "r")) == 0);
	while (stage != 1)
		sched_yield();
	nanosleep(&moment, NULL);
	CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED && cleaned == 1 && stage == 1);
}

/* A thread that waits in fgets() is cancelled; the socket goes on working. */
static void cancelled(void)
{
	int a, b;
	char c;

	pair(&a, &b);
	cancel_reader(dup(a));
	CHECK(write(b, "x", 1) == 1 && read(a, &c, 1) == 1 && c == 'x');
}

static void cancelled_pipe(void)
{
	int p[2];

	CHECK(pipe(p) == 0);
	cancel_reader(p[0]);
}

static FILE *from_handler;

static void handler(int sig)
{
	fputs("handler\n", from_handler);
	fflush(from_handler);
}

/* A handler that writes by stdio, while its thread waits in fgets(): of the C library's own. */
static void interrupted(void)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct timespec moment = { .tv_nsec = 20000000 };
	pthread_t thread;
	char text[20];
	int a, b, c, d;

	pair(&a, &b);
	pair(&c, &d);
	from_handler = fdopen(c, "w");
	sigaction(SIGUSR1, &act, NULL);
	CHECK(pthread_create(&thread, NULL, reads, fdopen(a, "r")) == 0);
	while (stage != 1)
		sched_yield();
	nanosleep(&moment, NULL);
	CHECK(pthread_kill(thread, SIGUSR1) == 0);
	CHECK(read(d, text, sizeof(text)) == 8 && memcmp(text, "handler\n", 8) == 0);
	CHECK(stage == 1 && write(b, "x\n", 2) == 2);
	CHECK(pthread_join(thread, NULL) == 0 && stage == 2);
}

static void *deep[64];
static _Atomic int deep_count;

static void trace(int sig)
{
	deep_count = backtrace(deep, 64);
}

/* Is an address of the function in the trace? It is less than a page long. */
static int traced(void *function)
{
	for (int i = 0; i < deep_count; i++) {
		uintptr_t at = (uintptr_t)deep[i], start = (uintptr_t)function;

		if (at >= start && at < start + 4096)
			return 1;
	}
	return 0;
}

static void trace_reader(int fd, int peer)
{
	struct sigaction act = { .sa_handler = trace, .sa_flags = SA_RESTART };
	struct timespec moment = { .tv_nsec = 20000000 };
	pthread_t thread;

	stage = 0;
	deep_count = 0;
	sigaction(SIGUSR1, &act, NULL);
	CHECK(pthread_create(&thread, NULL, reads, fdopen(fd, "r")) == 0);
	while (stage != 1)
		sched_yield();
	nanosleep(&moment, NULL);
	pthread_kill(thread, SIGUSR1);
	while (!deep_count)
		sched_yield();
	CHECK(write(peer, "x\n", 2) == 2 && pthread_join(thread, NULL) == 0);
	CHECK(traced((void *)fgets) && traced((void *)reads));
}

/* Who looks at the stack of a thread that waits (debuggers, cancellation) sees through us. */
static void unwound(void)
{
	void *warm[2];
	int a, b, p[2];

	backtrace(warm, 2); /* loads the unwinder */
	pair(&a, &b);
	trace_reader(a, b);
	CHECK(pipe(p) == 0);
	trace_reader(p[0], p[1]);
}

/* errno and what the C library sees of an error. */
static void errors(void)
{
	char line[10];
	int a, b;
	FILE *f;

	pair(&a, &b);
	signal(SIGPIPE, SIG_IGN);
	f = fdopen(a, "r+");
	fcntl(a, F_SETFL, O_NONBLOCK);
	errno = 0;
	CHECK(!fgets(line, sizeof(line), f) && errno == EAGAIN && ferror(f));
	clearerr(f);
	errno = 77;
	CHECK(write(b, "x\n", 2) == 2);
	fcntl(a, F_SETFL, 0);
	CHECK(fgets(line, sizeof(line), f) && errno == 77);
	close(b);
	CHECK(!fgets(line, sizeof(line), f) && feof(f));
	shutdown(a, SHUT_WR);
	errno = 0;
	fputs("y", f);
	CHECK(fflush(f) == EOF && errno == EPIPE);
}

/* system() and posix_spawn's children close and dup in our memory: our table stays as it is. */
static void spawned(void)
{
	char text[10];
	int a, b;
	FILE *p;

	pair(&a, &b);
	CHECK(system("exit 3") >> 8 == 3);
	p = popen("cat >/dev/null", "w");
	CHECK(p && fputs("x", p) >= 0 && pclose(p) == 0);
	CHECK(write(a, "still", 5) == 5 && read(b, text, sizeof(text)) == 5);
}

/* keep(f, fd, buf, n, before, after): call f with before in the sixteen vector registers, and store
 * what they are behind it. */
__asm__(".text\n"
	".type keep, @function\n"
	"keep:\n"
	"push %rbx\npush %r12\npush %r13\n"
	"mov %rdi, %rbx\nmov %r9, %r12\n"
	".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"vmovdqu 32*\\i(%r8), %ymm\\i\n"
	".endr\n"
	"mov %esi, %edi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
	"call *%rbx\n"
	".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"vmovdqu %ymm\\i, 32*\\i(%r12)\n"
	".endr\n"
	"vzeroupper\n"
	"pop %r13\npop %r12\npop %rbx\nret\n"
	".size keep, . - keep\n");
long keep(void *f, int fd, void *buf, size_t n, const void *before, void *after);

/* What a system call keeps: the vector registers, also where weir's C code ran for it. */
static void registers(void)
{
	unsigned char before[16 * 32], after[16 * 32], buf[64];
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	void *libc_write = dlsym(libc, "write"), *libc_read = dlsym(libc, "read");
	int a, b;

	CHECK(libc_write && libc_read && libc_write != dlsym(RTLD_DEFAULT, "write"));
	if (!__builtin_cpu_supports("avx"))
		return;
	pair(&a, &b);
	for (size_t i = 0; i < sizeof(before); i++)
		before[i] = (unsigned char)(i * 3 + 1);
	for (int round = 0; round < 100; round++) {
		CHECK(keep(libc_write, a, buf, sizeof(buf), before, after) == sizeof(buf));
		CHECK(memcmp(before, after, sizeof(after)) == 0);
		CHECK(keep(libc_read, b, buf, sizeof(buf), before, after) == sizeof(buf));
		CHECK(memcmp(before, after, sizeof(after)) == 0);
	}
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* sigset() */

static volatile sig_atomic_t caught;

static void count(int sig)
{
	caught++;
}

/* Handlers set by the old names end a wait: of them none restarts calls. */
static void old_signals(void)
{
	void (*(*names[])(int, void (*)(int)))(int) = { sysv_signal, sigset };
	char c;
	int a, b;

	pair(&a, &b);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(names[i](SIGALRM, count) != SIG_ERR);
		alarm(1);
		errno = 0;
		CHECK(recv(a, &c, 1, 0) == -1 && errno == EINTR && caught == (int)i + 1);
	}
	CHECK(sigset(SIGALRM, SIG_HOLD) == count && sigset(SIGALRM, SIG_DFL) == SIG_HOLD);
}

static void vectors2(void)
{
	char x[4], y[4];
	struct iovec out[2] = { { "ab", 2 }, { "cd", 2 } }, in[2] = { { x, 3 }, { y, 3 } };
	int a, b;

	pair(&a, &b);
	CHECK(preadv2(b, in, 2, -1, RWF_NOWAIT) == -1 && errno == EAGAIN);
	CHECK(pwritev2(a, out, 2, -1, 0) == 4);
	CHECK(preadv2(b, in, 2, 0, 0) == -1 && errno == ESPIPE);
	CHECK(preadv2(b, in, 2, -1, 0x40000000) == -1 && errno == EOPNOTSUPP);
	CHECK(preadv2(b, in, 2, -1, 0) == 4 && memcmp(x, "abc", 3) == 0 && y[0] == 'd');
	CHECK(pwritev2(a, out, 2, 5, 0) == -1 && errno == ESPIPE);
	CHECK(syscall(SYS_pwritev2, a, out, 2, -1L, -1L, 0) == 4);
	CHECK(syscall(SYS_preadv2, b, in, 2, -1L, -1L, 0) == 4);
}

static const struct shim_case cases[] = {
	{ "streams", streams },
	{ "bulk", bulk },
	{ "standard", standard },
	{ "cancelled", cancelled },
	{ "cancelled_pipe", cancelled_pipe },
	{ "interrupted", interrupted },
	{ "unwound", unwound },
	{ "errors", errors },
	{ "spawned", spawned },
	{ "registers", registers },
	{ "old_signals", old_signals },
	{ "vectors2", vectors2 },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_cases(cases, argc, argv);
}
