/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The new image's side of exec.c: which of the sockets on the list are among the descriptors. The
 * session goes on with just these (ABI_MSG_RESUME).
 */
#include "shim/process/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_AT_MAX 65536 /* descriptors, where /proc does not say which there are */
#define LIST_BYTES_MAX (64u << 20)

struct adopted {
	struct handed handed;
	struct wsock *ws;
	bool found;
};
static struct adopted *list;
static size_t list_count;

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct adopted *)a)->handed.inode;
	uint64_t y = ((const struct adopted *)b)->handed.inode;

	return x < y ? -1 : x > y;
}

static struct adopted *find(int fd)
{
	struct adopted key = { .handed.inode = handed_inode(fd) };

	return key.handed.inode ? bsearch(&key, list, list_count, sizeof(*list), by_inode) : NULL;
}

/* Once for each descriptor of the process. */
static void each_descriptor(void (*fn)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit = { 0 };
	struct dirent *entry;

	if (dir) {
		while ((entry = readdir(dir)) != NULL) {
			if (entry->d_name[0] != '.')
				fn(atoi(entry->d_name));
		}
		closedir(dir);
		return;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < LOOK_AT_MAX && (rlim_t)fd < limit.rlim_max; fd++)
		fn(fd);
}

static void mark_found(int fd)
{
	struct adopted *at = find(fd);

	if (at)
		at->found = true;
}

/* One socket may have two placeholders (it was passed to its own process): they share it. */
static struct wsock *same_socket(const struct adopted *at)
{
	for (size_t i = 0; i < list_count; i++) {
		const struct handed *h = &list[i].handed;

		if (list[i].ws && h->index == at->handed.index && h->index != ABI_SOCK_NONE) {
			obj_get(&list[i].ws->obj);
			return list[i].ws;
		}
	}
	return NULL;
}

static void adopt(int fd)
{
	struct adopted *at = find(fd);

	if (!at || !at->found || (unsigned int)fd >= FD_MAX)
		return;
	if (at->ws) {
		obj_get(&at->ws->obj);
	} else {
		at->ws = same_socket(at);
		if (!at->ws)
			at->ws = handed_wsock(&at->handed);
	}
	if (!at->ws)
		return;
	fdtab_set(fd, &at->ws->obj);
	owner_adopt(at->ws, fd);
	async_adopt(at->ws, fd);
}

/* The descriptor with this number, if it is the file that was meant; it is ours from now on. */
static bool is_file(int fd, unsigned long long inode)
{
	struct stat st;

	return R(syscall)(SYS_fstat, (long)fd, &st) == 0 && st.st_ino == inode;
}

static void *map(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

static bool read_list(int fd)
{
	struct stat st;

	if (R(syscall)(SYS_fstat, (long)fd, &st) < 0 || st.st_size <= 0 ||
	    st.st_size > LIST_BYTES_MAX)
		return false;
	list_count = (size_t)st.st_size / sizeof(struct handed);
	list = list_count ? map(list_count * sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < list_count; i++) {
		if (R(pread64)(fd, &list[i].handed, sizeof(struct handed),
			       (off64_t)(i * sizeof(struct handed))) != sizeof(struct handed))
			list_count = i;
	}
	if (list)
		qsort(list, list_count, sizeof(*list), by_inode);
	return list != NULL;
}

static int resume(int connection_fd)
{
	uint32_t *words = map(ABI_MSG_WORDS_MAX * sizeof(*words)), n = 0;
	unsigned int lost = 0;
	int err;

	if (!words)
		return -ENOMEM;
	for (size_t i = 0; i < list_count; i++) {
		if (!list[i].found || list[i].handed.index == ABI_SOCK_NONE)
			continue;
		if (n + 2 > ABI_MSG_WORDS_MAX) {
			list[i].found = false;
			lost++;
			continue;
		}
		words[n++] = list[i].handed.index;
		words[n++] = list[i].handed.gen;
	}
	err = session_resume(connection_fd, words, n);
	if (!err && lost)
		session_notef("exec: %u inherited sockets are too many, %u are closed",
			      n / 2 + lost, lost);
	munmap(words, ABI_MSG_WORDS_MAX * sizeof(*words));
	return err;
}

void exec_adopt(void)
{
	const char *text = getenv("WEIR_SESSION");
	unsigned long long connection_inode, list_inode;
	unsigned int connection_fd, list_fd;
	size_t bytes;

	if (!text)
		return;
	if (sscanf(text, "%x:%llx,%x:%llx", &connection_fd, &connection_inode, &list_fd,
		   &list_inode) == 4 &&
	    is_file((int)connection_fd, connection_inode) && is_file((int)list_fd, list_inode)) {
		bool read = read_list((int)list_fd);

		bytes = list_count * sizeof(*list);
		R(close)((int)list_fd);
		if (read) {
			each_descriptor(mark_found);
			if (resume((int)connection_fd) == 0)
				each_descriptor(adopt);
			munmap(list, bytes);
		}
		list = NULL;
	}
	unsetenv("WEIR_SESSION");
}
