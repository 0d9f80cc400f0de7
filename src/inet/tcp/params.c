/* SPDX-License-Identifier: BSD-3-Clause */
#include "inet/tcp/params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inet/tcp/cc.h"

struct param {
	const char *name, *text;
	size_t offset;
	unsigned int n; /* numbers; 0: the name of a controller, or all of them */
	int32_t initial[3], min, max;
	bool any_order; /* numbers need not rise */
};

#define AVAILABLE "tcp_available_congestion_control"

static const struct param params_table[] = {
#define NUMBERS(param, count, low, high, words)                                                    \
	.name = #param, .text = words, .offset = offsetof(struct tcp_params, param), .n = count,   \
	.min = low, .max = high
#define TCP_PARAM(param, first, low, high, words)                                                  \
	{ NUMBERS(param, 1, low, high, words), .initial = { first } },
#define TCP_PARAM_2(param, first, last, low, high, words)                                          \
	{ NUMBERS(param, 2, low, high, words), .initial = { first, last } },
#define TCP_PARAM_PAIR(param, first, last, low, high, words)                                       \
	{ NUMBERS(param, 2, low, high, words), .initial = { first, last }, .any_order = true },
#define TCP_PARAM_3(param, first, second, third, words)                                            \
	{ NUMBERS(param, 3, 1, INT32_MAX, words), .initial = { first, second, third } },
#include "inet/tcp/params.def"
#undef TCP_PARAM
#undef TCP_PARAM_2
#undef TCP_PARAM_PAIR
#undef TCP_PARAM_3
#undef NUMBERS
	{ .name = "tcp_congestion_control",
	  .text = "the congestion controller of new sockets",
	  .offset = offsetof(struct tcp_params, tcp_congestion_control) },
	{ .name = AVAILABLE, .text = "the congestion controllers there are (read only)" },
};

#define PARAMS (sizeof(params_table) / sizeof(params_table[0]))

static int32_t *numbers(struct tcp_params *params, const struct param *p)
{
	return (int32_t *)(void *)((char *)params + p->offset);
}

void tcp_params_init(struct tcp_params *params)
{
	for (unsigned int i = 0; i < PARAMS; i++)
		memcpy(numbers(params, &params_table[i]), params_table[i].initial,
		       params_table[i].n * sizeof(int32_t));
	strcpy(params->tcp_congestion_control, tcp_cc_at(0)->name);
}

const char *tcp_params_short(const char *name)
{
	static const char *const prefixes[] = { "net.ipv4.", "net.core." };

	for (unsigned int i = 0; i < 2; i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return name + strlen(prefixes[i]);
	return name;
}

static const struct param *find(const char *name)
{
	name = tcp_params_short(name);
	for (unsigned int i = 0; i < PARAMS; i++)
		if (!strcmp(name, params_table[i].name))
			return &params_table[i];
	return NULL;
}

static int set_controller(struct tcp_params *params, const char *value)
{
	const struct tcp_cc_ops *cc = tcp_cc_find(value, (uint32_t)strlen(value));

	if (!cc)
		return -ENOENT;
	strcpy(params->tcp_congestion_control, cc->name);
	return 0;
}

int tcp_params_set(struct tcp_params *params, const char *name, const char *value)
{
	const struct param *p = find(name);
	int32_t fresh[3];
	char *end;

	if (!p)
		return -ENOENT;
	if (!strcmp(p->name, AVAILABLE))
		return -EACCES;
	if (p->n == 0)
		return set_controller(params, value);
	for (unsigned int i = 0; i < p->n; i++) {
		long long v;

		errno = 0;
		v = strtoll(value, &end, 0);
		if (end == value || (*end && *end != ' ' && *end != '\t'))
			return -EINVAL;
		if (errno || v < p->min || v > p->max)
			return -ERANGE;
		fresh[i] = (int32_t)v;
		value = end;
	}
	if (value[strspn(value, " \t")])
		return -EINVAL;
	for (unsigned int i = 1; i < p->n && !p->any_order; i++)
		if (fresh[i - 1] > fresh[i])
			return -ERANGE;
	memcpy(numbers(params, p), fresh, p->n * sizeof(int32_t));
	return 0;
}

static int available(char *value, size_t room)
{
	const struct tcp_cc_ops *cc;
	size_t len = 0;

	for (unsigned int i = 0; (cc = tcp_cc_at(i)); i++) {
		int n = snprintf(value + len, room - len, "%s%s", i ? " " : "", cc->name);

		len += (size_t)n;
		if (len >= room)
			return -ENOSPC;
	}
	return 0;
}

int tcp_params_get(const struct tcp_params *params, const char *name, char *value, size_t room)
{
	const struct param *p = find(name);
	const int32_t *v;
	int len;

	if (!p)
		return -ENOENT;
	if (!strcmp(p->name, AVAILABLE))
		return available(value, room);
	v = numbers((struct tcp_params *)params, p);
	if (p->n == 0)
		len = snprintf(value, room, "%s", params->tcp_congestion_control);
	else if (p->n == 1)
		len = snprintf(value, room, "%d", v[0]);
	else if (p->n == 2)
		len = snprintf(value, room, "%d %d", v[0], v[1]);
	else
		len = snprintf(value, room, "%d %d %d", v[0], v[1], v[2]);
	return (size_t)len < room ? 0 : -ENOSPC;
}

const char *tcp_params_name(unsigned int i, const char **text)
{
	if (i >= PARAMS)
		return NULL;
	*text = params_table[i].text;
	return params_table[i].name;
}

int tcp_params_bounds(const char *name, unsigned int *n, int32_t *min, int32_t *max)
{
	const struct param *p = find(name);

	if (!p)
		return -ENOENT;
	*n = p->n;
	*min = p->min;
	*max = p->max;
	return 0;
}
