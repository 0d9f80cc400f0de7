/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What weir says about itself, as JSON (jansson): the ledger, the stages of the path, ports,
 * workers and the last drops. The command line and the control socket print what these functions
 * return, so the names of the members are an interface: doc/man/weir-ledger.1 and weir-stat.1 list
 * them.
 *
 * Every function returns a new reference, the caller's, or NULL when memory is out.
 * Threads: the control thread. A ledger summed while the workers are parked balances exactly; read
 * while they run every counter is right, but the sum may be taken between two packets.
 */
#ifndef WEIR_OBS_REPORT_H
#define WEIR_OBS_REPORT_H

#include <jansson.h>

#include "core/ledger.h"
#include "core/worker.h"
#include "dev/port.h"
#include "wire/ipaddr.h"

struct tcp_pcb;

/*
 * {entered, originated, delivered, transmitted, forwarded, absorbed, dropped, held, balance,
 *  alloc_failed, drops: [...]}; drops as report_drops(). balance is 0 when every packet is
 * accounted for; above 0 packets were lost in silence, below 0 some ended twice.
 */
json_t *report_ledger(const struct ledger *l);

/*
 * The sites that dropped something, the largest count first:
 * [{reason, function, file, line, count, text, severity, linux, path: [stage labels]}].
 * path: the stages that the packets dropped at this site had gone through, all of them together.
 */
json_t *report_drops(const struct ledger *l);

/* The newest `max` drops, newest first: [{age_us, reason, text, severity, function, file, line,
 * stage, ifindex, length, path: [...], head: hex}]. now_ns: the worker's time. */
json_t *report_recent(const struct ledger *l, uint64_t now_ns, unsigned int max);

/*
 * Every stage in the order in which packets meet it: [{stage, linux, direction: "receive"|"send",
 * packets, bursts, drops, cycles, packets_per_burst, cycles_per_packet}].
 */
json_t *report_stages(const struct ledger *l);

/*
 * {ifindex, name, type, driver, mac, mtu, queues, up, caps: [...], sleep, rx_packets, rx_bytes,
 * tx_packets, tx_bytes, tx_backlog, rx_ring, txqueuelen, losses: [{name, count, text, lost}]}.
 * losses: what the device lost before weir had it (lost: "before weir") or after weir gave it away
 * ("after weir"), and what explains losses and is none ("").
 */
json_t *report_port(struct port *port, unsigned int ifindex);

/*
 * A port's line of the ledger: {ifindex, name, type, seen, entered, waiting, lost_before, balance,
 * given, lost_after, losses}. seen: frames that the card saw, = entered + waiting + lost_before;
 * balance is 0 where that holds (between two frames it may be off by those). losses as above.
 */
json_t *report_port_ledger(struct port *port, unsigned int ifindex);

/* All statistics of a port, the driver's own too: [{name, value}]. Workers may work. */
json_t *report_port_counters(struct port *port);

/* What it is: {driver, firmware, bus, speed_mbit, full_duplex, autoneg, twisted_pair, rx_csum,
 * rx_ring, tx_ring, rx_ring_max, tx_ring_max, queues_max, txqueuelen}; 0 and "": not known. */
json_t *report_port_about(struct port *port);

/* {worker, now_ns, timers, pool: {size, free}, ledger: {entered, originated, dropped, held,
 * balance}}: one worker alone; now_ns is its clock. */
json_t *report_worker(const struct worker *w);

/* The addresses of a worker's interfaces: [{address: "198.18.0.2/24", ifindex, dev}]. Every worker
 * has the same. */
json_t *report_addresses(struct worker *w);

/* Its routes: [{prefix: "198.18.0.0/24", via: "" or the gateway, ifindex, dev, connected}], in
 * order of address and length. */
json_t *report_routes(struct worker *w);

/* TCP's parameters, or the one of that name (none: an empty list): [{name, value, default, text,
 * min, max}], values in words. Every worker has the same. */
json_t *report_params(struct worker *w, const char *name);

/* TCP's counters (inet/tcp/mib.h), TCP_MIB_MAX of them: [{name: "TcpExtTCPTimeouts", value, text}].
 */
json_t *report_counters(const uint64_t *counters);

/*
 * What `ss -ti` shows of a connection: {congestion, options: [...], snd_wscale, rcv_wscale, rto_us,
 * ...}, the members of struct tcp_info by their names. NULL: it is none, or only listens.
 */
json_t *report_tcp(struct worker *w, const struct tcp_pcb *pcb);

#define REPORT_ADDR_BYTES 56

/* An address as text, "0.0.0.0" for any; and with its port. text has REPORT_ADDR_BYTES. Return
 * text. */
const char *report_addr(const struct ipaddr *addr, char *text);
const char *report_endpoint(const struct endpoint *endpoint, char *text);

/* A path word (one bit a stage) as an array of stage labels. */
json_t *report_path(uint32_t path);

/* "info", "warn", "error", "bug". */
const char *report_severity(enum drop_severity severity);

/* The part of a __FILE__ below the source tree's root: "src/inet/eth.c". Never NULL. */
const char *report_file(const char *file);

/* The functions of Linux that do what a stage does; "" for a number that is none. */
const char *report_stage_linux(unsigned int stage);

#endif
