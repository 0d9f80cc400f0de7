/* SPDX-License-Identifier: BSD-3-Clause */
/* For the files that define the names programs call. */
#ifndef WEIR_SHIM_NAMES_H
#define WEIR_SHIM_NAMES_H

#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

/* A count, or -errno, as the C library returns it. */
static inline long answer(long r)
{
	if (unlikely(r < 0)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#endif
