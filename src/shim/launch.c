/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-launch: becomes a program that the loader cannot put the shim into (static ones). Started by
 * `weir run` and by exec() on weir, with the shim preloaded and the program's path in WEIR_LAUNCH;
 * everything else is in the shim (foreign/load.c), which has the sockets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int weir_launch(const char *path, int argc, char **argv) __attribute__((weak));

int main(int argc, char **argv)
{
	char *path = getenv("WEIR_LAUNCH");

	if (!path || !&weir_launch) {
		fprintf(stderr, "weir-launch is started by: weir run PROGRAM\n");
		return 126;
	}
	path = strdup(path);
	unsetenv("WEIR_LAUNCH");
	return path ? weir_launch(path, argc, argv) : 126;
}
