/* SPDX-License-Identifier: BSD-3-Clause */
/* A line of /etc/nsswitch.conf without what names.c leaves out. Pure. */
#include "shim/call/names.h"

#include <stdio.h>
#include <string.h>

/* Modules that answer for the host's network; a star for any end. */
static const char *const of_the_host[] = { "resolve", "mdns*", "mymachines", "libvirt*", "wins" };

static bool is_of_the_host(const char *module, size_t len)
{
	for (size_t i = 0; i < sizeof(of_the_host) / sizeof(of_the_host[0]); i++) {
		const char *name = of_the_host[i];
		size_t n = strcspn(name, "*");

		if (strncmp(module, name, n) == 0 && (name[n] == '*' ? len >= n : len == n))
			return true;
	}
	return false;
}

static void append(char *to, size_t room, const char *text, size_t len)
{
	size_t used = strlen(to);

	snprintf(to + used, room - used, "%s%.*s", used ? " " : "", (int)len, text);
}

/* The words of a line; an action in brackets is one, and goes with the module before it. */
void names_filter(const char *line, char *list, size_t room, char *left_out, size_t left_room)
{
	bool dropped = false, dns = false;

	*list = *left_out = '\0';
	while (*line) {
		size_t len = *line == '[' ? strcspn(line, "]") + 1 : strcspn(line, " \t[");

		if (len > strlen(line))
			len = strlen(line);
		if (*line != '[') {
			dropped = is_of_the_host(line, len);
			dns |= len == 3 && strncmp(line, "dns", 3) == 0;
		}
		if (*line != '[' && dropped)
			append(left_out, left_room, line, len);
		else if (len && !dropped)
			append(list, room, line, len);
		line += len;
		line += strspn(line, " \t");
	}
	/* Where one of them was the only way to a name server. */
	if (!dns && *left_out)
		append(list, room, "dns", 3);
}
