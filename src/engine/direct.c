/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The direct placement (weir.h): the engine lives in the caller's thread. Opening, the clock, the
 * wire, the ledger; the socket calls are in direct_sock.c and direct_io.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "dev/wire.h"
#include "engine/direct.h"
#include "inet/tcp/mib.h"
#include "inet/tcp/tcp.h"
#include "sock/sock.h"

#define ADVANCE_TURNS_MAX 100000u /* at one instant: a loop of packets must not hang the caller */

int direct_fail(int error)
{
	errno = error;
	return -1;
}

static uint64_t clock_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int parse_prefix(const char *text, struct ipaddr *ip, unsigned int *len)
{
	char addr[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct in_addr in;
	char *end;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (inet_pton(AF_INET, addr, &in) != 1)
		return -EINVAL;
	*ip = ipaddr_from_ip4(in.s_addr);
	*len = 32;
	if (slash != NULL) {
		*len = (unsigned int)strtoul(slash + 1, &end, 10);
		if (*end != '\0' || end == slash + 1 || *len > 32)
			return -EINVAL;
	}
	return 0;
}

__attribute__((format(printf, 3, 4))) static int explain(char *error, int ret, const char *format,
							 ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error, WEIR_ERROR_BYTES, format, ap);
	va_end(ap);
	return ret;
}

static int add_addr(struct weir *weir, unsigned int ifindex, const char *text, char *error)
{
	unsigned int len;
	struct ipaddr ip;
	int ret;

	if (parse_prefix(text, &ip, &len) != 0)
		return explain(error, -EINVAL, "address %s: write it as 198.18.0.2/24", text);
	ret = engine_addr_add(weir->engine, ifindex, &ip, len);
	return ret == 0 ? 0 : explain(error, ret, "address %s: %s", text, strerror(-ret));
}

/* A wire, or a fault link around one? */
static bool spec_is_wire(const char *spec)
{
	while (spec != NULL &&
	       (strncmp(spec, "fault,", 6) == 0 || strncmp(spec, "fault:", 6) == 0)) {
		spec = strchr(spec, ':');
		spec = spec != NULL ? spec + 1 : NULL;
	}
	return spec != NULL && strncmp(spec, "wire", 4) == 0 && (spec[4] == '\0' || spec[4] == ',');
}

static int add_ports(struct weir *weir, const struct weir_config *config, char *error)
{
	for (unsigned int i = 0; i < config->port_count; i++) {
		const struct weir_port *port = &config->ports[i];
		int ret;

		if (i >= PORT_MAX)
			return explain(error, -EINVAL, "more than %u ports", PORT_MAX);
		ret = engine_port_add(weir->engine, port->spec, error);
		if (ret < 0)
			return ret;
		weir->is_wire[i] = spec_is_wire(port->spec);
		weir->ifindex[weir->port_count++] = (unsigned int)ret;
		for (unsigned int a = 0; port->addrs != NULL && port->addrs[a] != NULL; a++) {
			ret = add_addr(weir, weir->ifindex[i], port->addrs[a], error);
			if (ret != 0)
				return ret;
		}
	}
	return 0;
}

static int add_routes(struct weir *weir, const struct weir_config *config, char *error)
{
	for (unsigned int i = 0; i < config->route_count; i++) {
		const struct weir_route *route = &config->routes[i];
		struct ipaddr prefix, gateway = ipaddr_any();
		unsigned int len, host;
		int ret;

		if (route->port >= weir->port_count ||
		    parse_prefix(route->prefix, &prefix, &len) != 0 ||
		    (route->gateway != NULL && parse_prefix(route->gateway, &gateway, &host) != 0))
			return explain(error, -EINVAL, "route %s: prefix, gateway or port is wrong",
				       route->prefix);
		ret = engine_route_add(weir->engine, &prefix, len, &gateway,
				       weir->ifindex[route->port]);
		if (ret != 0)
			return explain(error, ret, "route %s: %s", route->prefix, strerror(-ret));
	}
	engine_forwarding(weir->engine, config->forwarding);
	return 0;
}

static int open_session(struct weir *weir, const struct weir_config *config, char *error)
{
	const uint32_t group = getegid();
	struct family_params params = {
		.net_raw = true,
		.groups = &group,
		.group_count = 1,
		.name = "direct",
		.arena_bytes = config->memory_bytes,
		.socks = config->sockets,
		.workers = &weir->w,
		.worker_count = 1,
	};
	uint64_t offset;
	uint32_t index;
	int ret = session_create(&params, 0, &weir->session);

	if (ret == 0)
		ret = session_channel(weir->session, 0, -1, ABI_CQ_THREAD, &index, &offset);
	if (ret != 0)
		return explain(error, ret, "memory for sockets: %s", strerror(-ret));
	weir->arena = session_arena(weir->session);
	weir->channel = (struct abi_channel *)((uint8_t *)weir->arena + offset);
	return 0;
}

static int open_all(struct weir *weir, const struct weir_config *config, char *error)
{
	struct engine_config engine = {
		.workers = 1,
		.packets = config->packets,
		.eal_args = config->eal_args,
		.virtual_time = config->virtual_time,
		.seed = config->seed,
		.now_ns = config->virtual_time ? config->start_ns : clock_monotonic_ns(),
	};
	int ret = engine_open(&engine, &weir->engine, error);

	if (ret != 0)
		return ret;
	weir->w = weir->engine->worker[0];
	ret = add_ports(weir, config, error);
	if (ret == 0)
		ret = add_routes(weir, config, error);
	return ret == 0 ? open_session(weir, config, error) : ret;
}

struct weir *weir_engine_open(const struct weir_config *config, char *error)
{
	struct weir *weir = calloc(1, sizeof(*weir));
	int ret = -ENOMEM;

	error[0] = '\0';
	if (weir != NULL) {
		weir->virtual_time = config->virtual_time;
		weir->fd_free = DIRECT_FD_NONE;
		ret = open_all(weir, config, error);
	} else {
		explain(error, ret, "out of memory");
	}
	if (ret == 0)
		return weir;
	weir_engine_close(weir);
	errno = -ret;
	return NULL;
}

void weir_engine_close(struct weir *weir)
{
	if (weir == NULL)
		return;
	if (weir->session != NULL)
		session_destroy(weir->session);
	if (weir->engine != NULL)
		engine_close(weir->engine);
	free(weir->fd);
	free(weir);
}

uint64_t weir_engine_now(struct weir *weir)
{
	return weir->virtual_time ? weir->w->now_ns : clock_monotonic_ns();
}

unsigned int weir_engine_poll(struct weir *weir)
{
	return engine_poll(weir->engine, 0, weir_engine_now(weir));
}

uint64_t weir_engine_next_timer(struct weir *weir)
{
	return engine_next_ns(weir->engine, 0);
}

static void settle_at(struct weir *weir, uint64_t now_ns)
{
	for (unsigned int i = 0; i < ADVANCE_TURNS_MAX; i++)
		if (engine_poll(weir->engine, 0, now_ns) == 0 && !sock_pending(weir->w))
			break;
}

int weir_engine_advance(struct weir *weir, uint64_t ns)
{
	uint64_t end = weir->w->now_ns + ns, next;

	if (!weir->virtual_time)
		return direct_fail(EINVAL);
	settle_at(weir, weir->w->now_ns);
	while ((next = engine_next_ns(weir->engine, 0)) < end)
		settle_at(weir, next > weir->w->now_ns ? next : weir->w->now_ns + 1);
	settle_at(weir, end);
	return 0;
}

int weir_sysctl(struct weir *weir, const char *name, const char *value)
{
	int ret = engine_param_set(weir->engine, name, value);

	return ret == 0 ? 0 : direct_fail(-ret);
}

int weir_sysctl_get(struct weir *weir, const char *name, char *value, size_t room)
{
	int ret = tcp_param_get(weir->w, name, value, (uint32_t)room);

	return ret == 0 ? 0 : direct_fail(-ret);
}

int64_t weir_tcp_counter(struct weir *weir, const char *name)
{
	int i = tcp_mib_find(name);

	return i < 0 ? -1 : (int64_t)engine_tcp_counter(weir->engine, (unsigned int)i);
}

static struct port *port_of(struct weir *weir, unsigned int port)
{
	return port < weir->port_count ? weir->engine->port[weir->ifindex[port] - 1] : NULL;
}

int weir_wire_put(struct weir *weir, unsigned int port, const void *frame, size_t len)
{
	struct port *p = port_of(weir, port);
	int ret = p != NULL && weir->is_wire[port] ? wire_put(p, frame, len) : -EINVAL;

	return ret == 0 ? 0 : direct_fail(-ret);
}

ssize_t weir_wire_take(struct weir *weir, unsigned int port, void *frame, size_t room)
{
	struct port *p = port_of(weir, port);

	if (p == NULL || !weir->is_wire[port])
		return direct_fail(EINVAL);
	return (ssize_t)wire_take(p, frame, room);
}

int weir_port_mac(struct weir *weir, unsigned int port, uint8_t mac[6])
{
	struct port *p = port_of(weir, port);

	if (p == NULL)
		return direct_fail(EINVAL);
	memcpy(mac, p->mac, 6);
	return 0;
}

void weir_ledger(struct weir *weir, struct weir_ledger *out)
{
	const struct ledger *l = &weir->w->ledger;

	*out = (struct weir_ledger){
		.entered = l->entered,
		.originated = l->originated,
		.delivered = l->fate[FATE_DELIVERED],
		.transmitted = l->fate[FATE_TRANSMITTED],
		.forwarded = l->fate[FATE_FORWARDED],
		.absorbed = l->fate[FATE_ABSORBED],
		.dropped = l->dropped,
		.held = l->held,
		.alloc_failed = l->alloc_failed,
		.balance = ledger_balance(l),
	};
}

void weir_drops(struct weir *weir, void (*fn)(const struct weir_drop *drop, void *arg), void *arg)
{
	const struct ledger *l = &weir->w->ledger;

	for (uint32_t i = 0; i < l->site_count; i++) {
		const struct drop_site *site = &__start_weir_drop_sites[i];

		for (unsigned int reason = 0; reason < DROP_REASON_MAX; reason++) {
			const struct drop_reason_info *info = drop_reason_info(reason);
			struct weir_drop drop = {
				info->name, info->text, site->function,
				site->file, site->line, l->drops[i * DROP_REASON_MAX + reason],
			};

			if (drop.count != 0)
				fn(&drop, arg);
		}
	}
}

uint64_t weir_drops_of(struct weir *weir, const char *reason)
{
	for (unsigned int i = 0; i < DROP_REASON_MAX; i++)
		if (strcmp(drop_reason_info(i)->name, reason) == 0)
			return ledger_drops_of(&weir->w->ledger, (enum drop_reason)i);
	return 0;
}

bool weir_pool_is_full(struct weir *weir)
{
	return worker_pool_is_full(weir->w);
}
