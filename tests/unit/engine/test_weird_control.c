/* SPDX-License-Identifier: BSD-3-Clause */
/* The control server over a real socket, with commands of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "bin/weird/control/commands.h"
#include "bin/weird/control/control.h"
#include "bin/weird/loop.h"
#include "common/testing.h"

static struct engine engine; /* no workers, no threads: parking is nothing */
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

static json_t *command_echo(struct engine *e, const json_t *request)
{
	return json_pack("{s:O}", "said", json_object_get(request, "say"));
}

static json_t *command_big(struct engine *e, const json_t *request)
{
	json_t *list = json_array();

	for (int i = 0; i < 300000; i++)
		json_array_append_new(list, json_integer(i));
	return list;
}

/* As a message that was cut within a character. */
static json_t *command_cut(struct engine *e, const json_t *request)
{
	return json_pack("{s:o}", "error", json_sprintf("%s", "\xe2\x82"));
}

static json_t *command_stop(struct engine *e, const json_t *request)
{
	control_request_stop();
	return json_object();
}

const struct control_command control_commands[] = {
	{ "echo", command_echo, true }, { "big", command_big, false },
	{ "cut", command_cut, false },	{ "stop", command_stop, false },
	{ NULL, NULL, false },
};

static json_t *ask(const char *request)
{
	char *text = control_answer(&engine, request, strlen(request));
	json_t *reply;

	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	reply = json_loads(text, 0, NULL);
	free(text);
	return reply;
}

static void test_answers(void **state)
{
	static const char *const bad[] = { "",
					   "{",
					   "[]",
					   "{\"cmd\":7}",
					   "{\"cmd\":\"none\"}",
					   "\xff\xfe",
					   "{\"cmd\":\"echo\",\"cmd\":\"echo\"}",
					   "null",
					   "{\"cmd\":\"cut\"}",
					   "{}" };
	json_t *reply = ask("{\"cmd\":\"echo\",\"say\":\"hello\"}");

	assert_string_equal(json_string_value(json_object_get(reply, "said")), "hello");
	json_decref(reply);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reply = ask(bad[i]);
		assert_non_null(json_object_get(reply, "error"));
		json_decref(reply);
	}
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Run the server until it has closed fd; returns what it said (free it). */
static char *converse(int fd)
{
	size_t len = 0, room = 4u << 20;
	char *text = malloc(room);

	assert_non_null(text);
	for (;;) {
		ssize_t n = recv(fd, text + len, room - len - 1, MSG_DONTWAIT);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else
			assert_int_equal(control_loop_round(0), 0);
	}
	text[len] = '\0';
	close(fd);
	return text;
}

static void test_request_in_pieces(void **state)
{
	int fd = dial();
	char *text;

	assert_int_equal(write(fd, "{\"cmd\":\"echo\",", 14), 14);
	for (int i = 0; i < 3; i++)
		assert_int_equal(control_loop_round(0), 0);
	assert_int_equal(write(fd, "\"say\":1}\n", 9), 9);
	text = converse(fd);
	assert_string_equal(text, "{\"said\":1}\n");
	free(text);
}

static void test_answer_larger_than_the_socket(void **state)
{
	int fd = dial();
	char *text;
	json_t *list;

	assert_int_equal(write(fd, "{\"cmd\":\"big\"}\n", 14), 14);
	text = converse(fd);
	list = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(list), 300000);
	json_decref(list);
	free(text);
}

static void test_request_too_long(void **state)
{
	static char junk[65536];
	int fd = dial();
	char *text;

	memset(junk, ' ', sizeof(junk));
	for (size_t sent = 0; sent < sizeof(junk);) {
		ssize_t n = send(fd, junk + sent, sizeof(junk) - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		assert_int_equal(control_loop_round(0), 0);
	}
	text = converse(fd);
	assert_non_null(strstr(text, "too long"));
	free(text);
}

static void test_too_many_connections(void **state)
{
	int fd[80], last;
	char *text;

	for (int i = 0; i < 64; i++) {
		fd[i] = dial();
		assert_int_equal(control_loop_round(0), 0);
	}
	last = dial();
	text = converse(last);
	assert_non_null(strstr(text, "too many"));
	free(text);
	for (int i = 0; i < 64; i++)
		close(fd[i]);
	for (int i = 0; i < 8; i++)
		assert_int_equal(control_loop_round(0), 0);
	assert_int_equal(control_tick(), -1);
}

static void test_stop_waits_for_its_answer(void **state)
{
	int fd = dial();
	char *text;

	assert_false(control_stop_due());
	assert_int_equal(write(fd, "{\"cmd\":\"stop\"}\n", 15), 15);
	text = converse(fd);
	assert_string_equal(text, "{}\n");
	assert_true(control_stop_due());
	free(text);
}

static int setup(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/weird_control.%d", (int)getpid());
	unlink(addr.sun_path);
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 128) ||
	       control_loop_init(&engine) || control_start(&engine, fd);
}

static int teardown(void **state)
{
	control_stop();
	return unlink(addr.sun_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_request_in_pieces),
		cmocka_unit_test(test_answer_larger_than_the_socket),
		cmocka_unit_test(test_request_too_long),
		cmocka_unit_test(test_too_many_connections),
		cmocka_unit_test(test_stop_waits_for_its_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
