/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files there are. */
#include "procnet/procnet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* IPv6's, of which weir has none: there, and with nothing in it. */
static void procnet_nothing(const struct procnet *p, FILE *out)
{
	(void)p;
	(void)out;
}

static const struct {
	const char *name;
	void (*fn)(const struct procnet *p, FILE *out);
} files[] = {
	{ "arp", procnet_arp },		  { "dev", procnet_dev },
	{ "if_inet6", procnet_nothing },  { "ipv6_route", procnet_nothing },
	{ "netstat", procnet_netstat },	  { "raw", procnet_raw },
	{ "raw6", procnet_raw6 },	  { "route", procnet_route },
	{ "snmp", procnet_snmp },	  { "snmp6", procnet_nothing },
	{ "sockstat", procnet_sockstat }, { "sockstat6", procnet_nothing },
	{ "tcp", procnet_tcp },		  { "tcp6", procnet_tcp6 },
	{ "udp", procnet_udp },		  { "udp6", procnet_udp6 },
};

int procnet_read(const struct procnet *p, const char *name, char **text, size_t *len)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *out;
		bool failed;

		if (strcmp(files[i].name, name) != 0)
			continue;
		out = open_memstream(text, len);
		if (!out)
			return -ENOMEM;
		files[i].fn(p, out);
		failed = ferror(out);
		if (fclose(out) == 0 && !failed)
			return 0;
		free(*text);
		return -ENOMEM;
	}
	return -ENOENT;
}
