/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "bin/weird/attach/msg.h"
#include "bin/weird/notes.h"

static const struct attach_context stranger = { false, 2 }, known = { true, 2 };

static struct abi_msg message(uint32_t type)
{
	return (struct abi_msg){ .type = type, .version = ABI_VERSION };
}

static void test_good_messages(void **state)
{
	struct abi_msg m = message(ABI_MSG_HELLO);

	assert_null(attach_msg_judge(&m, sizeof(m), 0, &stranger));
	m = message(ABI_MSG_CHANNEL);
	m.arg[0] = ABI_CQ_THREAD;
	m.arg[1] = 1;
	for (m.arg[2] = 0; m.arg[2] < ABI_BELL_MAX; m.arg[2]++)
		assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m.arg[2] = ABI_BELL_SAME | ABI_CHANNEL_SHARED;
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_CHANNEL_HOLD);
	m.arg[0] = ABI_MAX_CHANNELS - 1;
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_CHANNEL_FREE);
	m.arg[0] = ABI_MAX_CHANNELS - 1;
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_FORK);
	assert_null(attach_msg_judge(&m, sizeof(m), 1, &known));
	m.word_count = 2; /* a child that has some of the sockets */
	assert_null(attach_msg_judge(&m, sizeof(m) + 8, 1, &known));
	m = message(ABI_MSG_NETLINK);
	assert_null(attach_msg_judge(&m, sizeof(m), 1, &known));
	m.arg[1] = NETLINK_SOCK_DIAG;
	assert_null(attach_msg_judge(&m, sizeof(m), 1, &known));
	m.arg[1] = NETLINK_GENERIC;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 1, &known));
	m = message(ABI_MSG_NOTE);
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_PROCNET);
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_RESUME);
	m.word_count = 4;
	assert_null(attach_msg_judge(&m, sizeof(m) + 16, 0, &known));
}

static void test_passing(void **state)
{
	static union {
		struct abi_msg msg;
		uint8_t bytes[sizeof(struct abi_msg) + (ABI_PASS_WORDS + 1) * 4];
	} m;
	size_t len = sizeof(m.msg) + ABI_PASS_WORDS * 4;

	m.msg = message(ABI_MSG_PASS);
	m.msg.word_count = ABI_PASS_WORDS; /* not pairs: any number */
	assert_null(attach_msg_judge(&m.msg, len, 2, &known));
	assert_non_null(attach_msg_judge(&m.msg, len, 1, &known));
	assert_non_null(attach_msg_judge(&m.msg, len, 2, &stranger));
	m.msg.word_count++;
	assert_non_null(attach_msg_judge(&m.msg, len + 4, 2, &known));
	m.msg = message(ABI_MSG_RECEIVE);
	assert_null(attach_msg_judge(&m.msg, sizeof(m.msg), 1, &known));
	assert_non_null(attach_msg_judge(&m.msg, sizeof(m.msg), 0, &known));
	m.msg.word_count = 2;
	assert_non_null(attach_msg_judge(&m.msg, sizeof(m.msg) + 8, 1, &known));
}

static void test_order(void **state)
{
	struct abi_msg m = message(ABI_MSG_HELLO);

	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	for (uint32_t type = ABI_MSG_HELLO + 1; type < ABI_MSG_MAX; type++) {
		unsigned int fds = type == ABI_MSG_FORK || type == ABI_MSG_RECEIVE ||
						   type == ABI_MSG_NETLINK
					   ? 1
				   : type == ABI_MSG_PASS ? 2
							  : 0;

		m = message(type);
		assert_non_null(attach_msg_judge(&m, sizeof(m), fds, &stranger));
	}
}

static void test_shape(void **state)
{
	struct abi_msg m = message(ABI_MSG_HELLO);

	for (size_t len = 0; len < sizeof(m); len++)
		assert_non_null(attach_msg_judge(&m, len, 0, &stranger));
	assert_non_null(attach_msg_judge(&m, sizeof(m) + 4, 0, &stranger));
	assert_non_null(attach_msg_judge(&m, sizeof(m), 1, &stranger));
	m.version++;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &stranger));
	m = message(0);
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_MAX);
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m = message(ABI_MSG_HELLO);
	memset(m.text, 'x', sizeof(m.text));
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &stranger));
	m = message(ABI_MSG_RESUME);
	m.word_count = 3; /* a pair and a half */
	assert_non_null(attach_msg_judge(&m, sizeof(m) + 12, 0, &known));
	m.word_count = ABI_MSG_WORDS_MAX + 2;
	assert_non_null(attach_msg_judge(&m, sizeof(m) + m.word_count * 4ul, 0, &known));
	m = message(ABI_MSG_NOTE);
	m.word_count = 2;
	assert_non_null(attach_msg_judge(&m, sizeof(m) + 8, 0, &known));
}

static void test_channel_arguments(void **state)
{
	static const uint64_t bad[] = { 0,	    ABI_BELL_MAX + 1,
					100,	    ATTACH_CQ_ENTRIES_MAX * 2,
					1ull << 32, 1ull << 63,
					UINT64_MAX };
	struct abi_msg m = message(ABI_MSG_CHANNEL);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		m.arg[0] = bad[i];
		assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	}
	m.arg[0] = 64;
	m.arg[1] = 2;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m.arg[1] = UINT64_MAX;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m.arg[1] = 0;
	assert_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	/* A bell of the program's own: the workers would ring it. */
	assert_non_null(attach_msg_judge(&m, sizeof(m), 1, &known));
	assert_non_null(attach_msg_judge(&m, sizeof(m), 2, &known));
	for (size_t i = 1; i < sizeof(bad) / sizeof(bad[0]); i++) {
		m.arg[2] = bad[i];
		assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	}
	m.arg[2] = 0;
	m = message(ABI_MSG_CHANNEL_FREE);
	m.arg[0] = ABI_MAX_CHANNELS;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
	m.arg[0] = 1ull << 32;
	assert_non_null(attach_msg_judge(&m, sizeof(m), 0, &known));
}

/* Whatever is judged to be good really has the properties that the server relies on. */
static void test_garbage(void **state)
{
	static uint8_t bytes[ATTACH_MSG_BYTES_MAX];
	struct abi_msg *m = (struct abi_msg *)bytes;
	unsigned int seed = 7;

	for (int i = 0; i < 200000; i++) {
		size_t len = (size_t)rand_r(&seed) % 300;

		for (size_t j = 0; j < len; j += 4) {
			uint32_t word = (uint32_t)rand_r(&seed) & (rand_r(&seed) % 3 ? 0xff : ~0u);

			memcpy(bytes + j, &word, 4);
		}
		if (rand_r(&seed) % 4)
			m->version = ABI_VERSION;
		if (rand_r(&seed) % 4)
			m->type = (uint32_t)rand_r(&seed) % (ABI_MSG_MAX + 1);
		if (rand_r(&seed) % 2)
			m->word_count = 0;
		if (rand_r(&seed) % 2)
			len = sizeof(*m);
		if (attach_msg_judge(m, len, (unsigned int)rand_r(&seed) % 3, &known))
			continue;
		assert_true(m->type > ABI_MSG_HELLO && m->type < ABI_MSG_MAX);
		assert_int_equal(len, sizeof(*m) + m->word_count * 4ul);
		assert_true(m->type != ABI_MSG_CHANNEL || m->arg[1] < 2);
		assert_non_null(memchr(m->text, 0, sizeof(m->text)));
	}
}

static void test_text_clean(void **state)
{
	char clean[8];

	attach_text_clean(clean, sizeof(clean), "a\nb\033[\xff too long");
	assert_string_equal(clean, "a?b?[? ");
}

static void test_notes(void **state)
{
	struct notes notes = { .count = 0 };
	char text[32];

	assert_int_equal(notes_add(&notes, "one"), NOTE_NEW);
	assert_int_equal(notes_add(&notes, "one"), NOTE_KNOWN);
	for (unsigned int i = 1; i < NOTES_MAX; i++) {
		snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(notes_add(&notes, text), NOTE_NEW);
	}
	assert_int_equal(notes_add(&notes, "one too many"), NOTE_LAST);
	assert_int_equal(notes_add(&notes, "another"), NOTE_KNOWN);
	assert_int_equal(notes_add(&notes, "one"), NOTE_KNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_messages), cmocka_unit_test(test_order),
		cmocka_unit_test(test_shape),	      cmocka_unit_test(test_channel_arguments),
		cmocka_unit_test(test_garbage),	      cmocka_unit_test(test_text_clean),
		cmocka_unit_test(test_notes),	      cmocka_unit_test(test_passing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
