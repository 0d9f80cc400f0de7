/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's control commands: what the command line asks over RUNDIR/INSTANCE/ctl.sock.
 * A request is one line of JSON, {"cmd": "NAME", ...}; the answer is one JSON document, after which
 * the daemon closes the connection. The server is control.c; the commands are a table in
 * commands.c.
 */
#ifndef WEIR_BIN_WEIRD_CONTROL_COMMANDS_H
#define WEIR_BIN_WEIRD_CONTROL_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>

struct engine;

/*
 * Answer a request. Returns a new reference, which the server sends and releases; an object with
 * the key "error" (words for people) where the request cannot be done; NULL: out of memory. Thread:
 * the control thread. Nothing may block.
 */
typedef json_t *(*control_fn)(struct engine *engine, const json_t *request);

struct control_command {
	const char *name;
	control_fn fn;
	bool park; /* call it with all workers parked: exact figures, or changes */
};

/* Ends with a NULL name. */
extern const struct control_command control_commands[];

json_t *control_sockets(struct engine *engine, const json_t *request); /* sockets.c */
json_t *control_observe(struct engine *engine, const json_t *request); /* observe.c */

/* What lives as long as a connection: ended (all workers are parked) when the other end hangs up,
 * or weird ends. fd goes along with the answer. */
struct control_held {
	int fd;
	void (*end)(struct control_held *held);
};

/* For a command: its connection stays, and holds this. Only with an answer that is not an error. */
void control_hold(struct control_held *held);

/* What the command that was just answered holds, or NULL: the caller's, to end. */
struct control_held *control_held_take(void);

/* Ports: ports.c. The words for a name that no port has. */
json_t *control_no_port(const struct engine *engine, const char *name);
json_t *control_ethtool(struct engine *engine, const json_t *request);
json_t *control_port_set(struct engine *engine, const json_t *request);
/* Into a ledger's answer: "ports", "lost_before" and "lost_after". */
void control_ledger_ports(struct engine *engine, json_t *ledger);

/* For the command "stop": the daemon ends, in order, once this answer has been sent. */
void control_request_stop(void);

#endif
