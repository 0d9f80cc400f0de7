/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share: reading an input as a sequence of small values (zero when it ends),
 * and checks that end the process, which is how libFuzzer learns of a finding.
 */
#ifndef WEIR_TESTS_FUZZ_FUZZ_H
#define WEIR_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_in {
	const uint8_t *at;
	size_t left;
};

#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline bool fuzz_more(const struct fuzz_in *in)
{
	return in->left > 0;
}

static inline void fuzz_bytes(struct fuzz_in *in, void *to, size_t len)
{
	size_t have = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (have)
		memcpy(to, in->at, have);
	in->at += have;
	in->left -= have;
}

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	uint8_t x;

	fuzz_bytes(in, &x, sizeof(x));
	return x;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t x;

	fuzz_bytes(in, &x, sizeof(x));
	return x;
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t x;

	fuzz_bytes(in, &x, sizeof(x));
	return x;
}

/* The entry points that libFuzzer calls. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
