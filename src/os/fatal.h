/* SPDX-License-Identifier: MIT */
/*
 * fatal.h - one line on stderr, then abort. See fatal.c.
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

/* Begins a line with "goalloc: ". */
void report_init(struct report *r);
void report_str(struct report *r, const char *s);
void report_chars(struct report *r, const char *s, size_t n);

/* Appends a text from outside: see base/text.h. */
void report_text(struct report *r, const char *s, size_t n);

/* Appends 0x and lowercase digits. */
void report_hex(struct report *r, uintptr_t v);
void report_dec(struct report *r, uint64_t v);

/* Appends a newline and writes the line. Returns 0, or the errno of the write that failed. */
int report_write(struct report *r, int fd);

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
