/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/tcp/mib.h"

#include <string.h>

static const struct tcp_mib_info infos[] = {
#define TCP_MIB(group, name, text) { #group, #name, text },
#include "inet/tcp/mib.def"
#undef TCP_MIB
};

const struct tcp_mib_info *tcp_mib_info(unsigned int i)
{
	return &infos[i < TCP_MIB_MAX ? i : 0];
}

int tcp_mib_find(const char *name)
{
	for (int i = 0; i < TCP_MIB_MAX; i++) {
		size_t len = strlen(infos[i].group);

		if (strcmp(name, infos[i].name) == 0 || (strncmp(name, infos[i].group, len) == 0 &&
							 strcmp(name + len, infos[i].name) == 0))
			return i;
	}
	return -1;
}
