/* SPDX-License-Identifier: MIT */
/*
 * hidden.h - addresses that the leak finder does not recognise, so that a test can keep one of an
 * object that it wants to be lost; C.
 *
 * A test holds the complement of the address. What the compiler leaves in registers is no address
 * then, and hidden_scrub() clears what earlier calls left on the stack.
 */
#ifndef TESTS_HIDDEN_H
#define TESTS_HIDDEN_H

#include <stddef.h>
#include <stdint.h>

typedef uintptr_t hidden;

/* Returns the hidden address of p. */
static inline hidden hide(const void *p)
{
	return ~(uintptr_t)p;
}

/* Returns the address for a moment. The compiler cannot keep it for the next call. */
__attribute__((noinline, unused)) static void *show(hidden h)
{
	__asm__ volatile("" : "+r"(h));
	return (void *)~h;
}

/* Overwrites the stack below the caller's frame. */
__attribute__((noinline, unused)) static void hidden_scrub(void)
{
	volatile char dirt[16384];

	for (size_t i = 0; i < sizeof(dirt); i++)
		dirt[i] = 0;
}

#endif
