/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/pcapng.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define BLOCK_FRAME_BYTES 12u /* type, length, and the length again */

#define OPT_END 0u
#define OPT_COMMENT 1u
#define OPT_SECTION_APPLICATION 4u
#define OPT_INTERFACE_NAME 2u
#define OPT_INTERFACE_DESCRIPTION 3u
#define OPT_INTERFACE_TSRESOL 9u
#define OPT_INTERFACE_FILTER 11u
#define OPT_PACKET_FLAGS 2u
#define OPT_STATISTICS_RECEIVED 4u
#define OPT_STATISTICS_DROPPED 5u

#define TSRESOL_NS 9  /* 10^-9 s */
#define FILTER_TEXT 0 /* the filter option's first byte: libpcap's words */
#define OPTION_MAX 65535u

struct option {
	uint16_t code;
	const void *value;
	size_t len;
};

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

static void put(struct pcapng *p, const void *bytes, size_t len)
{
	if (p->error || len == 0)
		return;
	errno = 0;
	if (fwrite(bytes, 1, len, p->to) != len)
		p->error = errno ? -errno : -EIO;
	else
		p->written_bytes += len;
}

static void put_padded(struct pcapng *p, const void *bytes, size_t len)
{
	static const uint8_t zeros[4];

	put(p, bytes, len);
	put(p, zeros, padded(len) - len);
}

static void put32(struct pcapng *p, uint32_t value)
{
	put(p, &value, sizeof(value));
}

static void put_option(struct pcapng *p, uint16_t code, const void *value, size_t len)
{
	uint16_t head[2] = { code, (uint16_t)len };

	put(p, head, sizeof(head));
	put_padded(p, value, len);
}

static struct option option_text(uint16_t code, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return (struct option){ code, text, len < OPTION_MAX ? len : OPTION_MAX };
}

/* A block: its fixed part, bytes padded to words (NULL: none), and those options that have some. */
static void put_block(struct pcapng *p, uint32_t type, const void *fixed, size_t fixed_len,
		      const void *data, size_t data_len, const struct option *options, size_t count)
{
	size_t total = BLOCK_FRAME_BYTES + fixed_len + padded(data_len), used = 0;

	for (size_t i = 0; i < count; i++) {
		if (options[i].len) {
			total += 4 + padded(options[i].len);
			used++;
		}
	}
	total += used ? 4 : 0;
	put32(p, type);
	put32(p, (uint32_t)total);
	put(p, fixed, fixed_len);
	put_padded(p, data, data_len);
	for (size_t i = 0; i < count; i++) {
		if (options[i].len)
			put_option(p, options[i].code, options[i].value, options[i].len);
	}
	if (used)
		put32(p, OPT_END);
	put32(p, (uint32_t)total);
}

int pcapng_begin(struct pcapng *p, FILE *to, const char *application)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t length[2]; /* of the section: not known */
	} fixed = { BYTE_ORDER_MAGIC, 1, 0, { UINT32_MAX, UINT32_MAX } };
	const struct option options[] = { option_text(OPT_SECTION_APPLICATION, application) };

	*p = (struct pcapng){ .to = to };
	put_block(p, BLOCK_SECTION, &fixed, sizeof(fixed), NULL, 0, options, 1);
	return p->error;
}

int pcapng_interface(struct pcapng *p, const char *name, const char *description,
		     const char *filter, uint16_t link_type, uint32_t snaplen_bytes)
{
	static const uint8_t tsresol = TSRESOL_NS;
	const struct {
		uint16_t link_type, reserved;
		uint32_t snaplen;
	} fixed = { link_type, 0, snaplen_bytes };
	char text[4096] = { FILTER_TEXT };
	size_t filter_len = filter ? strnlen(filter, sizeof(text) - 1) : 0;
	const struct option options[] = {
		option_text(OPT_INTERFACE_NAME, name),
		option_text(OPT_INTERFACE_DESCRIPTION, description),
		{ OPT_INTERFACE_TSRESOL, &tsresol, sizeof(tsresol) },
		{ OPT_INTERFACE_FILTER, text, filter_len ? filter_len + 1 : 0 },
	};

	if (filter)
		memcpy(text + 1, filter, filter_len);
	put_block(p, BLOCK_INTERFACE, &fixed, sizeof(fixed), NULL, 0, options,
		  sizeof(options) / sizeof(options[0]));
	return p->error ? p->error : (int)p->interfaces++;
}

int pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet)
{
	const uint32_t fixed[5] = { packet->interface, (uint32_t)(packet->time_ns >> 32),
				    (uint32_t)packet->time_ns, packet->caplen_bytes,
				    packet->len_bytes };
	const struct option options[] = {
		option_text(OPT_COMMENT, packet->comment),
		{ OPT_PACKET_FLAGS, &packet->flags, packet->flags ? sizeof(packet->flags) : 0 },
	};

	put_block(p, BLOCK_PACKET, fixed, sizeof(fixed), packet->bytes, packet->caplen_bytes,
		  options, sizeof(options) / sizeof(options[0]));
	return p->error;
}

int pcapng_statistics(struct pcapng *p, uint32_t interface, uint64_t time_ns, uint64_t received,
		      uint64_t dropped)
{
	const uint32_t fixed[3] = { interface, (uint32_t)(time_ns >> 32), (uint32_t)time_ns };
	const struct option options[] = {
		{ OPT_STATISTICS_RECEIVED, &received, sizeof(received) },
		{ OPT_STATISTICS_DROPPED, &dropped, sizeof(dropped) },
	};

	put_block(p, BLOCK_STATISTICS, fixed, sizeof(fixed), NULL, 0, options,
		  sizeof(options) / sizeof(options[0]));
	return p->error;
}
