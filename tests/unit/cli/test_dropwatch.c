/* SPDX-License-Identifier: BSD-3-Clause */
/* dropwatch's front end against a source of the test's own: every line, as scripts read it. */
#include "fake_source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *real_stdout;
static char *text;
static size_t text_len;
static struct dropwatch_options options;
static struct input input;
static struct session session;

static const struct drop_frame frames[] = {
	{ 0xffffffff81000010, "tcp_v4_rcv", 0x10, NULL, 0 },
	{ 0xffffffff81000020, NULL, 0, NULL, 0 },
};

static const struct drop_event plain = {
	.count = 3,
	.address = 0x55d0deadbeef,
	.function = "no_pcb",
	.offset_bytes = 0x8c,
	.file = "src/inet/udp_in.c",
	.line = 88,
	.reason = "NO_SOCKET",
	.severity = "info",
	.meaning = "no socket for this address and port",
	.advice = "start the program",
	.path = "port-rx > eth-input > udp-input",
	.flow = "udp 198.18.0.1:40000 > 198.18.0.2:9",
	.socket = "udp 198.18.0.2:9",
	.program = "nc (pid 4711)",
	.frames = frames,
	.frame_count = 2,
};

static const struct drop_packet packet = {
	.time_ns = 1700000000000000042,
	.ifindex = 2,
	.ifname = "weir0",
	.protocol = 0x800,
	.link_type = 1,
	.len_bytes = 1514,
	.caplen_bytes = 5,
	.bytes = (const uint8_t *)"\x01\x02\x03\x04\x05",
};

static void out_begin(void)
{
	free(text);
	text = NULL;
	fflush(stdout);
	stdout = open_memstream(&text, &text_len);
	assert_non_null(stdout);
}

static const char *out_end(void)
{
	fclose(stdout);
	stdout = real_stdout;
	return text;
}

static int setup(void **state)
{
	real_stdout = stdout;
	setenv("TZ", "UTC", 1);
	fake = (struct fake_source){ 0 };
	fake_errors[0] = '\0';
	options = (struct dropwatch_options){ .settings = { .software = true,
							    .queue_packets = 1000 } };
	session = (struct session){ .options = &options,
				    .input = &input,
				    .settings = options.settings };
	return input_open(&input, false);
}

static int teardown(void **state)
{
	session_close(&session);
	input_close(&input);
	free(text);
	text = NULL;
	return 0;
}

static const char *summary(const struct drop_event *event)
{
	out_begin();
	print_summary(stdout, event);
	return out_end();
}

static void summary_lines(void **state)
{
	struct drop_event event = plain;

	assert_string_equal(summary(&event), "3 drops at no_pcb+8c (0x55d0deadbeef) [software]\n");
	event.offset_bytes = 0;
	event.count = 18446744073709551615u;
	assert_string_equal(summary(&event), "18446744073709551615 drops at no_pcb+0 "
					     "(0x55d0deadbeef) [software]\n");
	event.function = NULL;
	event.count = 1;
	assert_string_equal(summary(&event), "1 drops at location 0x55d0deadbeef [software]\n");
	event.hardware = true;
	assert_string_equal(summary(&event), "1 drops at NO_SOCKET [hardware]\n");
}

static void packet_block(void **state)
{
	struct drop_event event = plain;

	event.packet = &packet;
	out_begin();
	print_packet(stdout, &event);
	assert_string_equal(out_end(), "drop at: no_pcb+0x8c (0x55d0deadbeef)\n"
				       "origin: software\n"
				       "input port ifindex: 2\n"
				       "input port name: weir0\n"
				       "timestamp: Tue Nov 14 22:13:20 2023 000000042 nsec\n"
				       "protocol: 0x800\n"
				       "length: 5\n"
				       "original length: 1514\n"
				       "drop reason: NO_SOCKET\n");
}

static void frames_and_details(void **state)
{
	out_begin();
	print_frames(stdout, &plain);
	print_detail(stdout, &plain, false);
	assert_string_equal(out_end(), "    [<ffffffff81000010>] tcp_v4_rcv+0x10\n"
				       "    [<ffffffff81000020>] 0x0\n"
				       "    NO_SOCKET: no socket for this address and port\n"
				       "    do       start the program\n"
				       "    packet   udp 198.18.0.1:40000 > 198.18.0.2:9\n"
				       "    socket   udp 198.18.0.2:9\n"
				       "    program  nc (pid 4711)\n"
				       "    source   src/inet/udp_in.c:88\n"
				       "    path     port-rx > eth-input > udp-input\n");
}

static void json_has_what_is_known(void **state)
{
	struct drop_event event = { .count = 1, .reason = "NOT_SPECIFIED" };
	json_t *object = json_drop(&event, false), *stages;

	assert_int_equal(json_object_size(object), 4);
	json_decref(object);
	event = plain;
	event.packet = &packet;
	object = json_drop(&event, true);
	assert_string_equal(cli_string(object, "event"), "packet");
	assert_string_equal(cli_string(object, "address"), "0x55d0deadbeef");
	assert_int_equal(cli_int(object, "offset"), 0x8c);
	assert_string_equal(cli_string(object, "head"), "0102030405");
	assert_int_equal(cli_int(object, "length"), 1514);
	assert_int_equal(json_array_size(json_object_get(object, "stack")), 2);
	stages = json_object_get(object, "path");
	assert_int_equal(json_array_size(stages), 3);
	assert_string_equal(json_string_value(json_array_get(stages, 0)), "port-rx");
	assert_string_equal(json_string_value(json_array_get(stages, 2)), "udp-input");
	json_decref(object);
}

static void counts_of_one_kind_are_one(void **state)
{
	struct drop_event other = plain;
	struct tally tally = { 0 };

	other.line = 89;
	assert_non_null(tally_add(&tally, &plain));
	assert_non_null(tally_add(&tally, &other));
	other = plain;
	other.count = 1000000;
	other.program = NULL;
	assert_non_null(tally_add(&tally, &other));
	other.reason = "UDP_CSUM";
	assert_non_null(tally_add(&tally, &other));
	tally_sort(&tally);
	assert_int_equal(tally.count, 3);
	assert_int_equal(tally.entries[0].total, 1000003);
	assert_null(tally.entries[0].event.program);
	assert_int_equal(tally.entries[2].total, 3);
	tally_free(&tally);
}

/* ---- options ---- */

static const struct cli_command command = { .name = "dropwatch", .args = "" };

static int parse(const char *line)
{
	static char copy[512];
	char *argv[32] = { (char *)"dropwatch" };
	int argc = 1, status = -1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
		argv[argc++] = word;
	fake_errors[0] = '\0';
	return dropwatch_options(&command, argc, argv, &options, &status) ? -1 : status;
}

static void options_that_are_taken(void **state)
{
	assert_int_equal(parse("-l|kas"), -1);
	assert_true(options.lookup_kas);
	assert_false(dropwatch_batch(&options));
	assert_true(options.settings.software);
	assert_int_equal(parse("--top|7|--for|1.5s|--reason|A,B|--filter|tcp port 80"), -1);
	assert_int_equal(options.top, 7);
	assert_int_equal(options.for_ms, 1500);
	assert_int_equal(options.source.reason_count, 2);
	assert_string_equal(options.source.reasons[1], "B");
	assert_string_equal(options.source.filter, "tcp port 80");
	assert_true(dropwatch_batch(&options));
	assert_int_equal(parse("--for|250ms"), -1);
	assert_int_equal(options.for_ms, 250);
	assert_int_equal(parse("--for|2m"), -1);
	assert_int_equal(options.for_ms, 120000);
	assert_int_equal(parse("--for|3"), -1);
	assert_int_equal(options.for_ms, 3000);
	assert_int_equal(parse("--pcap|f"), -1);
	assert_true(options.settings.packets);
	assert_int_equal(parse("--kernel|--netns|blue|--trunc|96|--queue|5|--alertlimit|9"), -1);
	assert_string_equal(options.source.netns, "blue");
	assert_int_equal(options.settings.trunc_bytes, 96);
	assert_int_equal(options.settings.queue_packets, 5);
	assert_int_equal(options.alert_limit, 9);
}

static void options_that_are_refused(void **state)
{
	static const char *const lines[][2] = {
		{ "--top|0", "'0' is not a number from 1" },
		{ "--top|x", "'x' is not a number" },
		{ "--top|-1", "'-1' is not a number" },
		{ "--top|99999999999999999999", "is not a number" },
		{ "--for|0", "is not a time" },
		{ "--for|10y", "'10y' is not a time" },
		{ "--for|", "--for needs a value" },
		{ "--for|nan", "is not a time" },
		{ "--reason|,", "is not reasons" },
		{ "-l|bpf", "'bpf' is not kas" },
		{ "--netns|x", "with --kernel only" },
		{ "--classic|--json", "not both" },
		{ "--pcap|-|--json", "standard output" },
		{ "--pcap|-|--top|1", "standard output" },
		{ "--bogus", "no such option: --bogus" },
		{ "--trunc", "--trunc needs a value" },
		{ "start", "what is 'start'?" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(lines[i][0]), CLI_USAGE);
		if (!strstr(fake_errors, lines[i][1]))
			fail_msg("'%s' said: %s", lines[i][0], fake_errors);
	}
}

/* ---- sessions ---- */

static const char *command_says(const char *line)
{
	out_begin();
	prompt_command(&session, line);
	return out_end();
}

static void words_of_start_and_stop(void **state)
{
	assert_string_equal(command_says("start"), "Enabling monitoring...\n"
						   "Waiting for activation ack....\n"
						   "Kernel monitoring activated.\n"
						   "Issue Ctrl-C to stop monitoring\n");
	assert_true(session.running);
	assert_non_null(strstr(command_says("start"), "on already"));
	fake.events = &plain;
	fake.count = 1;
	assert_string_equal(command_says("stop"),
			    "Deactivation requested, turning off monitoring\n"
			    "Waiting for deactivation ack...\n"
			    "3 drops at no_pcb+8c (0x55d0deadbeef) [software]\n"
			    "Got a stop message\n");
	assert_int_equal(fake.starts, 1);
	assert_int_equal(fake.stops, 1);
	assert_non_null(strstr(command_says("stop"), "was not on"));
}

static void settings(void **state)
{
	static const char *const lines[][2] = {
		{ "set alertmode packet", "Alert mode successfully set\n" },
		{ "set alertmode loud", "Invalid alert mode: 'loud'" },
		{ "set alertmode", "set alertmode: to what?" },
		{ "set alertlimit 5", "setting alert capture limit to 5\n" },
		{ "set alertlimit five", "'five' is not a number" },
		{ "set alertlimit -5", "'-5' is not a number" },
		{ "set trunc 96", "Setting truncation length to 96\n" },
		{ "set trunc 4294967296", "is not a number from 0 to 4294967295" },
		{ "set queue 7", "Setting queue length to 7\n" },
		{ "set hw true", "setting hardware drops monitoring to 1\n" },
		{ "set sw false", "setting software drops monitoring to 0\n" },
		{ "set sw maybe", "invalid boolean value" },
		{ "set detail on", "Details are on\n" },
		{ "set", "set alertlimit, alertmode" },
		{ "set colour blue", "There is no setting 'colour'" },
		{ "stack", "Stack traces are on\n" },
		{ "bogus", "There is no command 'bogus'" },
		{ "start now please", "Too many words" },
		{ "show", "Alert mode: Packet\nTruncation length: 96\nQueue length: 7\n" },
		{ "stats", "Software statistics:\nTail dropped: 0\n"
			   "Hardware statistics:\nTail dropped: 0\n" },
		{ "help", "Command Syntax:\n" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *said = command_says(lines[i][0]);

		if (!strstr(said, lines[i][1]))
			fail_msg("'%s' said: %s", lines[i][0], said);
	}
	assert_string_equal(command_says("   "), "");
	command_says("start");
	assert_true(fake.settings.packets);
	assert_true(fake.settings.stack);
	assert_true(fake.settings.hardware);
	assert_false(fake.settings.software);
	assert_int_equal(fake.settings.trunc_bytes, 96);
	assert_int_equal(fake.settings.queue_packets, 7);
	assert_non_null(strstr(command_says("set trunc 1"), "stop first"));
	assert_int_equal(session.settings.trunc_bytes, 96);
}

static void the_alert_limit_ends_it(void **state)
{
	struct drop_event three[3] = { plain, plain, plain };

	three[1].line = 1;
	three[2].line = 2;
	session.alert_limit = 2;
	command_says("start");
	fake.events = three;
	fake.count = 3;
	out_begin();
	session_turn(&session, 0);
	assert_string_equal(out_end(), "3 drops at no_pcb+8c (0x55d0deadbeef) [software]\n"
				       "3 drops at no_pcb+8c (0x55d0deadbeef) [software]\n"
				       "Alert limit reached, deactivating!\n"
				       "Waiting for deactivation ack...\n"
				       "Got a stop message\n");
	assert_false(session.running);
	assert_int_equal(fake.stops, 1);
	/* Another start counts anew, and shows nothing of what was cut off. */
	command_says("start");
	assert_true(session.running);
	session.flushed_ns = 0;
	out_begin();
	session_turn(&session, 0);
	assert_string_equal(out_end(), "");
}

static void details_are_told_once(void **state)
{
	session.detail = true;
	command_says("start");
	fake.events = &plain;
	fake.count = 1;
	out_begin();
	session_turn(&session, 0);
	assert_non_null(strstr(out_end(), "    do       start the program\n"));
	fake.count = 1;
	session.flushed_ns = 0;
	out_begin();
	session_turn(&session, 0);
	out_end();
	assert_non_null(strstr(text, "    NO_SOCKET: no socket"));
	assert_null(strstr(text, "    do "));
}

static void what_was_not_shown_is_said(void **state)
{
	struct drop_event events[2] = { plain, plain };

	session.detail = true;
	session.settings.packets = true;
	events[0].packet = &packet;
	events[0].count = 1;
	events[1].count = 41;
	fake.stats = (struct drop_stats){
		.drops = 42, .packets = 1, .packets_skipped = 41, .lost_events = 7
	};
	command_says("start");
	fake.events = events;
	fake.count = 2;
	command_says("stop");
	assert_non_null(strstr(text, "drop at: no_pcb+0x8c (0x55d0deadbeef)\n"));
	assert_non_null(strstr(text, "41 drops at no_pcb+8c (0x55d0deadbeef) [software]\n"));
	assert_non_null(strstr(text, "41 packets were counted and are not shown"));
	assert_non_null(strstr(text, "7 events were lost"));
	assert_non_null(strstr(command_says("stats"), "Tail dropped: 48\n"));
}

static void the_stack_of_each_drop(void **state)
{
	session.settings.stack = true;
	command_says("start");
	fake.events = &plain;
	fake.count = 1;
	out_begin();
	session_turn(&session, 0);
	assert_string_equal(out_end(), "3 drops at no_pcb+8c (0x55d0deadbeef) [software]\n"
				       "    [<ffffffff81000010>] tcp_v4_rcv+0x10\n"
				       "    [<ffffffff81000020>] 0x0\n");
	assert_int_equal(session.tally.entries[0].event.count, 0);
}

static void a_source_that_dies(void **state)
{
	command_says("start");
	fake.dies_at = 1;
	out_begin();
	session_turn(&session, 0);
	out_end();
	assert_false(session.running);
	assert_null(session.source);
	assert_int_equal(fake.closes, 1);
	assert_non_null(strstr(fake_errors, "has ended"));
	fake.dies_at = 0;
	command_says("start"); /* opened again */
	assert_true(session.running);
	assert_int_equal(fake.opens, 2);
}

static void a_source_that_refuses(void **state)
{
	fake.refuses = "no permission";
	assert_string_equal(command_says("start"), "Enabling monitoring...\n"
						   "Waiting for activation ack....\n");
	assert_false(session.running);
	assert_string_equal(fake_errors, "dropwatch: no permission\n");
}

/* ---- the prompt ---- */

/* What prompt_run() prints for these bytes of standard input. */
static const char *prompt_says(const char *bytes, bool as_file)
{
	char path[] = "/tmp/weir-test-dropwatch-XXXXXX";
	int ends[2], saved = dup(STDIN_FILENO);

	if (as_file) {
		ends[0] = mkstemp(path);
		unlink(path);
		ends[1] = dup(ends[0]);
	} else {
		assert_int_equal(pipe(ends), 0);
	}
	assert_int_equal(write(ends[1], bytes, strlen(bytes)), strlen(bytes));
	if (as_file)
		lseek(ends[0], 0, SEEK_SET);
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	input_close(&input);
	assert_int_equal(input_open(&input, true), 0);
	out_begin();
	prompt_run(&session);
	out_end();
	dup2(saved, STDIN_FILENO);
	close(saved);
	return text;
}

static void lines_from_a_pipe_and_a_file(void **state)
{
	static const char said[] = "dropwatch> Enabling monitoring...\n"
				   "Waiting for activation ack....\n"
				   "Kernel monitoring activated.\n"
				   "Issue Ctrl-C to stop monitoring\n"
				   "Deactivation requested, turning off monitoring\n"
				   "Waiting for deactivation ack...\n"
				   "Got a stop message\n"
				   "dropwatch> There is no command 'x' (help lists them)\n"
				   "dropwatch> \nTerminating dropwatch...\n"
				   "Shutting down ...\n";

	assert_string_equal(prompt_says("start\nstop\r\nx", false), said);
	session.over = false;
	assert_string_equal(prompt_says("start\nstop\n  x  \n", true), said);
	session.over = false;
	assert_string_equal(prompt_says("exit\nstart\n", false), "dropwatch> Shutting down ...\n");
}

static void ctrl_c_stops_and_the_end_of_input_leaves(void **state)
{
	const char *said;

	raise(SIGINT); /* blocked: it waits until it is asked for */
	said = prompt_says("", false);
	assert_string_equal(said, "dropwatch> Got a sigint while not receiving (exit leaves)\n"
				  "dropwatch> \nTerminating dropwatch...\n"
				  "Shutting down ...\n");
}

static void a_line_without_end(void **state)
{
	char long_line[4000];

	memset(long_line, 'x', sizeof(long_line));
	long_line[sizeof(long_line) - 7] = '\n';
	memcpy(long_line + sizeof(long_line) - 6, "exit\n", 6);
	assert_non_null(strstr(prompt_says(long_line, false), "Shutting down ...\n"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(summary_lines),
		TEST(packet_block),
		TEST(frames_and_details),
		TEST(json_has_what_is_known),
		TEST(counts_of_one_kind_are_one),
		TEST(options_that_are_taken),
		TEST(options_that_are_refused),
		TEST(words_of_start_and_stop),
		TEST(settings),
		TEST(the_alert_limit_ends_it),
		TEST(details_are_told_once),
		TEST(what_was_not_shown_is_said),
		TEST(the_stack_of_each_drop),
		TEST(a_source_that_dies),
		TEST(a_source_that_refuses),
		TEST(lines_from_a_pipe_and_a_file),
		TEST(ctrl_c_stops_and_the_end_of_input_leaves),
		TEST(a_line_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
