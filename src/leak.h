/* SPDX-License-Identifier: MIT */
/*
 * leak.h - objects that are live and that nothing leads to. See leak.c.
 */
#ifndef GOALLOC_LEAK_H
#define GOALLOC_LEAK_H

#include "base.h"

/* Finds the objects that the program can come to no more, and writes a report to a descriptor. Their number and bytes go to *nobjects
 * and *nbytes. The other threads are stopped for a moment, the caller waits for the end. False: it could not be done, the report says
 * so in one line, and errno why. Any thread, also before the first object and in a forked child. */
bool leak_check(int fd, size_t *nobjects, size_t *nbytes);

#endif
