/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files there are. */
#include "procnet/procnet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* weir has no IPv6 sockets: the heads alone. */
#define HEAD6                                                                                      \
	"  sl  local_address                         remote_address                        st "    \
	"tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
#define DGRAM_HEAD6 HEAD6 " ref pointer drops\n"

static const struct {
	const char *name;
	void (*fn)(const struct procnet *p, FILE *out);
	const char *text; /* without a function: all that is in it */
} files[] = {
	{ "arp", procnet_arp, NULL },
	{ "dev", procnet_dev, NULL },
	{ "if_inet6", NULL, "" },
	{ "ipv6_route", NULL, "" },
	{ "netstat", procnet_netstat, NULL },
	{ "raw", procnet_raw, NULL },
	{ "raw6", NULL, DGRAM_HEAD6 },
	{ "route", procnet_route, NULL },
	{ "snmp", procnet_snmp, NULL },
	{ "snmp6", NULL, "" },
	{ "sockstat", procnet_sockstat, NULL },
	{ "sockstat6", NULL, "" },
	{ "tcp", procnet_tcp, NULL },
	{ "tcp6", NULL, HEAD6 "\n" },
	{ "udp", procnet_udp, NULL },
	{ "udp6", NULL, DGRAM_HEAD6 },
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
		if (files[i].fn)
			files[i].fn(p, out);
		else
			fputs(files[i].text, out);
		failed = ferror(out);
		if (fclose(out) == 0 && !failed)
			return 0;
		free(*text);
		return -ENOMEM;
	}
	return -ENOENT;
}
