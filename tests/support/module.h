/* SPDX-License-Identifier: MIT */
/*
 * module.h - what every module test includes: cmocka, test bodies in a child process, captured stderr.
 *
 * cmocka's assert_*() may be used in the test's own process only: in a child it would go on with the
 * next test there. A child's body uses CHECK(), which names the line and aborts, and the parent fails
 * the test.
 */
#ifndef GOALLOC_TESTS_MODULE_H
#define GOALLOC_TESTS_MODULE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"

/* Runs body in a forked child; the test fails unless it returns. */
void run_in_child(void (*body)(void));

/* Runs body in a forked child with its descriptor 2 going to text. The status of waitpid(). */
int child_status(void (*body)(void), char *text, size_t room);

/* Runs body in a forked child; the test fails unless it aborts with line on stderr, newline included. */
void run_until_abort(void (*body)(void), const char *line);

/* Runs call(arg) with descriptor 2 going to text, which gets a final NUL. Bytes written. */
size_t capture_stderr(void (*call)(void *arg), void *arg, char *text, size_t room);

/* The lines of text, a last one without newline included. */
unsigned count_lines(const char *text);

/* A test whose body needs a process with an untouched heap. */
#define TEST_IN_CHILD(name) \
	static void name##_body(void); \
	static void name(void **state) \
	{ \
		(void)state; \
		run_in_child(name##_body); \
	} \
	static void name##_body(void)

/* xorshift: the same sequence in every run. */
struct random {
	uint64_t x;
};

static inline uint64_t random_next(struct random *r)
{
	r->x ^= r->x << 13;
	r->x ^= r->x >> 7;
	r->x ^= r->x << 17;
	return r->x * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 .. n - 1. */
static inline size_t random_below(struct random *r, size_t n)
{
	return (size_t)((random_next(r) >> 16) % n);
}

/* Fills memory with bytes that only this seed gives, and looks whether they are still there. */
void pattern_fill(void *p, size_t nbytes, uint64_t seed);
bool pattern_holds(const void *p, size_t nbytes, uint64_t seed);

bool all_zero(const void *p, size_t nbytes);

#endif
