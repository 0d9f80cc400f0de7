/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold: states, struct tcp_info, drop reasons, and at the end the ledger.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#define WEIR_NO_TCP_STATES
#include "inet/tcp/info.h"
#include "inet/tcp/tcp.h"
#include "names.h"
#include "run.h"

static int64_t scaled(int64_t n, bool is_time, uint64_t unit_ns)
{
	return is_time && unit_ns ? n / (int64_t)unit_ns : n;
}

bool want_met(const struct want *want, int64_t value, uint64_t unit_ns)
{
	int64_t a = scaled(want->a, want->a_time, unit_ns);
	int64_t b = scaled(want->b, want->b_time, unit_ns);

	switch (want->op) {
	case WANT_OK:
		return true;
	case WANT_EQ:
		return want->text[0] || value == a;
	case WANT_NE:
		return value != a;
	case WANT_LT:
		return value < a;
	case WANT_LE:
		return value <= a;
	case WANT_GT:
		return value > a;
	case WANT_GE:
		return value >= a;
	case WANT_RANGE:
		return value >= a && value <= b;
	}
	return false;
}

struct look {
	struct run *r;
	const struct flow *flow;
	struct tcp_info_full info;
	bool found;
};

static void look_at(const struct tcp_pcb *pcb, void *arg)
{
	const struct tcp_public *pub = (const struct tcp_public *)pcb;
	struct look *l = arg;

	if (be16_to_host(pub->local.port_be) != l->flow->us ||
	    be16_to_host(pub->remote.port_be) != l->flow->peer)
		return;
	l->found = true;
	tcp_get_info(l->r->weir->w, pcb, &l->info, sizeof(l->info));
}

/* False: there is none. */
static bool look(struct run *r, const struct event *e, struct look *l)
{
	const struct check *check = &e->check;
	socklen_t len = sizeof(l->info);

	*l = (struct look){ .r = r, .flow = &r->flow[e->flow] };
	if (check->sock < 0) {
		if (l->flow->known)
			tcp_for_each(r->weir->w, look_at, l);
		return l->found;
	}
	if (!r->sock[check->sock].open)
		run_fail(r, "'%s' is closed: write @%c", r->script->sock_name[check->sock],
			 (int)('a' + e->flow));
	if (weir_getsockopt(r->weir, r->sock[check->sock].fd, IPPROTO_TCP, TCP_INFO, &l->info,
			    &len) != 0)
		run_fail(r, "TCP_INFO failed");
	return true;
}

void check_state(struct run *r, const struct event *e)
{
	struct look l;
	int state = look(r, e, &l) ? l.info.known.tcpi_state : 0;

	if (state != e->check.state)
		run_fail(r, "the state is %s", name_of(names_state, state));
}

void check_info(struct run *r, const struct event *e)
{
	const struct check *check = &e->check;
	struct look l;

	if (!look(r, e, &l))
		run_fail(r, "there is no such connection");
	for (unsigned int i = 0; i < check->n; i++) {
		int field = check->field[i].field;
		int64_t value = info_field_value(field, &l.info);

		if (!want_met(&check->field[i].want, value, info_field_unit_ns(field)))
			run_fail(r, "%s is %" PRId64, info_field_name(field), value);
	}
}

static uint64_t drops(struct run *r, int reason)
{
	return ledger_drops_of(&r->weir->w->ledger, (enum drop_reason)reason);
}

void check_drop(struct run *r, const struct event *e)
{
	int reason = e->check.reason;
	uint64_t n = drops(r, reason) - r->drops[reason];

	if (n != (uint64_t)e->check.value)
		run_fail(r, "%" PRIu64 " packets were dropped for %s since it was last named", n,
			 name_of(names_reason, reason));
	r->drops[reason] += n;
}

void check_counter(struct run *r, const struct event *e)
{
	int i = e->check.counter;
	uint64_t n = tcp_counter(r->weir->w, (unsigned int)i) - r->counter[i];

	if (n != (uint64_t)e->check.value)
		run_fail(r, "%s has grown by %" PRId64 " since it was last named",
			 tcp_mib_info((unsigned int)i)->name, (int64_t)n);
	r->counter[i] += n;
}

void check_sysctl(struct run *r, const struct event *e)
{
	if (weir_sysctl(r->weir, e->check.name, e->check.text) != 0)
		run_fail(r, "parameter '%s' cannot be '%s': %s", e->check.name, e->check.text,
			 strerror(errno));
}

void check_end(struct run *r)
{
	struct weir_ledger l;

	for (int i = 0; i < DROP_REASON_MAX; i++)
		if (drops(r, i) != r->drops[i])
			run_fail(r,
				 "%" PRIu64 " packets were dropped for %s, which the script does "
				 "not name: add `drop %s N`",
				 drops(r, i) - r->drops[i], name_of(names_reason, i),
				 name_of(names_reason, i));
	weir_ledger(r->weir, &l);
	if (l.balance != 0)
		run_fail(r, "the ledger does not balance: %" PRId64, l.balance);
	if (l.held == 0 && !weir_pool_is_full(r->weir))
		run_fail(r, "a packet buffer is missing");
}
