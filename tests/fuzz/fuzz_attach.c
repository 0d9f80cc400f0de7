/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a program may say on its control connection: the judge of messages, with any bytes, length
 * and number of descriptors. A message that was let through keeps the promises of the header.
 */
#include "bin/weird/attach/msg.h"
#include "fuzz.h"

static union {
	struct abi_msg msg;
	uint8_t bytes[ATTACH_MSG_BYTES_MAX];
} message;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t what = fuzz_u8(&in);
	struct attach_context context = { .has_session = what & 1, .workers = 1 + (what >> 1) % 4 };
	unsigned int fds = (what >> 3) % 4;
	size_t len = in.left < sizeof(message) ? in.left : sizeof(message);
	char clean[64];

	memset(&message, 0xa5, sizeof(message));
	fuzz_bytes(&in, message.bytes, len);
	if (attach_msg_judge(&message.msg, len, fds, &context))
		return 0;
	FUZZ_CHECK(len >= sizeof(struct abi_msg));
	FUZZ_CHECK(message.msg.type > 0 && message.msg.type < ABI_MSG_MAX);
	FUZZ_CHECK(memchr(message.msg.text, '\0', sizeof(message.msg.text)));
	FUZZ_CHECK(message.msg.word_count <= ABI_MSG_WORDS_MAX);
	FUZZ_CHECK(len >= sizeof(struct abi_msg) + message.msg.word_count * sizeof(uint32_t));
	attach_text_clean(clean, sizeof(clean), message.msg.text);
	for (const char *c = clean; *c; c++)
		FUZZ_CHECK(*c >= ' ' && *c < 0x7f);
	return 0;
}
