/* SPDX-License-Identifier: MIT */
/*
 * symbol.h - names for addresses of code: module, place in it, function. See symbol.c.
 *
 * Async-signal-safe: no lock, no allocation, errno kept.
 */
#ifndef GOALLOC_SYMBOL_H
#define GOALLOC_SYMBOL_H

#include "out.h"

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

/* Closes the file. */
void symbols_close(struct symbols *s);

#endif
