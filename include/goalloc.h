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
#include <stdint.h>
#include <sys/types.h>

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
 * other. Objects of up to 16 bytes share blocks. Alignment: the largest power of two that is no
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

/* --- statistics: one look at the heap, under the names that Go's runtime has for its figures --- */

/*
 * The size classes: BySize[i].Size is the largest object of class i, in bytes.
 */
#define GOALLOC_SIZE_CLASSES 68

/*
 * What goalloc_read_memstats() tells: the fields of Go's runtime.MemStats that apply, by their names, and below them what a C
 * program wants to know beside. Bytes unless said otherwise; all fields of a struct are of one look, and at any moment, whatever
 * other threads do:
 *
 *   Mallocs - Frees = HeapObjects           TotalAlloc - (bytes freed) = Alloc = HeapAlloc
 *   HeapInuse + HeapIdle = HeapSys          HeapReleased <= HeapIdle
 *   HeapSys + MSpanSys + MCacheSys + OtherSys = Sys
 *   HeapAlloc + TinySlack + FreeSlots + BigKept + Tails = HeapInuse
 *   the sums of BySize[].Mallocs and Frees, and BigMallocs and BigFrees, are Mallocs and Frees
 *
 * They are exact when no other thread allocates or frees.
 */
struct goalloc_memstats {
	size_t size;               /* set by the caller: sizeof(struct goalloc_memstats) */
	uint32_t version;          /* GOALLOC_MEMSTATS_VERSION of the library */
	uint32_t Counting;         /* 1: Mallocs, Frees and TotalAlloc count; 0: what is live counts as allocated */

	uint64_t Alloc;            /* as HeapAlloc */
	uint64_t TotalAlloc;       /* allocated since counting began, what was live then included */
	uint64_t Sys;              /* address space asked of the system, for the heap and for its records */
	uint64_t Mallocs;          /* count of objects allocated since counting began, what was live then included */
	uint64_t Frees;            /* count of objects freed since then */
	uint64_t HeapAlloc;        /* what live objects may use, malloc_usable_size(); with hardened=1 their slots */
	uint64_t HeapSys;          /* pages the heap has grown to */
	uint64_t HeapIdle;         /* pages in no span */
	uint64_t HeapInuse;        /* pages in spans */
	uint64_t HeapReleased;     /* of HeapIdle: without memory behind them */
	uint64_t HeapObjects;      /* count of live objects */
	uint64_t MSpanInuse;       /* records of spans in use */
	uint64_t MSpanSys;         /* memory for records of spans */
	uint64_t MCacheInuse;      /* caches of threads */
	uint64_t MCacheSys;        /* memory for caches of threads, of ended ones too */
	uint64_t OtherSys;         /* page maps and bitmaps, and what is not used yet */

	struct {
		uint32_t Size;     /* largest object of the class */
		uint32_t pad;
		uint64_t Mallocs;  /* counts, as above; class 0: of malloc(0). Big objects are in none */
		uint64_t Frees;
	} BySize[GOALLOC_SIZE_CLASSES];

	/* From here on Go has no names. */
	uint64_t NoscanAlloc;      /* of HeapAlloc: objects that hold no pointers */
	uint64_t NoscanObjects;    /* count */
	uint64_t NoscanInuse;      /* pages in their spans */
	uint64_t TinyAlloc;        /* of NoscanAlloc: tiny objects, which share blocks of 16 bytes */
	uint64_t TinyObjects;      /* count */
	uint64_t TinyMallocs;      /* of Mallocs; Go's /gc/heap/tiny/allocs:objects, which there come on top of the others */
	uint64_t BigAlloc;         /* of HeapAlloc: objects above 32 KiB */
	uint64_t BigObjects;       /* count */
	uint64_t BigMallocs;       /* of Mallocs */
	uint64_t BigFrees;         /* of Frees */
	uint64_t Spans;            /* count of spans, big objects included */
	uint64_t TinySlack;        /* of HeapInuse: in blocks with tiny objects, beside them */
	uint64_t FreeSlots;        /* of HeapInuse: slots without an object */
	uint64_t FreeSlotsCached;  /* of FreeSlots: at hand in threads' caches */
	uint64_t BigKept;          /* of HeapInuse: freed big objects that threads keep */
	uint64_t Tails;            /* of HeapInuse: behind the last slots of spans; the page of malloc(0) */
	uint64_t EmptySpans;       /* of HeapInuse: spans without a live object */
	uint64_t HeapFree;         /* of HeapIdle: free, not given back to the system yet */
	uint64_t PageWords;        /* of HeapIdle: pages that threads have taken and not used */
	uint64_t HugeRegions;      /* of HeapSys: regions of 2 MiB that huge pages were asked for */
	uint64_t UnaskedMost;      /* what live objects are larger than what was asked for, at most: it is not kept */
	uint64_t Threads;          /* count of threads that have a cache */
	uint64_t Arenas;           /* count */
};

#define GOALLOC_MEMSTATS_VERSION 1

/*
 * Fills *m, up to m->size bytes of it, which the caller sets: a program built with an older header gets what it knows, one built
 * with a newer header finds what this library does not know yet unchanged, and m->size set to what was filled.
 *
 * Looks at every page and slot: some milliseconds for a heap of 1 GiB. Other threads run on. Allocates nothing.
 * Returns 0, or -1 with errno EINVAL when m->size has no room for the fields up to Counting.
 */
int goalloc_read_memstats(struct goalloc_memstats *m);

/*
 * From now on allocations are counted, or no longer: Mallocs, Frees and TotalAlloc. What is live then counts as allocated. They
 * are counted from the start of a program with GOALLOC_STATS, and always while a heap profile is taken; counting costs some
 * instructions an allocation.
 */
void goalloc_count(int on);

/* What a metric is. */
enum goalloc_metric_kind {
	GOALLOC_METRIC_BAD = 0,    /* there is none of that name */
	GOALLOC_METRIC_UINT64,
	GOALLOC_METRIC_HISTOGRAM,
};

/* A distribution: counts[i] objects of at least bounds[i] and less than bounds[i + 1] bytes, with Go's bounds. The last one is
 * infinite. */
struct goalloc_histogram {
	double bounds[GOALLOC_SIZE_CLASSES + 1];
	uint64_t counts[GOALLOC_SIZE_CLASSES];
};

/* One metric to read, as Go's metrics.Sample. */
struct goalloc_metric {
	const char *name;                      /* in */
	struct goalloc_histogram *histogram;   /* in: where a distribution goes, or NULL */
	uint64_t value;                        /* out; of a distribution the sum of its counts */
	enum goalloc_metric_kind kind;         /* out */
};

/*
 * Reads n metrics at one moment, as Go's metrics.Read(). The names are those of Go's runtime/metrics, as
 * "/memory/classes/heap/released:bytes": goalloc_metric_name() lists them. All /memory/classes/ add up to
 * /memory/classes/total:bytes; those that have no counterpart here are 0.
 *
 * Returns 0, or -1 with errno ENOENT when a name is unknown: its kind is GOALLOC_METRIC_BAD then, and the others are read.
 */
int goalloc_metrics_read(struct goalloc_metric *metrics, size_t n);

/*
 * Reads one. Returns 0, or -1 with errno ENOENT when there is none of that name; *value is not changed then.
 */
int goalloc_metric_read(const char *name, uint64_t *value);

/*
 * The i-th metric's name, from 0 on, in alphabetic order; NULL behind the last. A constant string.
 */
const char *goalloc_metric_name(size_t i);

/*
 * Writes a map of the heap to a file: every page by what it is used for, spans by their size class and how full they are. A
 * picture (SVG), or text when the name ends with ".txt". In the name %p is the process id and %n the number of the file. The same
 * at exit: GOALLOC=heapmap=FILE.
 *
 * Other threads run on; each arena is shown as it is at one moment. Allocates nothing; needs 64 KiB of stack.
 * Returns 0; -1 with errno as of open(2) or write(2).
 */
int goalloc_heap_map(const char *file);

/* The same to an open descriptor: as a picture if svg is not 0, else as text. */
int goalloc_heap_map_fd(int fd, int svg);

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

/*
 * Finds the objects that the program has allocated and can come to no more, as Go's collector would, and writes a report.
 *
 * An object is reached when a word in a register, on a stack, in data, in thread-local storage, in other memory of the process or in an
 * object that is reached and may hold pointers (not goalloc_malloc_noscan()) is an address in it. The other threads are stopped for
 * the moment in which a copy of the process is made, as fork(2) does; the copy looks. The caller waits for its report. Where the
 * stacks of allocations are kept (GOALLOC=leakcheck=2 for all, leakcheck=1 for a sample) leaks are told by them, else by size.
 *
 * fd     where the report is written; -1 for nowhere.
 * Returns the number of objects that are leaked, those that only leaked ones lead to included.
 * When the report could not be written, the number is right and errno is that of write(2).
 * Returns -1 with errno ENOMEM or EAGAIN when there is no memory or no process for the copy,
 * EPERM when the program forbids others to look at it (PR_SET_DUMPABLE, see prctl(2)), ENOENT
 * without /proc, EIO when the copy was killed; the report says the same in words.
 *
 * Thread safe; one check is made at a time. Not from signal handlers. Blocking calls of other threads may fail with EINTR where
 * signal(7) says that they do after a stop signal: epoll_wait(2) is one.
 */
ssize_t goalloc_leak_check(int fd);

#ifdef __cplusplus
}
#endif

#endif
