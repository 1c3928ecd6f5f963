/* SPDX-License-Identifier: MIT */
/*
 * test_drain.c - a few live objects do not keep the memory between them: kernel pages with free
 * objects only go back, at malloc_trim() and after the decay time, and no page of a live object
 * does.
 *
 * The program has a madvise() of its own, which the library calls: it counts, and in one case frees
 * and allocates.
 *
 * Usage: test_drain CASE; the decay case runs with GOALLOC=scavenge=100.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define TOTAL (48 * MiB)
#define MOST 60000
#define MOST_PAGES (256 * MiB / 4096)

static size_t sizes[] = { 16384, 8192, 2000, 1024, 3000, 100, 32768, 5000 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static unsigned char **objects;
static size_t nobjects, size;

/* The pages that the objects were in: address, and whether a live object is there. */
static struct page {
	uintptr_t addr;
	bool live;
} *pages;
static size_t npages;

static volatile int advice_calls;
/* Volatile, because libc promises compilers that malloc_trim() calls back nothing. */
static void (*volatile in_hook)(void);

int madvise(void *p, size_t nbytes, int advice)
{
	void (*hook)(void) = in_hook;

	advice_calls++;
	if (hook != NULL) {
		in_hook = NULL;
		hook();
		in_hook = hook;
	}
	return (int)syscall(SYS_madvise, p, nbytes, advice);
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void *map(size_t nbytes)
{
	void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static unsigned char tag(size_t i)
{
	return (unsigned char)(i * 37 + 1);
}

static void *allocate(void *arg)
{
	nobjects = TOTAL / size < MOST ? TOTAL / size : MOST;
	for (size_t i = 0; i < nobjects; i++) {
		objects[i] = malloc(size);
		CHECK(objects[i] != NULL);
		memset(objects[i], tag(i), size);
	}
	return arg;
}

static void check_objects(void)
{
	for (size_t i = 0; i < nobjects; i++)
		for (size_t k = 0; objects[i] != NULL && k < size; k++)
			CHECK(objects[i][k] == tag(i));
}

static int by_addr(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Notes the pages of all objects, before any is freed. */
static void note_pages(void)
{
	size_t n = 0;

	npages = 0;
	for (size_t i = 0; i < nobjects; i++) {
		uintptr_t from = (uintptr_t)objects[i] & ~(page_size() - 1);

		for (; from < (uintptr_t)objects[i] + size; from += page_size()) {
			CHECK(npages < MOST_PAGES);
			pages[npages++] = (struct page){ from, false };
		}
	}
	qsort(pages, npages, sizeof(pages[0]), by_addr);
	for (size_t i = 0; i < npages; i++)
		if (n == 0 || pages[n - 1].addr != pages[i].addr)
			pages[n++] = pages[i];
	npages = n;
}

static void mark_live(void)
{
	for (size_t i = 0; i < nobjects; i++) {
		uintptr_t from = (uintptr_t)objects[i] & ~(page_size() - 1);
		uintptr_t to = (uintptr_t)objects[i] + malloc_usable_size(objects[i]);

		for (; objects[i] != NULL && from < to; from += page_size()) {
			struct page key = { from, false };
			struct page *found =
				bsearch(&key, pages, npages, sizeof(key), by_addr);

			/* Behind the bytes that the program asked for no page was noted. */
			if (found != NULL)
				found->live = true;
		}
	}
}

/* Frees all but one of n, by chance. */
static void *free_most(void *arg)
{
	uint64_t rng = size;

	for (size_t i = 0; i < nobjects; i++) {
		if (rng_next(&rng) % 30 == 0)
			continue;
		free(objects[i]);
		objects[i] = NULL;
	}
	return arg;
}

/* Returns how many pages without a live object have memory. Each page of a live object has. */
static size_t count_left(void)
{
	size_t left = 0;

	for (size_t i = 0; i < npages; i++) {
		unsigned char in;

		CHECK(mincore((void *)pages[i].addr, page_size(), &in) == 0);
		CHECK((in & 1) != 0 || !pages[i].live);
		left += !pages[i].live && (in & 1) != 0;
	}
	return left;
}

static void begin(size_t i)
{
	size = sizes[i];
	if (objects == NULL) {
		objects = map(MOST * sizeof(objects[0]));
		pages = map(MOST_PAGES * sizeof(pages[0]));
	}
}

static void end(void)
{
	check_objects();
	for (size_t i = 0; i < nobjects; i++)
		free(objects[i]);
}

static void in_a_thread(void *(*body)(void *))
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* With hardened=1 the end of a slot is in use, although the program is not told of it. */
static size_t most_left(void)
{
	const char *options = getenv("GOALLOC");

	return options != NULL && strstr(options, "hardened=") != NULL ? npages / 100 : 0;
}

/* --- the cases --- */

static void exactly_the_pages_without_live_objects_go(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		begin(i);
		(void)allocate(NULL);
		note_pages();
		(void)free_most(NULL);
		mark_live();
		CHECK(malloc_trim(0) == 1);
		CHECK_LE(count_left(), most_left());
		end();
	}
}

static void a_second_trim_asks_the_kernel_for_nothing(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		begin(i);
		(void)allocate(NULL);
		(void)free_most(NULL);
		advice_calls = 0;
		CHECK(malloc_trim(0) == 1);
		CHECK(advice_calls > 0);
		advice_calls = 0;
		CHECK(malloc_trim(0) == 0);
		CHECK(advice_calls == 0);
		/* Only what changed is looked at again. */
		for (size_t k = 0; k < nobjects; k++) {
			if (objects[k] == NULL)
				continue;
			free(objects[k]);
			objects[k] = NULL;
			break;
		}
		(void)malloc_trim(0);
		CHECK(advice_calls <= 8);
		end();
	}
}

static void what_other_threads_have_freed_goes(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		begin(i);
		in_a_thread(allocate);
		note_pages();
		in_a_thread(free_most);
		mark_live();
		(void)malloc_trim(0);
		/* A span stays full for less than an eighth of its slots, at least one. */
		CHECK_LE(count_left(), npages / 8);
		end();
	}
}

static volatile size_t hooked;

static void free_and_allocate(void)
{
	char *p = malloc(size);
	char *q = malloc(300);

	CHECK(p != NULL && q != NULL);
	memset(p, 0x77, size);
	for (size_t n = 0; n < 20 && hooked < nobjects; hooked++) {
		if (objects[hooked] == NULL)
			continue;
		free(objects[hooked]);
		objects[hooked] = NULL;
		n++;
	}
	for (size_t k = 0; k < size; k++)
		CHECK(p[k] == 0x77);
	free(p);
	free(q);
}

static void a_hook_may_free_into_the_span_at_hand(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		begin(i);
		(void)allocate(NULL);
		(void)free_most(NULL);
		hooked = 0;
		in_hook = free_and_allocate;
		for (int k = 0; k < 3; k++)
			(void)malloc_trim(0);
		in_hook = NULL;
		CHECK(hooked > 0);
		end();
	}
}

/* Does what an idle program still does. */
static void allocate_a_little(void)
{
	for (size_t n = 100 * KiB; n <= 2 * MiB; n *= 2)
		free(malloc(n));
}

static void wait_until_it_is_gone(void)
{
	size_t most = npages / 50;

	for (int look = 0; look < 600 && count_left() > most; look++) {
		(void)usleep(50000);
		allocate_a_little();
	}
	CHECK_LE(count_left(), most);
}

static void it_goes_after_the_decay_time(void)
{
	begin(0);
	(void)allocate(NULL);
	note_pages();
	(void)free_most(NULL);
	mark_live();
	wait_until_it_is_gone();
	end();
}

static void what_an_ended_thread_had_goes_after_the_decay_time(void)
{
	begin(0);
	in_a_thread(allocate);
	note_pages();
	(void)free_most(NULL);
	mark_live();
	wait_until_it_is_gone();
	end();
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "trim", exactly_the_pages_without_live_objects_go },
		{ "trim_again", a_second_trim_asks_the_kernel_for_nothing },
		{ "other_threads", what_other_threads_have_freed_goes },
		{ "hook", a_hook_may_free_into_the_span_at_hand },
		{ "decay", it_goes_after_the_decay_time },
		{ "decay_other_thread", what_an_ended_thread_had_goes_after_the_decay_time },
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
