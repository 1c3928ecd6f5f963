/* SPDX-License-Identifier: MIT */
/* FRAMES is frames_with_fp or frames_without_fp, by the options that this is compiled with. See
 * unwind_frames.h. */
#include "unwind_frames.h"

#include <stdalign.h>
#include <stdint.h>

/* Its address is taken, so it cannot be known that there is no other. */
static unsigned use(volatile unsigned char *bytes, unsigned n)
{
	bytes[0] = 1;
	return bytes[0] + n;
}

static unsigned (*volatile used)(volatile unsigned char *, unsigned) = use;

static unsigned deep(unsigned depth, callback call)
{
	volatile unsigned char bytes[24];
	unsigned n = used(bytes, depth);

	if (depth > 1)
		n += deep(depth - 1, call);
	else
		call();
	return n + bytes[0];
}

static unsigned variable(unsigned nbytes, callback call)
{
	volatile unsigned char bytes[nbytes];
	unsigned n = used(bytes, nbytes);

	if (nbytes > 1)
		n += variable(nbytes / 2, call);
	else
		call();
	return n + bytes[0];
}

static unsigned aligned(unsigned depth, callback call)
{
	alignas(64) volatile unsigned char bytes[64];
	volatile unsigned char more[depth];
	unsigned n = used(bytes, depth) + used(more, depth);

	if (((uintptr_t)bytes & 63) != 0)
		return 0;
	if (depth > 1)
		n += aligned(depth - 1, call);
	else
		call();
	return n + bytes[0] + more[0];
}

static unsigned saving(unsigned depth, callback call)
{
	volatile unsigned char bytes[8];
	unsigned a = used(bytes, 1), b = used(bytes, 2), c = used(bytes, 3), d = used(bytes, 4),
		 e = used(bytes, 5);

	if (depth > 1)
		a += saving(depth - 1, call);
	else
		call();
	return used(bytes, a) ^ used(bytes, b) ^ used(bytes, c) ^ used(bytes, d) ^ used(bytes, e);
}

const struct frames FRAMES = { deep, variable, aligned, saving };
