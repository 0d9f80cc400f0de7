/* SPDX-License-Identifier: BSD-3-Clause */
/* pcapng files as libpcap reads them, and what libpcap does not look at, byte by byte. */
#include "bin/weir/pcapng.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME_NS 1790000000123456789ull

static char *text;
static size_t text_len;

static struct pcapng begin(void)
{
	FILE *to = open_memstream(&text, &text_len);
	struct pcapng p;

	assert_non_null(to);
	assert_int_equal(pcapng_begin(&p, to, "weir test"), 0);
	return p;
}

/* What was written, read by libpcap from the start. */
static pcap_t *reader(struct pcapng *p)
{
	char error[PCAP_ERRBUF_SIZE];
	FILE *from;
	pcap_t *pcap;

	assert_int_equal(fclose(p->to), 0);
	from = fmemopen(text, text_len, "rb");
	assert_non_null(from);
	pcap = pcap_fopen_offline_with_tstamp_precision(from, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!pcap)
		fail_msg("%s", error);
	return pcap;
}

static void end(pcap_t *pcap)
{
	pcap_close(pcap);
	free(text);
}

/* The value of an option in the n-th block of a type, NULL where it is not there. */
static const uint8_t *option(uint32_t type, unsigned int n, size_t fixed, uint16_t code,
			     uint16_t *len)
{
	for (size_t at = 0; at < text_len;) {
		uint32_t block[2];
		size_t o = at + 8 + fixed;

		memcpy(block, text + at, sizeof(block));
		assert_true(block[1] >= 12 && block[1] % 4 == 0 && at + block[1] <= text_len);
		assert_memory_equal(text + at + block[1] - 4, &block[1], 4);
		while (block[0] == type && n == 0 && o + 4 <= at + block[1] - 4) {
			uint16_t head[2];

			memcpy(head, text + o, sizeof(head));
			if (head[0] == code) {
				*len = head[1];
				return (const uint8_t *)text + o + 4;
			}
			o += 4 + ((head[1] + 3u) & ~3u);
		}
		n -= block[0] == type;
		at += block[1];
	}
	return NULL;
}

static void packets_with_every_padding(void **state)
{
	static const uint8_t bytes[] = "abcdefghijklmnop";
	struct pcapng p = begin();
	struct pcap_pkthdr *head;
	const u_char *data;
	pcap_t *pcap;

	assert_int_equal(pcapng_interface(&p, "weir0", NULL, NULL, PCAPNG_LINKTYPE_ETHERNET, 65535),
			 0);
	for (uint32_t len = 0; len <= 16; len++) {
		struct pcapng_packet packet = { .time_ns = TIME_NS + len,
						.bytes = bytes,
						.caplen_bytes = len,
						.len_bytes = 1000 + len,
						.comment = len % 2 ? "x" : NULL };

		assert_int_equal(pcapng_packet(&p, &packet), 0);
	}
	pcap = reader(&p);
	assert_int_equal(pcap_datalink(pcap), DLT_EN10MB);
	for (uint32_t len = 0; len <= 16; len++) {
		assert_int_equal(pcap_next_ex(pcap, &head, &data), 1);
		assert_int_equal(head->caplen, len);
		assert_int_equal(head->len, 1000 + len);
		assert_int_equal((uint64_t)head->ts.tv_sec * 1000000000 +
					 (uint64_t)head->ts.tv_usec,
				 TIME_NS + len);
		assert_memory_equal(data, bytes, len);
	}
	assert_int_equal(pcap_next_ex(pcap, &head, &data), PCAP_ERROR_BREAK);
	end(pcap);
}

static void comments_names_and_counts(void **state)
{
	static const char comment[] = "NO_SOCKET: no socket\nat no_socket()";
	struct pcapng p = begin();
	const struct pcapng_packet packet = { .interface = 1,
					      .bytes = (const uint8_t *)"12345",
					      .caplen_bytes = 5,
					      .len_bytes = 5,
					      .flags = PCAPNG_INBOUND,
					      .comment = comment };
	const uint8_t *value;
	uint64_t count;
	uint32_t flags;
	uint16_t len;
	pcap_t *pcap;

	assert_int_equal(pcapng_interface(&p, "a", "one", NULL, PCAPNG_LINKTYPE_ETHERNET, 0), 0);
	assert_int_equal(pcapng_interface(&p, "b", NULL, "udp", PCAPNG_LINKTYPE_ETHERNET, 0), 1);
	assert_int_equal(pcapng_packet(&p, &packet), 0);
	assert_int_equal(pcapng_statistics(&p, 1, TIME_NS, 12, 11), 0);
	pcap = reader(&p);

	value = option(0x0a0d0d0a, 0, 16, 4, &len);
	assert_non_null(value);
	assert_memory_equal(value, "weir test", 9);
	value = option(1, 1, 8, 2, &len);
	assert_non_null(value);
	assert_memory_equal(value, "b", 1);
	value = option(1, 0, 8, 3, &len);
	assert_non_null(value);
	assert_memory_equal(value, "one", 3);
	value = option(1, 1, 8, 11, &len);
	assert_non_null(value);
	assert_int_equal(len, 4);
	assert_memory_equal(value, "\0udp", 4);
	value = option(1, 1, 8, 9, &len);
	assert_non_null(value);
	assert_int_equal(*value, 9);
	value = option(6, 0, 20 + 8, 1, &len);
	assert_non_null(value);
	assert_int_equal(len, strlen(comment));
	assert_memory_equal(value, comment, len);
	value = option(6, 0, 20 + 8, 2, &len);
	assert_non_null(value);
	memcpy(&flags, value, 4);
	assert_int_equal(flags, PCAPNG_INBOUND);
	value = option(5, 0, 12, 5, &len);
	assert_non_null(value);
	memcpy(&count, value, 8);
	assert_int_equal(count, 11);
	end(pcap);
}

static void long_words_are_cut(void **state)
{
	struct pcapng p = begin();
	char *words = malloc(70001);
	struct pcapng_packet packet = { .comment = words };
	struct pcap_pkthdr *head;
	const u_char *data;
	pcap_t *pcap;

	assert_non_null(words);
	memset(words, 'w', 70000);
	words[70000] = '\0';
	assert_int_equal(pcapng_interface(&p, "a", NULL, words, PCAPNG_LINKTYPE_RAW, 0), 0);
	assert_int_equal(pcapng_packet(&p, &packet), 0);
	pcap = reader(&p);
	assert_int_equal(pcap_datalink(pcap), DLT_RAW);
	assert_int_equal(pcap_next_ex(pcap, &head, &data), 1);
	assert_int_equal(pcap_next_ex(pcap, &head, &data), PCAP_ERROR_BREAK);
	free(words);
	end(pcap);
}

static void a_full_disk_is_told(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct pcapng p;

	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(pcapng_begin(&p, full, "weir test"), -ENOSPC);
	assert_int_equal(pcapng_packet(&p, &(struct pcapng_packet){ 0 }), -ENOSPC);
	assert_int_equal(pcapng_interface(&p, "a", NULL, NULL, 1, 0), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_with_every_padding),
		cmocka_unit_test(comments_names_and_counts),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
