/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/weir_card.h"

#include <string.h>

#include "bin/weir/cli.h"

#define ASK_NS 500000000u

static bool ask(struct weir_card *card, uint64_t now_ns)
{
	json_t *answer = cli_ask(json_pack("{s:s}", "cmd", "ledger"));

	card->ask_at_ns = now_ns + ASK_NS;
	if (!answer)
		return false;
	json_decref(card->ledger);
	card->ledger = answer;
	return true;
}

bool weir_card_begin(struct weir_card *card, uint64_t now_ns)
{
	const json_t *loss;
	const char *port;

	if (!ask(card, now_ns))
		return false;
	while (weir_card_next(card, &port, &loss))
		;
	card->total = 0;
	return true;
}

void weir_card_free(struct weir_card *card)
{
	json_decref(card->ledger);
	card->ledger = NULL;
}

bool weir_card_ask(struct weir_card *card, uint64_t now_ns, bool now)
{
	if (!now && now_ns < card->ask_at_ns)
		return true;
	return ask(card, now_ns);
}

uint64_t weir_card_next(struct weir_card *card, const char **port, const json_t **loss)
{
	const json_t *ports = json_object_get(card->ledger, "ports");

	for (size_t p = 0; p < json_array_size(ports) && p < CARD_PORTS_MAX; p++) {
		const json_t *one = json_array_get(ports, p);
		const json_t *losses = json_object_get(one, "losses");

		for (size_t i = 0; i < json_array_size(losses) && i < CARD_LOSSES_MAX; i++) {
			uint64_t count, *told = &card->told[p][i];

			*loss = json_array_get(losses, i);
			count = (uint64_t)cli_int(*loss, "count");
			/* Those that are no losses of the card are drops of weir's, or only waited.
			 */
			if (!cli_string(*loss, "lost")[0] || count <= *told)
				continue;
			*port = cli_string(one, "name");
			count -= *told;
			*told += count;
			card->total += count;
			return count;
		}
	}
	return 0;
}

const char *weir_card_advice(const char *name)
{
	static const char *const advice[][2] = {
		{ "rx_missed",
		  "weir took frames too slowly: another worker (weird --workers), or a "
		  "longer receive ring" },
		{ "rx_crc", "look at the cable, the transceiver, and the port at its other end" },
		{ "rx_errors",
		  "look at the cable, the transceiver, and the port at its other end" },
		{ "tx_lost", "the device's other side is too slow or down: weir ethtool PORT -S" },
	};

	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		if (strcmp(name, advice[i][0]) == 0)
			return advice[i][1];
	}
	return NULL;
}
