/* SPDX-License-Identifier: MIT */
/*
 * main.c - bench_workload: runs the workload that argv names and prints its time and memory.
 *
 * The output is "ns_per_op X", "page_faults N" and "peak_kib N", a line each. The allocator under
 * test is in LD_PRELOAD.
 *
 * Holds    only the workload calls malloc: the result is printed by dprintf, which has no buffer.
 *
 * Exit status: 0; 1 if an allocation failed or memory was corrupted; 2 for a wrong command line.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "object.h"
#include "workload.h"

struct workload {
	const char *name;
	int nargs;
	double (*run)(char **arg);
	const char *usage; /* the arguments, and one operation */
};

static const struct workload workloads[] = {
	{ "pair", 1, pair_run, "SIZE                       malloc and free at once" },
	{ "bulk", 3, bulk_run, "SIZE COUNT lifo|fifo|random  COUNT mallocs, then COUNT frees" },
	{ "mix", 1, mix_run,
	  "LIVE                        free a random one of LIVE, malloc another" },
	{ "handover", 2, handover_run, "PAIRS SIZE|mixed       one thread mallocs, one frees" },
	{ "exchange", 1, exchange_run,
	  "THREADS                each mallocs for its neighbour to free" },
	{ "churn", 2, churn_run,
	  "THREADS COUNT             threads that start, malloc COUNT, end" },
	{ "server", 2, server_run,
	  "THREADS LIVE             objects outlive the threads that made them" },
	{ "growth", 2, growth_run,
	  "BUFFERS LIMIT            realloc from 64 bytes to LIMIT by 1.5" },
	{ "zeroed", 2, zeroed_run, "SIZE fresh|reused        calloc" },
	{ "aligned", 1, aligned_run, "ALIGNMENT|mixed         posix_memalign and aligned_alloc" },
	{ "big", 2, big_run, "THREADS LIVE                blocks of 32 KiB to 1 MiB" },
	{ "medium", 2, medium_run, "THREADS LIVE                blocks of 40 to 120 KiB" },
	{ "scatter", 1, scatter_run,
	  "COUNT                       COUNT objects freed in random order; one free" },
	{ "fill", 2, fill_run,
	  "SIZE TOTAL                 TOTAL bytes in objects of SIZE, then none" },
	{ "steady", 2, steady_run,
	  "LIVE PHASES              LIVE bytes, sizes and lifetimes drifting" },
	{ "kept", 1, kept_run,
	  "PATTERN                    what stays resident; kept list names them" },
};

#define NWORKLOADS (sizeof workloads / sizeof workloads[0])

static _Noreturn void usage_failed(const char *what, const char *word)
{
	dprintf(STDERR_FILENO, "bench_workload: %s: %s\n", what, word);
	_exit(2);
}

void object_failed(const char *what)
{
	dprintf(STDERR_FILENO, "bench_workload: %s\n", what);
	_exit(1);
}

size_t arg_number(const char *word, size_t min, size_t max)
{
	size_t value = 0;
	size_t unit = 1;
	const char *c = word;

	for (; *c >= '0' && *c <= '9'; c++) {
		if (value > max / 10)
			usage_failed("too large", word);
		value = value * 10 + (size_t)(*c - '0');
	}
	if (c != word && *c != '\0' && c[1] == '\0') {
		unit = *c == 'K' ? KIB : *c == 'M' ? MIB : *c == 'G' ? GIB : 0;
		c++;
	}
	if (c == word || *c != '\0' || unit == 0)
		usage_failed("not a number", word);
	if (value > max / unit || value * unit < min)
		usage_failed("out of range", word);
	return value * unit;
}

size_t arg_choice(const char *word, const char *const *choice)
{
	for (size_t i = 0; choice[i] != NULL; i++) {
		if (strcmp(word, choice[i]) == 0)
			return i;
	}
	usage_failed("not a choice", word);
}

void *own_memory(size_t nbytes)
{
	void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		object_failed("no memory for the workload itself");
	return p;
}

void own_memory_release(void *p, size_t nbytes)
{
	if (munmap(p, nbytes) != 0)
		object_failed("cannot release memory of the workload itself");
}

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread is kept in a uintptr_t");

void thread_start(uintptr_t *thread, void *(*body)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, body, arg) != 0)
		object_failed("cannot start a thread");
	*thread = (uintptr_t)t;
}

void thread_join(uintptr_t thread)
{
	if (pthread_join((pthread_t)thread, NULL) != 0)
		object_failed("cannot join a thread");
}

void thread_pin(unsigned nth)
{
	cpu_set_t allowed;
	cpu_set_t one;
	size_t cpu = 0;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return;
	nth %= (unsigned)CPU_COUNT(&allowed);
	while (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	/* A failure is ignored: without pinning the results vary more, but they are right. */
	(void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void usage_print(int fd)
{
	dprintf(fd, "usage: bench_workload NAME ARGUMENT...\n"
		    "Prints nanoseconds per operation. SIZE, LIVE, ... take K, M and G.\n");
	for (size_t i = 0; i < NWORKLOADS; i++)
		dprintf(fd, "  %-9s %s\n", workloads[i].name, workloads[i].usage);
	dprintf(fd, "  %-9s %s\n", "probe",
		"                           the file malloc comes from");
}

/* Prints the time, and the minor page faults and the peak memory of the whole process. */
static void print_result(double ns_per_op)
{
	struct rusage used;

	dprintf(STDOUT_FILENO, "ns_per_op %.4f\n", ns_per_op);
	if (getrusage(RUSAGE_SELF, &used) == 0)
		dprintf(STDOUT_FILENO, "page_faults %ld\npeak_kib %ld\n", used.ru_minflt,
			used.ru_maxrss);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage_print(STDERR_FILENO);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0) {
		usage_print(STDOUT_FILENO);
		return 0;
	}
	if (strcmp(argv[1], "probe") == 0)
		return probe_print();
	for (size_t i = 0; i < NWORKLOADS; i++) {
		const struct workload *w = &workloads[i];

		if (strcmp(argv[1], w->name) != 0)
			continue;
		if (argc - 2 != w->nargs)
			usage_failed("wrong number of arguments for", w->name);
		print_result(w->run(argv + 2));
		return 0;
	}
	usage_failed("no such workload", argv[1]);
}
