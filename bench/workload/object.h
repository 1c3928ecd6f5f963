/* SPDX-License-Identifier: MIT */
/*
 * object.h - one allocation as the workloads use it: its first 8 bytes are written after malloc
 * and, in most workloads, read and compared before free, as a program would use what it allocated.
 * An allocator that hands out a block twice or loses what was written is found by that.
 *
 * Callers  every workload. An allocation that fails or came back changed ends the program with one
 *          line on stderr and status 1.
 */
#ifndef BENCH_OBJECT_H
#define BENCH_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TOUCH_STRIDE 4096u /* one write per kernel page of a big block */

/* Ends the program: "bench_workload: <what>". */
_Noreturn void object_failed(const char *what);

/* `p`, or the end of the program if it is NULL. */
static inline void *object_must(void *p)
{
	if (p == NULL)
		object_failed("out of memory");
	return p;
}

static inline void object_write(void *p, uint64_t tag)
{
	memcpy(p, &tag, sizeof tag);
}

static inline void object_verify(const void *p, uint64_t tag)
{
	uint64_t found;

	memcpy(&found, p, sizeof found);
	if (found != tag)
		object_failed("an object changed while it was live");
}

/* malloc(nbytes), tagged. Needs nbytes >= 8; the caller frees it with object_delete(). */
static inline void *object_new(size_t nbytes, uint64_t tag)
{
	void *p = object_must(malloc(nbytes));

	object_write(p, tag);
	return p;
}

static inline void object_delete(void *p, uint64_t tag)
{
	object_verify(p, tag);
	free(p);
}

/* Writes one byte on each kernel page from byte `from` to the end of a block of `nbytes`. */
static inline void object_touch_pages(void *p, size_t from, size_t nbytes)
{
	volatile unsigned char *byte = p;

	for (size_t i = from; i < nbytes; i += TOUCH_STRIDE)
		byte[i] = (unsigned char)i;
}

#endif
