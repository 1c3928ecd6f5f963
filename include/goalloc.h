/* SPDX-License-Identifier: MIT */
/*
 * goalloc.h - what libgoalloc offers beside the standard allocation functions.
 *
 * malloc, calloc, realloc, free and their relatives are declared in <stdlib.h> and <malloc.h> as ever. All
 * functions here are thread safe and may be mixed with them: what goalloc_malloc_noscan() returns is freed by
 * free(). The standard functions follow malloc(3), posix_memalign(3) and C23 7.24.3.
 */
#ifndef GOALLOC_H
#define GOALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GOALLOC_VERSION_MAJOR 1
#define GOALLOC_VERSION_MINOR 0
#define GOALLOC_VERSION_PATCH 0

/*
 * The version of the library that is loaded, 10000 * major + 100 * minor + patch.
 */
int goalloc_version(void);

/*
 * Memory that never holds pointers: text, numbers, pixels.
 *
 * It lies in other spans than memory that may hold pointers, so an overflow of the one does not reach the
 * other. Objects below 16 bytes share blocks with others. Alignment: the largest power of two that is no
 * larger than size, at most 16, as the C standard asks of malloc for a type of that size; so
 * goalloc_malloc_noscan(3) is 2-aligned, where malloc(3) is 8-aligned.
 *
 * size   bytes; 0 gives a unique pointer.
 * Returns NULL with errno ENOMEM when there is no memory or size exceeds PTRDIFF_MAX.
 */
void *goalloc_malloc_noscan(size_t size);

/* The same for n objects of size bytes, zeroed. NULL with ENOMEM also when n * size overflows. */
void *goalloc_calloc_noscan(size_t n, size_t size);

/*
 * Like realloc(3): resizes p, which any allocation function returned, or allocates when p is NULL. The result is
 * noscan memory. size 0 frees p and returns NULL with errno unchanged. On failure NULL with
 * ENOMEM, and p is untouched.
 */
void *goalloc_realloc_noscan(void *p, size_t size);

/*
 * Like aligned_alloc(3).
 *
 * align  bytes, a power of two; size need not be a multiple of it.
 * Returns NULL with errno EINVAL when align is no power of two, with ENOMEM when there is no memory.
 */
void *goalloc_aligned_alloc_noscan(size_t align, size_t size);

/*
 * Sets the memory limit of the process, as Go's debug.SetMemoryLimit does; GOALLOC_MEMLIMIT sets it at start.
 *
 * What counts is what the process has of memory through this library: pages with objects in them, pages that are free but not given
 * back to the system, and the library's records. As the limit nears, threads keep less, and what is free is given back sooner; when
 * a request would cross it, at once. If what is in use does not fit all the same, the heap grows beyond the limit, or with the option
 * hard=1 the request fails with ENOMEM. When more is in use than the new limit, what is free is given back in this call; no object is
 * touched.
 *
 * bytes  the limit; 0 only asks; SIZE_MAX, or any number above PTRDIFF_MAX, is no limit.
 * Returns the limit before, SIZE_MAX when there was none. Never fails; errno is unchanged. Thread safe. A forked child has the limit
 * for itself.
 */
size_t goalloc_set_memory_limit(size_t bytes);

/*
 * The heap profile: which code allocated how much, and how much of it is still there. A sample of the allocations is recorded with
 * the stack of calls; what is written is scaled to all of them, so that on average it is what there was. Frames of the stack are found
 * by call frame information (.eh_frame) or frame pointers: programs need not be compiled in any way. `go tool pprof` and `pprof` show it:
 *
 *	go tool pprof -top PROGRAM FILE
 *
 * GOALLOC=profile=FILE begins a profile with the program and writes it at the end. These functions are for a part of a program.
 */

/* The mean distance of samples that is used without others, and Go's. */
#define GOALLOC_PROFILE_RATE ((size_t)512 * 1024)

/*
 * Begins a profile. What an earlier one gathered is forgotten, and objects that were allocated before are not in it.
 *
 * rate   bytes: one sample every so many allocated bytes, on average. An object of n bytes is recorded with probability
 *        1 - exp(-n / rate), n being what it takes of the heap. 1 records every object.
 * Returns 0; -1 with errno EINVAL when rate is 0, ENOMEM when there is no memory for the records, EBUSY when the leak finder
 * uses them (GOALLOC=leakcheck), ENOTSUP with GOALLOC=off.
 * Thread safe. Not to be called in signal handlers.
 */
int goalloc_profile_start(size_t rate);

/*
 * Ends it: what is allocated from now on is not recorded. What was is kept, frees of it still count, and it can be written. Does nothing
 * when there is none.
 *
 * Returns 0; -1 with errno EBUSY or ENOTSUP as above. Thread safe. Not to be called in signal handlers.
 */
int goalloc_profile_stop(void);

/*
 * Writes the profile as it is now; it goes on. Of each stack and slot size it has four values: objects and bytes allocated since
 * it began, and those in use. Bytes are of slots: what objects take of the heap.
 *
 * file   made, or overwritten. In its name %p is the process id. If it ends with .heap, the text format of gperftools
 *        (heap_v2) is written, else profile.proto, gzipped (.pb.gz is the usual name). Both are for the same tools.
 * Returns 0; -1 with errno as of open(2) or write(2); what a failed write left of the file stays. Without a profile it is an empty one.
 * Thread safe, other threads go on allocating. A forked child has a copy of its parent's profile, and goes on with it. Not to be called
 * in signal handlers; GOALLOC=signal=USR1 is for that.
 */
int goalloc_profile_write(const char *file);

/* The same to a descriptor; text is not 0 for the text format. */
int goalloc_profile_write_fd(int fd, int text);

#ifdef __cplusplus
}
#endif

#endif
