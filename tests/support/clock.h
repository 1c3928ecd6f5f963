/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the time that has passed; C and C++.
 */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include <time.h>

/* Returns seconds since an arbitrary moment. They never go back. */
static inline double clock_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

#endif
