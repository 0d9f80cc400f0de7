/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names that programs look up are asked for over weir. The C library's resolver is (its calls are
 * rewritten); but /etc/nsswitch.conf may name modules that ask a process of the host's over a UNIX
 * socket or D-Bus (systemd-resolved, avahi, ...), and a cache of hosts (nscd) is asked before all
 * of them: their answers are those of the host's network. So the process's own list of modules for
 * hosts leaves them out; that a list was set by hand also keeps the C library from nscd. What the
 * list has besides stays: files, dns, and myhostname, which asks for weir's addresses.
 */
#include "shim/call/names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <nss.h>
#include <stdio.h>
#include <unistd.h>

#define CONF "/etc/nsswitch.conf"
#define CONF_BYTES 8192
#define LINE_BYTES 512
#define PORT_BE htons(53)

static char skipped[64];

/* The hosts: line of /etc/nsswitch.conf, or what holds where there is none. */
static void hosts_line(char *line, size_t room)
{
	char text[CONF_BYTES], *at = text, *end;
	int fd = open(CONF, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : R(read)(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		R(close)(fd);
	text[n > 0 ? n : 0] = '\0';
	snprintf(line, room, "files dns");
	for (; at && *at; at = end ? end + 1 : NULL) {
		end = strchr(at, '\n');
		at += strspn(at, " \t");
		if (strncmp(at, "hosts:", 6) == 0) {
			at += 6;
			at += strspn(at, " \t");
			snprintf(line, room, "%.*s", (int)strcspn(at, "#\n"), at);
		}
	}
}

void names_start(void)
{
	char line[LINE_BYTES], list[LINE_BYTES];
	int saved = errno;

	hosts_line(line, sizeof(line));
	names_filter(line, list, sizeof(list), skipped, sizeof(skipped));
	__nss_configure_lookup("hosts", list);
	errno = saved;
}

void names_asked(uint16_t port_be)
{
	static _Atomic bool told;

	if (likely(port_be != PORT_BE) || !*skipped || atomic_exchange(&told, true))
		return;
	session_notef("names: %s of " CONF " would ask the host's network: not asked", skipped);
}

void names_refused(const struct abi_sock *shm, int err)
{
	static _Atomic bool told;
	char addr[INET_ADDRSTRLEN], text[400];
	uint32_t be;

	if (err != ECONNREFUSED || shm->peer_port_be != PORT_BE || !ipaddr_is_ip4(&shm->peer_addr))
		return;
	be = ipaddr_ip4(&shm->peer_addr);
	if ((ntohl(be) >> 24) != 127 || atomic_exchange(&told, true))
		return;
	inet_ntop(AF_INET, &be, addr, sizeof(addr));
	session_notef("names: no name server listens on weir's %s; see weir-run(1)", addr);
	snprintf(text, sizeof(text),
		 "weir: /etc/resolv.conf names %s, where the host has a name server and weir none. "
		 "Name one that weir reaches, or ask the host's: weir run --kernel %s -- %s\n",
		 addr, addr, program_invocation_short_name);
	session_say(text);
}
