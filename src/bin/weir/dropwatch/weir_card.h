/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What weir's cards lose on their own side, for `set hw true`: the ledger's lines of the ports
 * (weir ledger), asked for now and then, as differences.
 */
#ifndef WEIR_BIN_WEIR_DROPWATCH_WEIR_CARD_H
#define WEIR_BIN_WEIR_DROPWATCH_WEIR_CARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CARD_PORTS_MAX 64
#define CARD_LOSSES_MAX 16

struct weir_card {
	json_t *ledger; /* the last answer */
	uint64_t ask_at_ns;
	uint64_t told[CARD_PORTS_MAX][CARD_LOSSES_MAX];
	uint64_t total; /* of all differences */
};

/* What was lost before does not count. false: weird does not answer (words are said). */
bool weir_card_begin(struct weir_card *card, uint64_t now_ns);
void weir_card_free(struct weir_card *card);

/* Ask again where it is time to, or `now` is wanted. false: as above; there is nothing new then. */
bool weir_card_ask(struct weir_card *card, uint64_t now_ns, bool now);

/* A loss that is new: its port, its line ({name, text}), how many more; called again until it
 * answers 0. The strings are the card's, good until the next question. */
uint64_t weir_card_next(struct weir_card *card, const char **port, const json_t **loss);

/* What to do about it, by the loss's name; NULL: nothing is known. */
const char *weir_card_advice(const char *name);

#endif
