/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETNS_FOLDER "/run/netns"
#define NAME_BYTES 280

struct known {
	uint32_t inum;
	char name[NAME_BYTES];
	struct known *next;
};

struct kernel_netns {
	struct known *known;
};

/* The inode number of the network namespace that a file is; 0: it is none, or not to be had. */
static uint32_t inum_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint32_t inum = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		errno = EINVAL;
	else if (fstat(fd, &st) == 0)
		inum = (uint32_t)st.st_ino;
	close(fd);
	return inum;
}

static bool is_number(const char *text)
{
	return text[0] && !text[strspn(text, "0123456789")];
}

int kernel_netns_find(const char *name, uint32_t *inum, char *error, size_t error_bytes)
{
	char path[NAME_BYTES];

	if (!name || strcmp(name, ".") == 0)
		snprintf(path, sizeof(path), "/proc/self/ns/net");
	else if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), NETNS_FOLDER "/%s", name);
	errno = 0;
	*inum = inum_of(path);
	if (*inum == 0 && name && is_number(name)) {
		snprintf(path, sizeof(path), "/proc/%s/ns/net", name);
		*inum = inum_of(path);
	}
	if (*inum)
		return 0;
	int rc = errno ? -errno : -ENOENT;
	snprintf(error, error_bytes,
		 "network namespace '%s': %s is %s: 'ip netns' lists names; a path or a process's "
		 "number will do too",
		 name ? name : ".", path, rc == -EINVAL ? "no network namespace" : strerror(-rc));
	return rc;
}

/* ---- names ---- */

static void known_add(struct kernel_netns *n, uint32_t inum, const char *name)
{
	struct known *k = malloc(sizeof(*k));

	if (!k)
		return;
	k->inum = inum;
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->next = n->known;
	n->known = k;
}

static bool find_named(uint32_t inum, char name[NAME_BYTES])
{
	DIR *folder = opendir(NETNS_FOLDER);
	struct dirent *entry;
	char path[NAME_BYTES];
	bool found = false;

	while (folder && !found && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), NETNS_FOLDER "/%s", entry->d_name);
		found = inum_of(path) == inum;
		if (found)
			snprintf(name, NAME_BYTES, "%s", entry->d_name);
	}
	if (folder)
		closedir(folder);
	return found;
}

static unsigned long lowest_pid_in(uint32_t inum)
{
	DIR *proc = opendir("/proc");
	unsigned long lowest = 0;
	struct dirent *entry;
	char path[NAME_BYTES];

	while (proc && (entry = readdir(proc))) {
		unsigned long pid = is_number(entry->d_name) ? strtoul(entry->d_name, NULL, 10) : 0;

		if (!pid || (lowest && pid > lowest))
			continue;
		snprintf(path, sizeof(path), "/proc/%lu/ns/net", pid);
		if (inum_of(path) == inum)
			lowest = pid;
	}
	if (proc)
		closedir(proc);
	return lowest;
}

static void process_name(unsigned long pid, char name[NAME_BYTES])
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%lu/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(comm, sizeof(comm), file))
			comm[0] = '\0';
		fclose(file);
	}
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(name, NAME_BYTES, "pid %lu (%s)", pid, comm[0] ? comm : "?");
}

struct kernel_netns *kernel_netns_new(void)
{
	return calloc(1, sizeof(struct kernel_netns));
}

void kernel_netns_free(struct kernel_netns *n)
{
	struct known *next;

	for (struct known *k = n ? n->known : NULL; k; k = next) {
		next = k->next;
		free(k);
	}
	free(n);
}

const char *kernel_netns_name(struct kernel_netns *n, uint32_t inum)
{
	char name[NAME_BYTES];
	unsigned long pid;

	if (inum == 0)
		return "not known";
	for (const struct known *k = n->known; k; k = k->next) {
		if (k->inum == inum)
			return k->name;
	}
	if (!find_named(inum, name)) {
		pid = lowest_pid_in(inum);
		if (pid)
			process_name(pid, name);
		else
			snprintf(name, sizeof(name), "net:[%u]", inum);
	}
	known_add(n, inum, name);
	return n->known && n->known->inum == inum ? n->known->name : "not known";
}
