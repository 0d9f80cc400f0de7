/* SPDX-License-Identifier: BSD-3-Clause */
/* Between neigh.c (states) and neigh_table.c (entries). */
#ifndef WEIR_INET_NEIGH_TABLE_H
#define WEIR_INET_NEIGH_TABLE_H

#include "inet/neigh.h"

void neigh_timer(struct worker *w, struct timer *t);	  /* of one neighbour */
void neigh_queue_drop(struct worker *w, struct neigh *n); /* drops what waits for it */

#endif
