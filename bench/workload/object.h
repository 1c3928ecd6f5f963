/* SPDX-License-Identifier: MIT */
/*
 * object.h - allocates and frees objects the way the workloads do.
 *
 * The first 8 bytes of an object are written after malloc. Most workloads read and compare them
 * before free, as a program would use its memory. This finds an allocator that hands out a block
 * twice or loses its contents. An allocation that fails, or an object that changed, ends the
 * program with one line on stderr and status 1.
 */
#ifndef BENCH_OBJECT_H
#define BENCH_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TOUCH_STRIDE 4096u /* one write per kernel page of a big block */

/* Prints "bench_workload: <what>" on stderr and ends the program with status 1. */
_Noreturn void object_failed(const char *what);

/* Returns `p`, or ends the program if it is NULL. */
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

/* Returns an object of nbytes with its tag. Needs nbytes >= 8. The caller frees it with
 * object_delete() or free(). */
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
