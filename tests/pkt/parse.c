/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole script: lines, times, and the lines that are neither segments nor calls.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inet/tcp/mib.h"
#include "names.h"
#include "script.h"

#define SCRIPT_MAX_BYTES (1u << 20)

/* +0.1   +0.1~5ms   +0.1..0.3 */
static bool parse_time(struct cursor *c, struct event *e)
{
	if (!take_char(c, '+'))
		return true;
	if (!need_duration(c, &e->delay_ns, "the time"))
		return false;
	e->delay_max_ns = e->delay_ns;
	if (take_text(c, "..") && !need_duration(c, &e->delay_max_ns, "the latest time"))
		return false;
	if (e->delay_max_ns < e->delay_ns)
		return cursor_fail(c, "the latest time is before the earliest");
	e->has_tolerance = take_char(c, '~');
	return !e->has_tolerance || need_duration(c, &e->tolerance_ns, "the tolerance");
}

/* A socket's name, or @b: check->sock is then -1. */
static bool parse_whose(struct cursor *c, struct script *s, struct event *e)
{
	char name[CURSOR_WORD_BYTES];

	e->check.sock = -1;
	if (cursor_peek(c) == '@')
		return parse_flow_name(c, &e->flow);
	if (!need_word(c, name, "a socket's name (or @a)"))
		return false;
	e->check.sock = script_sock(c, s, name, false);
	return e->check.sock >= 0;
}

static bool parse_state(struct cursor *c, struct script *s, struct event *e)
{
	char word[CURSOR_WORD_BYTES];
	const struct name *n;

	e->kind = EV_STATE;
	if (!parse_whose(c, s, e) || !need_word(c, word, "the state"))
		return false;
	n = name_find(names_state, word);
	if (!n)
		return cursor_fail(c,
				   "'%s' is no state: LISTEN, SYN_SENT, SYN_RECEIVED, "
				   "ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, "
				   "LAST_ACK, TIME_WAIT, CLOSED, NONE",
				   word);
	e->check.state = n->value;
	return need_end(c);
}

static bool parse_info(struct cursor *c, struct script *s, struct event *e)
{
	char word[CURSOR_WORD_BYTES];

	e->kind = EV_INFO;
	if (!parse_whose(c, s, e))
		return false;
	while (take_word(c, word)) {
		int field = info_field_find(word);

		if (field < 0)
			return cursor_fail(c, "'%s' is no field of tcp_info; names.c has the table",
					   word);
		if (e->check.n == CHECKS_MAX)
			return cursor_fail(c, "%u fields are the most in a line", CHECKS_MAX);
		e->check.field[e->check.n].field = field;
		if (!parse_want(c, &e->check.field[e->check.n++].want))
			return false;
		take_char(c, ',');
	}
	if (!e->check.n)
		return cursor_fail(c, "a field of tcp_info is missing here: cwnd = 10");
	return need_end(c);
}

static bool parse_drop(struct cursor *c, struct script *s, struct event *e)
{
	char word[CURSOR_WORD_BYTES];
	const struct name *n;

	e->kind = EV_DROP;
	if (!need_word(c, word, "the reason"))
		return false;
	n = name_find(names_reason, word);
	if (!n)
		return cursor_fail(c, "'%s' is no reason of src/core/drop.def", word);
	e->check.reason = n->value;
	e->check.value = 1;
	take_number(c, &e->check.value);
	return need_end(c);
}

static bool parse_counter(struct cursor *c, struct script *s, struct event *e)
{
	char word[CURSOR_WORD_BYTES];

	e->kind = EV_COUNTER;
	if (!need_word(c, word, "the counter's name"))
		return false;
	e->check.counter = tcp_mib_find(word);
	if (e->check.counter < 0)
		return cursor_fail(c, "'%s' is no counter of src/inet/tcp/mib.def", word);
	e->check.value = 1;
	take_number(c, &e->check.value);
	return need_end(c);
}

static bool parse_sysctl(struct cursor *c, struct script *s, struct event *e)
{
	e->kind = EV_SYSCTL;
	if (!need_word(c, e->check.name, "the parameter's name"))
		return false;
	take_char(c, '=');
	/* The rest of the line: "3", "4096 131072 6291456", "reno". */
	if (!cursor_peek(c) || strlen(c->at) >= sizeof(e->check.text))
		return cursor_fail(c, "the value is missing here, or too long");
	strcpy(e->check.text, c->at);
	c->at += strlen(c->at);
	return true;
}

/* flow @b peer 40001 us 80 isn 4294967000 */
static bool parse_flow(struct cursor *c, struct script *s, struct event *e)
{
	int64_t n;

	e->kind = EV_FLOW;
	if (!parse_flow_name(c, &e->flow))
		return false;
	while (cursor_peek(c)) {
		if (take_keyword(c, "peer")) {
			if (!need_number(c, &n, 1, 65535, "the peer's port"))
				return false;
			e->ports.peer = (uint16_t)n;
		} else if (take_keyword(c, "us")) {
			if (!need_number(c, &n, 1, 65535, "our port"))
				return false;
			e->ports.us = (uint16_t)n;
		} else if (take_keyword(c, "isn")) {
			if (!need_number(c, &n, 0, UINT32_MAX, "the number"))
				return false;
			e->ports.has_isn = true;
			e->ports.isn = (uint32_t)n;
		} else {
			return cursor_fail(c, "flow has: peer PORT, us PORT, isn NUMBER");
		}
	}
	return true;
}

static bool parse_quiet(struct cursor *c, struct script *s, struct event *e)
{
	e->kind = EV_QUIET;
	return need_end(c);
}

static bool parse_tolerance(struct cursor *c, struct script *s, struct event *e)
{
	e->kind = EV_TOLERANCE;
	return need_duration(c, &e->tolerance_ns, "the tolerance") && need_end(c);
}

static bool parse_event(struct cursor *c, struct script *s, struct event *e)
{
	static const struct {
		const char *word;
		bool (*parse)(struct cursor *c, struct script *s, struct event *e);
	} kinds[] = {
		{ "state", parse_state },	  { "info", parse_info },
		{ "drop", parse_drop },		  { "sysctl", parse_sysctl },
		{ "flow", parse_flow },		  { "quiet", parse_quiet },
		{ "tolerance", parse_tolerance }, { "counter", parse_counter },
	};
	char word[CURSOR_WORD_BYTES];

	if (!parse_time(c, e))
		return false;
	if (take_char(c, '<'))
		return parse_seg(c, e, true);
	if (take_char(c, '>'))
		return parse_seg(c, e, false);
	if (take_keyword(c, "icmp"))
		return parse_icmp(c, e);
	if (!need_word(c, word, "a segment (< or >), a call or a check"))
		return false;
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(word, kinds[i].word) == 0)
			return kinds[i].parse(c, s, e);
	return parse_call(c, s, e, word);
}

static struct event *event_new(struct script *s)
{
	if (s->events == s->room) {
		unsigned int room = s->room ? s->room * 2 : 64;
		struct event *more = realloc(s->event, room * sizeof(*more));

		if (!more)
			return NULL;
		s->event = more;
		s->room = room;
	}
	memset(&s->event[s->events], 0, sizeof(s->event[0]));
	return &s->event[s->events++];
}

static bool parse_line(struct cursor *c, struct script *s, unsigned int line, const char *text)
{
	struct event *e;

	*c = (struct cursor){ .line = text, .at = text };
	if (!cursor_peek(c))
		return true;
	if (strlen(text) > SCRIPT_MAX_LINE)
		return cursor_fail(c, "a line has %u characters at the most", SCRIPT_MAX_LINE);
	if (s->events == SCRIPT_MAX_EVENTS)
		return cursor_fail(c, "%u lines that do something are the most", SCRIPT_MAX_EVENTS);
	e = event_new(s);
	if (!e)
		return cursor_fail(c, "out of memory");
	e->line = line;
	e->text = text;
	return parse_event(c, s, e);
}

/* `established c [@b] mss 1000, sackOK, ... [win N] [rtt 20ms]`: the lines that it stands for. */
static bool expand_established(struct cursor *c, struct script *s, unsigned int line, bool active);

/* What was made of one line: kept until the script is freed. */
static char *line_keep(struct script *s, const char *text)
{
	char **more = realloc(s->lines, (s->lines_n + 1) * sizeof(*more));
	char *copy = strdup(text);

	if (!more || !copy) {
		free(copy);
		s->lines = more ? more : s->lines;
		return NULL;
	}
	s->lines = more;
	return s->lines[s->lines_n++] = copy;
}

__attribute__((format(printf, 4, 5))) static bool expand(struct cursor *c, struct script *s,
							 unsigned int line, const char *format, ...)
{
	struct cursor own = { .line = "" };
	char text[SCRIPT_MAX_LINE], *kept;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	kept = line_keep(s, text);
	if (kept && parse_line(&own, s, line, kept))
		return true;
	return cursor_fail(c, "in '%s': %s", text, kept ? own.error : "out of memory");
}

static bool expand_passive(struct cursor *c, struct script *s, unsigned int line, const char *name,
			   char flow, const char *rtt, const char *win, const char *opt)
{
	bool again = false;

	for (unsigned int i = 0; i < s->socks; i++)
		again |= strcmp(s->sock_name[i], "listener") == 0;
	return (again || (expand(c, s, line, "listener = socket()") &&
			  expand(c, s, line, "setsockopt(listener, SO_REUSEADDR, 1)") &&
			  expand(c, s, line, "bind(listener, 80)") &&
			  expand(c, s, line, "listen(listener, 16)"))) &&
	       expand(c, s, line, "< @%c S 0(0) win 65535 opt %s", flow, opt) &&
	       expand(c, s, line, "> @%c S. 0(0) ack 1", flow) &&
	       expand(c, s, line, "+%s < @%c . 1(0) ack 1 win %s", rtt, flow, win) &&
	       expand(c, s, line, "%s = accept(listener)", name);
}

static bool expand_active(struct cursor *c, struct script *s, unsigned int line, const char *name,
			  char flow, const char *rtt, const char *win, const char *opt)
{
	return expand(c, s, line, "%s = socket()", name) &&
	       expand(c, s, line, "connect(%s, 8080) = EINPROGRESS", name) &&
	       expand(c, s, line, "> @%c S 0(0)", flow) &&
	       expand(c, s, line, "+%s < @%c S. 0(0) ack 1 win %s opt %s", rtt, flow, win, opt) &&
	       expand(c, s, line, "> @%c . 1(0) ack 1", flow);
}

static bool word_to(struct cursor *c, char *to, size_t room, const char *what)
{
	size_t n = 0;

	cursor_peek(c);
	while (c->at[n] && c->at[n] != ' ' && c->at[n] != '\t')
		n++;
	if (!n || n >= room)
		return cursor_fail(c, "%s is missing here", what);
	memcpy(to, c->at, n);
	to[n] = '\0';
	c->at += n;
	return true;
}

static bool expand_established(struct cursor *c, struct script *s, unsigned int line, bool active)
{
	char name[CURSOR_WORD_BYTES], rtt[32] = "0", win[32] = "65535";
	unsigned int flow = 0;

	if (!need_word(c, name, "the socket's name") || !parse_flow_name(c, &flow))
		return false;
	for (;;) {
		if (take_keyword(c, "rtt")) {
			if (!word_to(c, rtt, sizeof(rtt), "the round trip"))
				return false;
		} else if (take_keyword(c, "win")) {
			if (!word_to(c, win, sizeof(win), "the window"))
				return false;
		} else {
			break;
		}
	}
	if (cursor_peek(c) && !take_keyword(c, "opt"))
		return cursor_fail(c, "a connection has: rtt TIME, win N, and then opt mss N, ...");
	return (active ? expand_active : expand_passive)(c, s, line, name, (char)('a' + flow), rtt,
							 win, *c->at ? c->at : "none");
}

static bool parse_any(struct cursor *c, struct script *s, unsigned int line, const char *text)
{
	*c = (struct cursor){ .line = text, .at = text };
	if (take_keyword(c, "established"))
		return expand_established(c, s, line, false);
	if (take_keyword(c, "connected"))
		return expand_established(c, s, line, true);
	return parse_line(c, s, line, text);
}

int script_parse(struct script *s, const char *path, char *text, char error[SCRIPT_ERROR_BYTES])
{
	unsigned int line = 1;
	struct cursor c;

	snprintf(s->path, sizeof(s->path), "%s", path);
	for (char *next; text; text = next, line++) {
		char *hash, *kept;

		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		hash = strchr(text, '#');
		if (hash)
			*hash = '\0';
		for (size_t n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--)
			text[n - 1] = '\0';
		kept = line_keep(s, text);
		if (kept && parse_any(&c, s, line, kept))
			continue;
		snprintf(error, SCRIPT_ERROR_BYTES, "%s:%u:%u: %s\n\t%s", path, line,
			 kept ? c.error_column : 0, kept ? c.error : "out of memory", text);
		return -1;
	}
	return 0;
}

int script_read(struct script *s, const char *path, char error[SCRIPT_ERROR_BYTES])
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, SCRIPT_MAX_BYTES + 1);
	size_t len = file && text ? fread(text, 1, SCRIPT_MAX_BYTES, file) : 0;
	int ret = -1;

	memset(s, 0, sizeof(*s));
	if (!file || !text || ferror(file))
		snprintf(error, SCRIPT_ERROR_BYTES, "%s: %s", path, strerror(errno));
	else if (len == SCRIPT_MAX_BYTES || memchr(text, '\0', len))
		snprintf(error, SCRIPT_ERROR_BYTES, "%s: that is no script: %s", path,
			 len == SCRIPT_MAX_BYTES ? "too long" : "it has zero bytes");
	else
		ret = script_parse(s, path, text, error);
	if (ret == 0 && s->events == 0)
		ret = snprintf(error, SCRIPT_ERROR_BYTES, "%s: the script does nothing", path) * 0 -
		      1;
	if (file)
		fclose(file);
	free(text);
	return ret;
}

void script_free(struct script *s)
{
	for (unsigned int i = 0; i < s->lines_n; i++)
		free(s->lines[i]);
	free(s->lines);
	free(s->event);
	memset(s, 0, sizeof(*s));
}
