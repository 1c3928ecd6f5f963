/* SPDX-License-Identifier: MIT */
/*
 * module.h - what every module test includes: cmocka, test bodies in a child process, captured
 * stderr, a thread that holds a lock, and the support for all tests.
 *
 * cmocka's assert_*() may be used in the test's own process only. In a child they would go on with
 * the next test there. A child's body uses CHECK(), which names the line and aborts, and the parent
 * fails the test.
 */
#ifndef GOALLOC_TESTS_MODULE_H
#define GOALLOC_TESTS_MODULE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "child.h"
#include "lines.h"
#include "pattern.h"
#include "rng.h"

/* Runs body in a forked child; the test fails unless it returns. */
void run_in_child(void (*body)(void));

/* Runs body in a forked child with its descriptor 2 going to text. The status of waitpid(). */
int child_status(void (*body)(void), char *text, size_t room);

/* Runs body in a forked child; the test fails unless it aborts with line on stderr, newline
 * included. */
void run_until_abort(void (*body)(void), const char *line);

/* Runs call(arg) with descriptor 2 going to text, which gets a final NUL. Bytes written. */
size_t capture_stderr(void (*call)(void *arg), void *arg, char *text, size_t room);

/* A test whose body needs a process with an untouched heap. */
#define TEST_IN_CHILD(name) \
	static void name##_body(void); \
	static void name(void **state) \
	{ \
		(void)state; \
		run_in_child(name##_body); \
	} \
	static void name##_body(void)

/* Runs each body in a forked child; the test fails unless every one of them aborts with this word
 * on stderr. For bodies that tell the checks of a module a lie: a check that cannot fail checks
 * nothing. */
void each_body_aborts(void (*const bodies[])(void), size_t n, const char *word);

/* Starts a thread that takes the lock, and returns when it has it. The thread keeps the lock until
 * lock_holder_stop(), which ends it. One such thread at a time. */
struct lock;
void lock_holder_start(struct lock *l);
void lock_holder_stop(void);

#endif
