/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inet/inet.h"

#define ADDRESSES_MAX 256u

static struct setup_address addresses[ADDRESSES_MAX];
static unsigned int address_count;

const struct setup_address *setup_address(unsigned int n)
{
	return n < address_count ? &addresses[n] : NULL;
}

static int parse_number(const char *text, unsigned long max, unsigned long *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*number = strtoul(text, &end, 10);
	return errno || *end || *number > max ? -EINVAL : 0;
}

int setup_parse_prefix(const char *text, struct ipaddr *addr, unsigned int *prefix_len)
{
	char copy[INET_ADDRSTRLEN + 4];
	unsigned long len = 32;
	struct in_addr ip4;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		if (parse_number(slash + 1, 32, &len))
			return -EINVAL;
	}
	if (inet_pton(AF_INET, copy, &ip4) != 1)
		return -EINVAL;
	*addr = ipaddr_from_ip4(ip4.s_addr);
	*prefix_len = (unsigned int)len;
	return 0;
}

static bool prefix_holds(const struct setup_address *a, const struct ipaddr *addr)
{
	uint32_t mask = a->prefix_len ? htonl(~0u << (32 - a->prefix_len)) : 0;

	return ((ipaddr_ip4(&a->addr) ^ ipaddr_ip4(addr)) & mask) == 0;
}

/* Port i of the engine is interface i + 1. */
static int find_port(struct engine *engine, const char *name)
{
	unsigned int ifindex = inet_ifindex(engine->worker[0], name);
	unsigned long number;

	if (ifindex != 0)
		return (int)ifindex;
	if (parse_number(name, engine->port_count, &number) == 0 && number > 0)
		return (int)number;
	return -ENODEV;
}

/* The names of the ports, for a message. */
static const char *port_names(struct engine *engine)
{
	static char names[256];
	size_t at = 0;

	names[0] = '\0';
	for (unsigned int i = 0; i < engine->port_count && at < sizeof(names) - 1; i++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
				       engine->port[i]->name);
	return names;
}

int setup_port(struct engine *engine, const char *spec, char error[ENGINE_ERROR_BYTES])
{
	return engine_port_add(engine, spec, error);
}

int setup_addr(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES])
{
	char copy[INET_ADDRSTRLEN + 4 + PORT_NAME_BYTES + 2];
	int ifindex = (int)engine->port_count, err;
	struct setup_address a;
	char *at;

	snprintf(copy, sizeof(copy), "%s", text);
	at = strchr(copy, '@');
	if (at)
		*at = '\0';
	if (strlen(text) >= sizeof(copy) || !strchr(copy, '/') ||
	    setup_parse_prefix(copy, &a.addr, &a.prefix_len)) {
		snprintf(error, ENGINE_ERROR_BYTES,
			 "'%.64s' is not an address: write it as "
			 "198.18.0.2/24, or 198.18.0.2/24@PORT",
			 text);
		return -EINVAL;
	}
	if (at)
		ifindex = find_port(engine, at + 1);
	if (ifindex < 0) {
		snprintf(error, ENGINE_ERROR_BYTES,
			 "address '%.64s': there is no port '%s'; the "
			 "ports are: %s",
			 text, at + 1, port_names(engine));
		return ifindex;
	}
	if (address_count == ADDRESSES_MAX) {
		snprintf(error, ENGINE_ERROR_BYTES, "more than %u addresses", ADDRESSES_MAX);
		return -ENOSPC;
	}
	a.ifindex = (unsigned int)ifindex;
	err = engine_addr_add(engine, a.ifindex, &a.addr, a.prefix_len);
	if (err)
		snprintf(error, ENGINE_ERROR_BYTES, "address '%.64s' cannot be added: %s", text,
			 err == -EEXIST ? "it is there already" : strerror(-err));
	else
		addresses[address_count++] = a;
	return err;
}

/* The interface on whose network the gateway is. */
static int gateway_port(const struct ipaddr *gateway)
{
	const struct setup_address *best = NULL;

	for (unsigned int i = 0; i < address_count; i++)
		if (prefix_holds(&addresses[i], gateway) &&
		    (!best || addresses[i].prefix_len > best->prefix_len))
			best = &addresses[i];
	return best ? (int)best->ifindex : -ENETUNREACH;
}

static int route_syntax(const char *text, char error[ENGINE_ERROR_BYTES])
{
	snprintf(error, ENGINE_ERROR_BYTES,
		 "'%.96s' is not a route: write it as '198.18.1.0/24 via "
		 "198.18.0.1', 'default via 198.18.0.1' or '198.18.1.0/24 dev PORT'",
		 text);
	return -EINVAL;
}

int setup_route(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES])
{
	char to[32], how[8], where[PORT_NAME_BYTES], rest;
	struct ipaddr prefix, gateway = ipaddr_any();
	unsigned int prefix_len, host_len;
	int ifindex, err;

	if (sscanf(text, " %31s %7s %31s %c", to, how, where, &rest) != 3)
		return route_syntax(text, error);
	if (setup_parse_prefix(strcmp(to, "default") == 0 ? "0.0.0.0/0" : to, &prefix, &prefix_len))
		return route_syntax(text, error);
	if (strcmp(how, "dev") == 0) {
		ifindex = find_port(engine, where);
	} else if (strcmp(how, "via") == 0) {
		if (strchr(where, '/') || setup_parse_prefix(where, &gateway, &host_len))
			return route_syntax(text, error);
		ifindex = gateway_port(&gateway);
	} else {
		return route_syntax(text, error);
	}
	if (ifindex == -ENODEV) {
		snprintf(error, ENGINE_ERROR_BYTES,
			 "route '%.96s': there is no port '%s'; the ports "
			 "are: %s",
			 text, where, port_names(engine));
		return ifindex;
	}
	if (ifindex < 0) {
		snprintf(error, ENGINE_ERROR_BYTES,
			 "route '%.96s': the gateway is on no network of "
			 "ours; add an address of its network first (--addr)",
			 text);
		return ifindex;
	}
	err = engine_route_add(engine, &prefix, prefix_len, &gateway, (unsigned int)ifindex);
	if (err)
		snprintf(error, ENGINE_ERROR_BYTES, "route '%.96s' cannot be added: %s", text,
			 err == -EEXIST ? "it is there already" : strerror(-err));
	return err;
}
