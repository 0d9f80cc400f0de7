/* SPDX-License-Identifier: BSD-3-Clause */
/* When the kernel does not let us: which option or privilege is missing. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bin/weir/dropwatch/kernel_bpf.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"
#define LOCKDOWN_PATH "/sys/kernel/security/lockdown"

/* The process's effective capabilities; none where they are not to be had. */
static uint64_t capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data))
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static bool has(uint64_t capabilities, int which)
{
	return capabilities >> which & 1;
}

static void first_line(const char *path, char *line, int bytes)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, bytes, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

/* In a user namespace of its own a process's privileges do not count for BPF. */
static bool in_user_namespace(void)
{
	unsigned long inside, outside, count;
	char line[128];

	first_line("/proc/self/uid_map", line, sizeof(line));
	return sscanf(line, "%lu %lu %lu", &inside, &outside, &count) == 3 &&
	       (outside != 0 || count != 4294967295ul);
}

static void why_forbidden(char *words, size_t bytes)
{
	uint64_t mine = capabilities();
	bool all = has(mine, CAP_SYS_ADMIN);
	bool bpf = all || has(mine, CAP_BPF), perfmon = all || has(mine, CAP_PERFMON);
	char lockdown[128];

	first_line(LOCKDOWN_PATH, lockdown, sizeof(lockdown));
	if (!bpf || !perfmon)
		snprintf(words, bytes,
			 "it needs %s%s%s, which this process has not: run it as root (sudo weir "
			 "dropwatch --kernel)",
			 bpf ? "" : "CAP_BPF", !bpf && !perfmon ? " and " : "",
			 perfmon ? "" : "CAP_PERFMON");
	else if (in_user_namespace())
		snprintf(
			words, bytes,
			"CAP_BPF and CAP_PERFMON count in the initial user namespace only, and "
			"this process is in another: run it on the host, outside of the container");
	else if (strstr(lockdown, "[confidentiality]"))
		snprintf(
			words, bytes,
			"the kernel is locked down (%s): 'confidentiality' forbids BPF to read its "
			"memory; boot with lockdown=integrity or none",
			LOCKDOWN_PATH);
	else
		snprintf(words, bytes,
			 "something forbids bpf() although the privileges are there: a seccomp "
			 "filter of the container, or a security module");
}

static void why_old(char *words, size_t bytes)
{
	struct utsname uts;

	if (uname(&uts))
		memset(&uts, 0, sizeof(uts));
	snprintf(words, bytes,
		 "this kernel (%s) does not know what is needed: Linux 5.8 or later, with "
		 "CONFIG_BPF_SYSCALL, CONFIG_BPF_EVENTS, CONFIG_DEBUG_INFO_BTF and "
		 "CONFIG_TRACEPOINTS",
		 uts.release);
}

void kernel_why(const char *what, int rc, char *error, size_t error_bytes)
{
	char words[400];

	if (rc == -EPERM || rc == -EACCES)
		why_forbidden(words, sizeof(words));
	else if (rc == -ENOSYS)
		snprintf(words, sizeof(words), "this kernel has no bpf(): CONFIG_BPF_SYSCALL=y");
	else if (access(BTF_PATH, R_OK))
		snprintf(words, sizeof(words),
			 "there is no " BTF_PATH ": the kernel needs CONFIG_DEBUG_INFO_BTF=y");
	else if (rc == -ENOMEM)
		snprintf(words, sizeof(words),
			 "no memory for its maps: more for this control group, or ulimit -l");
	else
		why_old(words, sizeof(words));
	snprintf(error, error_bytes, "the kernel's drops cannot be watched: %s: %s: %s", what,
		 strerror(rc < 0 ? -rc : rc), words);
}
