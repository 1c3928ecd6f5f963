/* SPDX-License-Identifier: MIT */
/*
 * leak.h - objects that are live and that nothing leads to. See leak.c.
 */
#ifndef GOALLOC_LEAK_H
#define GOALLOC_LEAK_H

#include "base/base.h"

/* How a check ended. */
struct leak_result {
	int error; /* of errno.h: why it could not be done, which the report says in one line; 0 */
	int write_error;          /* of errno.h: why the report is not whole; 0 */
	size_t nobjects, nbytes;  /* leaked */
};

/* Finds the objects that the program can come to no more, and writes a report to a descriptor, -1
 * for none. The other threads are stopped for a moment, the caller waits for the end. Any thread,
 * also before the first object and in a forked child. *result is written to at the beginning, too:
 * what is left on the stack in its place is searched. stack is where the program's stack ends, if
 * the caller is on another one, and its registers are above; 0: the caller is on the program's. */
void leak_check(int fd, struct leak_result *result, uintptr_t stack);

#endif
