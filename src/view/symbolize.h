/* SPDX-License-Identifier: MIT */
/*
 * symbolize.h - functions, files and lines of addresses of code, inlined functions among them. See
 * symbolize.c.
 */
#ifndef GOALLOC_SYMBOLIZE_H
#define GOALLOC_SYMBOLIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function at an address. */
struct symbolized {
	const char *function;      /* demangled; NULL: not known */
	const char *file;          /* NULL: not known */
	unsigned line;             /* 0: not known */
};

/* Visits what is known of the address with this index: the innermost function first, then those
 * that it is inlined into. The texts last until the visit ends. */
typedef void symbolize_visit(size_t index, const struct symbolized *frames, size_t n, void *arg);

/* Returns whether a tool that knows lines is installed. */
bool symbolize_can(void);

/* Asks the tool for n addresses in an object file, as addr2line(1) takes them. Visits each address
 * of which something is known. Returns false if there is no tool, or if it does not answer. */
bool symbolize(const char *object, const uint64_t *addrs, size_t n, symbolize_visit *visit,
	       void *arg);

/* Returns the address that addr2line(1) takes for an offset in an object file, or the offset itself
 * if the file cannot be read. */
uint64_t symbolize_address(const char *object, uint64_t offset);

#endif
