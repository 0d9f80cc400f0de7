/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters of TCP in the words of sysctl(8): what is wrong with them is said so that it helps. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bin/weird/setup.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"

#define NAME_BYTES 64u

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* How many letters have to be put in, taken out or changed to make one of the other. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_BYTES + 1], n = (unsigned int)strlen(b);

	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 0; a[i]; i++) {
		unsigned int corner = row[0];

		row[0] = i + 1;
		for (unsigned int j = 0; j < n; j++) {
			unsigned int change = corner + (a[i] != b[j]);

			corner = row[j + 1];
			row[j + 1] = least(change, least(row[j], row[j + 1]) + 1);
		}
	}
	return row[n];
}

/* The parameter that was meant, perhaps; NULL: no idea. */
static const char *nearest(const char *name)
{
	unsigned int best = least(4, (unsigned int)strlen(name) / 3 + 1);
	const char *near = NULL, *holds = NULL, *candidate, *text;

	name = tcp_params_short(name);
	for (unsigned int i = 0; (candidate = tcp_params_name(i, &text)) != NULL; i++) {
		unsigned int far = distance(name, candidate);

		if (far < best) {
			best = far;
			near = candidate;
		}
		if (holds == NULL && name[0] && strstr(candidate, name) != NULL)
			holds = candidate;
	}
	return near != NULL ? near : holds;
}

int setup_sysctl_unknown(const char *name, char error[ENGINE_ERROR_BYTES])
{
	const char *near = strlen(name) <= NAME_BYTES ? nearest(name) : NULL;

	if (near != NULL)
		snprintf(error, ENGINE_ERROR_BYTES,
			 "there is no parameter '%.64s'; did you mean %s? (weir sysctl lists them)",
			 name, near);
	else
		snprintf(error, ENGINE_ERROR_BYTES,
			 "there is no parameter '%.64s': weir sysctl lists them", name);
	return -ENOENT;
}

static int refused(const char *name, const char *value, int err, const char *controllers,
		   char error[ENGINE_ERROR_BYTES])
{
	unsigned int n = 1;
	int32_t min = 0, max = 0;

	if (tcp_params_bounds(name, &n, &min, &max) != 0)
		return setup_sysctl_unknown(name, error);
	if (err == -EACCES)
		snprintf(error, ENGINE_ERROR_BYTES, "%s can only be read", name);
	else if (n == 0)
		snprintf(error, ENGINE_ERROR_BYTES,
			 "%s: there is no controller '%.32s'; there are: %s", name, value,
			 controllers);
	else if (n > 1)
		snprintf(error, ENGINE_ERROR_BYTES,
			 "%s: '%.64s' is wrong: %u numbers from %d to %d are wanted, none "
			 "smaller than the one before",
			 name, value, n, min, max);
	else
		snprintf(error, ENGINE_ERROR_BYTES, "%s: '%.64s' is not a number from %d to %d",
			 name, value, min, max);
	return err;
}

int setup_sysctl_set(struct engine *engine, const char *name, const char *value,
		     char error[ENGINE_ERROR_BYTES])
{
	char controllers[256] = "";
	int err = engine_param_set(engine, name, value);

	if (err == 0)
		return 0;
	tcp_params_get(tcp_params(engine->worker[0]), "tcp_available_congestion_control",
		       controllers, sizeof(controllers));
	return refused(name, value, err, controllers, error);
}

int setup_sysctl(struct engine *engine, const char *text, char error[ENGINE_ERROR_BYTES])
{
	const char *equal = strchr(text, '='), *value;
	char name[NAME_BYTES + 1];
	size_t len;

	if (equal == NULL || equal == text) {
		snprintf(error, ENGINE_ERROR_BYTES,
			 "sysctl '%.64s': write it as NAME=VALUE, as in tcp_ecn=1", text);
		return -EINVAL;
	}
	len = (size_t)(equal - text);
	while (len > 0 && text[len - 1] == ' ')
		len--;
	snprintf(name, sizeof(name), "%.*s", (int)least((unsigned int)len, NAME_BYTES), text);
	value = equal + 1 + strspn(equal + 1, " \t");
	return setup_sysctl_set(engine, name, value, error);
}
