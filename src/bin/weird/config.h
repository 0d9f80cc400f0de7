/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's options, from the command line and from a file of the same names ("port = ...").
 * What the command line says wins over the file; ports, addresses and routes of both are taken, the
 * file's first.
 */
#ifndef WEIR_BIN_WEIRD_CONFIG_H
#define WEIR_BIN_WEIRD_CONFIG_H

#include <stdbool.h>

#include "core/log.h"
#include "dev/port.h"

#define CONFIG_ITEMS_MAX 256u
#define CONFIG_TEXT_BYTES 256u
#define CONFIG_NAME_BYTES 33u
#define CONFIG_ERROR_BYTES 512u

enum config_kind { CONFIG_PORT, CONFIG_ADDR, CONFIG_ROUTE, CONFIG_SYSCTL };

/* In the order in which they were given: an address belongs to the port before it. */
struct config_item {
	enum config_kind kind;
	char text[CONFIG_TEXT_BYTES];
};

struct weird_config {
	char instance[CONFIG_NAME_BYTES];
	char rundir[CONFIG_TEXT_BYTES];
	char user[CONFIG_NAME_BYTES];	 /* "": stay who we are */
	char pidfile[CONFIG_TEXT_BYTES]; /* "": none */
	struct config_item item[CONFIG_ITEMS_MAX];
	unsigned int item_count;
	unsigned int workers;
	unsigned int packets; /* for each worker, 0: the engine's default */
	unsigned int sockets; /* of a family of programs, 0: the default */
	unsigned int spin_us;
	int ready_fd; /* -1: none */
	enum log_level log_level;
	bool forward;
	bool allow_users;
	bool help, version; /* print it and end */
};

/*
 * 0 or a negative errno; then error says what is wrong, and where. WEIR_RUNDIR and XDG_RUNTIME_DIR
 * are read from the environment.
 */
int config_parse(int argc, char **argv, struct weird_config *config,
		 char error[CONFIG_ERROR_BYTES]);

/* Read a file into config (config_parse() does it for --config). */
int config_read_file(const char *path, struct weird_config *config, char error[CONFIG_ERROR_BYTES]);

/* The text for --help. */
extern const char config_help[];

#endif
