/* SPDX-License-Identifier: MIT */
/*
 * interpose.c - the C face: every allocation function of libc, under libc's names.
 *
 * Holds    a function checks its arguments as its man page says, and calls the heap. libc's names
 *          serve this heap whether or not the program has replaced others; all other names ask
 *          (replaced.h). errno is ENOMEM or EINVAL where NULL says so, and free keeps it.
 */
#include "face/face.h"
#include "base/options.h"
#include "os/out.h"
#include "face/program.h"
#include "start.h"
#include "tools/service.h"
#include "tools/stat.h"

#include "goalloc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

HOT_START EXPORT void *malloc(size_t size)
{
	return face_malloc(size, SCAN);
}
OWN_NAME(own_malloc, malloc);

HOT_ENTRY EXPORT void free(void *p)
{
	heap_free(p, "free");
}
OWN_NAME(own_free, free);

HOT_ENTRY EXPORT void *calloc(size_t n, size_t size)
{
	return face_calloc(n, size, SCAN);
}

HOT_ENTRY EXPORT void *realloc(void *p, size_t size)
{
	return face_realloc(p, size, SCAN);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t nbytes;

	if (UNLIKELY(mul_overflow(n, size, &nbytes)))
		return refuse(ENOMEM);
	/* Calls realloc by its name, as libc does: it may be the program's own, or a tool's. */
	return realloc(p, nbytes);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return face_aligned_alloc(align, size, SCAN);
}

EXPORT void *memalign(size_t align, size_t size)
{
	return face_memalign(align, size, SCAN);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	return face_posix_memalign(out, align, size, SCAN);
}

EXPORT void *valloc(size_t size)
{
	return face_valloc(size, SCAN);
}

EXPORT void *pvalloc(size_t size)
{
	return face_pvalloc(size, SCAN);
}

EXPORT size_t malloc_usable_size(void *p)
{
	static const char func[] = "malloc_usable_size";

	/* A pointer of the program's own malloc may be in the middle of an object of this heap.
	 * libc does not refuse it. */
	return malloc_is_ours() ? heap_usable_size(p, func) : heap_usable_size_or_0(p, func);
}

/* libc's headers no longer have this function, but old programs call it. */
void cfree(void *p);
EXPORT void cfree(void *p)
{
	replaced_free(p, "cfree");
}

/* C23 */
void free_sized(void *p, size_t size);
HOT_ENTRY EXPORT void free_sized(void *p, size_t size)
{
	replaced_free_sized(p, size, 0, "free_sized");
}

void free_aligned_sized(void *p, size_t align, size_t size);
EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	replaced_free_sized(p, size, align, "free_aligned_sized");
}

/* --- noscan --- */

EXPORT int goalloc_version(void)
{
	return GOALLOC_VERSION_MAJOR * 10000 + GOALLOC_VERSION_MINOR * 100 + GOALLOC_VERSION_PATCH;
}

EXPORT void *goalloc_malloc_noscan(size_t size)
{
	return program_malloc(size, NOSCAN);
}

EXPORT void *goalloc_calloc_noscan(size_t n, size_t size)
{
	return program_calloc(n, size, NOSCAN);
}

EXPORT void *goalloc_realloc_noscan(void *p, size_t size)
{
	return malloc_is_ours() ? face_resize(p, size, true, "goalloc_realloc_noscan") :
				  realloc(p, size);
}

EXPORT void *goalloc_aligned_alloc_noscan(size_t align, size_t size)
{
	return program_aligned_alloc(align, size, NOSCAN);
}

/* --- figures --- */

/* Ignores pad: glibc keeps so many bytes at the top of its heap, and this heap has no top. */
EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return heap_trim();
}

/* Returns 1 for a value that glibc accepts, and changes nothing. What glibc's parameters ask for
 * either has no counterpart here or happens by itself. */
int own_mallopt(int param, int value)
{
	switch (param) {
	case M_MXFAST:
		return value >= 0 && value <= 160;
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}

EXPORT int mallopt(int param, int value)
{
	return own_mallopt(param, value);
}

/*
 * Gives the figures glibc's meanings (mallinfo(3)): hblks and hblkhd count objects with a mapping
 * of their own, which are the big objects here. arena is all other memory from the system, and
 * uordblks and fordblks are its used and its free part. fsmblks is the free memory in caches.
 */
static struct mallinfo2 info_of(const struct stat_snapshot *st)
{
	const struct stat_class *scan = &st->classes[SPANCLASS_BIG];
	const struct stat_class *noscan = &st->classes[SPANCLASS_BIG_NOSCAN];
	struct mallinfo2 mi = { 0 };

	mi.hblks = scan->live + noscan->live;
	mi.hblkhd = scan->live_bytes + noscan->live_bytes;
	mi.arena = st->heap_bytes - mi.hblkhd;
	mi.uordblks = st->all.live_bytes - mi.hblkhd;
	mi.fordblks = mi.arena - mi.uordblks;
	mi.fsmblks = st->all.cached_bytes;
	mi.ordblks = st->all.free_slots;
	mi.keepcost = st->free_bytes;
	return mi;
}

/* Returns zeros with errno ENOMEM if there is no memory for the snapshot. */
EXPORT struct mallinfo2 mallinfo2(void)
{
	struct stat_snapshot *st = stat_take();
	struct mallinfo2 mi = { 0 };

	if (st == NULL) {
		errno = ENOMEM;
		return mi;
	}
	mi = info_of(st);
	stat_drop(st);
	return mi;
}

static int clamp_int(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

struct mallinfo own_mallinfo(void)
{
	struct mallinfo2 m2 = mallinfo2();
	struct mallinfo mi = { 0 };

	mi.arena = clamp_int(m2.arena);
	mi.ordblks = clamp_int(m2.ordblks);
	mi.hblks = clamp_int(m2.hblks);
	mi.hblkhd = clamp_int(m2.hblkhd);
	mi.fsmblks = clamp_int(m2.fsmblks);
	mi.uordblks = clamp_int(m2.uordblks);
	mi.fordblks = clamp_int(m2.fordblks);
	mi.keepcost = clamp_int(m2.keepcost);
	return mi;
}

EXPORT struct mallinfo mallinfo(void)
{
	return own_mallinfo();
}

EXPORT void malloc_stats(void)
{
	if (stat_print(2) == ENOMEM)
		options_warn_file("malloc_stats", "-", out_reason(ENOMEM));
}

/* Prints the free slots of each size class. */
static void print_free_sizes(FILE *fp, const struct stat_snapshot *st)
{
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		size_t nbytes = st->classes[make_spanclass(c, SCAN)].free_bytes +
				st->classes[make_spanclass(c, NOSCAN)].free_bytes;
		size_t elemsize = sizeclasses[c].elemsize;

		if (nbytes != 0)
			fprintf(fp,
				"<size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
				(size_t)sizeclasses[c - 1].elemsize + 1, elemsize, nbytes,
				nbytes / elemsize);
	}
}

/* Prints the totals: `mapped` adds big objects, which glibc counts for all heaps together. */
static void print_totals(FILE *fp, const struct stat_snapshot *st, bool mapped)
{
	struct mallinfo2 mi = info_of(st);

	fprintf(fp,
		"<total type=\"fast\" count=\"0\" size=\"%zu\"/>\n"
		"<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
		mi.fsmblks, mi.ordblks, mi.fordblks - mi.fsmblks);
	if (mapped)
		fprintf(fp, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", mi.hblks,
			mi.hblkhd);
	fprintf(fp,
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<system type=\"max\" size=\"%zu\"/>\n"
		"<aspace type=\"total\" size=\"%zu\"/>\n"
		"<aspace type=\"mprotect\" size=\"%zu\"/>\n",
		mi.arena, st->heap_bytes, st->heap_bytes, st->heap_bytes);
}

EXPORT int malloc_info(int options_arg, FILE *fp)
{
	struct stat_snapshot *st;

	if (options_arg != 0)
		return EINVAL;
	st = stat_take();
	if (st == NULL)
		return ENOMEM;
	fprintf(fp, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
	print_free_sizes(fp, st);
	fprintf(fp, "</sizes>\n");
	print_totals(fp, st, false);
	fprintf(fp, "</heap>\n");
	print_totals(fp, st, true);
	fprintf(fp, "</malloc>\n");
	stat_drop(st);
	return 0;
}

/* --- start and end --- */

CONSTRUCTOR static void start(void)
{
	start_late_init();
	service_start();
}

DESTRUCTOR static void stop(void)
{
	service_at_exit();
}
