/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bells (enum abi_bell): what wakes a program that sleeps. Threads: the control thread.
 */
#ifndef WEIR_BIN_WEIRD_ATTACH_BELL_H
#define WEIR_BIN_WEIRD_ATTACH_BELL_H

#include "sock/session.h"

struct attach_bell {
	int ring_fd; /* for the channel, which closes it */
	int far_fd;  /* likewise; -1, but for ABI_BELL_ASYNC */
	int wait_fd; /* for the program; -1: it has it already. To be closed when it was sent */
};

/* The bell that a judged ABI_MSG_CHANNEL asks for. 0; -EMFILE and the like, or -EINVAL (the same
 * bell as a channel that is not there), with both descriptors -1. With the workers parked. */
int attach_bell_make(struct attach_bell *bell, struct session *session, const struct abi_msg *msg);

/* There is no channel for it: its ends are closed, but for the program's. */
void attach_bell_close(struct attach_bell *bell);

#endif
