/* SPDX-License-Identifier: BSD-3-Clause */
/* `weir trace`: records that were prepared by hand, to packets, to text and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bin/weir/trace/trace.h"

/* Stages, fates and reasons of this test's weird. */
enum { RX, INPUT, DELIVER, SEND, OUTPUT, TX };
enum { DELIVERED, TRANSMITTED, FORWARDED, ABSORBED };
enum { NO_SOCKET = 1 };
#define NOBODY 4194305u /* a process that cannot be: beyond pid_max */
#define DAY_NS 1764082503123456789ull

struct cli cli = { .instance = "default" };

static json_t *about;
static struct trace_store *store;

static const char about_text[] =
	"{\"cycles_per_second\": 1000000000,"
	" \"stages\": [{\"stage\": \"port-rx\", \"linux\": \"napi_poll\","
	" \"direction\": \"receive\"},"
	" {\"stage\": \"tcp-input\", \"linux\": \"tcp_v4_rcv\", \"direction\": \"receive\"},"
	" {\"stage\": \"sock-deliver\", \"linux\": \"sock_def_readable\","
	" \"direction\": \"receive\"},"
	" {\"stage\": \"sock-send\", \"linux\": \"sock_sendmsg\", \"direction\": \"send\"},"
	" {\"stage\": \"ip4-output\", \"linux\": \"ip_queue_xmit\", \"direction\": \"send\"},"
	" {\"stage\": \"port-tx\", \"linux\": \"dev_queue_xmit\", \"direction\": \"send\"}],"
	" \"fates\": [\"delivered\", \"transmitted\", \"forwarded\", \"absorbed\"],"
	" \"tcp_states\": [\"UNCONN\", \"LISTEN\", \"ESTAB\"],"
	" \"reasons\": [{\"name\": \"NOT_SPECIFIED\", \"text\": \"no reason\","
	" \"severity\": \"bug\"},"
	" {\"name\": \"NO_SOCKET\", \"text\": \"no socket wants it\", \"severity\": \"info\"}],"
	" \"sites\": [{\"function\": \"udp_input_one\", \"file\": \"src/inet/udp_in.c\","
	" \"line\": 99}],"
	" \"ports\": [{\"name\": \"lo\", \"ifindex\": 1}, {\"name\": \"weir0\", \"ifindex\": 2}]}";

/* 198.18.0.1:50312 > 198.18.0.2:80, TCP SYN. */
static const uint8_t frame[] = {
	0x02, 0,  0,	0, 0,  2, 0x02, 0, 0,	0,  0,	  1,	0x08, 0x00, 0x45, 0, 0,	   40,
	0,    0,  0x40, 0, 64, 6, 0,	0, 198, 18, 0,	  1,	198,  18,   0,	  2, 0xc4, 0x88,
	0,    80, 0,	0, 0,  1, 0,	0, 0,	0,  0x50, 0x02, 0xff, 0xff, 0,	  0, 0,	   0,
};

static int begin(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	about = json_loads(about_text, 0, NULL);
	store = trace_store_new(about, 4);
	return about && store ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	trace_store_free(store);
	json_decref(about);
	return 0;
}

struct said {
	uint32_t id;
	uint8_t kind, stage;
	uint64_t ns;
	uint16_t code;
	uint64_t arg0, arg1;
	bool bytes, ours;
	uint8_t ifindex;
};

static void say(struct said s)
{
	struct watch_record *r = calloc(1, sizeof(*r) + sizeof(frame));

	assert_non_null(r);
	*r = (struct watch_record){ .kind = s.kind,
				    .stage = s.stage,
				    .ifindex = s.ifindex,
				    .link = s.bytes ? WATCH_LINK_ETHERNET : WATCH_LINK_NONE,
				    .stamp_ns = DAY_NS,
				    .cycles = 5000 + s.ns,
				    .id = s.id,
				    .code = s.code,
				    .flags = s.ours ? WATCH_F_ORIGINATED : 0,
				    .arg = { s.arg0, s.arg1 },
				    .len_bytes = sizeof(frame),
				    .data_bytes = s.bytes ? sizeof(frame) : 0 };
	if (s.bytes)
		memcpy(r->data, frame, sizeof(frame));
	trace_store_add(store, r);
	free(r);
}

#define SAY(...) say((struct said){ __VA_ARGS__ })

/* The next packet that is done with. */
static struct trace_packet *taken(void)
{
	struct trace_packet *p;

	trace_store_round(store);
	p = trace_store_take(store, false);
	assert_non_null(p);
	return p;
}

static char *text_of(const struct trace_packet *p, bool verbose)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	trace_text(about, p, verbose, to);
	fclose(to);
	return text;
}

static void shown_as(struct trace_packet *p, bool verbose, const char *expected)
{
	char *text = text_of(p, verbose);

	assert_string_equal(text, expected);
	free(text);
	trace_packet_free(p);
}

/* ---- whole packets ---- */

static void received(uint32_t id)
{
	SAY(.id = id, .kind = WATCH_PACKET, .stage = RX, .ifindex = 2, .bytes = true);
	SAY(.id = id, .kind = WATCH_PACKET, .stage = INPUT, .ns = 412, .ifindex = 2);
	SAY(.id = id, .kind = WATCH_NOTE, .stage = INPUT, .ns = 500, .code = WATCH_NOTE_SOCKET,
	    .arg0 = 80, .arg1 = NOBODY);
	SAY(.id = id, .kind = WATCH_NOTE, .stage = INPUT, .ns = 512, .code = WATCH_NOTE_TCP_STATE,
	    .arg0 = 2, .arg1 = 4000000000u);
}

static void a_delivered_packet(void **state)
{
	(void)state;
	received(7);
	SAY(.id = 7, .kind = WATCH_PACKET, .stage = DELIVER, .ns = 900);
	SAY(.id = 7, .kind = WATCH_END, .stage = DELIVER, .ns = 1900, .code = DELIVERED);
	shown_as(taken(), false,
		 "#7  14:55:03.123456  weir0  198.18.0.1:50312 > 198.18.0.2:80  TCP SYN, 40 bytes\n"
		 "        +0.000 us  port-rx       (napi_poll)\n"
		 "        +0.412 us  tcp-input     (tcp_v4_rcv)\n"
		 "        +0.088 us    socket found: port 80 of process 4194305\n"
		 "        +0.012 us    connection is in state ESTAB, expects sequence number "
		 "4000000000\n"
		 "        +0.388 us  sock-deliver  (sock_def_readable)\n"
		 "        +1.000 us  delivered to process 4194305\n"
		 "         1.900 us  in all\n\n");
}

static void a_dropped_packet(void **state)
{
	char *text;
	struct trace_packet *p;

	(void)state;
	SAY(.id = 3, .kind = WATCH_PACKET, .stage = RX, .ifindex = 2, .bytes = true);
	SAY(.id = 3, .kind = WATCH_DROP, .stage = INPUT, .ns = 250, .code = NO_SOCKET);
	p = taken();
	assert_true(trace_packet_dropped(p));
	text = text_of(p, false);
	assert_non_null(strstr(text, "dropped: NO_SOCKET at udp_input_one() src/inet/udp_in.c:99: "
				     "no socket wants it\n"));
	assert_non_null(strstr(text, "what to do: "));
	assert_non_null(strstr(text, "0.250 us  in all\n"));
	free(text);
	trace_packet_free(p);
}

static void a_packet_of_ours(void **state)
{
	(void)state;
	SAY(.id = 9, .kind = WATCH_PACKET, .stage = SEND, .ours = true);
	SAY(.id = 9, .kind = WATCH_PACKET, .stage = OUTPUT, .ns = 100, .ours = true, .bytes = true);
	SAY(.id = 9, .kind = WATCH_NOTE, .stage = OUTPUT, .ns = 150, .code = WATCH_NOTE_ROUTE,
	    .arg0 = 2, .arg1 = htobe32(0xc6120001u));
	SAY(.id = 9, .kind = WATCH_NOTE, .stage = OUTPUT, .ns = 160, .code = WATCH_NOTE_NEIGH_WAIT,
	    .arg0 = htobe32(0xc6120001u), .arg1 = 3);
	SAY(.id = 9, .kind = WATCH_NOTE, .stage = OUTPUT, .ns = 1000160,
	    .code = WATCH_NOTE_NEIGH_KNOWN, .arg0 = htobe32(0xc6120001u));
	SAY(.id = 9, .kind = WATCH_PACKET, .stage = TX, .ns = 1000200, .ifindex = 2);
	SAY(.id = 9, .kind = WATCH_END, .stage = TX, .ns = 1000300, .code = TRANSMITTED);
	shown_as(taken(), false,
		 "#9  14:55:03.123456  made here  198.18.0.1:50312 > 198.18.0.2:80  TCP SYN, 40 "
		 "bytes\n"
		 "        +0.000 us  sock-send     (sock_sendmsg)\n"
		 "        +0.100 us  ip4-output    (ip_queue_xmit)\n"
		 "        +0.050 us    route: out of weir0 to 198.18.0.1\n"
		 "        +0.010 us    waits for the link address of 198.18.0.1, behind 3 packets\n"
		 "     +1000.000 us    the link address of 198.18.0.1 is known now\n"
		 "        +0.040 us  port-tx       (dev_queue_xmit)  weir0\n"
		 "        +0.100 us  transmitted on weir0\n"
		 "      1000.300 us  in all\n\n");
}

/* ---- what was not seen ---- */

static void without_a_beginning(void **state)
{
	(void)state;
	SAY(.id = 2, .kind = WATCH_PACKET, .stage = INPUT, .ifindex = 2);
	SAY(.id = 2, .kind = WATCH_END, .stage = INPUT, .ns = 10, .code = ABSORBED);
	shown_as(taken(), false,
		 "#2  14:55:03.123456  weir0  its headers were not seen\n"
		 "  its beginning was not seen\n"
		 "        +0.000 us  tcp-input     (tcp_v4_rcv)\n"
		 "        +0.010 us  absorbed\n"
		 "         0.010 us  in all\n\n");
}

static void without_an_end(void **state)
{
	struct trace_packet *p;
	char *text;

	(void)state;
	received(5);
	trace_store_round(store);
	assert_null(trace_store_take(store, false));
	p = trace_store_take(store, true);
	assert_non_null(p);
	assert_int_equal(p->end, TRACE_CUT_OFF);
	text = text_of(p, false);
	assert_non_null(strstr(text,
			       "  end not seen: still held, or the record of its end was lost; "
			       "last seen in tcp-input, 0.512 us after its first line\n"));
	free(text);
	trace_packet_free(p);
}

static void an_end_that_was_none(void **state)
{
	struct trace_packet *p;

	(void)state;
	SAY(.id = 4, .kind = WATCH_PACKET, .stage = TX, .ifindex = 2, .bytes = true, .ours = true);
	SAY(.id = 4, .kind = WATCH_END, .stage = TX, .ns = 10, .code = TRANSMITTED);
	SAY(.id = 4, .kind = WATCH_NOTE, .stage = TX, .ns = 20, .code = WATCH_NOTE_TX_WAIT,
	    .arg0 = 17);
	trace_store_round(store);
	assert_null(trace_store_take(store, false));
	SAY(.id = 4, .kind = WATCH_END, .stage = TX, .ns = 90, .code = TRANSMITTED);
	p = taken();
	assert_int_equal(p->count, 4);
	assert_true(p->begun);
	trace_packet_free(p);
}

/* A worker's record may be read before that of the one who handed the packet on. */
static void records_in_another_order(void **state)
{
	struct trace_packet *p;

	(void)state;
	SAY(.id = 6, .kind = WATCH_PACKET, .stage = RX, .ifindex = 2, .bytes = true);
	SAY(.id = 6, .kind = WATCH_NOTE, .stage = RX, .ns = 300, .code = WATCH_NOTE_STEERED,
	    .arg0 = 1);
	SAY(.id = 6, .kind = WATCH_END, .stage = INPUT, .ns = 400, .code = ABSORBED);
	SAY(.id = 6, .kind = WATCH_NOTE, .stage = RX, .ns = 200, .code = WATCH_NOTE_STEER,
	    .arg0 = 1);
	p = taken();
	assert_int_equal(p->end, TRACE_ENDED);
	assert_int_equal(p->event[1].code, WATCH_NOTE_STEER);
	assert_int_equal(p->event[2].code, WATCH_NOTE_STEERED);
	assert_int_equal(p->event[3].kind, WATCH_END);
	trace_packet_free(p);
}

static void too_many_at_a_time(void **state)
{
	struct trace_packet *p;

	(void)state;
	for (uint32_t id = 1; id <= 6; id++)
		received(id);
	assert_int_equal(trace_store_open(store), 4);
	p = taken();
	assert_int_equal(p->id, 1);
	assert_int_equal(p->end, TRACE_GIVEN_UP);
	/* What still comes of the other one is of no use. */
	SAY(.id = 2, .kind = WATCH_END, .stage = INPUT, .ns = 900, .code = ABSORBED);
	assert_int_equal(trace_store_forgot(store), 1);
	trace_packet_free(p);
}

static void too_many_events(void **state)
{
	struct trace_packet *p;

	(void)state;
	for (unsigned int i = 0; i < TRACE_EVENTS_MAX + 10; i++)
		SAY(.id = 1, .kind = WATCH_PACKET, .stage = RX, .ns = i, .bytes = true);
	SAY(.id = 1, .kind = WATCH_END, .stage = INPUT, .ns = 100000, .code = ABSORBED);
	p = taken();
	assert_int_equal(p->count, TRACE_EVENTS_MAX);
	assert_int_equal(p->more, 11);
	assert_non_null(trace_packet_last(p));
	trace_packet_free(p);
}

/* weird's memory may say anything. */
static void numbers_that_mean_nothing(void **state)
{
	struct trace_packet *p;
	json_t *json;

	(void)state;
	SAY(.id = 1, .kind = 77, .stage = 255, .ifindex = 255, .code = 9999);
	SAY(.id = 1, .kind = WATCH_NOTE, .stage = 200, .code = 9999, .ns = 1);
	SAY(.id = 1, .kind = WATCH_NOTE, .code = WATCH_NOTE_TCP_STATE, .arg0 = ~0ull, .ns = 2);
	SAY(.id = 1, .kind = WATCH_NOTE, .code = WATCH_NOTE_ROUTE, .arg0 = ~0ull, .ns = 3);
	SAY(.id = 1, .kind = WATCH_DROP, .stage = 99, .code = 9999, .ns = 4);
	p = taken();
	free(text_of(p, true));
	json = trace_json(about, p, true);
	assert_non_null(json);
	json_decref(json);
	trace_packet_free(p);
}

/* ---- JSON, summary ---- */

static void as_json(void **state)
{
	struct trace_packet *p;
	json_t *json, *expected;

	(void)state;
	received(7);
	SAY(.id = 7, .kind = WATCH_END, .stage = DELIVER, .ns = 1512, .code = DELIVERED);
	p = taken();
	json = trace_json(about, p, false);
	expected = json_loads(
		"{\"packet\": 7, \"time_ns\": 1764082503123456789, \"made_here\": false,"
		" \"port\": \"weir0\", \"protocol\": \"TCP\", \"source\": \"198.18.0.1\","
		" \"destination\": \"198.18.0.2\", \"source_port\": 50312,"
		" \"destination_port\": 80, \"length\": 40, \"tcp_flags\": \"SYN\", \"events\": ["
		"{\"after_us\": 0.0, \"stage\": \"port-rx\", \"linux\": \"napi_poll\","
		" \"port\": \"weir0\"},"
		"{\"after_us\": 0.412, \"stage\": \"tcp-input\", \"linux\": \"tcp_v4_rcv\","
		" \"port\": \"weir0\"},"
		"{\"after_us\": 0.088, \"stage\": \"tcp-input\", \"note\": \"SOCKET\", \"text\":"
		" \"socket found: port 80 of process 4194305\", \"args\": [80, 4194305]},"
		"{\"after_us\": 0.012, \"stage\": \"tcp-input\", \"note\": \"TCP_STATE\","
		" \"text\": \"connection is in state ESTAB, expects sequence number 4000000000\","
		" \"args\": [2, 4000000000]},"
		"{\"after_us\": 1.0, \"stage\": \"sock-deliver\", \"fate\": \"delivered\"}],"
		" \"fate\": \"delivered\", \"fate_text\": \"delivered to process 4194305\","
		" \"program\": {\"pid\": 4194305, \"text\": \"process 4194305\"},"
		" \"beginning_seen\": true, \"end_seen\": true, \"total_us\": 1.512}",
		0, NULL);
	assert_non_null(expected);
	if (!json_equal(json, expected)) {
		json_dumpf(json, stderr, JSON_INDENT(1));
		fail_msg("the JSON is another");
	}
	json_decref(json);
	json_decref(expected);
	trace_packet_free(p);
}

static void the_summary(void **state)
{
	struct trace_summary *s = trace_summary_new(about);
	json_t *json, *pair;

	(void)state;
	for (uint32_t i = 1; i <= 100; i++) {
		struct trace_packet *p;

		SAY(.id = i, .kind = WATCH_PACKET, .stage = RX, .bytes = true);
		SAY(.id = i, .kind = WATCH_PACKET, .stage = INPUT, .ns = i * 1000);
		SAY(.id = i, .kind = i % 4 ? WATCH_END : WATCH_DROP, .stage = INPUT,
		    .ns = i * 1000 + 5, .code = i % 4 ? DELIVERED : NO_SOCKET);
		p = taken();
		trace_summary_add(s, p);
		trace_packet_free(p);
	}
	json = trace_summary_json(s);
	assert_int_equal(cli_int(json, "packets"), 100);
	assert_int_equal(cli_int(json_object_get(json, "fates"), "delivered"), 75);
	assert_int_equal(cli_int(json_object_get(json, "fates"), "dropped: NO_SOCKET"), 25);
	pair = json_array_get(json_object_get(json, "stages"), 0);
	assert_string_equal(cli_string(pair, "from"), "port-rx");
	assert_string_equal(cli_string(pair, "to"), "tcp-input");
	assert_true(json_real_value(json_object_get(pair, "min_us")) == 1.0);
	assert_true(json_real_value(json_object_get(pair, "max_us")) == 100.0);
	assert_in_range((int)json_real_value(json_object_get(pair, "median_us")), 47, 54);
	assert_in_range((int)json_real_value(json_object_get(pair, "p99_us")), 93, 100);
	json_decref(json);
	trace_summary_free(s);
}

/* ---- headers ---- */

static void headers_cut_anywhere(void **state)
{
	struct trace_packet p = { .link = WATCH_LINK_ETHERNET, .len_bytes = sizeof(frame) };
	struct trace_headers h;

	(void)state;
	for (uint32_t len = 0; len <= sizeof(frame); len++) {
		uint8_t *bytes = malloc(len ? len : 1);

		memcpy(bytes, frame, len);
		p.data = bytes;
		p.data_bytes = len;
		trace_headers_read(&p, &h);
		assert_int_equal(h.ip, len >= 34);
		assert_int_equal(h.ports, len >= 54);
		free(bytes);
	}
	assert_string_equal(h.protocol, "TCP");
	assert_string_equal(h.detail, "SYN");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_delivered_packet),
		TEST(a_dropped_packet),
		TEST(a_packet_of_ours),
		TEST(without_a_beginning),
		TEST(without_an_end),
		TEST(an_end_that_was_none),
		TEST(records_in_another_order),
		TEST(too_many_at_a_time),
		TEST(too_many_events),
		TEST(numbers_that_mean_nothing),
		TEST(as_json),
		TEST(the_summary),
		TEST(headers_cut_anywhere),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
