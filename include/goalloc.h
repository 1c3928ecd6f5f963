/* SPDX-License-Identifier: MIT */
/*
 * goalloc.h - the 20 functions that libgoalloc offers beside the standard allocation functions.
 *
 * malloc, calloc, realloc, free and their relatives are declared in <stdlib.h> and <malloc.h> as
 * always. They follow malloc(3), posix_memalign(3) and C23 7.24.3. They mix with the functions
 * here: free() frees an object of goalloc_malloc_noscan().
 *
 * All functions are thread safe. None may be called in a signal handler. They set errno only where
 * their description says so. goalloc(3) describes them with examples, goalloc(7) the options.
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

/* Returns the version of the loaded library: 10000 * major + 100 * minor + patch. */
int goalloc_version(void);

/* --- memory that never holds pointers --- */

/*
 * Allocates memory that never holds pointers: text, numbers, pixels. It follows malloc(3).
 *
 * This noscan memory lies in other spans than memory that may hold pointers, so an overflow of one
 * does not reach the other. Objects of at most 16 bytes share blocks. The alignment is the largest
 * power of two that is no larger than size, at most 16, as the C standard asks of malloc for a type
 * of that size. So goalloc_malloc_noscan(3) is aligned to 2, where malloc(3) is aligned to 8.
 *
 * size   bytes; 0 gives a unique pointer.
 * Returns NULL with errno ENOMEM when there is no memory or size exceeds PTRDIFF_MAX.
 */
void *goalloc_malloc_noscan(size_t size);

/*
 * Allocates n objects of size bytes as zeroed noscan memory. It follows calloc(3).
 *
 * Returns NULL with errno ENOMEM when there is no memory or n * size overflows.
 */
void *goalloc_calloc_noscan(size_t n, size_t size);

/*
 * Resizes the object at p, which any allocation function may have returned. The result is noscan
 * memory. It follows realloc(3).
 *
 * p      NULL allocates.
 * size   bytes; with an object, 0 does what the option realloczero says, and by default frees it
 *        and returns NULL with errno unchanged.
 * Returns NULL with errno ENOMEM on failure, and the object stays as it is.
 */
void *goalloc_realloc_noscan(void *p, size_t size);

/*
 * Allocates aligned noscan memory. It follows aligned_alloc(3).
 *
 * align  bytes, a power of two.
 * size   bytes; it need not be a multiple of align.
 * Returns NULL with errno EINVAL when align is no power of two, with ENOMEM when there is no
 * memory.
 */
void *goalloc_aligned_alloc_noscan(size_t align, size_t size);

/* --- statistics: one look at the heap, under the names of Go's runtime --- */

/* The number of size classes. BySize[i].Size is the largest object of class i, in bytes. */
#define GOALLOC_SIZE_CLASSES 68

/*
 * The figures that goalloc_read_memstats() fills in. The first part has the fields of Go's
 * runtime.MemStats that apply, under their names. The second part has figures that Go has no name
 * for. A figure is in bytes unless its comment says otherwise.
 *
 * All fields are of one look at the heap, and fit together whatever other threads do:
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
	/* 1: Mallocs, Frees and TotalAlloc count. 0: live objects count as allocated. */
	uint32_t Counting;

	uint64_t Alloc;            /* equals HeapAlloc */
	uint64_t TotalAlloc;       /* allocated since counting began, and live at that moment */
	uint64_t Sys;              /* address space from the system, for heap and records */
	uint64_t Mallocs;          /* objects allocated since counting began, and live then */
	uint64_t Frees;            /* objects freed since counting began */
	uint64_t HeapAlloc;        /* malloc_usable_size() of live objects; slots with hardened=1 */
	uint64_t HeapSys;          /* pages that the heap has grown to */
	uint64_t HeapIdle;         /* pages in no span */
	uint64_t HeapInuse;        /* pages in spans */
	uint64_t HeapReleased;     /* part of HeapIdle: pages without memory behind them */
	uint64_t HeapObjects;      /* number of live objects */
	uint64_t MSpanInuse;       /* records of spans in use */
	uint64_t MSpanSys;         /* memory for records of spans */
	uint64_t MCacheInuse;      /* caches of threads */
	uint64_t MCacheSys;        /* memory for caches of threads, also of ended ones */
	uint64_t OtherSys;         /* page maps, bitmaps, and memory for records not used yet */

	/* Class 0 stands for objects of malloc(0). Big objects are in no class. */
	struct {
		uint32_t Size;     /* largest object of the class */
		uint32_t pad;
		uint64_t Mallocs;  /* objects, counted like the Mallocs above */
		uint64_t Frees;    /* objects, counted like the Frees above */
	} BySize[GOALLOC_SIZE_CLASSES];

	/* Go has no names for the following figures. */
	uint64_t NoscanAlloc;      /* part of HeapAlloc: noscan objects */
	uint64_t NoscanObjects;    /* number of noscan objects */
	uint64_t NoscanInuse;      /* pages in spans of noscan objects */
	uint64_t TinyAlloc;        /* part of NoscanAlloc: objects that share blocks of 16 bytes */
	uint64_t TinyObjects;      /* number of these objects */
	uint64_t TinyMallocs;      /* part of Mallocs; Go's /gc/heap/tiny/allocs is in no total */
	uint64_t BigAlloc;         /* part of HeapAlloc: objects above 32 KiB */
	uint64_t BigObjects;       /* number of these objects */
	uint64_t BigMallocs;       /* part of Mallocs */
	uint64_t BigFrees;         /* part of Frees */
	uint64_t Spans;            /* number of spans, with those of big objects */
	uint64_t TinySlack;        /* part of HeapInuse: free bytes in blocks with tiny objects */
	uint64_t FreeSlots;        /* part of HeapInuse: slots without an object */
	uint64_t FreeSlotsCached;  /* part of FreeSlots: slots in caches of threads */
	uint64_t BigKept;          /* part of HeapInuse: freed big objects that threads keep */
	uint64_t Tails;            /* part of HeapInuse: ends of spans, and the page of malloc(0) */
	uint64_t EmptySpans;       /* part of HeapInuse: spans without a live object */
	uint64_t HeapFree;         /* part of HeapIdle: free pages that still have memory */
	uint64_t PageWords;        /* part of HeapIdle: pages that threads took and do not use */
	uint64_t HugeRegions;      /* part of HeapSys: regions of 2 MiB that want huge pages */
	/* The most that live objects can be larger than the sizes that were asked for. The sizes
	 * themselves are not kept. */
	uint64_t RoundingMax;
	uint64_t Threads;          /* number of threads that have a cache */
	uint64_t Arenas;           /* number of arenas */
};

#define GOALLOC_MEMSTATS_VERSION 1

/*
 * Fills *m as Go's runtime.ReadMemStats() does. The caller sets m->size; the function fills at most
 * so many bytes, and sets m->size to what it filled. So a program built with an older header gets
 * the fields that it knows. One built with a newer header finds the other fields unchanged.
 *
 * The function looks at every page and slot: some milliseconds for a heap of 1 GiB. Other threads
 * run on. It allocates nothing from the heap.
 *
 * Returns 0, or -1 with errno EINVAL when m->size has no room for the fields up to Counting, ENOMEM
 * when there is no memory for the look.
 */
int goalloc_read_memstats(struct goalloc_memstats *m);

/*
 * Begins to count allocations (Mallocs, Frees and TotalAlloc), or ends that. Live objects count as
 * allocated when it begins. GOALLOC_STATS counts from the start of the program, and a heap profile
 * always counts. Counting costs some instructions for each allocation.
 *
 * on     not 0 begins, 0 ends.
 */
void goalloc_count(int on);

/* The kind of a metric. */
enum goalloc_metric_kind {
	GOALLOC_METRIC_BAD = 0,    /* there is no metric of that name */
	GOALLOC_METRIC_UINT64,
	GOALLOC_METRIC_HISTOGRAM
};

/* A distribution with Go's bounds: counts[i] objects have at least bounds[i] and less than
 * bounds[i + 1] bytes. The last bound is infinite. */
struct goalloc_histogram {
	double bounds[GOALLOC_SIZE_CLASSES + 1];
	uint64_t counts[GOALLOC_SIZE_CLASSES];
};

/* A metric to read, like Go's metrics.Sample. The caller sets name and histogram. */
struct goalloc_metric {
	const char *name;                      /* one of goalloc_metric_name() */
	struct goalloc_histogram *histogram;   /* filled with a distribution, unless it is NULL */
	uint64_t value;                        /* result; for a distribution the sum of counts */
	enum goalloc_metric_kind kind;         /* result */
};

/*
 * Reads n metrics at one moment, as Go's metrics.Read() does. The names are those of Go's
 * runtime/metrics, such as "/memory/classes/heap/released:bytes". All /memory/classes/ add up to
 * /memory/classes/total:bytes. A metric that has no counterpart here is 0.
 *
 * Returns 0, or -1 with errno ENOENT when a name is unknown; its kind is GOALLOC_METRIC_BAD, and
 * the others are read. Returns -1 with errno ENOMEM, with nothing read, when there is no memory.
 */
int goalloc_metrics_read(struct goalloc_metric *metrics, size_t n);

/*
 * Reads one metric.
 *
 * Returns 0, or -1 with errno ENOENT when the name is unknown, ENOMEM when there is no memory;
 * *value is unchanged then.
 */
int goalloc_metric_read(const char *name, uint64_t *value);

/* Returns the name of metric i, a constant string. They are in alphabetic order, from 0 on. NULL
 * follows the last. */
const char *goalloc_metric_name(size_t i);

/* --- the heap map --- */

/*
 * Writes a map of the heap to a file: the use of every page, and for spans the size class and how
 * full they are. The option heapmap=FILE writes the same at exit.
 *
 * Other threads run on, and each arena is shown as it is at one moment. The function allocates
 * nothing from the heap, and needs 64 KiB of stack.
 *
 * file   a file of text. In the name %p is replaced by the process id and %n by the number of the
 *        file.
 * Returns 0, or -1 with errno of open(2) or write(2), ENOMEM when there is no memory.
 */
int goalloc_heap_map(const char *file);

/*
 * Writes a map of the heap to an open descriptor, as text.
 *
 * Returns 0, or -1 with errno of write(2), ENOMEM when there is no memory.
 */
int goalloc_heap_map_fd(int fd);

/* --- the memory limit --- */

/*
 * Sets the memory limit of the process, as Go's debug.SetMemoryLimit() does. GOALLOC_MEMLIMIT sets
 * it at start. A forked child has a limit of its own, at first its parent's.
 *
 * The memory of this library counts: pages with objects, free pages that still have memory, and
 * records. Near the limit threads keep less, and free pages are given back sooner. A request that
 * would cross the limit gives free pages back at once. If that is not enough, the heap grows beyond
 * the limit. With the option hard=1 the request fails with ENOMEM instead. If more is in use than
 * the new limit, free pages are given back in this call. No object is touched.
 *
 * bytes  the limit; 0 only asks; SIZE_MAX, or any number above PTRDIFF_MAX, means no limit.
 * Returns the limit before the call, SIZE_MAX when there was none. It never fails.
 */
size_t goalloc_set_memory_limit(size_t bytes);

/* --- giving memory back --- */

/*
 * Sets for how long free memory stays with the process, as the option scavenge does at start. Every
 * thread and the heap use the new time from their next look at the clock on. The time holds for the
 * whole process. A forked child begins with its parent's.
 *
 * ms     milliseconds, at most 86400000; 0 gives memory back at the next look; a negative number
 *        only asks.
 * Returns the time before the call, or -1 with errno EINVAL when ms is too large.
 */
int goalloc_set_scavenge(int ms);

/*
 * Gives back all that the calling thread keeps for its next allocations. A thread of a pool calls
 * it before it waits for work for long. What it gives back can be used by other threads at once,
 * and goes to the system like all free memory. malloc_trim(3) does more: it gives all free memory
 * of the process to the system.
 *
 * The call takes some microseconds, and the thread's next allocations are somewhat slower. The
 * function never fails, and does nothing in a thread that has not allocated.
 */
void goalloc_thread_idle(void);

/* --- the heap profile: which code allocated how much, and how much of it is still live --- */

/*
 * A sample of the allocations is recorded with their call stacks. What is written is scaled, so
 * that on average it is what there was. Stacks are found by call frame information (.eh_frame) or
 * frame pointers, so programs need no special compiler options. Go's pprof shows a profile:
 *
 * 	go tool pprof -top PROGRAM FILE
 *
 * GOALLOC=profile=FILE begins a profile with the program and writes it at exit. The functions here
 * are for a part of a program.
 */

/* The mean distance of samples, in bytes, that the library and Go use by default. */
#define GOALLOC_PROFILE_RATE ((size_t)512 * 1024)

/*
 * Begins a profile, as setting Go's runtime.MemProfileRate does. It forgets the profile before it.
 * Objects that were allocated earlier are not in it.
 *
 * rate   the mean number of allocated bytes between two samples. An object of n bytes is recorded
 *        with probability 1 - exp(-n / rate), where n is the size of its slot. 1 records every
 *        object.
 * Returns 0, or -1 with errno EINVAL when rate is 0, ENOMEM when there is no memory for the
 * records, EBUSY when the leak finder uses them (GOALLOC=leakcheck), ENOTSUP with GOALLOC=off.
 */
int goalloc_profile_start(size_t rate);

/*
 * Ends the profile. Later allocations are not recorded, but frees of recorded objects still count,
 * and the profile can be written. It does nothing when there is no profile.
 *
 * Returns 0, or -1 with errno EBUSY or ENOTSUP as goalloc_profile_start() does.
 */
int goalloc_profile_stop(void);

/*
 * Writes the profile as it is now, and goes on with it. For each stack and slot size it has four
 * values: objects and bytes allocated since the profile began, and objects and bytes in use. Bytes
 * are those of slots. Without a profile the file has no samples.
 *
 * Other threads run on. A forked child goes on with a copy of its parent's profile. Signal handlers
 * may not call this function; GOALLOC=signal=USR1 writes the profile on a signal.
 *
 * file   is made or replaced; a regular file is replaced only when the profile is whole. In the
 *        name %p is replaced by the process id and %n by the number of the file. If it ends with
 *        ".heap", the format is the text of gperftools (heap_v2), else gzipped profile.proto
 *        (".pb.gz" is the usual name). The same tools read both.
 * Returns 0, or -1 with errno of open(2) or write(2), ENOMEM when there is no memory.
 */
int goalloc_profile_write(const char *file);

/*
 * Writes the profile to an open descriptor.
 *
 * text   not 0 writes the text format, 0 gzipped profile.proto.
 * Returns 0, or -1 with errno of write(2), ENOMEM when there is no memory.
 */
int goalloc_profile_write_fd(int fd, int text);

/* --- the leak finder --- */

/*
 * Finds the objects that the program can no longer reach, as Go's collector would, and writes a
 * report.
 *
 * An object is reached if a word somewhere is an address in it: in a register, on a stack, in data,
 * in thread-local storage, in other memory of the process, or in a reached object that may hold
 * pointers. Noscan memory does not count.
 *
 * The other threads are stopped while the process is copied, as fork(2) does. The copy searches,
 * and the caller waits for its report. One check is made at a time. Some calls of other threads
 * fail with EINTR after a stop: signal(7) lists them, and epoll_wait(2) is one.
 *
 * The report groups leaks by the stacks of their allocations where these are kept, else by size.
 * GOALLOC=leakcheck=2 keeps all stacks, and leakcheck=1 a sample.
 *
 * fd     the descriptor for the report; -1 writes none.
 * Returns the number of leaked objects, with those that only leaked objects lead to. If the report
 * could not be written, the number is right and errno is that of write(2).
 *
 * Returns -1 when the check could not be made, and the report says why. errno is ENOMEM or EAGAIN
 * when there is no memory or no process for the copy, EPERM when the program forbids others to look
 * at it (PR_SET_DUMPABLE, see prctl(2)), ENOENT without /proc, and EIO when the copy was killed.
 */
ssize_t goalloc_leak_check(int fd);

/*
 * Tells the leak finder that an object is no leak: it counts as reached, and so does all that it
 * leads to. goalloc-view --leaks knows it, too, and so does a forked child.
 *
 * This holds until the object is freed; the next object at its address is an object like any other.
 * realloc(3) keeps it, also where the object moves.
 *
 * p      the start of an object; NULL has no effect.
 * Returns 0, or -1 with errno EINVAL when no live object of this library starts at p: it was freed,
 * lies inside of an object, or is of another allocator.
 */
int goalloc_ignore(void *p);

#ifdef __cplusplus
}
#endif

#endif
