/* SPDX-License-Identifier: BSD-3-Clause */
/* struct tcp_info as newer kernels have it than the headers that we are built with. */
#ifndef WEIR_INET_TCP_INFO_H
#define WEIR_INET_TCP_INFO_H

#include <linux/tcp.h>
#include <stdint.h>

struct tcp_info_full {
	struct tcp_info known;
	uint32_t tcpi_rcv_wnd; /* the window that we offer (6.2) */
	uint32_t tcpi_rehash;  /* other flow labels tried (6.2): none here */
	uint16_t tcpi_total_rto, tcpi_total_rto_recoveries; /* time-outs, rows of them (6.7) */
	uint32_t tcpi_total_rto_time;			    /* in milliseconds */
};

_Static_assert(sizeof(struct tcp_info) == 232, "newer headers: they have what follows");

#endif
