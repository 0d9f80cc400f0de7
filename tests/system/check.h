/* SPDX-License-Identifier: BSD-3-Clause */
/* For programs that are linked in any way: a failed check says where and ends the process with 1.
 */
#ifndef WEIR_TESTS_SYSTEM_CHECK_H
#define WEIR_TESTS_SYSTEM_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CHECK(ok)                                                                                  \
	do {                                                                                       \
		if (!(ok)) {                                                                       \
			printf("line %d: %s (errno %d)\n", __LINE__, #ok, errno);                  \
			fflush(stdout);                                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

#endif
