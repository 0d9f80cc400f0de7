/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of /proc/net (proc_pid_net(5)) with weir's network in them, in Linux's format: what
 * netstat, ifconfig, route, arp, nmap, Java and monitoring libraries read when they want to know
 * interfaces, routes, neighbours, sockets and counters.
 *
 * A file says what weir knows and leaves out what it does not count: no line of zeros that nobody
 * counted. Columns that weir has no value for are 0, as the kernel does for what it does not have.
 * Threads: the control thread, while workers are parked.
 */
#ifndef WEIR_PROCNET_PROCNET_H
#define WEIR_PROCNET_PROCNET_H

#include <stddef.h>
#include <stdio.h>

#include "core/worker.h"

struct procnet {
	struct worker *const *worker;
	unsigned int worker_count;
};

/*
 * The text of /proc/net/NAME: *text has *len bytes and is the caller's, to free().
 * 0, -ENOENT (weir has no such file) or -ENOMEM.
 */
int procnet_read(const struct procnet *p, const char *name, char **text, size_t *len);

/* The parts: each writes its file. Errors of out are looked at by procnet_read(). */
void procnet_dev(const struct procnet *p, FILE *out);
void procnet_route(const struct procnet *p, FILE *out);
void procnet_arp(const struct procnet *p, FILE *out);
void procnet_tcp(const struct procnet *p, FILE *out);
void procnet_udp(const struct procnet *p, FILE *out);
void procnet_raw(const struct procnet *p, FILE *out);
void procnet_snmp(const struct procnet *p, FILE *out);
void procnet_netstat(const struct procnet *p, FILE *out);
void procnet_sockstat(const struct procnet *p, FILE *out);

#endif
