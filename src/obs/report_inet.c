/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and routes. Looks into inet's state, which no other function gives out as a list. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inet/inet.h"
#include "inet/state.h"
#include "obs/report.h"

const char *report_addr(const struct ipaddr *addr, char *text)
{
	if (ipaddr_is_any(addr))
		return strcpy(text, "0.0.0.0");
	if (ipaddr_is_ip4(addr))
		inet_ntop(AF_INET, &addr->w[3], text, REPORT_ADDR_BYTES);
	else
		inet_ntop(AF_INET6, addr->b, text, REPORT_ADDR_BYTES);
	return text;
}

const char *report_endpoint(const struct endpoint *endpoint, char *text)
{
	bool six = !ipaddr_is_any(&endpoint->addr) && !ipaddr_is_ip4(&endpoint->addr);
	char addr[REPORT_ADDR_BYTES];

	report_addr(&endpoint->addr, addr);
	if (endpoint->port_be)
		snprintf(text, REPORT_ADDR_BYTES, six ? "[%.46s]:%u" : "%.46s:%u", addr,
			 ntohs(endpoint->port_be));
	else
		snprintf(text, REPORT_ADDR_BYTES, "%.46s:*", addr);
	return text;
}

static const char *port_name(struct worker *w, unsigned int ifindex)
{
	struct port *port = inet_netif_port(w, ifindex);

	return port ? port->name : "?";
}

json_t *report_addresses(struct worker *w)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < w->inet->addr_count; i++) {
		const struct inet_addr *a = &w->inet->addr[i];
		char addr[REPORT_ADDR_BYTES], text[REPORT_ADDR_BYTES + 4];

		snprintf(text, sizeof(text), "%s/%u", report_addr(&a->addr, addr), a->prefix_len);
		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:s}", "address", text, "ifindex",
						(int)a->ifindex, "dev", port_name(w, a->ifindex)));
	}
	return list;
}

static int route_compare(const void *a, const void *b)
{
	const struct route *x = *(const struct route *const *)a;
	const struct route *y = *(const struct route *const *)b;
	int order = memcmp(x->prefix.b, y->prefix.b, sizeof(x->prefix.b));

	return order ? order : (int)x->len - (int)y->len;
}

static json_t *route_report(struct worker *w, const struct route *r)
{
	/* 0.0.0.0/0 has as many bits as what makes a prefix IPv4's. */
	bool four = ipaddr_is_ip4(&r->prefix) ||
		    (r->len == ROUTE_IP4_BITS && ipaddr_is_any(&r->prefix));
	unsigned int len = four ? r->len - ROUTE_IP4_BITS : r->len;
	char addr[REPORT_ADDR_BYTES], text[REPORT_ADDR_BYTES + 4], via[REPORT_ADDR_BYTES] = "";

	if (len == 0)
		snprintf(text, sizeof(text), "default");
	else
		snprintf(text, sizeof(text), "%s/%u", report_addr(&r->prefix, addr), len);
	if (!ipaddr_is_any(&r->gateway))
		report_addr(&r->gateway, via);
	return json_pack("{s:s, s:s, s:i, s:s, s:b}", "prefix", text, "via", via, "ifindex",
			 (int)r->ifindex, "dev", port_name(w, r->ifindex), "connected",
			 (int)r->connected);
}

json_t *report_routes(struct worker *w)
{
	const struct route_table *t = &w->inet->routes;
	const struct route **sorted = calloc(t->count ? t->count : 1, sizeof(*sorted));
	json_t *list = json_array();
	uint32_t n = 0;

	for (uint32_t i = 0; sorted && i < t->slot_count && n < t->count; i++) {
		if (t->slots[i].used)
			sorted[n++] = &t->slots[i];
	}
	if (sorted)
		qsort(sorted, n, sizeof(*sorted), route_compare);
	for (uint32_t i = 0; list && i < n; i++)
		json_array_append_new(list, route_report(w, sorted[i]));
	free(sorted);
	return list;
}
