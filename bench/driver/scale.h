/* SPDX-License-Identifier: MIT */
/*
 * scale.h - prints a value with three significant digits in the unit that suits its row.
 *
 * Owns     nothing; the functions are pure.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include <stdio.h>

struct scale {
	const char *unit;
	double divisor; /* of nanoseconds or KiB */
};

/* Returns the unit for a row whose typical time is `ns`. */
static inline struct scale scale_time(double ns)
{
	if (ns < 1e4)
		return (struct scale){ "ns", 1 };
	if (ns < 1e7)
		return (struct scale){ "us", 1e3 };
	return (struct scale){ "ms", 1e6 };
}

static inline struct scale scale_rss(void)
{
	return (struct scale){ "MiB", 1024 };
}

/* Writes `value`, which is in its unit already, into `text`. */
static inline void scale_print(char *text, size_t nbytes, double value)
{
	snprintf(text, nbytes, "%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
}

#endif
