/* SPDX-License-Identifier: MIT */
/*
 * pprof.h - a heap profile in the formats that `go tool pprof` and pprof read. See pprof.c.
 */
#ifndef GOALLOC_PPROF_H
#define GOALLOC_PPROF_H

#include "base/base.h"

/* Samples of one stack and slot size. */
struct pprof_sample {
	const uintptr_t *pcs;   /* return addresses, innermost first */
	unsigned npcs;          /* PROFILE_MAX_FRAMES at most */
	size_t nbytes;          /* of a slot */
	uint64_t allocs, frees; /* samples */
};

struct pprof_place {
	uintptr_t pc;
	uint32_t written;       /* number of the last write that it was in */
};

struct mapping;

/* The memory of another process, for a profile of it. */
struct pprof_memory {
	/* Sets *m to the mapping of this number, by address. Returns false behind the last one. */
	bool (*mapping)(size_t i, struct mapping *m);
	/* Copies bytes. Returns false if they cannot be read. */
	bool (*read)(uintptr_t addr, void *to, size_t nbytes);
};

/* The profile that is written. Counts may change meanwhile. Samples that a walk saw, and their
 * places, stay. */
struct pprof_source {
	size_t rate;            /* mean bytes between samples */
	uint64_t dropped;       /* samples without a record */
	const char *heading;    /* a comment in the profile: see heading.h */
	uint32_t number;        /* of this write; not 0, and different each time */
	void (*each_sample)(void (*visit)(const struct pprof_sample *sample, void *arg), void *arg);
	void (*each_place)(void (*visit)(struct pprof_place *place, void *arg),
			   void *arg); /* each pc once */
	const struct pprof_memory *memory;    /* NULL: the calling process's */
};

/* Writes a gzipped profile.proto. Returns 0, the errno of a failed write, or ENOMEM if there is no
 * memory. */
int pprof_write_proto(int fd, const struct pprof_source *source);

/* Writes the heap_v2 text of gperftools and Go. It counts samples, which readers scale. Returns as
 * pprof_write_proto() does. */
int pprof_write_text(int fd, const struct pprof_source *source);

#endif
