/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameters of one run (params.def), in words and in numbers, and the sets of runs that are
 * made at random from a seed (sets.c).
 */
#ifndef WEIR_TESTS_SIM_PARAMS_H
#define WEIR_TESTS_SIM_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_WORD_BYTES 16u
#define SIM_TEXT_BYTES 1024u

struct sim_params {
#define SIM_NUMBER(name, initial, text) uint64_t name;
#define SIM_SHARE(name, initial, text) double name;
#define SIM_WORD(name, initial, text) char name[SIM_WORD_BYTES];
#include "params.def"
#undef SIM_NUMBER
#undef SIM_SHARE
#undef SIM_WORD
};

void params_init(struct sim_params *p);

/* "name=value name=value ...". False: what is wrong is in error (SIM_TEXT_BYTES). */
bool params_parse(struct sim_params *p, const char *text, char *error);

/* What params_parse() makes the same of. */
void params_print(const struct sim_params *p, char text[SIM_TEXT_BYTES]);

/* All names, for --help. */
void params_help(void);

/* A set of runs. */
struct sim_set {
	const char *name, *text;
	void (*make)(struct sim_params *p, uint64_t index);
	unsigned int share; /* of all runs, in thousandths */
	uint64_t fixed;	    /* a list of so many, not at random; 0: at random */
};

const struct sim_set *sim_set_at(unsigned int i); /* NULL behind the last */

/* ---- random numbers: splitmix64 ---- */

static inline uint64_t sim_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline bool sim_chance(uint64_t *state, double share)
{
	return share > 0 && (double)(sim_random(state) >> 11) * 0x1p-53 < share;
}

static inline uint64_t sim_below(uint64_t *state, uint64_t n)
{
	return n ? sim_random(state) % n : 0;
}

#endif
