/* SPDX-License-Identifier: MIT */
/*
 * must.h - ends the driver when it has no memory for itself.
 */
#ifndef BENCH_MUST_H
#define BENCH_MUST_H

#include <stddef.h>

#include "options.h"

/* Returns `p`, or ends the driver with status 2 if it is NULL. */
static inline void *must(void *p)
{
	if (p == NULL)
		options_fail("out of memory");
	return p;
}

#endif
