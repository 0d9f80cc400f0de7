/* SPDX-License-Identifier: BSD-3-Clause */
/* Every reason to drop has its advice, and every advice is of a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "bin/weir/advice.h"

static const char *const reasons[] = {
#define DROP(name, severity, linux, text) #name,
#include "core/drop.def"
#undef DROP
};

static const char *const advised[] = {
#define ADVICE(reason, text) #reason,
#include "bin/weir/advice.def"
#undef ADVICE
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void every_reason_has_advice(void **state)
{
	(void)state;
	assert_int_equal(COUNT(reasons), COUNT(advised));
	for (size_t i = 0; i < COUNT(reasons); i++) {
		if (!advice_for(reasons[i])[0])
			fail_msg("%s has no advice", reasons[i]);
		assert_string_equal(reasons[i], advised[i]);
	}
	assert_string_equal(advice_for("NO_SUCH_REASON"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_reason_has_advice) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
