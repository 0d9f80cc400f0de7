/* SPDX-License-Identifier: BSD-3-Clause */
/* What to do about a reason to drop, in a sentence (advice.def). */
#ifndef WEIR_BIN_WEIR_ADVICE_H
#define WEIR_BIN_WEIR_ADVICE_H

/* reason: "NO_SOCKET", as the ledger names it. "" where there is none of that name. */
const char *advice_for(const char *reason);

#endif
