/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSG_ZEROCOPY with SO_ZEROCOPY. What is sent is copied into the socket's ring, so that the program
 * has its buffer back when the call returns; the completion it waits for on the error queue says so
 * (SO_EE_CODE_ZEROCOPY_COPIED), as Linux's does where it had to copy.
 */
#include "shim/shim.h"

#include <sys/socket.h>

/* The engine took SO_ZEROCOPY. */
void zerocopy_note(struct wsock *ws, bool on)
{
	if (on)
		atomic_fetch_or(&ws->shm->recv_opts, ABI_R_ZEROCOPY);
	else
		atomic_fetch_and(&ws->shm->recv_opts, ~ABI_R_ZEROCOPY);
}

/* A send with MSG_ZEROCOPY was made: bytes of a stream, or any datagram. */
void zerocopy_sent(struct wsock *ws)
{
	if (atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed) & ABI_R_ZEROCOPY)
		submit_sock(ws, ABI_OP_ZEROCOPY, 0, 1);
}
