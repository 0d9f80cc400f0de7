/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pkt: runs TCP scripts, each a test of its own. See README.md for their language.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"

static const char usage[] =
	"usage: pkt [-v] FILE.pkt|FOLDER...\n"
	"\n"
	"Runs TCP scripts in virtual time, each as one test; folders are searched for *.pkt.\n"
	"  -v      print the trace of scripts that pass, too\n"
	"  --help  print this\n"
	"The language is described in tests/pkt/README.md.\n";

struct list {
	struct CMUnitTest *test;
	size_t n;
	bool bad;
};

static bool verbose;

static int setup(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->script = *state;
	r->verbose = verbose;
	run_open(r);
	*state = r;
	return 0;
}

static void play(void **state)
{
	run_script(*state);
}

static int teardown(void **state)
{
	struct run *r = *state;

	if (!r->done || r->verbose)
		/* not through cmocka, which cuts a message after 1 KB */
		printf("trace of %s:\n%s\n", r->script->path, r->trace ? r->trace : "");
	run_close(r);
	free(r);
	return 0;
}

static void list_file(struct list *l, const char *path)
{
	char error[SCRIPT_ERROR_BYTES];
	struct script *s = calloc(1, sizeof(*s));

	l->test = realloc(l->test, (l->n + 1) * sizeof(*l->test));
	if (!s || !l->test)
		abort();
	if (script_read(s, path, error) != 0) {
		fprintf(stderr, "%s\n", error);
		script_free(s);
		free(s);
		l->bad = true;
		return;
	}
	l->test[l->n++] = (struct CMUnitTest){ .name = s->path,
					       .test_func = play,
					       .setup_func = setup,
					       .teardown_func = teardown,
					       .initial_state = s };
}

static int is_shown(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void list_path(struct list *l, const char *path, bool named)
{
	struct dirent **entry = NULL;
	size_t len = strlen(path);
	struct stat st;
	int n;

	if (stat(path, &st) != 0) {
		perror(path);
		l->bad = true;
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		if (named || (len > 4 && strcmp(path + len - 4, ".pkt") == 0))
			list_file(l, path);
		return;
	}
	n = scandir(path, &entry, is_shown, alphasort);
	for (int i = 0; i < n; i++) {
		char inside[PATH_MAX];

		snprintf(inside, sizeof(inside), "%s/%s", path, entry[i]->d_name);
		list_path(l, inside, false);
		free(entry[i]);
	}
	free(entry);
}

int main(int argc, char **argv)
{
	struct list l = { 0 };
	int failed;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return 0;
		}
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else
			list_path(&l, argv[i], true);
	}
	if (l.n == 0 && !l.bad) {
		fputs(usage, stderr);
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	failed = _cmocka_run_group_tests("pkt", l.test, l.n, NULL, NULL);
	for (size_t i = 0; i < l.n; i++) {
		script_free(l.test[i].initial_state);
		free(l.test[i].initial_state);
	}
	free(l.test);
	return failed || l.bad;
}
