/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of the output that several commands of the command line share. */
#ifndef WEIR_BIN_WEIR_CMD_PRINT_H
#define WEIR_BIN_WEIR_CMD_PRINT_H

#include <jansson.h>

/* The "drops" of a ledger as a table (cmd_ledger.c). */
void print_drops(const json_t *drops);

/* One of the "ports" of stat, in a few lines (cmd_stat.c). */
void print_port(const json_t *port);

#endif
