/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket calls: [NAME =] call(SOCKET, ...) [= RESULT]. Without a result the call must succeed.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "names.h"
#include "script.h"

int script_sock(struct cursor *c, struct script *s, const char *name, bool make)
{
	for (unsigned int i = 0; i < s->socks; i++)
		if (strcmp(s->sock_name[i], name) == 0)
			return (int)i;
	if (!make) {
		cursor_fail(c, "no socket '%s' so far: make one with %s = socket() or accept()",
			    name, name);
		return -1;
	}
	if (s->socks == SCRIPT_SOCKS) {
		cursor_fail(c, "%u sockets are the most in a script", SCRIPT_SOCKS);
		return -1;
	}
	strcpy(s->sock_name[s->socks], name);
	return (int)s->socks++;
}

/* IN|OUT, PEEK|OOB; 0 is none of them. */
static bool parse_mask(struct cursor *c, const struct name *table, const char *what, int64_t *mask)
{
	char word[CURSOR_WORD_BYTES];
	const struct name *n;

	if (take_number(c, mask))
		return *mask == 0 || cursor_fail(c, "%s are written as words, or 0", what);
	*mask = 0;
	do {
		if (!need_word(c, word, what))
			return false;
		n = name_find(table, word);
		if (!n)
			return cursor_fail(c, "'%s' is none of %s", word, what);
		*mask |= n->value;
	} while (take_char(c, '|'));
	return true;
}

static bool take_string(struct cursor *c, char *text, size_t room)
{
	const char *end;

	if (!take_char(c, '"'))
		return false;
	end = strchr(c->at, '"');
	if (!end || (size_t)(end - c->at) >= room)
		return cursor_fail(c, "a string ends with \" and is shorter than %zu", room);
	memcpy(text, c->at, (size_t)(end - c->at));
	text[end - c->at] = '\0';
	c->at = end + 1;
	return true;
}

static enum want_op take_op(struct cursor *c)
{
	static const struct {
		const char *text;
		enum want_op op;
	} ops[] = { { "==", WANT_EQ }, { "!=", WANT_NE }, { "<=", WANT_LE }, { ">=", WANT_GE },
		    { "<", WANT_LT },  { ">", WANT_GT },  { "=", WANT_EQ } };

	for (unsigned int i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (take_text(c, ops[i].text))
			return ops[i].op;
	return WANT_EQ;
}

bool parse_want(struct cursor *c, struct want *want)
{
	char word[CURSOR_WORD_BYTES];
	const struct name *n;
	uint64_t unit;

	want->op = take_op(c);
	if (take_string(c, want->text, sizeof(want->text)))
		return true;
	if (take_word(c, word)) {
		n = name_find(names_errno, word);
		if (n) {
			want->error = n->value;
			return true;
		}
		n = name_find(names_ca_state, word);
		if (!n)
			return cursor_fail(c, "'%s' is no errno and no value known here", word);
		want->a = n->value;
		return true;
	}
	if (!take_quantity(c, &want->a, &unit))
		return cursor_fail(c, "a value is missing here: 5, >5, 3..7, 200ms or EAGAIN");
	want->a_time = unit != 0;
	if (!take_text(c, ".."))
		return true;
	want->op = WANT_RANGE;
	if (!take_quantity(c, &want->b, &unit))
		return cursor_fail(c, "the range's end is missing here");
	want->b_time = unit != 0;
	return true;
}

static bool parse_option_args(struct cursor *c, struct call *call)
{
	char word[CURSOR_WORD_BYTES];
	const struct option_name *o;

	if (!need_char(c, ',') || !need_word(c, word, "the option"))
		return false;
	o = option_name_find(word);
	if (!o)
		return cursor_fail(c, "'%s' is no option that scripts know; names.c has the table",
				   word);
	call->level = o->level;
	call->opt = o->opt;
	if (call->fn == CALL_GETSOCKOPT)
		return true;
	if (!need_char(c, ','))
		return false;
	if (take_string(c, call->text, sizeof(call->text)))
		return true;
	if (!need_number(c, &call->arg, INT_MIN, INT_MAX, "the value"))
		return false;
	return !take_char(c, ',') ||
	       need_number(c, &call->arg2, INT_MIN, INT_MAX, "the second value");
}

static bool parse_io_args(struct cursor *c, struct call *call)
{
	int64_t flags = 0;

	if (!need_char(c, ',') || !need_number(c, &call->arg, 0, 100000000, "how many bytes"))
		return false;
	if (take_char(c, ',') && !parse_mask(c, names_msg, "flags of send and recv", &flags))
		return false;
	call->flags = (int)flags;
	if (call->fn == CALL_SENDTO)
		return need_char(c, ',') && need_number(c, &call->arg2, 1, 65535, "the port");
	return true;
}

static bool parse_args(struct cursor *c, struct call *call)
{
	char word[CURSOR_WORD_BYTES];
	const struct name *n;

	switch (call->fn) {
	case CALL_BIND:
	case CALL_CONNECT:
		return need_char(c, ',') && need_number(c, &call->arg, 0, 65535, "the port");
	case CALL_LISTEN:
		return need_char(c, ',') && need_number(c, &call->arg, -1, 65535, "the backlog");
	case CALL_SEND:
	case CALL_SENDTO:
	case CALL_RECV:
		return parse_io_args(c, call);
	case CALL_SHUTDOWN:
		if (!need_char(c, ',') || !need_word(c, word, "RD, WR or RDWR"))
			return false;
		n = name_find(names_how, word);
		call->arg = n ? n->value : 0;
		return n || cursor_fail(c, "RD, WR or RDWR");
	case CALL_POLL:
		return need_char(c, ',') &&
		       parse_mask(c, names_poll, "poll's events: IN, OUT, PRI, RDHUP", &call->arg);
	case CALL_SETSOCKOPT:
	case CALL_GETSOCKOPT:
		return parse_option_args(c, call);
	default:
		return true;
	}
}

static bool parse_result(struct cursor *c, struct call *call)
{
	if (!take_char(c, '='))
		return true;
	if (call->fn != CALL_POLL)
		return parse_want(c, &call->want);
	call->want.op = WANT_EQ;
	return parse_mask(c, names_poll, "poll's events: IN, OUT, PRI, ERR, HUP, RDHUP",
			  &call->want.a);
}

bool parse_call(struct cursor *c, struct script *s, struct event *e, const char *first)
{
	char name[CURSOR_WORD_BYTES], fn[CURSOR_WORD_BYTES];
	struct call *call = &e->call;
	const struct name *n;

	e->kind = EV_CALL;
	call->result = -1;
	strcpy(fn, first);
	if (take_char(c, '=')) {
		if (!need_word(c, fn, "a call"))
			return false;
		call->result = script_sock(c, s, first, true);
		if (call->result < 0)
			return false;
	}
	n = name_find(names_call, fn);
	if (!n)
		return cursor_fail(
			c,
			"'%s' is not known: a line is a segment (< or >), a call, or "
			"icmp, info, state, drop, counter, sysctl, flow, quiet, tolerance",
			fn);
	call->fn = n->value;
	if ((call->result >= 0) != (call->fn == CALL_SOCKET) && call->fn != CALL_ACCEPT)
		return cursor_fail(c, "NAME = is for socket() and accept()");
	if (!need_char(c, '('))
		return false;
	if (call->fn != CALL_SOCKET) {
		if (!need_word(c, name, "a socket's name"))
			return false;
		call->sock = script_sock(c, s, name, false);
		if (call->sock < 0 || !parse_args(c, call))
			return false;
	}
	return need_char(c, ')') && parse_result(c, call) && need_end(c);
}
