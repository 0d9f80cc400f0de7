/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watching a weird's packets: asking for it, and reading what comes (wire/watch_abi.h). weird
 * writes into memory that both map; nothing is asked again, and nobody is woken: who watches looks
 * now and then.
 * Threads: one.
 */
#ifndef WEIR_BIN_WEIR_WATCH_H
#define WEIR_BIN_WEIR_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/watch_abi.h"

struct watch;

/*
 * Ask with the command's request (bin/weird/control/observe.c), which is taken; "cmd" is added.
 * NULL after the reason has been said on standard error.
 */
struct watch *watch_open(json_t *request);

/* The watch ends in weird, too. NULL is none. */
void watch_close(struct watch *watch);

/*
 * Put a filter in libpcap's syntax into a request, for watch_open(). 0, or CLI_USAGE after words
 * about what libpcap does not understand.
 */
int watch_filter(json_t *request, const char *text);

/* weird's answer: {pid, filter: how it is run, cycles_per_second, sites: [{function, file, line}],
 * reasons: [{name, text, severity, linux}], stages: [{stage, linux, direction}], ports: [{name,
 * ifindex, mtu, loop}], fates: [names], tcp_states: [names]}. The watch's. */
const json_t *watch_about(const struct watch *watch);

/* The descriptor of the connection: readable when weird has ended. */
int watch_fd(const struct watch *watch);
bool watch_gone(const struct watch *watch);

/*
 * The next record, of those that are there the oldest; NULL: there is none now. It stays valid
 * until the next call. What weird's memory says is checked: a record is whole, its numbers are not
 * (site, stage, reason and so on may be out of range of what watch_about() has).
 */
const struct watch_record *watch_next(struct watch *watch);

/* Of all workers together. Counts never lose one; lost: records that found no room. */
uint64_t watch_count(const struct watch *watch, uint32_t site, uint32_t reason);
uint64_t watch_lost(const struct watch *watch);
uint64_t watch_seen(const struct watch *watch);	  /* packets that the filter was asked about */
uint64_t watch_wanted(const struct watch *watch); /* those that it wanted */

/* Stages that packets dropped at the site went through; the program counter of the last of them (0:
 * none yet), counted from the beginning of weird's executable. */
uint32_t watch_path(const struct watch *watch, uint32_t site);
uint64_t watch_pc(const struct watch *watch, uint32_t site);

uint32_t watch_sites(const struct watch *watch);
uint32_t watch_reasons(const struct watch *watch);

#endif
