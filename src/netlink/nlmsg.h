/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Netlink messages (netlink(7), RFC 3549): building them into a buffer of a fixed size, and walking
 * over those that came. Numbers are the host's, as netlink has it; lengths are bytes.
 *
 * A message that does not fit is taken back whole: nl_end() says so, and the buffer is as it was
 * before nl_begin(). Between the two nothing needs to be checked.
 * Pure: no allocation, no state. Threads: any, each with its own buffer.
 */
#ifndef WEIR_NETLINK_NLMSG_H
#define WEIR_NETLINK_NLMSG_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A dump's datagram: programs read them with a buffer of a page (libc does). */
#define NL_DATAGRAM_BYTES 3776u

struct nl_buf {
	_Alignas(NLMSG_ALIGNTO) uint8_t bytes[NL_DATAGRAM_BYTES];
	size_t len;
	size_t begun; /* where the message that is being built begins */
	bool full;    /* and whether something of it did not fit */
};

void nl_init(struct nl_buf *b);

/* Begin a message; returns its fixed part (`room` bytes behind the header, zeroed), which may be
 * written until nl_end(). Never NULL: where it does not fit it is a place nobody reads. */
void *nl_begin(struct nl_buf *b, uint16_t type, uint16_t flags, uint32_t seq, uint32_t portid,
	       size_t room);
/* Attributes of the message that is being built. */
void nl_put(struct nl_buf *b, uint16_t type, const void *data, size_t len);
void nl_put_u32(struct nl_buf *b, uint16_t type, uint32_t value);
void nl_put_u8(struct nl_buf *b, uint16_t type, uint8_t value);
void nl_put_text(struct nl_buf *b, uint16_t type, const char *text);
/* True: the message is in the buffer. False: it did not fit, and is not. */
bool nl_end(struct nl_buf *b);

/* An NLMSG_ERROR for a request: error 0 (an acknowledgement) or a negative errno; text, where it is
 * not NULL, goes as NLMSGERR_ATTR_MSG. */
bool nl_error(struct nl_buf *b, const struct nlmsghdr *request, uint32_t portid, int error,
	      const char *text);
/* The end of a dump. */
bool nl_done(struct nl_buf *b, uint32_t seq, uint32_t portid, uint16_t flags);

/* The message at *at of a datagram of len bytes, and *at moved behind it; NULL: none is left, or
 * what is left is not a message. */
const struct nlmsghdr *nl_next(const uint8_t *datagram, size_t len, size_t *at);
/* An attribute of a message whose fixed part has `fixed` bytes: its payload and *len, or NULL. */
const void *nl_attr(const struct nlmsghdr *msg, size_t fixed, uint16_t type, size_t *len);
/* The fixed part, NULL where the message is too short for it. */
static inline const void *nl_fixed(const struct nlmsghdr *msg, size_t bytes)
{
	return msg->nlmsg_len >= NLMSG_HDRLEN + bytes ? (const uint8_t *)msg + NLMSG_HDRLEN : NULL;
}

#endif
