/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to people. A line is put together first and written with one call, so that lines of
 * several threads and processes do not mix.
 */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_BYTES 1024

static _Atomic int log_level_now = LOG_LEVEL_INFO;

static const char *const log_prefix[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARN] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
}

/* Words from programs and from the wire end up here: nothing that a terminal would obey. */
static void log_make_printable(char *text, int len)
{
	for (int i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c == 0x7f)
			text[i] = c == '\t' ? ' ' : '?';
	}
}

void log_at(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	int saved_errno = errno;
	va_list args;
	int at, len;

	if ((int)level > atomic_load_explicit(&log_level_now, memory_order_relaxed) ||
	    (unsigned int)level > LOG_LEVEL_DEBUG)
		return;
	at = snprintf(line, sizeof(line), "%.64s: %s", program_invocation_short_name,
		      log_prefix[level]);
	errno = saved_errno; /* for %m */
	va_start(args, format);
	len = vsnprintf(line + at, sizeof(line) - (size_t)at - 1, format, args);
	va_end(args);
	if (len < 0)
		goto out;
	if (len > LOG_LINE_BYTES - at - 2)
		len = LOG_LINE_BYTES - at - 2;
	log_make_printable(line + at, len);
	line[at + len] = '\n';
	/* There is nobody to tell when standard error itself fails. */
	if (write(STDERR_FILENO, line, (size_t)at + (size_t)len + 1) < 0)
		goto out;
out:
	errno = saved_errno;
}
