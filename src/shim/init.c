/* SPDX-License-Identifier: BSD-3-Clause */
/* The shim's start: little, since calls may come before it. */
#include "shim/call/names.h"
#include "shim/foreign/foreign.h"
#include "shim/rewrite/rewrite.h"
#include "shim/shim.h"

/* A library's constructor that uses sockets may come before ours. */
void shim_begin(void)
{
	static bool begun;

	if (begun)
		return;
	begun = true;
	real_resolve();
	session_keep_names();
	session_keep_stderr();
	policy_init();
	exec_keep_names();
	process_init();
	exec_adopt();
}

__attribute__((constructor)) static void shim_start(void)
{
	shim_begin();
	foreign_adopt_self();
	rewrite_start();
	names_start();
}
