/* SPDX-License-Identifier: MIT */
/*
 * os_fail.h - makes the memory calls of os.h fail, or answer as a test says. See os_fail.c.
 */
#ifndef GOALLOC_OS_FAIL_H
#define GOALLOC_OS_FAIL_H

#include "base.h"

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
	OS_ALL_CALLS = 8191,
};

/* From now on counts the calls in the set; the n-th (from 1) fails, only it. */
void os_fail_nth(unsigned calls, unsigned n);

/* The same, and all that follow fail too, until os_fail_stop(). */
void os_fail_from(unsigned calls, unsigned n);

/* One of every one_in calls fails, at random; the same seed and order of calls fail the same
 * ones. */
void os_fail_at_random(unsigned calls, unsigned one_in, uint64_t seed);

/* Any thread may call it, and any of the above when no other thread is in the heap. */
void os_fail_stop(void);

/* Calls of the set since os_fail_nth() or os_fail_from(), and how many of them failed. */
unsigned os_fail_seen(void);
unsigned os_fail_failed(void);

/* Address space that was mapped and not unmapped since the start: reservations and records. */
size_t os_fail_mapped(void);

/* Answers os_reserve() and hears of os_unreserve() instead of the kernel; NULL: the kernel does.
 * before_release is called first in os_release(), unless NULL. */
struct os_space_hooks {
	void *(*reserve)(void *hint, size_t nbytes);
	void (*unreserve)(void *p, size_t nbytes);
	void (*before_release)(void);
};
void os_fail_set_hooks(const struct os_space_hooks *hooks);

/* The kernel's answers, for hooks. */
void *os_fail_real_reserve(void *hint, size_t nbytes);
void os_fail_real_unreserve(void *p, size_t nbytes);

#endif
