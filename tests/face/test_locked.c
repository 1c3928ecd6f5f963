/* SPDX-License-Identifier: MIT */
/*
 * test_locked.c - memory that the program locks: it is given back like other memory, and guarded
 * like other memory.
 *
 * Owns     the locks: each case locks all memory, or one range of it.
 * Callers  CTest, preloaded and linked, as root; argv[1] is the case. Without the right to lock so
 *          much the case is skipped.
 */
#include "face.h"
#include "proc.h"

#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>

#define SKIPPED 77
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

enum { BIG_NBYTES = 200000 };

static void lock_all(int flags)
{
	if (mlockall(flags) != 0) {
		(void)printf("skipped: mlockall is refused\n");
		exit(SKIPPED);
	}
}

/* A write to p ends a child by SIGSEGV. */
static void check_untouchable(volatile char *p)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		*p = 7;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static bool guards_freed_objects(void)
{
	const char *options = getenv("GOALLOC");

	return options != NULL &&
	       (strstr(options, "hardened=") != NULL || strstr(options, "efence=1") != NULL);
}

static void check_guards(void)
{
	volatile char *p = malloc(BIG_NBYTES);

	CHECK(p != NULL);
	p[100] = 1;
	free((void *)(uintptr_t)p);
	if (guards_freed_objects())
		check_untouchable(p + 100);
	check_untouchable(malloc(0));
	/* It comes back, and reads as zero. */
	for (int i = 0; i < 100; i++) {
		char *q = calloc(1, BIG_NBYTES);

		CHECK(q != NULL);
		for (int k = 0; k < BIG_NBYTES; k++)
			CHECK(q[k] == 0);
		memset(q, 1, BIG_NBYTES);
		free(q);
	}
}

static void guards_under_mlockall(void)
{
	lock_all(MCL_CURRENT | MCL_FUTURE);
	check_guards();
}

static void guards_under_onfault(void)
{
	lock_all(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	check_guards();
}

/* The program locks an object of its own, and frees it so. */
static void guards_of_a_locked_object(void)
{
	char *p = malloc(BIG_NBYTES);

	CHECK(p != NULL);
	if (mlock(p, BIG_NBYTES) != 0) {
		(void)printf("skipped: mlock is refused\n");
		exit(SKIPPED);
	}
	memset(p, 1, BIG_NBYTES);
	free(p);
	if (guards_freed_objects())
		check_untouchable(p + 100);
	check_guards();
}

static void check_given_back(void)
{
	enum { BLOCKS = 12, BLOCK = 20 << 20 };
	char *blocks[BLOCKS];
	uint64_t before = proc_field("/proc/self/status", "VmRSS");

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, BLOCK);
	}
	/* One grows, and its pages move. */
	blocks[0] = realloc(blocks[0], 2 * BLOCK);
	CHECK(blocks[0] != NULL);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	(void)malloc_trim(0);
	(void)printf("%lu KiB, before %lu\n",
		     (unsigned long)proc_field("/proc/self/status", "VmRSS"),
		     (unsigned long)before);
	CHECK_LE(proc_field("/proc/self/status", "VmRSS"), before + 10 * 1024);
}

/* Most of many small objects are freed, and the pages between those that stay are given back. Each
 * gap must not become a mapping of its own, of which a process may have some 65000. */
static void check_gaps_given_back(void)
{
	enum { OBJECTS = 40000, OBJECT = 2048 };
	static char *objects[OBJECTS];
	size_t before = proc_mappings();
	uint64_t full;

	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = malloc(OBJECT);
		CHECK(objects[i] != NULL);
		memset(objects[i], 1, OBJECT);
	}
	full = proc_field("/proc/self/status", "VmRSS");
	for (int i = 0; i < OBJECTS; i++)
		if (i % 20 != 0)
			free(objects[i]);
	(void)malloc_trim(0);
	CHECK_LE(proc_field("/proc/self/status", "VmRSS"), full - 60 * 1024);
	CHECK_LE(proc_mappings(), before + 100);
	for (int i = 0; i < OBJECTS; i += 20)
		free(objects[i]);
}

static void gaps_under_mlockall(void)
{
	lock_all(MCL_CURRENT | MCL_FUTURE);
	check_gaps_given_back();
}

static void gaps_locked_once(void)
{
	enum { OBJECTS = 40000 };
	static char *objects[OBJECTS];

	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = malloc(2048);
		CHECK(objects[i] != NULL);
		memset(objects[i], 1, 2048);
	}
	lock_all(MCL_CURRENT);
	for (int i = 0; i < OBJECTS; i++)
		free(objects[i]);
	check_gaps_given_back();
}

static void memory_under_mlockall(void)
{
	lock_all(MCL_CURRENT | MCL_FUTURE);
	check_given_back();
}

static void memory_under_onfault(void)
{
	lock_all(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	check_given_back();
}

static void memory_locked_once(void)
{
	char *p = malloc(40 << 20);

	CHECK(p != NULL);
	memset(p, 1, 40 << 20);
	lock_all(MCL_CURRENT);
	free(p);
	(void)malloc_trim(0);
	CHECK_LE(proc_field("/proc/self/status", "VmRSS"), (uint64_t)16 * 1024);
	check_given_back();
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "guards", guards_under_mlockall },
		{ "guards_onfault", guards_under_onfault },
		{ "guards_mlock", guards_of_a_locked_object },
		{ "memory", memory_under_mlockall },
		{ "memory_onfault", memory_under_onfault },
		{ "memory_once", memory_locked_once },
		{ "gaps", gaps_under_mlockall },
		{ "gaps_once", gaps_locked_once },
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
