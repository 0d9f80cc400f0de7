/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_lines.h"

#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct kernel_lines {
	Dwfl *dwfl;
	Dwfl_Module *module;
	uint64_t moved; /* what an address in memory is above the one in the file */
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static bool symbol_at(Dwfl_Module *module, const char *symbol, uint64_t *address)
{
	int count = dwfl_module_getsymtab(module);

	for (int i = 0; i < count; i++) {
		GElf_Addr at;
		GElf_Sym sym;
		const char *name = dwfl_module_getsym_info(module, i, &sym, &at, NULL, NULL, NULL);

		if (name && strcmp(name, symbol) == 0) {
			*address = at;
			return true;
		}
	}
	return false;
}

static bool report(struct kernel_lines *l, const char *path)
{
	dwfl_report_begin(l->dwfl);
	l->module = dwfl_report_elf(l->dwfl, "kernel", path, -1, 0, false);
	return dwfl_report_end(l->dwfl, NULL, NULL) == 0 && l->module;
}

struct kernel_lines *kernel_lines_open(const char *path, const char *symbol, uint64_t address)
{
	struct kernel_lines *l = calloc(1, sizeof(*l));
	uint64_t in_file = 0;

	if (!l)
		return NULL;
	l->dwfl = dwfl_begin(&callbacks);
	if (!l->dwfl || !report(l, path) || !symbol_at(l->module, symbol, &in_file)) {
		kernel_lines_close(l);
		return NULL;
	}
	l->moved = address - in_file;
	return l;
}

struct kernel_lines *kernel_lines_of_kernel(uint64_t stext)
{
	static const char *const places[] = {
		"/usr/lib/debug/boot/vmlinux-%s",
		"/usr/lib/debug/lib/modules/%s/vmlinux",
		"/boot/vmlinux-%s",
		"/lib/modules/%s/build/vmlinux",
	};
	struct kernel_lines *found = NULL;
	struct utsname uts;
	char path[512];

	if (!stext || uname(&uts))
		return NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !found; i++) {
		snprintf(path, sizeof(path), places[i], uts.release);
		if (access(path, R_OK) == 0)
			found = kernel_lines_open(path, "_stext", stext);
	}
	return found;
}

void kernel_lines_close(struct kernel_lines *l)
{
	if (!l)
		return;
	if (l->dwfl)
		dwfl_end(l->dwfl);
	free(l);
}

/* The part of the file that an address is in, where the file has no index of that (clang's). */
static Dwarf_Die *look_for_unit(Dwfl_Module *module, uint64_t address, Dwarf_Addr *moved)
{
	Dwarf_Die *unit = NULL;
	GElf_Addr low, high;

	dwfl_module_info(module, NULL, &low, &high, NULL, NULL, NULL, NULL);
	if (address < low || address >= high)
		return NULL;
	while ((unit = dwfl_module_nextcu(module, unit, moved))) {
		if (dwarf_haspc(unit, address - *moved) == 1)
			return unit;
	}
	return NULL;
}

bool kernel_lines_find(struct kernel_lines *l, uint64_t return_address, const char **file,
		       uint32_t *line)
{
	uint64_t address = l ? return_address - l->moved - 1 : 0;
	Dwarf_Addr moved = 0;
	Dwarf_Die *unit;
	Dwarf_Line *found;
	int number = 0;

	*file = NULL;
	*line = 0;
	if (!l)
		return false;
	unit = dwfl_module_addrdie(l->module, address, &moved);
	if (!unit)
		unit = look_for_unit(l->module, address, &moved);
	found = unit ? dwarf_getsrc_die(unit, address - moved) : NULL;
	if (!found || dwarf_lineno(found, &number))
		return false;
	*file = dwarf_linesrc(found, NULL, NULL);
	*line = (uint32_t)number;
	return *file;
}
