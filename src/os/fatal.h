/* SPDX-License-Identifier: MIT */
/*
 * fatal.h - one line on stderr, then abort. See fatal.c.
 */
#ifndef GOALLOC_FATAL_H
#define GOALLOC_FATAL_H

#include "base/base.h"

/* Room for one report line. */
#define REPORT_MAX 512

/* A line under construction: append, then write it at once so that it is not cut by another's. */
struct report {
	size_t len;
	char text[REPORT_MAX];
};

void report_init(struct report *r);                       /* "goalloc: " */
void report_str(struct report *r, const char *s);
void report_chars(struct report *r, const char *s, size_t n);
void report_text(struct report *r, const char *s, size_t n);   /* from outside: see text.h */
void report_hex(struct report *r, uintptr_t v);           /* 0x..., lowercase, no padding */
void report_dec(struct report *r, uint64_t v);
int report_write(struct report *r,
		 int fd); /* appends the newline; 0, or the errno of the write that failed */

/* "goalloc: FUNC(0xADDR): FAULT", then SIGABRT. The user's misuse of a pointer. */
_Noreturn void fatal_pointer(const char *func, const void *p, const char *fault);

/* "goalloc: FUNC(0xADDR): size mismatch: given N, slot S", then SIGABRT. */
_Noreturn void fatal_size(const char *func, const void *p, size_t given, size_t slot);

/* Writes the line of fatal_size() and returns. A line comes at most every WARN_SIZE_EVERY_MS, and says how many cases had none
 * before it. now_ms is os_now_ms(). */
#define WARN_SIZE_EVERY_MS 10000
void warn_size(const char *func, const void *p, size_t given, size_t slot, uint64_t now_ms);

/* "goalloc: WHAT", then SIGABRT. */
_Noreturn void fatal_error(const char *what);

/* The calling thread waits for what it holds itself: a signal came while it was inside, and the handler calls malloc.
 * SIGABRT; its handler is called once at most. */
_Noreturn void fatal_reentered(void);

#endif
