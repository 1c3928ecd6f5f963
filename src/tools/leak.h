/* SPDX-License-Identifier: MIT */
/*
 * leak.h - finds live objects that the program cannot reach any more. See leak.c.
 */
#ifndef GOALLOC_LEAK_H
#define GOALLOC_LEAK_H

#include "base/base.h"

/* How a check ended. */
struct leak_result {
	int error; /* of errno.h: why there was no check; the report says it, too; 0 */
	int write_error;          /* of errno.h: why the report is incomplete; 0 */
	size_t nobjects, nbytes;  /* leaked */
};

/* Finds the objects that the program cannot reach any more, and writes a report to a descriptor, -1
 * for none. The other threads are stopped for a moment, and the caller waits for the end. Any
 * thread may call it, also before the first object and in a forked child. *result is cleared at the
 * beginning, because its memory may be on the stack, which is searched. stack is the end of the
 * program's stack if the caller is on another stack and the registers are above; 0: the caller is
 * on the program's stack. */
void leak_check(int fd, struct leak_result *result, uintptr_t stack);

#endif
