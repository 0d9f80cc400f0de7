/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call that needs every worker to stand still (to move something from one worker to another, to
 * look at all of them). A worker must not wait for the others, so it leaves the call behind and goes
 * on; the control thread parks all workers, makes the call, and lets them go. In the direct
 * placement it is made at the end of the engine_poll() in which it was posted.
 *
 * The struct is embedded in what the call is about, so that posting cannot fail; it must stay valid
 * until fn is called, and may be posted again from then on. Posting it twice before is one call.
 */
#ifndef WEIR_CORE_WORKER_CALL_H
#define WEIR_CORE_WORKER_CALL_H

#include <stdatomic.h>

struct worker;

struct worker_call {
	struct worker_call *next;
	void (*fn)(struct worker_call *call); /* all workers are parked; set by the owner */
	_Atomic int posted;
};

/* What posts: engine/ hands this function to the folders below. Any worker's thread. */
typedef void (*worker_call_post_fn)(struct worker *w, struct worker_call *call);

#endif
