/* SPDX-License-Identifier: MIT */
/*
 * os_call.h - how the files of this folder make system calls and map memory.
 *
 * SYSCALL(SYS_madvise, p, nbytes, advice) makes the call by instruction and returns the kernel's
 * result, which is -errno for a failure. It leaves errno alone and is no cancellation point. No
 * library that replaces functions of libc sees it.
 */
#ifndef GOALLOC_OS_CALL_H
#define GOALLOC_OS_CALL_H

#include "base/base.h"

#include <errno.h>
#include <sys/syscall.h>

/* Arguments are integers or pointers, six at most. Those that are left out are 0. */
#define SYSCALL(...) SYSCALL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SYSCALL_PADDED(number, a, b, c, d, e, f, ...) \
	cpu_syscall((long)(number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
		    (long)(f))

/* Makes the system call again when a signal interrupts it. */
#define RESTARTED(call) \
	({ \
		long restarted_result; \
		do \
			restarted_result = (call); \
		while (restarted_result == -EINTR); \
		restarted_result; \
	})

/* Maps private or shared memory without a file, as mmap(2) does, and returns it or NULL. If names
 * are asked for (os_name_mappings()), the mapping gets the name, unless that is NULL. */
void *os_map(void *hint, size_t nbytes, int prot, int flags, const char *name);

/* Unmaps a range. Returns false, with nothing changed, when the kernel refuses. */
bool os_unmap(void *p, size_t nbytes);

/* The name of mappings for records. */
#define METADATA_NAME "goalloc: metadata"

#endif
