/* SPDX-License-Identifier: BSD-3-Clause */
#include "shim/interpose/real.h"

#include <dlfcn.h>
#include <stddef.h>

#define REAL_DEFINE(ret, name, args) ret(*real_##name) args;
REAL_CALLS(REAL_DEFINE)

void real_resolve(void)
{
	/* ISO C has no cast from an object pointer to a function pointer; POSIX promises this one.
	 */
#define REAL_LOOKUP(ret, name, args) *(void **)&real_##name = dlsym(RTLD_NEXT, #name);
	REAL_CALLS(REAL_LOOKUP)
	real_make_raw();
}
