/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run of the simulator: two engines (weir.h, direct placement, real sockets), a link between
 * their wires, programs on both, one virtual clock. Engine 0 has the clients, engine 1 the servers.
 *
 * The clock goes from event to event: a frame that arrives, a timer of an engine, a program that
 * wakes up. At each of them everything is done that can be done without time going by (world.c), so
 * a run depends on its parameters only, and is the same each time.
 */
#ifndef WEIR_TESTS_SIM_SIM_H
#define WEIR_TESTS_SIM_SIM_H

#include <stdio.h>

#include "engine/direct.h"
#include "link.h"
#include "params.h"

#define SIM_START_NS 10000000000ull
#define SIM_PORT 8080u
#define SIM_S_NS 1000000000ull
#define SIM_MS_NS 1000000ull
#define SIM_US_NS 1000ull
#define SIM_ERROR_BYTES 600u

enum sim_app { APP_BULK, APP_BOTH, APP_RR, APP_HALF, APP_ABORT };

/* One program's side of a connection. */
struct end {
	struct conn *conn;
	unsigned int side; /* engine */
	int fd;		   /* -1: none */
	bool connected, shut, eof, closed, reset;
	uint64_t tx, tx_goal; /* written, and to be written as far as is known */
	bool tx_final;	      /* nothing behind tx_goal */
	uint64_t rx;	      /* read, and right */
	uint64_t wake_ns;     /* the program wants to look again then; LINK_NEVER: no */
	uint64_t served;      /* requests */
	/* watched while it goes: of TCP's */
	uint8_t retries, ca_state;
	uint64_t rtos, recoveries, spurious_rtos;
	uint32_t undone;
	uint32_t retrans, dsacks, tlps; /* as of the last look */
	uint64_t retrans_bytes;
	uint64_t progress_ns, stall_ns; /* the last new byte, the longest time without one */
};

struct conn {
	struct end end[2]; /* client, server */
	uint32_t number;
	uint16_t port;	  /* the client's, host order; 0: not open yet */
	uint64_t salt[2]; /* of the bytes that each side sends */
	uint64_t start_ns, done_ns;
	uint64_t rx_warm[2]; /* received when measuring began */
	uint64_t rx_stop[2]; /* and when it ended */
};

struct side {
	struct weir *weir;
	int listener;
	bool poll; /* something may have happened: poll it at this time */
	uint64_t next_ns;
};

struct sim {
	const struct sim_params *p;
	enum sim_app app;
	uint64_t now_ns, stop_ns, warm_ns, limit_ns, sample_ns;
	struct side side[2];
	struct link_line line[2];
	struct conn *conn;
	uint32_t conns, opened, done;
	uint64_t rng;
	FILE *trace;
	uint64_t every_ns;
	bool failed;
	char error[SIM_ERROR_BYTES];
	uint64_t events;
};

/* What came of it. */
struct result {
	bool failed;
	char error[SIM_ERROR_BYTES];
	uint64_t bytes;	     /* that arrived, all streams */
	uint64_t frames;     /* both ways */
	uint64_t virtual_ns; /* till all was done */
	double goodput;	     /* bytes a second, of all connections together, in the measured time */
	double wanted;	     /* what the model says; 0: there is none */
	double jain;
	uint64_t retrans, data_lost, rtos, spurious_rtos, undone, stall_ns;
};

/* world.c: once per process; then one run. Samples go to out->trace (trace.c), what is left at the
 * end to out->report (report.c). */
bool sim_start(char *error);
struct sim_out {
	FILE *trace, *report, *frames; /* or NULL */
	uint64_t every_ns;	       /* between two samples */
};

void sim_run(const struct sim_params *p, const struct sim_out *out, struct result *r);

/* The run has failed: the first reason is kept. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *s, const char *format, ...);

/* app.c */
bool app_find(const char *name, enum sim_app *app);
void app_open(struct sim *s);  /* the listener, and plans */
void app_close(struct sim *s); /* whatever is still open */
void app_start(struct sim *s); /* connections whose time has come */
void app_turn(struct sim *s, unsigned int side);
uint64_t app_next_ns(const struct sim *s);
void app_stop(struct sim *s); /* no more than what was written (seconds=) */
struct tcp_pcb *app_pcb(struct sim *s, const struct end *e); /* NULL: TCP knows it no more */

/* judge.c: what must hold, always and for what the run wants */
void judge_watch(struct sim *s); /* after each event */
void judge_programs(struct sim *s, struct result *r);
void judge_rest(struct sim *s); /* everything is closed, and time has gone by */
void judge_warm(struct sim *s);
void judge_stop(struct sim *s);

/* report.c */
void sim_report(struct sim *s, FILE *out);

/* trace.c */
void trace_head(FILE *out, const struct sim_params *p);
void trace_sample(struct sim *s);

#endif
