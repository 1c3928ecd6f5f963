/* SPDX-License-Identifier: MIT */
/*
 * os_call.h - a system call, made by instruction.
 *
 * SYSCALL(SYS_madvise, p, nbytes, advice) returns the kernel's result, which is -errno for a failure. It leaves errno
 * alone and is no cancellation point. No library that replaces functions of libc sees it.
 */
#ifndef GOALLOC_OS_CALL_H
#define GOALLOC_OS_CALL_H

#include "base/base.h"

#include <errno.h>
#include <sys/syscall.h>

/* Arguments are integers or pointers, six at most; the ones that are left out are 0. */
#define SYSCALL(...) SYSCALL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SYSCALL_PADDED(number, a, b, c, d, e, f, ...) \
	cpu_syscall((long)(number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Makes the system call again when a signal interrupts it. */
#define RESTARTED(call) \
	({ \
		long restarted_result; \
		do \
			restarted_result = (call); \
		while (restarted_result == -EINTR); \
		restarted_result; \
	})

#endif
