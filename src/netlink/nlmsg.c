/* SPDX-License-Identifier: BSD-3-Clause */
#include "netlink/nlmsg.h"

#include <string.h>

#define ATTR_HEADER_BYTES NLMSG_ALIGN(sizeof(struct nlattr))

void nl_init(struct nl_buf *b)
{
	b->len = 0;
	b->begun = 0;
	b->full = false;
}

/* Room for len bytes at the end, zeroed, or NULL. */
static uint8_t *grow(struct nl_buf *b, size_t len)
{
	size_t aligned = NLMSG_ALIGN(len);
	uint8_t *at = b->bytes + b->len;

	if (b->full || aligned > sizeof(b->bytes) - b->len) {
		b->full = true;
		return NULL;
	}
	memset(at, 0, aligned);
	b->len += aligned;
	return at;
}

void *nl_begin(struct nl_buf *b, uint16_t type, uint16_t flags, uint32_t seq, uint32_t portid,
	       size_t room)
{
	static _Thread_local uint8_t nowhere[256];
	struct nlmsghdr *header;

	b->begun = b->len;
	b->full = room > sizeof(nowhere);
	header = (struct nlmsghdr *)grow(b, NLMSG_HDRLEN + room);
	if (!header)
		return nowhere;
	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	header->nlmsg_seq = seq;
	header->nlmsg_pid = portid;
	return (uint8_t *)header + NLMSG_HDRLEN;
}

void nl_put(struct nl_buf *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr *attr = (struct nlattr *)grow(b, ATTR_HEADER_BYTES + len);

	if (!attr)
		return;
	attr->nla_type = type;
	attr->nla_len = (uint16_t)(ATTR_HEADER_BYTES + len);
	if (len)
		memcpy((uint8_t *)attr + ATTR_HEADER_BYTES, data, len);
}

void nl_put_u32(struct nl_buf *b, uint16_t type, uint32_t value)
{
	nl_put(b, type, &value, sizeof(value));
}

void nl_put_u8(struct nl_buf *b, uint16_t type, uint8_t value)
{
	nl_put(b, type, &value, sizeof(value));
}

void nl_put_text(struct nl_buf *b, uint16_t type, const char *text)
{
	nl_put(b, type, text, strlen(text) + 1);
}

bool nl_end(struct nl_buf *b)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(b->bytes + b->begun);

	if (b->full) {
		b->len = b->begun;
		b->full = false;
		return false;
	}
	header->nlmsg_len = (uint32_t)(b->len - b->begun);
	b->begun = b->len;
	return true;
}

bool nl_error(struct nl_buf *b, const struct nlmsghdr *request, uint32_t portid, int error,
	      const char *text)
{
	uint16_t flags = NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0);
	struct nlmsgerr *e =
		nl_begin(b, NLMSG_ERROR, flags, request->nlmsg_seq, portid, sizeof(*e));

	e->error = error;
	e->msg = *request;
	if (text)
		nl_put_text(b, NLMSGERR_ATTR_MSG, text);
	return nl_end(b);
}

bool nl_done(struct nl_buf *b, uint32_t seq, uint32_t portid, uint16_t flags)
{
	/* An int, the error that ended the dump. */
	nl_begin(b, NLMSG_DONE, NLM_F_MULTI | flags, seq, portid, sizeof(int32_t));
	return nl_end(b);
}

const struct nlmsghdr *nl_next(const uint8_t *datagram, size_t len, size_t *at)
{
	const struct nlmsghdr *msg = (const struct nlmsghdr *)(datagram + *at);

	if (*at > len || len - *at < sizeof(*msg) || msg->nlmsg_len < sizeof(*msg) ||
	    msg->nlmsg_len > len - *at)
		return NULL;
	*at += NLMSG_ALIGN(msg->nlmsg_len);
	return msg;
}

const void *nl_attr(const struct nlmsghdr *msg, size_t fixed, uint16_t type, size_t *len)
{
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed);

	while (msg->nlmsg_len >= at + sizeof(struct nlattr)) {
		const struct nlattr *attr =
			(const struct nlattr *)(const void *)((const uint8_t *)msg + at);

		if (attr->nla_len < sizeof(*attr) || attr->nla_len > msg->nlmsg_len - at)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			*len = attr->nla_len - sizeof(*attr);
			return attr + 1;
		}
		at += NLMSG_ALIGN(attr->nla_len);
	}
	return NULL;
}
