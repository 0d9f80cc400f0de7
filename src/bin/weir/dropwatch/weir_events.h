/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drops of weir's in words: what the watch's numbers mean (functions, reasons, stages, sockets),
 * and a packet that stands for a count.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_WEIR_EVENTS_H
#define WEIR_BIN_WEIR_DROPWATCH_WEIR_EVENTS_H

#include "bin/weir/dropwatch/flow.h"
#include "bin/weir/dropwatch/owners.h"
#include "bin/weir/dropwatch/source.h"
#include "bin/weir/dropwatch/weird_syms.h"
#include "bin/weir/watch.h"

/* A (site, reason): what was told of it, and the last packet seen there. */
struct weir_cell {
	uint64_t counted; /* drops handed over, as counts or packets */
	uint64_t shown;	  /* of those, as packets */
	struct flow flow;
	bool seen;  /* flow is of a packet */
	bool local; /* that we made */
};

struct weir_text;

struct weir_events {
	struct watch *watch; /* the source's */
	const struct weird_syms *syms;
	struct owners owners;
	uint32_t sites, reasons;
	struct weir_cell *cells; /* [sites * reasons] */
	struct drop_event *events;
	struct weir_text *texts;
	size_t count, room;
	uint8_t *bytes; /* of packets */
	size_t bytes_used;
};

/* How much room for bytes there is, and what the largest packet may need of it. */
#define WEIR_EVENTS_BYTES (4u << 20)

/* For a watch that begins. 0 or -ENOMEM. */
int weir_events_begin(struct weir_events *e, struct watch *watch);
void weir_events_free(struct weir_events *e);

/* Forget the events; from now on there is room for so many. 0 or -ENOMEM. */
int weir_events_clear(struct weir_events *e, size_t room);

/* NULL where weird's numbers are out of range. */
struct weir_cell *weir_events_cell(struct weir_events *e, uint32_t site, uint32_t reason);

/* What a count's packet looks like. */
void weir_events_sample(struct weir_events *e, const struct watch_record *record);

/* false: no room. */
bool weir_events_add(struct weir_events *e, uint32_t site, uint32_t reason, uint64_t count);
/* Lost by a port's card. */
bool weir_events_add_loss(struct weir_events *e, const char *port, const json_t *loss,
			  uint64_t count);
bool weir_events_add_packet(struct weir_events *e, const struct watch_record *record);

#endif
