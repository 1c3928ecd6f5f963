/* SPDX-License-Identifier: MIT */
/*
 * symbol.h - names for addresses of code: module, place in it, function. See symbol.c.
 *
 * Async-signal-safe: no lock, no allocation, errno kept.
 */
#ifndef GOALLOC_SYMBOL_H
#define GOALLOC_SYMBOL_H

#include "os/out.h"

/* Bytes of a file name that are kept, its end included. */
#define SYMBOL_PATH 256

/* A table in a file. */
struct file_table {
	uint64_t offset;
	uint64_t nbytes;
};

/*
 * struct symbols - the mapping that was looked at last, and the file behind it.
 * For reports on small stacks it is better static: it has 3 KiB.
 */
struct symbols {
	uintptr_t start, end;          /* of the mapping; both 0: none */
	uint64_t offset;               /* in the file, of start */
	char path[SYMBOL_PATH];        /* "" for a mapping without a file */
	int fd;                        /* of the file; -1 */
	uint64_t bias;                 /* what the mapping's offsets are to be increased by to be the file's addresses */
	struct file_table symtab;      /* of the symbols; nbytes 0 for none */
	struct file_table strtab;      /* of their names */
	char buffer[2304];             /* a whole number of symbols */
};

void symbols_init(struct symbols *s);

/* Writes "0x55d0c0ffee12 fill+0x1b (/tmp/prog+0x1189)": the address, the function if the file names it, the file and the address in
 * it, as addr2line(1) takes it. after_call: the address is behind a call, and what is named is the call's. */
void symbols_print(struct symbols *s, struct out *out, uintptr_t pc, bool after_call);

/* Looks at a mapping that the caller found. False: its file names no functions. */
bool symbols_open(struct symbols *s, uintptr_t start, uintptr_t end, uint64_t offset, const char *path);

/* A function, as it lies in memory. */
struct function {
	uintptr_t start;
	size_t nbytes;       /* not 0 */
	uint32_t name;       /* for symbols_name() */
	bool global;         /* of several names such a one is what programs use */
};

/* Visits all named functions that begin in the mapping, in no order. */
void symbols_each(struct symbols *s, void (*visit)(const struct function *f, void *arg), void *arg);

/* A function's name as it is in the file, "" when it cannot be read. Good until the next call; cut if it is longer than the buffer. */
const char *symbols_name(struct symbols *s, uint32_t name);

/* Closes the file. */
void symbols_close(struct symbols *s);

#endif
