/* SPDX-License-Identifier: BSD-3-Clause */
/* What every file of the shim needs. */
#ifndef WEIR_SHIM_BASE_H
#define WEIR_SHIM_BASE_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "shim/interpose/real.h"
#include "wire/app_abi.h"
#include "wire/app_ring.h"

#define FD_MAX (1u << 20)
#define NO_DEADLINE INT64_MAX

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define SHIM_TLS __thread __attribute__((tls_model("initial-exec")))

/* A lock that may be reset in a forked child; held for short times only, and no handler of the
 * program's runs in its thread meanwhile: signals_hold(). */
struct lock {
	_Atomic uint32_t word;
};
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);

#endif
