/* SPDX-License-Identifier: BSD-3-Clause */
/* Captured packets as text, and as JSON. */
#include <stdlib.h>
#include <time.h>

#include "bin/weir/capture/capture.h"

static void print_time(uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm tm;

	localtime_r(&seconds, &tm);
	printf("%s%02d:%02d:%02d.%06u%s ", cli_colour(CLI_DIM), tm.tm_hour, tm.tm_min, tm.tm_sec,
	       (unsigned int)(time_ns / 1000 % 1000000), cli_colour(CLI_PLAIN));
}

/* Sixteen bytes a line, as tcpdump's: words of two bytes, and the characters with 'X'. */
static void print_hex(const struct captured *c, char how)
{
	for (uint32_t at = 0; at < c->caplen_bytes; at += 16) {
		uint32_t n = c->caplen_bytes - at < 16 ? c->caplen_bytes - at : 16;
		char text[17] = { 0 };

		printf("\t0x%04x: ", at);
		for (uint32_t i = 0; i < 16; i++) {
			if (i < n)
				printf(i % 2 ? "%02x" : " %02x", c->bytes[at + i]);
			else if (how == 'X')
				fputs(i % 2 ? "  " : "   ", stdout);
			if (i < n)
				text[i] = c->bytes[at + i] > 32 && c->bytes[at + i] < 127
						  ? (char)c->bytes[at + i]
						  : '.';
		}
		printf("%s%s\n", how == 'X' ? "  " : "", how == 'X' ? text : "");
	}
}

void capture_print(const struct capture_options *o, const struct captured *c)
{
	static const char *const words[] = { " ", "In", "Out" };
	char text[CAPTURE_LINE_BYTES];

	print_time(c->time_ns);
	if (c->stage)
		printf("%s/%s ", c->port, c->stage);
	else
		printf("%-5s %-3s ", c->port, words[c->direction]);
	fputs(capture_decode(c->bytes, c->caplen_bytes, c->len_bytes, c->ethernet, o->macs, text),
	      stdout);
	if (c->comment)
		printf(" %s[%s]%s", cli_colour(CLI_RED), c->comment, cli_colour(CLI_PLAIN));
	putchar('\n');
	if (o->hex)
		print_hex(c, o->hex);
}

static json_t *hex_string(const uint8_t *bytes, uint32_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * (size_t)len + 1);
	json_t *string;

	if (!text)
		return json_null();
	for (uint32_t i = 0; i < len; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * (size_t)len] = '\0';
	string = json_string(text);
	free(text);
	return string;
}

/* A line of its own, so that programs can read while it runs. */
void capture_print_json(const struct captured *c)
{
	static const char *const words[] = { NULL, "in", "out" };
	char text[CAPTURE_LINE_BYTES];
	json_t *line = json_pack(
		"{s:I, s:s, s:s?, s:s?, s:s, s:I, s:s, s:b, s:b, s:s?, s:s?, s:o}", "time_ns",
		(json_int_t)c->time_ns, "port", c->port, "stage", c->stage, "direction",
		words[c->direction], "link", c->ethernet ? "ethernet" : "ip", "length",
		(json_int_t)c->len_bytes, "summary",
		capture_decode(c->bytes, c->caplen_bytes, c->len_bytes, c->ethernet, false, text),
		"checksum_partial", c->csum_partial, "super_segment", c->super_segment, "reason",
		c->reason, "comment", c->comment, "data", hex_string(c->bytes, c->caplen_bytes));

	if (line && json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	json_decref(line);
}
