/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weird/attach/msg.h"

#include <stddef.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

static bool takes_pairs(uint32_t type)
{
	return type == ABI_MSG_RESUME || type == ABI_MSG_FORK;
}

static const char *judge_shape(const struct abi_msg *msg, size_t len)
{
	/* Another version's header may have another length. */
	if (len >= offsetof(struct abi_msg, version) + sizeof(msg->version) &&
	    msg->version != ABI_VERSION)
		return "it is of another build: use the weir that came with the weird that runs";
	if (len < sizeof(*msg))
		return "a message shorter than its header";
	if (msg->type == 0 || msg->type >= ABI_MSG_MAX)
		return "a message of an unknown type";
	if (msg->word_count > ABI_MSG_WORDS_MAX ||
	    len != sizeof(*msg) + msg->word_count * sizeof(uint32_t))
		return "a message of the wrong length";
	if (!memchr(msg->text, '\0', sizeof(msg->text)))
		return "a text without an end";
	if (msg->type == ABI_MSG_PASS)
		return msg->word_count > ABI_PASS_WORDS ? "too many words" : NULL;
	if (msg->word_count && (!takes_pairs(msg->type) || msg->word_count % 2))
		return "words where none belong";
	return NULL;
}

static unsigned int fds_of(uint32_t type)
{
	switch (type) {
	case ABI_MSG_FORK:
	case ABI_MSG_NETLINK:
	case ABI_MSG_RECEIVE:
		return 1;
	case ABI_MSG_PASS:
		return 2;
	default:
		return 0;
	}
}

static const char *judge_channel(const struct abi_msg *msg, unsigned int workers)
{
	uint64_t entries = msg->arg[0];

	if (msg->arg[1] >= workers)
		return "a channel with a worker that is not there";
	if (entries == 0 || entries > ATTACH_CQ_ENTRIES_MAX || entries & (entries - 1))
		return "a completion queue of an impossible size";
	if ((msg->arg[2] & ~(uint64_t)ABI_CHANNEL_SHARED) >= ABI_BELL_MAX)
		return "a bell of an unknown kind";
	return NULL;
}

const char *attach_msg_judge(const struct abi_msg *msg, size_t len, unsigned int fds,
			     const struct attach_context *context)
{
	const char *why = judge_shape(msg, len);

	if (why)
		return why;
	if (fds != fds_of(msg->type))
		return "the wrong number of descriptors";
	if (!context->has_session)
		return msg->type == ABI_MSG_HELLO ? NULL : "a first message that is not HELLO";
	switch (msg->type) {
	case ABI_MSG_HELLO:
		return "HELLO twice";
	case ABI_MSG_NETLINK:
		return msg->arg[1] == NETLINK_ROUTE || msg->arg[1] == NETLINK_SOCK_DIAG
			       ? NULL
			       : "a netlink socket that weir has not";
	case ABI_MSG_CHANNEL:
		return judge_channel(msg, context->workers);
	case ABI_MSG_CHANNEL_HOLD:
	case ABI_MSG_CHANNEL_FREE:
		if (msg->arg[0] >= ABI_MAX_CHANNELS || msg->arg[1] >= context->workers)
			return "a channel that cannot be";
		return NULL;
	default:
		return NULL;
	}
}

void attach_text_clean(char *to, size_t room, const char *from)
{
	size_t i;

	for (i = 0; i + 1 < room && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}
