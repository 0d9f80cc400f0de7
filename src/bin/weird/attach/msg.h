/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a program may say on its control connection, and when. Pure: nothing is done here. The
 * message is the program's: every word of it is judged.
 */
#ifndef WEIR_BIN_WEIRD_ATTACH_MSG_H
#define WEIR_BIN_WEIRD_ATTACH_MSG_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/app_abi.h"

#define ATTACH_MSG_BYTES_MAX (sizeof(struct abi_msg) + ABI_MSG_WORDS_MAX * sizeof(uint32_t))
#define ATTACH_CQ_ENTRIES_MAX 65536u

struct attach_context {
	bool has_session; /* HELLO was said, or it is a child's connection */
	unsigned int workers;
};

/*
 * Judge a message of len bytes that came with fds descriptors. NULL: it may be done. Else words for
 * the log; the connection is to be closed. (What is merely impossible, such as one channel too
 * many, is not judged here: it gets an errno.) A good message's text ends with a zero byte.
 */
const char *attach_msg_judge(const struct abi_msg *msg, size_t len, unsigned int fds,
			     const struct attach_context *context);

/* Make words of a program fit for a log: printable ASCII, cut to room. */
void attach_text_clean(char *to, size_t room, const char *from);

#endif
