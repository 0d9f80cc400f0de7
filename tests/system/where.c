/* SPDX-License-Identifier: BSD-3-Clause */
/* Says on which network it is ("on 198.18.0.2"), then its arguments. With "secure" alone: whether
 * it was started in secure-execution mode. */
#include "where.h"

#include <sys/auxv.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "secure") == 0) {
		printf("secure %lu\n", getauxval(AT_SECURE));
		return 0;
	}
	printf("on %s", where());
	for (int i = 1; i < argc; i++)
		printf(" %s", argv[i]);
	printf("\n");
	return 0;
}
