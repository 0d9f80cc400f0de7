/* SPDX-License-Identifier: BSD-3-Clause */
/* Parser of port specifications. Control path only. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/driver.h"

int port_fail(char *error, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, PORT_ERROR_BYTES, format, args);
	va_end(args);
	return err;
}

const char *spec_get(const struct spec *s, const char *key)
{
	for (unsigned int i = 0; i < s->count; i++) {
		if (strcmp(s->key[i], key) == 0)
			return s->value[i];
	}
	return NULL;
}

static bool spec_is_known(const char *key, const char *const *known)
{
	for (; *known; known++) {
		if (strcmp(key, *known) == 0)
			return true;
	}
	return false;
}

static int spec_unknown(const char *what, const char *key, const char *const *known, char *error)
{
	char list[160] = "";
	size_t at = 0;

	for (; *known && at < sizeof(list) - 1; known++) {
		int n = snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "", *known);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	if (!list[0])
		return port_fail(error, -EINVAL, "%s: takes no options, but \"%.40s\" was given",
				 what, key);
	return port_fail(error, -EINVAL, "%s: no option \"%.40s\"; there are: %s", what, key, list);
}

int spec_parse(struct spec *s, const char *what, const char *text, const char *const *known,
	       char *error)
{
	char *save = NULL;

	memset(s, 0, sizeof(*s));
	if (strlen(text) >= sizeof(s->text))
		return port_fail(error, -E2BIG, "%s: the specification is longer than %u bytes",
				 what, SPEC_BYTES - 1);
	strcpy(s->text, text);
	for (char *word = strtok_r(s->text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(word, '=');

		if (equals)
			*equals = '\0';
		if (!spec_is_known(word, known))
			return spec_unknown(what, word, known, error);
		if (!equals || !equals[1])
			return port_fail(error, -EINVAL,
					 "%s: option %.40s needs a value: %.40s=...", what, word,
					 word);
		if (spec_get(s, word))
			return port_fail(error, -EINVAL, "%s: option %.40s is given twice", what,
					 word);
		if (s->count == SPEC_MAX_OPTIONS)
			return port_fail(error, -E2BIG, "%s: too many options", what);
		s->key[s->count] = word;
		s->value[s->count++] = equals + 1;
	}
	return 0;
}

int spec_number(const struct spec *s, const char *key, uint64_t min, uint64_t max, uint64_t *value,
		char *error)
{
	const char *text = spec_get(s, key);
	unsigned long long number;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (*end || end == text || errno || strchr(text, '-') || number < min || number > max)
		return port_fail(error, -EINVAL, "%s=%.40s: must be a number from %llu to %llu",
				 key, text, (unsigned long long)min, (unsigned long long)max);
	*value = number;
	return 0;
}

int spec_bool(const struct spec *s, const char *key, bool *value, char *error)
{
	uint64_t number = *value;
	int err = spec_number(s, key, 0, 1, &number, error);

	if (err == 0)
		*value = number;
	return err;
}

int spec_chance(const struct spec *s, const char *key, double *value, char *error)
{
	const char *text = spec_get(s, key);
	double chance;
	char *end;

	if (!text)
		return 0;
	chance = strtod(text, &end);
	if (*end || end == text || isnan(chance) || chance < 0 || chance > 1)
		return port_fail(error, -EINVAL,
				 "%s=%.40s: must be a chance from 0 to 1, as in %s=0.02", key, text,
				 key);
	*value = chance;
	return 0;
}

int spec_mac(const struct spec *s, const char *key, uint8_t mac[6], char *error)
{
	const char *text = spec_get(s, key);
	unsigned int b[6];
	int used = 0;

	if (!text)
		return 0;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &used) != 6 ||
	    text[used])
		return port_fail(error, -EINVAL,
				 "%s=%.40s: not a MAC address like 02:00:00:00:00:01", key, text);
	if ((b[0] & 1) || !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return port_fail(error, -EINVAL,
				 "%s=%.40s: a port's own address cannot be a group or zero", key,
				 text);
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

int spec_prefix(const struct spec *s, const char *key, uint32_t *addr_be, unsigned int *prefix_len,
		char *error)
{
	const char *text = spec_get(s, key);
	struct in_addr addr;
	char host[32];
	unsigned int len;
	int used = 0;

	if (!text)
		return 0;
	if (sscanf(text, "%31[0-9.]/%2u%n", host, &len, &used) != 2 || text[used] || len > 32 ||
	    inet_pton(AF_INET, host, &addr) != 1)
		return port_fail(error, -EINVAL,
				 "%s=%.40s: must be ADDRESS/LENGTH, as in 198.18.0.1/24", key,
				 text);
	*addr_be = addr.s_addr;
	*prefix_len = len;
	return 0;
}
