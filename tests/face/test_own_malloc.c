/* SPDX-License-Identifier: MIT */
/*
 * test_own_malloc.c - programs that replace malloc and its fellows: what libc does not have, or
 * makes of them, must fit. OWN_HEAP has a heap of its own. OWN_HEADER wraps the next malloc, and
 * puts a header before each object. OWN_COUNT counts, and calls __libc_malloc. OWN_NOTHING replaces
 * nothing, and takes the addresses.
 *
 * Callers  CTest, linked with the library. Built once for each of the four; OWN_NOTHING at a fixed
 *          address, too.
 */
#define OWN_HEAP 1
#define OWN_HEADER 2
#define OWN_COUNT 3
#define OWN_NOTHING 4

#include "face.h"

#include "../../include/goalloc.h"

#include <malloc.h>
#include <sys/wait.h>

void free_sized(void *p, size_t n);
void free_aligned_sized(void *p, size_t alignment, size_t n);
void cfree(void *p);
void *mallocx(size_t n, int flags);
void *rallocx(void *p, size_t n, int flags);
size_t sallocx(const void *p, int flags);
void dallocx(void *p, int flags);
void sdallocx(void *p, size_t n, int flags);
void *_Znwm(size_t n);
void *_Znam(size_t n);
void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag);
void *_ZnwmSt11align_val_t(size_t n, size_t align);
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t n);
void _ZdaPvm(void *p, size_t n);
void _ZdlPvSt11align_val_t(void *p, size_t align);
void *__alloc_token_malloc(size_t n, size_t token);
void *__alloc_token_0_malloc(size_t n);
void *__alloc_token_0_calloc(size_t n, size_t size);
void *__alloc_token_1__Znwm(size_t n);
void *__alloc_token_0_reallocarray(void *p, size_t n, size_t size);

/* Objects of the program's own that are not freed. */
static int live;

#if OWN == OWN_HEAP

static _Alignas(4096) char pool[1 << 24];
static size_t used;

static bool inside(const void *p)
{
	return (const char *)p >= pool && (const char *)p < pool + sizeof(pool);
}

static void *take(size_t align, size_t n)
{
	size_t at = (used + 16 + align - 1) & ~(align - 1);

	if (n > sizeof(pool) || at + n > sizeof(pool))
		return NULL;
	used = at + n;
	memcpy(pool + at - 8, &n, 8);
	live++;
	return pool + at;
}

static size_t has(const void *p)
{
	size_t n;

	CHECK(inside(p));
	memcpy(&n, (const char *)p - 8, 8);
	return n;
}

/* What libc has before main() and keeps: musl's pthread_atfork() calls malloc(). */
static int kept;
static size_t kept_bytes;

static void give(void *p)
{
	CHECK(inside(p));
	if (--live == kept)
		used = kept_bytes;
}

#elif OWN == OWN_HEADER

static void *take(size_t align, size_t n)
{
	static void *(*next)(size_t);
	char *p;

	CHECK(align <= 16);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "malloc");
	p = n > (size_t)PTRDIFF_MAX - 64 ? NULL : next(n + 16);
	if (p == NULL)
		return NULL;
	memcpy(p, &n, 8);
	memcpy(p + 8, "a header", 8);
	live++;
	return p + 16;
}

static size_t has(const void *p)
{
	size_t n;

	CHECK(memcmp((const char *)p - 8, "a header", 8) == 0);
	memcpy(&n, (const char *)p - 16, 8);
	return n;
}

static void give(void *p)
{
	static void (*next)(void *);

	(void)has(p);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "free");
	live--;
	next((char *)p - 16);
}

#elif OWN == OWN_COUNT

void *__libc_malloc(size_t n);
void __libc_free(void *p);

static void *take(size_t align, size_t n)
{
	void *p = __libc_malloc(n);

	CHECK(align <= 16);
	live += p != NULL;
	return p;
}

static size_t has(const void *p)
{
	return malloc_usable_size((void *)p);
}

static void give(void *p)
{
	live--;
	__libc_free(p);
}

#endif

#if OWN != OWN_NOTHING

void *malloc(size_t n)
{
	return take(16, n);
}

void free(void *p)
{
	if (p != NULL)
		give(p);
}

void *calloc(size_t n, size_t size)
{
	void *p = n != 0 && size > SIZE_MAX / n ? NULL : take(16, n * size);

	return p == NULL ? NULL : memset(p, 0, n * size);
}

void *realloc(void *p, size_t n)
{
	void *to = take(16, n);

	if (p == NULL || to == NULL)
		return to;
	memcpy(to, p, has(p) < n ? has(p) : n);
	give(p);
	return to;
}

#endif

#if OWN == OWN_HEAP

void *aligned_alloc(size_t align, size_t n)
{
	return take(align < 16 ? 16 : align, n);
}

#endif

/* Calls that no compiler looks through. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

/* Frees what each allocating function returns by free(). */
static void free_takes_what_every_name_allocates(void)
{
	char *p = reallocarray(NULL, 10, 10);

	CHECK(p != NULL);
	strcpy(p, "kept");
	p = reallocarray(p, 100, 100);
	CHECK(p != NULL && strcmp(p, "kept") == 0);
	do_free(p);
	do_free(_Znwm(0));
	do_free(_Znwm(100));
	do_free(_Znam(100));
	do_free(_ZnwmRKSt9nothrow_t(100, ""));
	do_free(goalloc_malloc_noscan(100));
	do_free(goalloc_calloc_noscan(10, 10));
	do_free(goalloc_realloc_noscan(goalloc_malloc_noscan(5), 500));
	do_free(__alloc_token_malloc(100, 0));
	do_free(__alloc_token_malloc(100, 1));
	do_free(__alloc_token_0_malloc(100));
	do_free(__alloc_token_0_calloc(10, 10));
	do_free(__alloc_token_1__Znwm(100));
	do_free(__alloc_token_0_reallocarray(__alloc_token_0_malloc(5), 10, 10));
	do_free(strdup("by libc"));
}

/* Frees what malloc() returns by each function that frees. */
static void every_name_frees_what_malloc_allocates(void)
{
	_ZdlPv(do_malloc(100));
	_ZdaPv(do_malloc(100));
	_ZdlPvm(do_malloc(100), 100);
	_ZdaPvm(do_malloc(100), 100);
	free_sized(do_malloc(100), 100);
	cfree(do_malloc(100));
	_ZdlPv(NULL);
	_ZdlPvm(NULL, 10);
	free_sized(NULL, 10);
	cfree(NULL);
	_ZdlPvm(_Znwm(50000), 50000);
	_ZdlPv(_Znwm(1000000));
}

static void aligned_objects_have_one_malloc(void)
{
#if OWN == OWN_HEAP || OWN == OWN_NOTHING
	void *p = _ZnwmSt11align_val_t(100, 256);

	CHECK(p != NULL && (uintptr_t)p % 256 == 0);
	_ZdlPvSt11align_val_t(p, 256);
	p = aligned_alloc(64, 100);
	free_aligned_sized(p, 64, 100);
	do_free(goalloc_aligned_alloc_noscan(64, 128));
#endif
}

/* jemalloc's functions do not call malloc(), whichever library defines it. */
static void jemallocs_names_are_a_pair(void)
{
	char *p = mallocx(100, 0);

	strcpy(p, "kept");
	p = rallocx(p, 100000, 0);
	CHECK(strcmp(p, "kept") == 0 && sallocx(p, 0) >= 100000);
	sdallocx(p, 100000, 0);
	dallocx(mallocx(100, 12 | 0x40), 0);
#if OWN == OWN_HEAP
	dallocx(do_malloc(100), 0);
	sdallocx(do_malloc(100), 100, 0);
	do_free(rallocx(do_malloc(100), 1000, 0));
#endif
}

/* malloc_usable_size is libc's where the program has none: it refuses nothing that the program's
 * malloc made. */
static void usable_size_is_no_reason_to_stop(void)
{
	void *p = do_malloc(100);

	CHECK(OWN == OWN_HEAP || OWN == OWN_HEADER || malloc_usable_size(p) >= 100);
	(void)malloc_usable_size(p);
	do_free(p);
}

/* A program that replaces nothing has the checks of this heap, although it takes the addresses. */
static void without_a_replacement_sizes_are_checked(void)
{
#if OWN == OWN_NOTHING
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		(void)close(2);
		_ZdlPvm(_Znwm(1000), 4);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGABRT);
#endif
}

int main(void)
{
	int before = live;

#if OWN == OWN_HEAP
	kept = live;
	kept_bytes = used;
#endif
	for (int round = 0; round < 100; round++) {
		free_takes_what_every_name_allocates();
		every_name_frees_what_malloc_allocates();
		aligned_objects_have_one_malloc();
		jemallocs_names_are_a_pair();
		usable_size_is_no_reason_to_stop();
	}
	without_a_replacement_sizes_are_checked();
	CHECK_LE(live, before);
	CHECK_LE(before, live);
	return 0;
}
