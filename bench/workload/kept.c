/* SPDX-License-Identifier: MIT */
/*
 * kept.c - runs a pattern and prints what stays resident: at its end, three seconds later, and
 * after malloc_trim(0).
 *
 * The patterns are those of programs that were reported to hold memory, sized to seconds. The lines
 * are "live_kib N", "end_kib N", "later_kib N" and "trim_kib N". The time per operation that main.c
 * prints is the processor time of the whole process.
 */
#include "kept.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "object.h"
#include "stopwatch.h"
#include "workload.h"

#define LATER_MS 3000

/* Requests of 40 KB to 56 KB leave the fast paths of allocators, so that these notice the time. */
#define WORK_NREQUESTS 2000u
#define WORK_NBYTES    40000u
#define WORK_MS        1300

struct pattern {
	const char *name;
	size_t (*run)(size_t a, size_t b);
	size_t a;
	size_t b;
};

static const struct pattern patterns[] = {
	{ "light", freed_then_works, 350, WORK_LIGHT },
	{ "fast", freed_then_works, 350, WORK_FAST },
	{ "small", freed_then_churns, 4000000, 5 },
	{ "working", freed_and_loaded_again, 350, 6 },
	{ "pins-64", holes_pins, 64, 50 },
	{ "pins-1k", holes_pins, KIB, 50 },
	{ "pins-8k", holes_pins, 8 * KIB, 8 },
	{ "pins-16k", holes_pins, 16 * KIB, 8 },
	{ "connections", holes_connections, 16000, 20 },
	{ "mixed", holes_mixed, 300000, 20 },
	{ "phases", holes_phases, 120, 20 },
	{ "waves", holes_waves, 200, 3 },
	{ "child", holes_child, 128, 20 },
	{ "sparse", huge_sparse, 950, 12 },
	{ "after-small", huge_after_small, 256, 100 },
	{ "doubles", huge_doubles, 512, 0 },
	{ "shrinks", huge_shrinks, 20000, 1 },
	{ "shrinks-8", huge_shrinks, 20000, 8 },
	{ "aligned-64k", huge_aligned, 64 * KIB, 500 },
	{ "aligned-2m", huge_aligned, 2 * MIB, 100 },
	{ "tiles", huge_tiles, 20000, 0 },
	{ "values", huge_values, 20000, 0 },
	{ "idle-many", idle_threads, 300, STOCK_MIXED },
	{ "idle-few", idle_threads, 300, STOCK_FEW },
	{ "idle-big", idle_threads, 16, STOCK_BIG },
	{ "gone", idle_gone, 1000, STOCK_SMALL },
	{ "pool", idle_pool, 8, 64 },
	{ "cost", idle_cost, 200, 0 },
};

#define NPATTERNS (sizeof patterns / sizeof patterns[0])

static bool private_only;

void kept_count_private(void)
{
	private_only = true;
}

/* Reads a file of /proc into `text`, as a string. */
static void read_proc(const char *path, char *text, size_t nbytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, nbytes - 1) : -1;

	if (n < 0)
		object_failed("cannot read /proc");
	text[n] = '\0';
	close(fd);
}

/* Returns the number that follows `word` in a file of /proc. */
static size_t proc_number(const char *path, const char *word)
{
	char text[4096];

	read_proc(path, text, sizeof text);
	const char *line = strstr(text, word);

	return line != NULL ? strtoul(line + strlen(word), NULL, 10) : 0;
}

size_t kept_resident_kib(void)
{
	if (private_only)
		return proc_number("/proc/self/smaps_rollup", "\nPrivate_Dirty:");
	return proc_number("/proc/self/statm", " ") * ((size_t)sysconf(_SC_PAGESIZE) / KIB);
}

size_t kept_data_kib(void)
{
	return proc_number("/proc/self/status", "\nVmData:");
}

void kept_nap_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

double kept_seconds(void)
{
	static uint64_t start_ns;

	if (start_ns == 0)
		start_ns = stopwatch_now_ns();
	return (double)(stopwatch_now_ns() - start_ns) / 1e9;
}

void kept_serve(void)
{
	void *object[10];

	for (size_t i = 0; i < 10; i++)
		object[i] = object_new(32 + i * 40, i);
	for (size_t i = 0; i < 10; i++)
		object_delete(object[i], i);
}

void kept_work_a_little(void)
{
	kept_nap_ms(WORK_MS);
	for (size_t i = 0; i < WORK_NREQUESTS; i++)
		object_delete(object_new(WORK_NBYTES + i * 8, i), i);
}

static const struct pattern *find(const char *word)
{
	const char *names[NPATTERNS + 2] = { "list" };

	for (size_t i = 0; i < NPATTERNS; i++)
		names[i + 1] = patterns[i].name;
	size_t k = arg_choice(word, names);

	return k > 0 ? &patterns[k - 1] : NULL;
}

double kept_run(char **arg)
{
	const struct pattern *p = find(arg[0]);
	struct rusage used;

	if (p == NULL) {
		for (size_t i = 0; i < NPATTERNS; i++)
			dprintf(STDOUT_FILENO, "%s\n", patterns[i].name);
		_exit(0);
	}
	(void)kept_seconds();
	size_t live = p->run(p->a, p->b) / KIB;
	size_t end = kept_resident_kib();

	kept_nap_ms(LATER_MS);
	size_t later = kept_resident_kib();

	malloc_trim(0);
	dprintf(STDOUT_FILENO, "live_kib %zu\nend_kib %zu\nlater_kib %zu\ntrim_kib %zu\n", live,
		end, later, kept_resident_kib());
	if (getrusage(RUSAGE_SELF, &used) != 0)
		object_failed("getrusage failed");
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
}
