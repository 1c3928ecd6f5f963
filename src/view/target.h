/* SPDX-License-Identifier: MIT */
/*
 * target.h - what goalloc-view looks at: a process that runs, or a core file. See target.c,
 * process.c and core.c.
 *
 * Whatever is read is bytes of others: it may change at any time, and may be damaged.
 */
#ifndef GOALLOC_TARGET_H
#define GOALLOC_TARGET_H

#include "base/base.h"
#include "os/procmap.h"

#include <sys/types.h>

/* A mapping, with flags and names as in struct mapping. */
struct target_map {
	uintptr_t start, end;
	uint64_t offset;      /* in the file */
	uint32_t flags;       /* MAPPING_READ and so on */
	const char *name;     /* "" if it has none */
};

struct target_thread {
	int tid;
	int inner_tid;        /* its number in the process's own namespace */
	char name[32];        /* "" if it is unknown */
	const void *registers;    /* of a core: the general ones, as by ptrace(2); or NULL */
	size_t nregisters;        /* bytes */
};

struct target;

/* What the two kinds of targets do differently. */
struct target_ops {
	/* Reads the mappings and threads anew. Returns false, with target.error set, if the target
	 * cannot be read any more. */
	bool (*refresh)(struct target *t);
	/* Copies bytes from the first on, and returns how many could be read. */
	size_t (*read)(struct target *t, uintptr_t addr, void *to, size_t nbytes);
	void (*close)(struct target *t);
};

#define TARGET_ERROR_MAX 400

struct target {
	const struct target_ops *ops;
	int pid;                          /* 0 if it is unknown */
	char name[32];                    /* the kernel's name of the program; "" if unknown */
	struct target_map *maps;          /* by address */
	size_t nmaps;
	struct target_thread *threads;
	size_t nthreads;
	char version[16];                 /* of its library, once that was found */
	intptr_t tid_distance;            /* see threadid.c; 0: not known yet */
	uint64_t up_s;                    /* since a process began; HEADING_UP_UNKNOWN */
	const char *file;                 /* the core's name; NULL: a process */
	bool is_core;
	bool truncated;                   /* a core that ends before its last segment */
	bool gone;                        /* the process ended while it was read */
	char error[TARGET_ERROR_MAX];     /* why the last call failed, in words */
	void *own;                        /* of the kind of target */
};

/* Begin to look at a process, or at the core of a program. program may be NULL. They return false,
 * with error set, if that cannot be; target_close() is called in both cases. */
bool target_open_process(struct target *t, int pid);
bool target_open_core(struct target *t, const char *program, const char *core);

/* Begins to look at a core in an open file, which it closes. */
bool target_open_core_fd(struct target *t, const char *program, int fd);

/* Reads the mappings and threads anew. Returns false as the functions above do. */
bool target_refresh(struct target *t);

/* Copies bytes from the first on, and returns how many could be read. */
size_t target_read(struct target *t, uintptr_t addr, void *to, size_t nbytes);

/* Copies bytes. Returns false if not all of them could be read. */
bool target_read_all(struct target *t, uintptr_t addr, void *to, size_t nbytes);

/* Returns the mapping that contains addr, or NULL. */
const struct target_map *target_map_of(const struct target *t, uintptr_t addr);

/* Returns the thread of this number in the process's own namespace, or NULL. */
const struct target_thread *target_thread_of(const struct target *t, int inner_tid);

/* Returns the resident bytes of a process, or 0 if they are unknown. */
size_t target_resident(const struct target *t);

void target_close(struct target *t);

/* Sets target.error: if the process has ended, that is the reason. Returns false. */
bool target_fail(struct target *t, const char *format, ...) FORMATS(2, 3);

/* Sets target.error and target.gone. Returns false. */
bool target_fail_gone(struct target *t, const char *why);

/* For the kinds of targets: forgets mappings and threads. */
void target_forget(struct target *t);

/* For the kinds of targets: adds one, whose name is copied. Mappings come by address. */
void target_add_map(struct target *t, const struct target_map *map);
void target_add_thread(struct target *t, const struct target_thread *thread);

#endif
