/* SPDX-License-Identifier: MIT */
/*
 * symbol.h - names for addresses of code: module, position in it, function. See symbol.c.
 *
 * Async-signal-safe: no lock, no allocation, errno kept.
 */
#ifndef GOALLOC_SYMBOL_H
#define GOALLOC_SYMBOL_H

#include "os/out.h"
#include "os/procmap.h"

/* Bytes of a file name that are kept, with its final 0. */
#define SYMBOL_PATH 256

/* A table in a file. */
struct file_table {
	uint64_t offset;
	uint64_t nbytes;
};

/*
 * struct symbols - the mapping that was looked at last, and its file.
 * It has 3 KiB, so it should be static where stacks may be small.
 */
struct symbols {
	uintptr_t start, end;          /* of the mapping; both 0: none */
	uint64_t offset;               /* in the file, of start */
	char path[SYMBOL_PATH];        /* "" for a mapping without a file */
	int fd;                        /* of the file; -1 */
	uint64_t bias;                 /* addresses in the file minus offsets */
	struct file_table symtab;      /* of the symbols; nbytes 0 for none */
	struct file_table strtab;      /* of their names */
	union {
		char buffer[2304];     /* a whole number of symbols */
		struct procmap_reader maps;
	};
};

/* Prepares a record. It has no file yet. */
void symbols_init(struct symbols *s);

/* Writes "0x55d0c0ffee12 fill+0x1b (/tmp/prog+0x1189)": the address, the function if the file names
 * it, the file, and the address in it that addr2line(1) takes. With after_call, the address is
 * behind a call, and the function is that of the call. */
void symbols_print(struct symbols *s, struct out *out, uintptr_t pc, bool after_call);

/* Returns the name of the function that makes the call before a return address, or "" if its file
 * does not tell. It is valid until the next call, and cut if it is longer than the buffer.
 * s->path has the file. */
const char *symbols_function(struct symbols *s, uintptr_t pc);

/* Opens the file of a mapping. Returns false if it names no functions. */
bool symbols_open(struct symbols *s, const struct mapping *m);

/* A function in memory. */
struct function {
	uintptr_t start;
	size_t nbytes;       /* not 0 */
	uint32_t name;       /* for symbols_name() */
	bool global;         /* of several names, programs use a global one */
};

/* Calls visit for all named functions that begin in the mapping, in no order. */
void symbols_each(struct symbols *s, void (*visit)(const struct function *f, void *arg), void *arg);

/* Returns a function's name in the file, or "" if it cannot be read. It is valid until the next
 * call, and cut if it is longer than the buffer. */
const char *symbols_name(struct symbols *s, uint32_t name);

/* Closes the file. */
void symbols_close(struct symbols *s);

#endif
