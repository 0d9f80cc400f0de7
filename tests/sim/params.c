/* SPDX-License-Identifier: BSD-3-Clause */
#include "params.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, SHARE, WORD };

static const struct field {
	const char *name, *text;
	enum kind kind;
	size_t at;
} fields[] = {
#define SIM_NUMBER(name, initial, text) { #name, text, NUMBER, offsetof(struct sim_params, name) },
#define SIM_SHARE(name, initial, text) { #name, text, SHARE, offsetof(struct sim_params, name) },
#define SIM_WORD(name, initial, text) { #name, text, WORD, offsetof(struct sim_params, name) },
#include "params.def"
#undef SIM_NUMBER
#undef SIM_SHARE
#undef SIM_WORD
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

void params_init(struct sim_params *p)
{
	*p = (struct sim_params){
#define SIM_NUMBER(name, initial, text) .name = initial,
#define SIM_SHARE(name, initial, text) .name = initial,
#define SIM_WORD(name, initial, text) .name = initial,
#include "params.def"
#undef SIM_NUMBER
#undef SIM_SHARE
#undef SIM_WORD
	};
}

static bool set(struct sim_params *p, const struct field *f, const char *value)
{
	uint8_t *at = (uint8_t *)p + f->at;
	char *end;

	if (f->kind == WORD) {
		if (strlen(value) >= SIM_WORD_BYTES)
			return false;
		strcpy((char *)at, value);
		return true;
	}
	if (f->kind == NUMBER) {
		uint64_t n = strtoull(value, &end, 10);

		memcpy(at, &n, sizeof(n));
	} else {
		double n = strtod(value, &end);

		if (n < 0 || n > 1)
			return false;
		memcpy(at, &n, sizeof(n));
	}
	return end != value && *end == '\0';
}

static bool parse_one(struct sim_params *p, char *word, char *error)
{
	char *equals = strchr(word, '=');

	if (equals) {
		*equals = '\0';
		for (unsigned int i = 0; i < FIELDS; i++) {
			if (strcmp(fields[i].name, word) == 0 && set(p, &fields[i], equals + 1))
				return true;
		}
		*equals = '=';
	}
	snprintf(error, SIM_TEXT_BYTES, "no such parameter, or not with this value: %.200s", word);
	return false;
}

bool params_parse(struct sim_params *p, const char *text, char *error)
{
	char copy[SIM_TEXT_BYTES], *save = NULL;

	if (strlen(text) >= sizeof(copy)) {
		snprintf(error, SIM_TEXT_BYTES, "too long");
		return false;
	}
	strcpy(copy, text);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (!parse_one(p, w, error))
			return false;
	}
	return true;
}

static int print_one(const struct field *f, const void *value, char *text, size_t room)
{
	uint64_t number;
	double share;

	switch (f->kind) {
	case NUMBER:
		memcpy(&number, value, sizeof(number));
		return snprintf(text, room, "%s=%" PRIu64 " ", f->name, number);
	case SHARE:
		memcpy(&share, value, sizeof(share));
		return snprintf(text, room, "%s=%.9g ", f->name, share);
	default:
		return snprintf(text, room, "%s=%s ", f->name, (const char *)value);
	}
}

void params_print(const struct sim_params *p, char text[SIM_TEXT_BYTES])
{
	static const size_t bytes[] = { [NUMBER] = sizeof(uint64_t), [SHARE] = sizeof(double) };
	struct sim_params initial;
	size_t n = 0;

	params_init(&initial);
	text[0] = '\0';
	for (unsigned int i = 0; i < FIELDS; i++) {
		const struct field *f = &fields[i];
		const uint8_t *a = (const uint8_t *)p + f->at;
		const uint8_t *b = (const uint8_t *)&initial + f->at;
		bool same = f->kind == WORD ? strcmp((const char *)a, (const char *)b) == 0
					    : memcmp(a, b, bytes[f->kind]) == 0;

		if (!same || i == 0)
			n += (size_t)print_one(f, a, text + n, SIM_TEXT_BYTES - n);
		if (n >= SIM_TEXT_BYTES)
			abort();
	}
	if (n)
		text[n - 1] = '\0';
}

void params_help(void)
{
	struct sim_params initial;
	char value[64];

	params_init(&initial);
	for (unsigned int i = 0; i < FIELDS; i++) {
		print_one(&fields[i], (const uint8_t *)&initial + fields[i].at, value,
			  sizeof(value));
		printf("  %-18s %s\n", value, fields[i].text);
	}
}
