/* SPDX-License-Identifier: MIT */
/*
 * procmap.h - the mappings of a process, as /proc/PID/maps tells them. See procmap.c.
 */
#ifndef GOALLOC_PROCMAP_H
#define GOALLOC_PROCMAP_H

#include "base/base.h"

enum { MAPPING_READ = 1, MAPPING_WRITE = 2, MAPPING_EXEC = 4, MAPPING_SHARED = 8 };

struct mapping {
	uintptr_t start, end;
	uint64_t offset;      /* in the file */
	const char *name;     /* of the file, or "[stack]" and the like; not ended with 0 */
	uint32_t name_len;    /* 0: it has none */
	uint32_t flags;
};

/* All mappings of a process, by address. */
struct procmap {
	struct mapping *at;
	size_t len;
	char *text;           /* the text of the file, with the names */
	size_t nbytes;        /* of the memory that text and at share */
};

/* Reads the mappings of a process. Returns false if its /proc cannot be read or there is no memory.
 * procmap_free() gives the memory back. */
bool procmap_read(struct procmap *m, int pid);
void procmap_free(struct procmap *m);

/* Returns the number of the first mapping that ends behind addr, or m->len if there is none. */
size_t procmap_first(const struct procmap *m, uintptr_t addr);

/* Returns the mapping that contains addr, or NULL. */
const struct mapping *procmap_find(const struct procmap *m, uintptr_t addr);

/* A reader of the calling process's mappings, one by one, that needs no other memory. */
struct procmap_reader {
	int fd;
	size_t at, len;       /* the next byte in bytes, and their number */
	char bytes[1024];
	char name[1024];
};

/* Begins to read. Returns false if there is no /proc. */
bool procmap_open(struct procmap_reader *r);

/* Sets *m to the next mapping, whose name is in the reader until the next call, and is cut if it is
 * too long. Returns false behind the last one. */
bool procmap_next(struct procmap_reader *r, struct mapping *m);
void procmap_close(struct procmap_reader *r);

/* Returns whether the name of a mapping begins with this text. */
bool mapping_named(const struct mapping *mapping, const char *beginning);

#endif
