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

/* What is written, and what of it changes meanwhile: counts may, but samples that a walk saw and their places stay. */
struct pprof_source {
	size_t rate;            /* mean bytes between samples */
	uint64_t dropped;       /* samples that are in none of these */
	uint32_t number;        /* of this write: not 0, and another one each time */
	void (*each_sample)(void (*visit)(const struct pprof_sample *sample, void *arg), void *arg);
	void (*each_place)(void (*visit)(struct pprof_place *place, void *arg), void *arg);   /* each pc once */
};

/* profile.proto, gzipped. 0, or the errno of the write that failed; ENOMEM: there was no memory to
 * write it with. */
int pprof_write_proto(int fd, const struct pprof_source *source);

/* The heap_v2 text of gperftools and Go, which counts samples: its readers do the scaling. */
int pprof_write_text(int fd, const struct pprof_source *source);

#endif
