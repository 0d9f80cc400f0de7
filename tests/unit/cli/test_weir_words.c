/* SPDX-License-Identifier: BSD-3-Clause */
/* What dropwatch makes of a packet's bytes, of an executable's symbols and of a list of sockets. */
#include "bin/weir/dropwatch/flow.h"
#include "bin/weir/dropwatch/owners.h"
#include "bin/weir/dropwatch/weird_syms.h"

#include <arpa/inet.h>
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static const uint8_t frame[] = {
	2,    0,    0, 0,  0,	 1,		  /* to */
	2,    0,    0, 0,  0,	 2,		  /* from */
	0x08, 0x00,				  /* IPv4 */
	0x45, 0,    0, 33, 0,	 1,    0,    0,	  /* header */
	64,   17,   0, 0,  198,	 18,   0,    1,	  /* UDP, from 198.18.0.1 */
	198,  18,   0, 2,  0x9c, 0x40, 0x00, 53,  /* to 198.18.0.2, ports 40000 and 53 */
	0,    13,   0, 0,  'h',	 'e',  'l',  'l', /* length, checksum, bytes */
	'o',
};

static const char *text_of(const uint8_t *bytes, size_t len, bool ethernet)
{
	static char text[FLOW_TEXT_BYTES];
	struct flow flow;

	flow_parse(bytes, len, ethernet, &flow);
	return flow_text(&flow, text);
}

static void flows_in_words(void **state)
{
	uint8_t other[sizeof(frame)];

	assert_string_equal(text_of(frame, sizeof(frame), true),
			    "udp 198.18.0.1:40000 > 198.18.0.2:53");
	assert_string_equal(text_of(frame + 14, sizeof(frame) - 14, false),
			    "udp 198.18.0.1:40000 > 198.18.0.2:53");
	memcpy(other, frame, sizeof(frame));
	other[14 + 9] = 1;
	assert_string_equal(text_of(other, sizeof(other), true), "icmp 198.18.0.1 > 198.18.0.2");
	other[14 + 9] = 253;
	assert_string_equal(text_of(other, sizeof(other), true),
			    "ip proto 253 198.18.0.1 > 198.18.0.2");
	other[14 + 9] = 6;
	other[14 + 7] = 9; /* a later fragment has no ports */
	assert_string_equal(text_of(other, sizeof(other), true), "tcp 198.18.0.1 > 198.18.0.2");
	other[12] = 0x86;
	other[13] = 0xdd;
	assert_string_equal(text_of(other, sizeof(other), true), "IPv6");
	other[12] = 0x88;
	other[13] = 0xb5;
	assert_string_equal(text_of(other, sizeof(other), true), "EtherType 0x88b5");
}

/* Cut anywhere, and with any byte changed: within its bounds (the sanitizers look). */
static void flows_of_broken_packets(void **state)
{
	for (size_t len = 0; len <= sizeof(frame); len++) {
		uint8_t *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		for (size_t at = 0; at < len; at++) {
			for (unsigned int value = 0; value < 256; value += 5) {
				memcpy(copy, frame, len);
				copy[at] = (uint8_t)value;
				text_of(copy, len, true);
				text_of(copy, len, false);
			}
		}
		free(copy);
	}
	assert_string_equal(text_of(frame, 13, true), "");
	assert_string_equal(text_of(frame, 33, true), "EtherType 0x0800");
	assert_string_equal(text_of(frame, 36, true), "udp 198.18.0.1 > 198.18.0.2");
}

/* ---- symbols ---- */

static void our_own_functions(void **state)
{
	struct weird_syms *syms = weird_syms_read("/proc/self/exe");
	uint64_t offset = 99, at = (uint64_t)((const char *)flow_text - __ehdr_start);

	assert_non_null(syms);
	assert_string_equal(weird_syms_find(syms, at, &offset), "flow_text");
	assert_int_equal(offset, 0);
	assert_string_equal(weird_syms_find(syms, at + 5, &offset), "flow_text");
	assert_int_equal(offset, 5);
	assert_null(weird_syms_find(syms, 0, &offset));
	assert_null(weird_syms_find(syms, UINT64_MAX, &offset));
	assert_null(weird_syms_find(NULL, at, &offset));
	weird_syms_free(syms);
}

static struct weird_syms *read_bytes(const void *bytes, size_t len)
{
	char path[] = "/tmp/weir-test-syms-XXXXXX";
	struct weird_syms *syms;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
	syms = weird_syms_read(path);
	unlink(path);
	return syms;
}

static void files_that_are_none(void **state)
{
	assert_null(weird_syms_read("/nowhere"));
	assert_null(read_bytes("", 0));
	assert_null(read_bytes("#!/bin/sh\n", 10));
	assert_null(read_bytes(ELFMAG, 4));
}

/* A small file with one function; each of its words is broken in turn. */
static void broken_symbol_tables(void **state)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		Elf64_Shdr sh[3];
		Elf64_Sym sym[2];
		char names[8];
	} good = { 0 }, bad;
	struct weird_syms *syms;
	uint64_t offset;

	memcpy(good.eh.e_ident, ELFMAG, SELFMAG);
	good.eh.e_ident[EI_CLASS] = ELFCLASS64;
	good.eh.e_phoff = offsetof(typeof(good), ph);
	good.eh.e_phnum = 1;
	good.eh.e_shoff = offsetof(typeof(good), sh);
	good.eh.e_shnum = 3;
	good.ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_vaddr = 0x400000 };
	good.sh[1] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
				   .sh_offset = offsetof(typeof(good), sym),
				   .sh_size = sizeof(good.sym),
				   .sh_link = 2 };
	good.sh[2] = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
				   .sh_offset = offsetof(typeof(good), names),
				   .sh_size = sizeof(good.names) };
	good.sym[1] = (Elf64_Sym){ .st_name = 1,
				   .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				   .st_shndx = 1,
				   .st_value = 0x400100,
				   .st_size = 16 };
	memcpy(good.names, "\0drop\0\0", 8);
	syms = read_bytes(&good, sizeof(good));
	assert_non_null(syms);
	assert_string_equal(weird_syms_find(syms, 0x10f, &offset), "drop");
	assert_int_equal(offset, 15);
	assert_null(weird_syms_find(syms, 0x111, &offset));
	weird_syms_free(syms);
	for (size_t at = 0; at + 4 <= sizeof(good); at += 4) {
		static const uint32_t words[] = { 0, 1, 0x7fffffff, 0xffffffff, 0xfffffff8 };

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			memcpy(&bad, &good, sizeof(bad));
			memcpy((char *)&bad + at, &words[i], 4);
			syms = read_bytes(&bad, sizeof(bad));
			weird_syms_find(syms, 0x100, &offset);
			weird_syms_free(syms);
		}
	}
	for (size_t len = 0; len < sizeof(good); len += 3)
		weird_syms_free(read_bytes(&good, len));
}

/* ---- sockets ---- */

static struct owners sockets(void)
{
	static const char text[] =
		"{'no_program': [{'proto': 'udp', 'local': '0.0.0.0:99', 'remote': '0.0.0.0:*'}],"
		" 'programs': ["
		"{'program': 'dns', 'pids': [7], 'sockets': ["
		"  {'proto': 'udp', 'local': '0.0.0.0:53', 'remote': '0.0.0.0:*', 'pid': 7},"
		"  {'proto': 'udp', 'local': '198.18.0.2:53', 'remote': '198.18.0.9:1',"
		"   'pid': 7}]},"
		"{'program': 'web', 'pids': [8], 'sockets': ["
		"  {'proto': 'tcp', 'local': '198.18.0.2:80', 'remote': '0.0.0.0:*', 'pid': 8},"
		"  {'proto': 'tcp', 'local': '198.18.0.2:80', 'remote': '198.18.0.1:5', 'pid': 9},"
		"  {'proto': 'tcp', 'local': '198.18.0.2', 'remote': 'x'},"
		"  {'proto': 'tcp'}, 17, null]}]}";
	char json[sizeof(text)];

	memcpy(json, text, sizeof(text));
	for (char *c = json; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return (struct owners){ .answer = json_loads(json, 0, NULL) };
}

static const char *owner(const struct owners *o, const char *from, uint16_t from_port,
			 const char *to, uint16_t to_port, uint8_t proto, bool local)
{
	static char text[128];
	const json_t *program, *socket;
	struct flow flow = { .protocol = 0x800,
			     .ip4 = true,
			     .ports = true,
			     .ip_proto = proto,
			     .src_be = inet_addr(from),
			     .dst_be = inet_addr(to),
			     .src_port = from_port,
			     .dst_port = to_port };

	socket = owners_find(o, &flow, local, &program);
	if (!socket)
		return "none";
	snprintf(text, sizeof(text), "%s %d",
		 program ? json_string_value(json_object_get(program, "program")) : "-",
		 (int)json_integer_value(json_object_get(socket, "pid")));
	return text;
}

static void whose_packet(void **state)
{
	struct owners o = sockets();

	assert_non_null(o.answer);
	assert_string_equal(owner(&o, "198.18.0.1", 9, "198.18.0.2", 53, 17, false), "dns 7");
	assert_string_equal(owner(&o, "198.18.0.1", 9, "198.18.0.2", 53, 6, false), "none");
	assert_string_equal(owner(&o, "198.18.0.1", 9, "198.18.0.2", 54, 17, false), "none");
	assert_string_equal(owner(&o, "198.18.0.1", 9, "198.18.0.2", 99, 17, false), "- 0");
	assert_string_equal(owner(&o, "198.18.0.1", 4, "198.18.0.2", 80, 6, false), "web 8");
	assert_string_equal(owner(&o, "198.18.0.1", 5, "198.18.0.2", 80, 6, false), "web 9");
	assert_string_equal(owner(&o, "198.18.0.2", 80, "198.18.0.1", 5, 6, true), "web 9");
	assert_string_equal(owner(&o, "198.18.0.1", 5, "198.18.0.3", 80, 6, false), "none");
	owners_free(&o);
	assert_string_equal(owner(&o, "198.18.0.1", 5, "198.18.0.2", 80, 6, false), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_in_words),	cmocka_unit_test(flows_of_broken_packets),
		cmocka_unit_test(our_own_functions),	cmocka_unit_test(files_that_are_none),
		cmocka_unit_test(broken_symbol_tables), cmocka_unit_test(whose_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
