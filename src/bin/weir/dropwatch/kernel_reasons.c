/* SPDX-License-Identifier: BSD-3-Clause */
#include "bin/weir/dropwatch/kernel_reasons.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "SKB_DROP_REASON_"
#define NAMES_MOST 4096u
/* Drops of other parts of the kernel: their number is in the upper half. */
#define SUBSYS_SHIFT 16

struct other {
	uint32_t number;
	char name[32];
	struct other *next;
};

struct kernel_reasons {
	char *name[NAMES_MOST];
	struct other *others; /* of numbers beyond, as they come up */
};

struct words {
	const char *name, *severity, *meaning, *advice;
};

static const struct words words[] = {
#define REASON(name, severity, meaning, advice) { #name, #severity, meaning, advice },
#include "bin/weir/dropwatch/kernel_reasons.def"
#undef REASON
};

static const char *without_prefix(const char *name)
{
	if (strncasecmp(name, PREFIX, strlen(PREFIX)) == 0)
		return name + strlen(PREFIX);
	return name;
}

static void take_names(struct kernel_reasons *r, const struct btf *btf, const struct btf_type *t)
{
	const struct btf_enum *value = btf_enum(t);

	for (unsigned int i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(btf, value[i].name_off);
		uint32_t number = (uint32_t)value[i].val;

		if (!name || number >= NAMES_MOST || r->name[number])
			continue;
		if (strcmp(without_prefix(name), "MAX") == 0)
			continue; /* no reason, but how many there are */
		r->name[number] = strdup(without_prefix(name));
	}
}

struct kernel_reasons *kernel_reasons_new(const struct btf *btf)
{
	struct kernel_reasons *r = calloc(1, sizeof(*r));
	int id = btf ? btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM) : -ENOENT;

	if (r && id > 0)
		take_names(r, btf, btf__type_by_id(btf, (unsigned int)id));
	return r;
}

void kernel_reasons_free(struct kernel_reasons *r)
{
	if (!r)
		return;
	for (unsigned int i = 0; i < NAMES_MOST; i++)
		free(r->name[i]);
	for (struct other *next, *o = r->others; o; o = next) {
		next = o->next;
		free(o);
	}
	free(r);
}

static const char *other_name(struct kernel_reasons *r, uint32_t number)
{
	struct other *o;

	for (o = r->others; o; o = o->next) {
		if (o->number == number)
			return o->name;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return "NOT_KNOWN";
	o->number = number;
	if (number >> SUBSYS_SHIFT)
		snprintf(o->name, sizeof(o->name), "SUBSYS_%u_REASON_%u", number >> SUBSYS_SHIFT,
			 number & 0xffff);
	else
		snprintf(o->name, sizeof(o->name), "REASON_%u", number);
	o->next = r->others;
	r->others = o;
	return o->name;
}

static const char *name_of(struct kernel_reasons *r, uint32_t number)
{
	if (number < NAMES_MOST && r->name[number])
		return r->name[number];
	if (number == 0)
		return "NOT_SPECIFIED"; /* a kernel that gives no reasons */
	return other_name(r, number);
}

void kernel_reason_of(struct kernel_reasons *r, uint32_t number, struct kernel_reason *reason)
{
	*reason = (struct kernel_reason){ .name = name_of(r, number), .severity = "warn" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].name, reason->name))
			continue;
		reason->severity = words[i].severity;
		reason->meaning = words[i].meaning;
		reason->advice = words[i].advice;
		return;
	}
}

int kernel_reason_number(const struct kernel_reasons *r, const char *name)
{
	for (unsigned int i = 0; i < NAMES_MOST; i++) {
		if (r->name[i] && strcasecmp(r->name[i], without_prefix(name)) == 0)
			return (int)i;
	}
	return strcasecmp(without_prefix(name), "NOT_SPECIFIED") == 0 ? 0 : -ENOENT;
}
