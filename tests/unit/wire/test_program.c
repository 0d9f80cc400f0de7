/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kind of program a file is, and who would be privileged by it. */
#include "wire/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *file(const char *name, const void *bytes, size_t n, mode_t mode)
{
	static char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static const char *script(const char *name, const char *text)
{
	return file(name, text, strlen(text), 0755);
}

/* An ELF file with one program header: the interpreter's name, or nothing. */
static const char *elf(const char *name, int class, int machine, const char *interpreter)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		char text[64];
	} image = { .ph.p_type = interpreter ? PT_INTERP : PT_NULL };

	memcpy(image.eh.e_ident, ELFMAG, SELFMAG);
	image.eh.e_ident[EI_CLASS] = (unsigned char)class;
	image.eh.e_machine = (Elf64_Half)machine;
	image.eh.e_phentsize = sizeof(Elf64_Phdr);
	image.eh.e_phnum = 1;
	image.eh.e_phoff = sizeof(image.eh);
	image.ph.p_offset = sizeof(image.eh) + sizeof(image.ph);
	if (interpreter)
		strcpy(image.text, interpreter);
	return file(name, &image, sizeof(image), 0755);
}

static int judge(const char *path, struct program *p)
{
	struct program_at at = { AT_FDCWD, path, 0, AT_FDCWD, path };

	return program_judge(&at, p);
}

static void knows_kinds(void **state)
{
	char path[PATH_MAX];
	struct program p;

	assert_int_equal(judge(elf("a", ELFCLASS64, EM_X86_64, "/lib64/ld-linux-x86-64.so.2"), &p),
			 0);
	assert_int_equal(p.kind, PROGRAM_DYNAMIC);
	assert_int_equal(judge(elf("a", ELFCLASS64, EM_X86_64, "/lib/ld-musl-x86_64.so.1"), &p), 0);
	assert_int_equal(p.kind, PROGRAM_FOREIGN);
	assert_int_equal(judge(elf("a", ELFCLASS64, EM_X86_64, NULL), &p), 0);
	assert_int_equal(p.kind, PROGRAM_FOREIGN);
	assert_int_equal(judge(elf("a", ELFCLASS32, EM_386, NULL), &p), 0);
	assert_int_equal(p.kind, PROGRAM_NOT_OURS);
	assert_int_equal(judge(elf("a", ELFCLASS64, EM_AARCH64, NULL), &p), 0);
	assert_int_equal(p.kind, PROGRAM_NOT_OURS);
	assert_int_equal(judge(script("a", "echo no program"), &p), 0);
	assert_int_equal(p.kind, PROGRAM_UNKNOWN);
	/* Cut off in its headers: nobody knows. */
	assert_int_equal(judge(file("a", "\177ELF\2\1\1", 7, 0755), &p), 0);
	assert_int_equal(p.kind, PROGRAM_UNKNOWN);
	elf("a", ELFCLASS64, EM_X86_64, NULL);
	snprintf(path, sizeof(path), "%s/a", folder);
	assert_int_equal(truncate(path, sizeof(Elf64_Ehdr) + 8), 0);
	assert_int_equal(judge(path, &p), -EIO);
	assert_int_equal(judge("/nowhere", &p), -ENOENT);
}

static void follows_scripts(void **state)
{
	char text[PATH_MAX + 64], name[8], last[PATH_MAX];
	struct program p;

	snprintf(last, sizeof(last), "%s", elf("end", ELFCLASS64, EM_X86_64, NULL));
	for (int i = 1; i <= PROGRAM_SCRIPTS + 1; i++) {
		snprintf(text, sizeof(text), "#! %s  an argument \nmore", last);
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(last, sizeof(last), "%s", script(name, text));
		if (i > PROGRAM_SCRIPTS) {
			assert_int_equal(judge(last, &p), -ELOOP);
			break;
		}
		assert_int_equal(judge(last, &p), 0);
		assert_int_equal(p.kind, PROGRAM_FOREIGN);
		assert_int_equal(p.prefix_count, 2 * i + 1);
		assert_string_equal(p.prefix[p.prefix_count - 1], last);
		assert_string_equal(p.prefix[1], "an argument");
		assert_non_null(strstr(p.path, "/end"));
	}
	assert_int_equal(judge(script("a", "#!/no/such/interpreter\n"), &p), -ENOENT);
	assert_int_equal(judge(script("a", "#!\n"), &p), 0);
	assert_int_equal(p.kind, PROGRAM_UNKNOWN);
}

static void says_what_it_cannot_see(void **state)
{
	struct rlimit all, none = { 0, 0 };
	char path[PATH_MAX];
	struct program p;

	snprintf(path, sizeof(path), "%s", elf("a", ELFCLASS64, EM_X86_64, NULL));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none.rlim_max = all.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(judge(path, &p), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(judge(path, &p), -EACCES);
	assert_int_equal(judge(folder, &p), -EACCES);
	if (geteuid() != 0) {
		assert_int_equal(chmod(path, 0111), 0);
		assert_int_equal(judge(path, &p), 0);
		assert_int_equal(p.kind, PROGRAM_HIDDEN);
	}
	/* A FIFO is not opened: that would wait. */
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0755), 0);
	assert_int_equal(judge(path, &p), -EACCES);
}

static void takes_folders_and_descriptors(void **state)
{
	struct program p;
	const char *path = elf("a", ELFCLASS64, EM_X86_64, NULL);
	int dir = open(folder, O_RDONLY | O_DIRECTORY), fd = open(path, O_PATH);
	struct program_at at = { dir, "a", 0, AT_FDCWD, "name" };
	struct program_at itself = { fd, "", AT_EMPTY_PATH, AT_FDCWD, "name" };
	struct program_at no_fd = { 99, "", AT_EMPTY_PATH, AT_FDCWD, "name" };
	struct program_at link = { dir, "link", AT_SYMLINK_NOFOLLOW, AT_FDCWD, "name" };

	assert_int_equal(program_judge(&at, &p), 0);
	assert_int_equal(p.kind, PROGRAM_FOREIGN);
	assert_string_equal(p.path, "name");
	assert_int_equal(program_judge(&itself, &p), 0);
	assert_int_equal(p.kind, PROGRAM_FOREIGN);
	assert_int_equal(program_judge(&no_fd, &p), -EBADF);
	assert_int_equal(symlinkat("a", dir, "link"), 0);
	assert_int_equal(program_judge(&link, &p), -ELOOP);
	/* A script's interpreter is looked for where the process is, not where the script is. */
	script("s", "#!a\n");
	at.path = "s";
	assert_int_equal(program_judge(&at, &p), -ENOENT);
	at.cwd = dir;
	assert_int_equal(program_judge(&at, &p), 0);
	assert_int_equal(p.kind, PROGRAM_FOREIGN);
	close(dir);
	close(fd);
}

static void knows_who_is_privileged(void **state)
{
	static const struct {
		struct program_file file;
		struct program_caller who;
		const char *why; /* part of it; NULL: not privileged */
	} cases[] = {
		{ { 0755, 0, 0, false, false }, { 0, 0, 0, 0, false }, NULL },
		{ { 0755, 1, 1, false, false }, { 9, 9, 9, 9, false }, NULL },
		/* set-user-ID: root to another, a user to root, to itself */
		{ { 04755, 1, 0, false, false }, { 0, 0, 0, 0, false }, "set-user-ID" },
		{ { 04755, 0, 0, false, false }, { 9, 9, 9, 9, false }, "set-user-ID" },
		{ { 04755, 9, 0, false, false }, { 9, 9, 9, 9, false }, NULL },
		/* ... which sets right again who had another effective user */
		{ { 04755, 9, 0, false, false }, { 9, 0, 9, 9, false }, NULL },
		{ { 0755, 9, 0, false, false }, { 9, 0, 9, 9, false }, "effective user" },
		{ { 0755, 0, 0, false, false }, { 0, 9, 0, 0, false }, "effective user" },
		/* where it does not count */
		{ { 04755, 0, 0, false, true }, { 9, 9, 9, 9, false }, NULL },
		{ { 04755, 0, 0, false, false }, { 9, 9, 9, 9, true }, NULL },
		{ { 04755, 9, 0, false, true }, { 9, 0, 9, 9, false }, "effective user" },
		/* set-group-ID, and the lock that looks like it */
		{ { 02755, 0, 5, false, false }, { 0, 0, 0, 0, false }, "set-group-ID" },
		{ { 02745, 0, 5, false, false }, { 0, 0, 0, 0, false }, NULL },
		{ { 02755, 0, 9, false, false }, { 9, 9, 9, 9, false }, NULL },
		{ { 0755, 0, 0, false, false }, { 9, 9, 9, 0, false }, "effective group" },
		{ { 02755, 0, 5, false, false }, { 9, 9, 9, 9, true }, NULL },
		/* file capabilities: they count under no_new_privs, and not for root */
		{ { 0755, 0, 0, true, false }, { 0, 0, 0, 0, false }, NULL },
		{ { 0755, 0, 0, true, false }, { 9, 9, 9, 9, false }, "capabilities" },
		{ { 0755, 0, 0, true, false }, { 9, 9, 9, 9, true }, "capabilities" },
		{ { 0755, 0, 0, true, true }, { 9, 9, 9, 9, false }, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = program_secure(&cases[i].file, &cases[i].who);

		if (!why != !cases[i].why || (why && !strstr(why, cases[i].why)))
			fail_msg("case %zu: %s", i, why ? why : "not privileged");
	}
}

static int setup(void **state)
{
	strcpy(folder, "/tmp/weir-program-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "a",  "end", "fifo", "link", "s", "s1",
					     "s2", "s3",  "s4",	  "s5",	  "s6" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_kinds),
		cmocka_unit_test(follows_scripts),
		cmocka_unit_test(says_what_it_cannot_see),
		cmocka_unit_test(takes_folders_and_descriptors),
		cmocka_unit_test(knows_who_is_privileged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
