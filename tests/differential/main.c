/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of cases, and a process with a limit of time for each. */
#include "diff.h"

#include <fnmatch.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LIMIT_S 6
#define NAME_MAX_BYTES 96

struct list {
	struct definition *first, **end;
};

static struct list cases, ops, states;

static void add(struct list *list, struct definition *d)
{
	if (!list->end)
		list->end = &list->first;
	*list->end = d;
	list->end = &d->next;
}

void define_case(struct definition *d)
{
	add(&cases, d);
}

void define_op(struct definition *d)
{
	add(&ops, d);
}

void define_state(struct definition *d)
{
	add(&states, d);
}

static void run_here(const struct definition *d, const struct definition *state)
{
	struct ends e = { -1, -1, -1, { 0 } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (d->run_with) {
		d->run_with(d->with);
	} else if (!state) {
		d->run();
	} else {
		state->op(&e);
		d->op(&e);
	}
	fflush(stdout);
	_exit(0);
}

static void say_end(int status)
{
	if (WIFSIGNALED(status))
		say("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		say("ended with status %d", WEXITSTATUS(status));
}

static void run(const char *name, const struct definition *d, const struct definition *state)
{
	struct timespec limit = { LIMIT_S, 0 };
	sigset_t child;
	int status;
	pid_t pid;

	printf("== %s\n", name);
	fflush(stdout);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		run_here(d, state);
	}
	if (sigtimedwait(&child, NULL, &limit) < 0) {
		say("not done in time");
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		sigtimedwait(&child, NULL, &limit); /* that of this end */
	} else {
		waitpid(pid, &status, 0);
		say_end(status);
	}
	kill(-pid, SIGKILL); /* what it forked */
}

static unsigned int part, parts = 1, number;

static void consider(int argc, char **argv, const char *name, const struct definition *d,
		     const struct definition *state)
{
	bool wanted = argc < 3;

	for (int i = 2; i < argc; i++)
		wanted |= fnmatch(argv[i], name, 0) == 0;
	if (wanted && number++ % parts == part)
		run(name, d, state);
}

/* Arguments: I/N: every N-th case from the I-th on; patterns of the cases to run, none: all. */
int main(int argc, char **argv)
{
	char name[NAME_MAX_BYTES];

	if (argc < 2 || sscanf(argv[1], "%u/%u", &part, &parts) != 2 || parts == 0)
		return 2;
	for (struct definition *d = cases.first; d; d = d->next) {
		snprintf(name, sizeof(name), "%s.%s", d->group, d->name);
		consider(argc, argv, name, d, NULL);
	}
	for (struct definition *d = ops.first; d; d = d->next) {
		for (struct definition *state = states.first; state; state = state->next) {
			if (!(d->kinds & state->kinds))
				continue;
			snprintf(name, sizeof(name), "%s.%s.%s", d->group, d->name, state->name);
			consider(argc, argv, name, d, state);
		}
	}
	printf("==\n");
	return 0;
}
