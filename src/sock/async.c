/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGIO (O_ASYNC). The program's descriptor of the socket is one end of a pair of UNIX streams
 * (ABI_BELL_ASYNC) with O_ASYNC, and owner and signal as the program set them: so it is the kernel
 * that signals, whom it may, with the descriptor and the band that sigaction(2) tells of. The other
 * end is the channel's bell, and what is done there makes the kernel say what happened here:
 *
 *   POLL_IN   shutdown(SHUT_WR): the far end will hear no more; which is said each time
 *   POLL_HUP  shutdown(SHUT_RDWR)
 *   POLL_OUT  the far end's small buffer is filled, from a copy of it, and emptied again
 *
 * Nobody reads or writes any bytes there, so a program that takes its signals by sigwaitinfo() and
 * calls nothing else is told of everything. The channel is rung always, not only when it sleeps.
 */
#include <sys/socket.h>

#include "sock/sock_priv.h"

#define FILL_BYTES 4096u
#define FILLS_MAX 8 /* the program may have made the buffer larger: no more than this */

void async_note(struct channel *ch, uint32_t events)
{
	ch->far_events |= events;
}

static void space_again(const struct channel *ch)
{
	static const uint8_t zeros[FILL_BYTES];
	uint8_t bytes[FILL_BYTES];

	for (int i = 0; i < FILLS_MAX; i++)
		if (send(ch->far_fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
			break;
	for (int i = 0; i < FILLS_MAX; i++)
		if (recv(ch->bell_fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			break;
}

void async_ring(struct channel *ch)
{
	uint32_t events = ch->far_events;

	ch->far_events = 0;
	if (events & ABI_EV_HUP) {
		(void)shutdown(ch->bell_fd, SHUT_RDWR);
		return;
	}
	if (events & (ABI_EV_IN | ABI_EV_PRI | ABI_EV_ERR | ABI_EV_RDHUP))
		(void)shutdown(ch->bell_fd, SHUT_WR);
	if (events & ABI_EV_OUT)
		space_again(ch);
}
