/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP's parameters and counters. */
#include <string.h>

#include "inet/tcp/info.h"
#include "inet/tcp/mib.h"
#include "inet/tcp/params.h"
#include "inet/tcp/tcp.h"
#include "obs/report.h"

#define VALUE_BYTES 256u /* the list of controllers is the longest */

static json_t *param_report(const struct tcp_params *params, const struct tcp_params *initial,
			    const char *name, const char *text)
{
	char value[VALUE_BYTES] = "", usual[VALUE_BYTES] = "";
	int32_t min = 0, max = 0;
	unsigned int n = 0;
	json_t *item;

	tcp_params_get(params, name, value, sizeof(value));
	tcp_params_get(initial, name, usual, sizeof(usual));
	tcp_params_bounds(name, &n, &min, &max);
	item = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "value", value, "default", usual,
			 "text", text);
	if (n) {
		json_object_set_new(item, "min", json_integer(min));
		json_object_set_new(item, "max", json_integer(max));
	}
	return item;
}

json_t *report_params(struct worker *w, const char *name)
{
	struct tcp_params initial;
	const char *each, *text;
	json_t *list = json_array();

	tcp_params_init(&initial);
	if (name != NULL)
		name = tcp_params_short(name);
	for (unsigned int i = 0; (each = tcp_params_name(i, &text)) != NULL; i++)
		if (name == NULL || strcmp(name, each) == 0)
			json_array_append_new(list,
					      param_report(tcp_params(w), &initial, each, text));
	return list;
}

json_t *report_counters(const uint64_t *counters)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < TCP_MIB_MAX; i++) {
		const struct tcp_mib_info *info = tcp_mib_info(i);

		json_array_append_new(list, json_pack("{s:s+, s:I, s:s}", "name", info->group,
						      info->name, "value", (json_int_t)counters[i],
						      "text", info->text));
	}
	return list;
}

static json_t *option_names(uint8_t options)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = { { TCPI_OPT_TIMESTAMPS, "ts" },
		      { TCPI_OPT_SACK, "sack" },
		      { TCPI_OPT_ECN, "ecn" },
		      { TCPI_OPT_ECN_SEEN, "ecnseen" },
		      { TCPI_OPT_SYN_DATA, "fastopen" } };
	json_t *list = json_array();

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (options & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

json_t *report_tcp(struct worker *w, const struct tcp_pcb *pcb)
{
	const struct tcp_public *pub = (const struct tcp_public *)pcb;
	struct tcp_info_full full;
	const struct tcp_info *i = &full.known;
	json_t *o;

	if (!pcb || pub->state < TCP_SYN_SENT || pub->state == TCP_TIME_WAIT)
		return NULL;
	tcp_get_info(w, pcb, &full, sizeof(full));
	o = json_pack("{s:s, s:o}", "congestion", tcp_congestion_name(pcb), "options",
		      option_names(i->tcpi_options));
#define MEMBER(name) json_object_set_new(o, #name, json_integer((json_int_t)i->tcpi_##name))
	MEMBER(snd_wscale), MEMBER(rcv_wscale), MEMBER(rto), MEMBER(ato), MEMBER(rtt);
	MEMBER(rttvar), MEMBER(min_rtt), MEMBER(snd_mss), MEMBER(rcv_mss), MEMBER(advmss);
	MEMBER(pmtu), MEMBER(snd_cwnd), MEMBER(snd_ssthresh), MEMBER(ca_state), MEMBER(unacked);
	MEMBER(sacked), MEMBER(lost), MEMBER(retrans), MEMBER(total_retrans), MEMBER(backoff);
	MEMBER(bytes_sent), MEMBER(bytes_retrans), MEMBER(bytes_acked), MEMBER(bytes_received);
	MEMBER(segs_out), MEMBER(segs_in), MEMBER(data_segs_out), MEMBER(data_segs_in);
	MEMBER(last_data_sent), MEMBER(last_data_recv), MEMBER(last_ack_recv);
	MEMBER(delivery_rate), MEMBER(pacing_rate), MEMBER(delivered), MEMBER(busy_time);
	MEMBER(rwnd_limited), MEMBER(sndbuf_limited), MEMBER(notsent_bytes), MEMBER(snd_wnd);
	MEMBER(dsack_dups), MEMBER(reord_seen), MEMBER(rcv_ooopack), MEMBER(rcv_space);
	MEMBER(rcv_rtt);
#undef MEMBER
	json_object_set_new(o, "rcv_wnd", json_integer(full.tcpi_rcv_wnd));
	json_object_set_new(o, "total_rto", json_integer(full.tcpi_total_rto));
	return o;
}
