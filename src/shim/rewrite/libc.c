/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C library's own calls: which libraries are rewritten at the start of a program. The dynamic
 * loader is not: it opens files only.
 */
#include "shim/rewrite/dispatch.h"
#include "shim/rewrite/rewrite.h"
#include "shim/shim.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

/* libpthread and libresolv have calls of their own where the C library is older than 2.34. */
static const char *const names[] = { "libc.so.6", "libpthread.so.0", "libresolv.so.2" };

static bool active;

bool rewrite_active(void)
{
	return active;
}

static bool is_library(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(base, names[i]) == 0)
			return true;
	}
	return false;
}

static int rewrite_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	static struct rewrite_site sites[REWRITE_SITES_MAX];
	int *err = arg;

	if (!info->dlpi_name || !is_library(info->dlpi_name))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint8_t *text = (uint8_t *)info->dlpi_addr + ph->p_vaddr;
		size_t n, left;
		int r;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		n = rewrite_scan(text, ph->p_memsz, sites, REWRITE_SITES_MAX, &left);
		r = rewrite_patch(text, ph->p_memsz, sites, n);
		if (r)
			*err = r;
		else if (n)
			active = true;
	}
	return 0;
}

void rewrite_start(void)
{
	const char *choice = getenv("WEIR_REWRITE");
	int err = 0;

	rewrite_forked();
	if (choice && strcmp(choice, "0") == 0)
		return;
	dl_iterate_phdr(rewrite_object, &err);
	/* A system that lets no program change its code: said once, in the daemon's log. */
	if (err && session_attach() == 0)
		session_notef("the C library cannot be rewritten (%s): names are asked on the "
			      "host's network",
			      strerror(-err));
}
