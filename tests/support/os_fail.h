/* SPDX-License-Identifier: MIT */
/*
 * os_fail.h - makes the memory calls of os.h fail, or answer as a test says. See os_fail.c.
 */
#ifndef GOALLOC_OS_FAIL_H
#define GOALLOC_OS_FAIL_H

#include "base/base.h"

/* The calls that are counted and can fail. */
enum os_call {
	OS_RESERVE = 1,
	OS_COMMIT = 2,
	OS_RELEASE = 4,
	OS_MOVE_PAGES = 8,
	OS_REMAP = 16,
	OS_ALLOC_METADATA = 32,
	OS_GUARD = 64,
	OS_UNRESERVE = 128,
	OS_HUGE_PAGES = 256,
	OS_FENCE = 512,
	OS_UNFENCE = 1024,
	OS_UNCOMMIT = 2048,
	OS_EXTEND_METADATA = 4096,
	OS_COMMIT_METADATA = 8192,
	OS_UNCOMMIT_METADATA = 16384,
	OS_ALL_CALLS = 32767,
};

/* Counts the calls in the set from now on. The n-th call fails, counted from 1, and no other. */
void os_fail_nth(unsigned calls, unsigned n);

/* Counts the calls in the set from now on. The n-th call and all later calls fail, until
 * os_fail_stop(). */
void os_fail_from(unsigned calls, unsigned n);

/* Lets one of every one_in calls fail, at random. The same seed and the same order of calls let
 * the same calls fail. */
void os_fail_at_random(unsigned calls, unsigned one_in, uint64_t seed);

/* Lets no call fail from now on. Any thread may call this. The functions above may be called
 * when no other thread is in the heap. */
void os_fail_stop(void);

/* Return how many calls of the set there were since os_fail_nth() or os_fail_from(), and how
 * many of them failed. */
unsigned os_fail_seen(void);
unsigned os_fail_failed(void);

/* Returns the bytes of address space that were mapped and not unmapped since the start:
 * reservations and records. */
size_t os_fail_mapped(void);

/* Functions that answer in place of the kernel. reserve answers os_reserve(), and unreserve is
 * told of os_unreserve(). before_release is called first in os_release(). Where a function is
 * NULL, the kernel answers. */
struct os_space_hooks {
	void *(*reserve)(void *hint, size_t nbytes);
	void (*unreserve)(void *p, size_t nbytes);
	void (*before_release)(void);
};
void os_fail_set_hooks(const struct os_space_hooks *hooks);

/* Ask the kernel, for hooks. */
void *os_fail_real_reserve(void *hint, size_t nbytes);
void os_fail_real_unreserve(void *p, size_t nbytes);

#endif
