/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posix_spawn() looks for a relative path where the child is by then, after the actions that change
 * its folder. Those are remembered here as they are added, a list for all objects, since nobody
 * looks into the C library's.
 */
#include "shim/process/process.h"

#include <fcntl.h>
#include <stdlib.h>

struct step {
	struct step *next; /* in the order in which they were added */
	const posix_spawn_file_actions_t *actions;
	enum { STEP_PATH, STEP_FD, STEP_OPENS } kind;
	int fd;
	char path[];
};

static struct step *steps, **steps_end = &steps;
static struct lock steps_lock;

/* Without memory: as if nobody could say. */
static bool lost;

static void note(const posix_spawn_file_actions_t *actions, int kind, int fd, const char *path)
{
	size_t n = path ? strlen(path) + 1 : 0;
	struct step *s = malloc(sizeof(*s) + n);

	lock_take(&steps_lock);
	if (s) {
		*s = (struct step){ .actions = actions, .kind = kind, .fd = fd };
		if (path)
			memcpy(s->path, path, n);
		*steps_end = s;
		steps_end = &s->next;
	} else {
		lost = true;
	}
	lock_drop(&steps_lock);
}

void spawn_chdir_note(const posix_spawn_file_actions_t *actions, const char *path, int fd)
{
	note(actions, path ? STEP_PATH : STEP_FD, fd, path);
}

void spawn_opens_note(const posix_spawn_file_actions_t *actions, int fd)
{
	note(actions, STEP_OPENS, fd, NULL);
}

void spawn_chdir_forget(const posix_spawn_file_actions_t *actions)
{
	lock_take(&steps_lock);
	steps_end = &steps;
	while (*steps_end) {
		struct step *s = *steps_end;

		if (s->actions != actions) {
			steps_end = &s->next;
			continue;
		}
		*steps_end = s->next;
		free(s);
	}
	lock_drop(&steps_lock);
}

/* Does an action before this one make another file of its descriptor? */
static bool opened_before(const struct step *at)
{
	for (const struct step *s = steps; s != at; s = s->next) {
		if (s->actions == at->actions && s->kind == STEP_OPENS && s->fd == at->fd)
			return true;
	}
	return false;
}

/* From the folder dir, which is closed, to the next. */
static int take_step(int dir, const struct step *s)
{
	int fd;

	if (s->kind == STEP_FD && opened_before(s))
		fd = -ENOTSUP;
	else if (s->kind == STEP_FD)
		fd = openat(s->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	else
		fd = openat(dir, s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && fd != -ENOTSUP)
		fd = -errno;
	if (dir >= 0)
		R(close)(dir);
	return fd;
}

int spawn_chdir_open(const posix_spawn_file_actions_t *actions)
{
	int dir = AT_FDCWD;

	if (!actions)
		return dir;
	lock_take(&steps_lock);
	for (const struct step *s = steps; s && (dir >= 0 || dir == AT_FDCWD); s = s->next) {
		if (s->actions == actions && s->kind != STEP_OPENS)
			dir = take_step(dir, s);
	}
	if (lost)
		dir = -ENOMEM;
	lock_drop(&steps_lock);
	return dir;
}
