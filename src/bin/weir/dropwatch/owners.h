/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose socket a packet concerns: weird's list of sockets (control command "sockets"), asked for
 * again when it is old. Asking stops weird's workers for a moment, so it is not done often, and
 * ever less often the longer it takes.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_OWNERS_H
#define WEIR_BIN_WEIR_DROPWATCH_OWNERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bin/weir/dropwatch/flow.h"

struct owners {
	json_t *answer; /* NULL: none yet */
	uint64_t ask_at_ns;
	bool off; /* weird does not answer any more */
};

void owners_free(struct owners *owners);

/*
 * The socket whose packet it is (local: it is our packet, so its source is the socket), with texts
 * that are good until the next call of owners_refresh(); NULL where there is none.
 */
const json_t *owners_find(const struct owners *owners, const struct flow *flow, bool local,
			  const json_t **program);

/* Ask again where it is time to. */
void owners_refresh(struct owners *owners, uint64_t now_ns);

#endif
