/* SPDX-License-Identifier: MIT */
/*
 * fatal.h - one line on stderr, stacks below it, then abort. See fatal.c.
 */
#ifndef GOALLOC_FATAL_H
#define GOALLOC_FATAL_H

#include "base/base.h"

/* Room for one report line. */
#define REPORT_MAX 512

/* A line under construction. It is written at once, so that no other line cuts it. */
struct report {
	size_t len;
	char text[REPORT_MAX];
};

/* Begins a line with "goalloc: " and the text of a format (base/format.h), or appends to it. */
void report_init(struct report *r, const char *format, ...) FORMATS(2, 3);
void report_add(struct report *r, const char *format, ...) FORMATS(2, 3);

/* Appends a newline and writes the line. Returns 0, or the errno of the write that failed. */
int report_write(struct report *r, int fd);

/* Writes a line at once. Returns as report_write() does. */
int report_line(int fd, const char *format, ...) FORMATS(2, 3);

/* Writes the stacks that follow a fatal line: the caller's, and what is known of the object at p;
 * NULL for none. The library defines it in misuse.c. It may be called with any lock held. */
void fatal_stacks(const void *p) WEAK HIDDEN;

/* Reports the program's misuse of a pointer, "goalloc: FUNC(0xADDR): FAULT", and aborts. */
_Noreturn void fatal_pointer(const char *func, const void *p, const char *fault);

/* Writes "goalloc: FUNC(0xADDR): size mismatch: given N, slot S", and aborts. */
_Noreturn void fatal_size(const char *func, const void *p, size_t given, size_t slot);

/* Writes the line of fatal_size() and returns. There is at most one line in WARN_SIZE_EVERY_MS. It
 * says how many cases before it had no line. now_ms is os_now_ms(). */
#define WARN_SIZE_EVERY_MS 10000
void warn_size(const char *func, const void *p, size_t given, size_t slot, uint64_t now_ms);

/* Writes "goalloc: WHAT", and aborts. */
_Noreturn void fatal_error(const char *what);

/* Reports that the calling thread waits for a lock that it holds itself, because a signal came
 * while it was inside and the handler calls malloc. Aborts; SIGABRT's handler is called once. */
_Noreturn void fatal_reentered(void);

#endif
