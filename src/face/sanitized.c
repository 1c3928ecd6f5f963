/* SPDX-License-Identifier: MIT */
/*
 * sanitized.c - says that a sanitizer in the program does not see the heap.
 *
 * A program that is built with a sanitizer has the sanitizer's malloc, and this library serves
 * nothing in it. But if goalloc.o is linked into it, or a shared runtime comes late, the names are
 * this library's. The sanitizer is then silent about errors in the heap. ThreadSanitizer reports
 * races that are none, because it does not know that memory was freed.
 */
#include "face/face.h"
#include "face/replaced.h"
#include "os/fatal.h"

extern void __asan_init(void) WEAK;
extern void __hwasan_init(void) WEAK;
extern void __msan_init(void) WEAK;
extern void __tsan_init(void) WEAK;

CONSTRUCTOR static void say_what_is_not_seen(void)
{
	const char *name = NULL;

	if (__asan_init != NULL)
		name = "AddressSanitizer";
	else if (__hwasan_init != NULL)
		name = "HWAddressSanitizer";
	else if (__msan_init != NULL)
		name = "MemorySanitizer";
	else if (__tsan_init != NULL)
		name = "ThreadSanitizer";
	if (name != NULL && malloc_is_ours())
		report_line(2,
			    "%s does not see this heap, as its malloc is replaced: leave goalloc "
			    "out of this build",
			    name);
}
