/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source filters as a whole: IP_MSFILTER, whose getsockopt() also says what it asks about, and
 * MCAST_MSFILTER (RFC 3678 section 5.2), whose list of struct sockaddr_storage is larger than a
 * control slot: it is struct abi_mcast_filter on the way.
 */
#include "shim/shim.h"

#include <netinet/in.h>

#define FILTER_HEAD_BYTES offsetof(struct group_filter, gf_slist)

struct filter {
	struct abi_mcast_filter head;
	uint32_t source_be[ABI_MCAST_SOURCES];
};

static bool ip4_of(const struct sockaddr_storage *ss, uint32_t *addr_be)
{
	struct sockaddr_in in;

	memcpy(&in, ss, sizeof(in));
	*addr_be = in.sin_addr.s_addr;
	return in.sin_family == AF_INET;
}

/* The program's structures are aligned as it likes. */
static bool source_of(const uint8_t *value, uint32_t i, uint32_t *addr_be)
{
	struct sockaddr_storage ss;

	memcpy(&ss, value + FILTER_HEAD_BYTES + i * sizeof(ss), sizeof(ss));
	return ip4_of(&ss, addr_be);
}

int mcastopt_set_filter(struct wsock *ws, const void *value, socklen_t len)
{
	struct group_filter given;
	struct filter f = { .head = { .ifindex = 0 } };
	struct ctl_args args = {
		.op = ABI_CTL_SETSOCKOPT, .level = IPPROTO_IP, .optname = MCAST_MSFILTER, .in = &f
	};
	int err;

	if (len < GROUP_FILTER_SIZE(0))
		return -EINVAL;
	memcpy(&given, value, FILTER_HEAD_BYTES);
	if (given.gf_numsrc > ABI_MCAST_SOURCES)
		return -ENOBUFS;
	if (len < GROUP_FILTER_SIZE(given.gf_numsrc))
		return -EINVAL;
	if (!ip4_of(&given.gf_group, &f.head.group_be))
		return -EADDRNOTAVAIL;
	f.head.ifindex = given.gf_interface;
	f.head.mode = given.gf_fmode;
	f.head.count = given.gf_numsrc;
	for (uint32_t i = 0; i < given.gf_numsrc; i++) {
		if (!source_of(value, i, &f.source_be[i]))
			return -EADDRNOTAVAIL;
	}
	args.in_len = (uint32_t)(sizeof(f.head) + f.head.count * sizeof(f.source_be[0]));
	err = ctl_create(ws);
	return err ? err : ctl_call(ws, &args);
}

static void give_sources(uint8_t *value, const struct filter *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct sockaddr_storage ss = { .ss_family = AF_INET };
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_addr.s_addr = f->source_be[i] };

		memcpy(&ss, &in, sizeof(in));
		memcpy(value + FILTER_HEAD_BYTES + i * sizeof(ss), &ss, sizeof(ss));
	}
}

static int get_filter(struct wsock *ws, void *value, socklen_t *len)
{
	struct group_filter given;
	struct filter f = { .head = { .ifindex = 0 } };
	struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT,
				 .level = IPPROTO_IP,
				 .optname = MCAST_MSFILTER,
				 .in = &f,
				 .in_len = sizeof(f),
				 .out = &f,
				 .out_len = sizeof(f) };
	uint32_t room;
	int err;

	if (*len < FILTER_HEAD_BYTES)
		return -EINVAL;
	memcpy(&given, value, FILTER_HEAD_BYTES);
	room = (uint32_t)((*len - FILTER_HEAD_BYTES) / sizeof(struct sockaddr_storage));
	if (!ip4_of(&given.gf_group, &f.head.group_be))
		return -EINVAL;
	f.head.ifindex = given.gf_interface;
	f.head.count = ABI_MCAST_SOURCES;
	err = ctl_call(ws, &args);
	if (err)
		return err;
	/* The program has said how many it has room for; what it has not is not written to. */
	if (room > given.gf_numsrc)
		room = given.gf_numsrc;
	if (room > f.head.count)
		room = f.head.count;
	if (room > ABI_MCAST_SOURCES)
		room = ABI_MCAST_SOURCES;
	given.gf_fmode = f.head.mode;
	given.gf_numsrc = f.head.count;
	memcpy(value, &given, FILTER_HEAD_BYTES);
	give_sources(value, &f, room);
	*len = GROUP_FILTER_SIZE(room);
	return 0;
}

int mcastopt_get_filter(struct wsock *ws, int name, void *value, socklen_t *len)
{
	struct ctl_args args = { .op = ABI_CTL_GETSOCKOPT,
				 .level = IPPROTO_IP,
				 .optname = IP_MSFILTER,
				 .in = value,
				 .out = value };
	int err = ctl_create(ws);

	if (err)
		return err;
	if (name == MCAST_MSFILTER)
		return get_filter(ws, value, len);
	args.in_len = *len < ABI_CTL_DATA_BYTES ? *len : ABI_CTL_DATA_BYTES;
	args.out_len = args.in_len;
	err = ctl_call(ws, &args);
	if (!err)
		*len = args.out_len;
	return err;
}
