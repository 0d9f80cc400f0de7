/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the vector registers are kept while C code of ours runs in the middle of somebody's
 * instructions. [Intel SDM volume 1, chapter 13]
 */
#ifndef WEIR_SHIM_REWRITE_XSAVE_H
#define WEIR_SHIM_REWRITE_XSAVE_H

#include <stdint.h>

/*
 * What C code may use: SSE, AVX and the three parts of AVX-512. Left alone, and so not saved: x87,
 * MPX, PKRU, AMX (8 KB and more of tiles, which no C library touches).
 */
#define XSAVE_VECTORS 0xe6u
#define XSAVE_COMPONENTS 8 /* as far as the mask goes */

enum xsave_how { XSAVE_FX, XSAVE_PLAIN, XSAVE_COMPACT }; /* fxsave, xsave, xsavec */

struct xsave_component {
	uint32_t bytes, offset; /* offset: in the plain form */
	uint32_t aligned;	/* to 64, in the compact form */
};

/* Bytes of the area, header included, for the components of mask (pure). */
uint32_t xsave_bytes(const struct xsave_component parts[XSAVE_COMPONENTS], uint32_t mask,
		     enum xsave_how how);

struct xsave {
	enum xsave_how how;
	uint32_t mask;	/* of the components that are there and switched on */
	uint32_t bytes; /* with 64 to spare for aligning; at most XSAVE_BYTES_MAX */
};
/* 64 to align, the old area and the header, AVX, and AVX-512 with each part aligned. */
#define XSAVE_BYTES_MAX 4096u

/* What this processor and this system have. */
struct xsave xsave_here(void);

#endif
