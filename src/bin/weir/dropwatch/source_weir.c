/* SPDX-License-Identifier: BSD-3-Clause */
/* weir's own drops. */
#include <errno.h>
#include <stdio.h>

#include "bin/weir/dropwatch/source.h"

int drop_source_weir_open(const struct drop_options *options, struct drop_source **source,
			  char error[DROP_ERROR_BYTES])
{
	(void)options;
	*source = NULL;
	snprintf(error, DROP_ERROR_BYTES,
		 "this weird has no watch of its drops: weir ledger and "
		 "weir drops show them");
	return -ENOSYS;
}
