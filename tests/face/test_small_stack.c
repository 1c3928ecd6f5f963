/* SPDX-License-Identifier: MIT */
/*
 * test_small_stack.c - every figure, tool and report on the smallest stack that a thread can have.
 *
 * A thread runs one call on a stack that was painted before. Afterwards the lowest byte that lost
 * its paint tells how much the call needed. What runs under glibc on PTHREAD_STACK_MIN runs here,
 * so no call may need more than half of it. An unreadable page lies below the stack.
 *
 * With the argument "exit" the program ends by exit(3) from the small stack, and everything that
 * GOALLOC asks for is written there.
 */
#include "face.h"

#include "../../include/goalloc.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>


#define STACK_BYTES (16 * KiB)
#define MOST_BYTES (STACK_BYTES / 2)
#define PAINT 0xa7

static unsigned char *stack;
static uintptr_t top;          /* the address of a variable of the thread, when the call begins */
static FILE *null_file;
static int null_fd;

static void (*count)(int on);
static int (*read_memstats)(struct goalloc_memstats *m);
static int (*metrics_read)(struct goalloc_metric *metrics, size_t n);
static int (*metric_read)(const char *name, uint64_t *value);
static int (*heap_map)(const char *file);
static int (*heap_map_fd)(int fd);
static size_t (*set_memory_limit)(size_t bytes);
static int (*profile_start)(size_t rate);
static int (*profile_stop)(void);
static int (*profile_write)(const char *file);
static int (*profile_write_fd)(int fd, int text);
static ssize_t (*leak_check)(int fd);

#define LOOK_UP(name) \
	do { \
		void *f = face_sym("goalloc_" #name); \
		memcpy(&name, &f, sizeof(f)); \
	} while (0)

static void look_up(void)
{
	LOOK_UP(count);
	LOOK_UP(read_memstats);
	LOOK_UP(metrics_read);
	LOOK_UP(metric_read);
	LOOK_UP(heap_map);
	LOOK_UP(heap_map_fd);
	LOOK_UP(set_memory_limit);
	LOOK_UP(profile_start);
	LOOK_UP(profile_stop);
	LOOK_UP(profile_write);
	LOOK_UP(profile_write_fd);
	LOOK_UP(leak_check);
}

/* --- the calls --- */

static void old_figures(void)
{
	struct mallinfo mi = mallinfo();

	CHECK(mi.arena != 0);
}

static void new_figures(void)
{
	struct mallinfo2 mi = mallinfo2();

	CHECK(mi.arena != 0);
}

static void info(void)
{
	CHECK(malloc_info(0, null_file) == 0);
}

static void trim_and_options(void)
{
	(void)malloc_trim(0);
	CHECK(mallopt(M_ARENA_MAX, 1) == 1);
}

static void memstats(void)
{
	static struct goalloc_memstats m;

	m.size = sizeof(m);
	CHECK(read_memstats(&m) == 0 && m.HeapSys != 0);
}

static void counting(void)
{
	count(1);
	memstats();
	count(0);
}

static void metrics(void)
{
	struct goalloc_metric m = { .name = "/memory/classes/total:bytes" };
	uint64_t value;

	CHECK(metrics_read(&m, 1) == 0 && m.value != 0);
	CHECK(metric_read("/gc/heap/live:bytes", &value) == 0 && value != 0);
}

static void maps(void)
{
	CHECK(heap_map("/dev/null") == 0);
	CHECK(heap_map_fd(null_fd) == 0);
}

static void limit(void)
{
	size_t before = set_memory_limit(0);

	(void)set_memory_limit((size_t)1 << 40);
	(void)set_memory_limit(before);
}

static void profile(void)
{
	CHECK(profile_start(1) == 0);
	for (size_t n = 1; n < 100000; n *= 3)
		free(malloc(n));
	CHECK(profile_write("/dev/null") == 0);
	CHECK(profile_write_fd(null_fd, 0) == 0);
	CHECK(profile_write_fd(null_fd, 1) == 0);
	CHECK(profile_stop() == 0);
}

static void leaks(void)
{
	CHECK(leak_check(null_fd) >= 0);
}

static void leave(void)
{
	exit(0);
}

static const struct call {
	const char *name;
	void (*run)(void);
} calls[] = {
	{ "mallinfo", old_figures },
	{ "mallinfo2", new_figures },
	{ "malloc_info", info },
	{ "malloc_stats", malloc_stats },
	{ "malloc_trim", trim_and_options },
	{ "memstats", memstats },
	{ "count", counting },
	{ "metrics", metrics },
	{ "heap_map", maps },
	{ "memory_limit", limit },
	{ "profile", profile },
	{ "leak_check", leaks },
};

/* --- the stack --- */

static void *run_call(void *arg)
{
	const struct call *call = arg;
	volatile char here = 0;

	top = (uintptr_t)&here;
	call->run();
	return NULL;
}

static void on_small_stack(const struct call *call)
{
	pthread_attr_t attr;
	pthread_t thread;
	size_t untouched = 0;

	memset(stack, PAINT, STACK_BYTES);
	CHECK(pthread_attr_init(&attr) == 0 &&
	      pthread_attr_setstack(&attr, stack, STACK_BYTES) == 0);
	CHECK(pthread_create(&thread, &attr, run_call, (void *)(uintptr_t)call) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	while (stack[untouched] == PAINT)
		untouched++;
	(void)printf("%-14s %5zu bytes of stack\n", call->name,
		     (size_t)(top - (uintptr_t)stack) - untouched);
	CHECK_LE(top - (uintptr_t)stack - untouched, MOST_BYTES);
}

/* Objects of all kinds, so that the figures have something to tell. */
static void fill_heap(void)
{
	static void *keep[2000];

	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		keep[i] = malloc(i * 41);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i += 3)
		free(keep[i]);
}

/* Asks for the figures when the system has no more memory. */
static void without_memory(void)
{
	struct goalloc_memstats m = { .size = sizeof(m) };
	uint64_t value;

	while (mmap(NULL, 64 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0) != MAP_FAILED)
		;
	for (size_t n = 64 * MiB; n >= 4096; n /= 2)
		while (mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			    0) != MAP_FAILED)
			;
	CHECK(mallinfo2().arena != 0 && read_memstats(&m) == 0 && m.HeapSys != 0);
	CHECK(metric_read("/memory/classes/total:bytes", &value) == 0 && value != 0);
	CHECK(malloc_info(0, null_file) == 0);
	CHECK(heap_map_fd(null_fd) == 0);
}

int main(int argc, char **argv)
{
	static const struct call last = { "exit", leave };
	unsigned char *p =
		mmap(NULL, STACK_BYTES + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(face_malloc_is_goalloc());
	CHECK(p != MAP_FAILED && mprotect(p + 4096, STACK_BYTES, PROT_READ | PROT_WRITE) == 0);
	stack = p + 4096;
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	null_file = fdopen(null_fd, "w");
	CHECK(null_fd >= 0 && null_file != NULL);
	look_up();
	fill_heap();
	if (argc == 2 && strcmp(argv[1], "exit") == 0) {
		on_small_stack(&last);
		return 1;
	}
	if (argc == 2 && strcmp(argv[1], "no_memory") == 0) {
		struct rlimit limit_as = { 512 * MiB, 512 * MiB };

		CHECK(setrlimit(RLIMIT_AS, &limit_as) == 0);
		without_memory();
		return 0;
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		on_small_stack(&calls[i]);
	return 0;
}
