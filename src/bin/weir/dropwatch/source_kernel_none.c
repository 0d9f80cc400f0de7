/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of source_kernel.c where weir was built without clang or libbpf. */
#include <errno.h>
#include <stdio.h>

#include "bin/weir/dropwatch/source.h"

int drop_source_kernel_open(const struct drop_options *options, struct drop_source **source,
			    char error[DROP_ERROR_BYTES])
{
	snprintf(error, DROP_ERROR_BYTES,
		 "this weir was built without --kernel: clang or libbpf-dev (1.1 or later) was not "
		 "there; install them (make deps) and build again");
	return -EOPNOTSUPP;
}
