/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/advice.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *reason, *text;
} advices[] = {
#define ADVICE(reason, text) { #reason, text },
#include "bin/weir/advice.def"
#undef ADVICE
};

const char *advice_for(const char *reason)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (strcmp(advices[i].reason, reason) == 0)
			return advices[i].text;
	}
	return "";
}
