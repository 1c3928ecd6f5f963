/* SPDX-License-Identifier: MIT */
/*
 * face.h - what the black-box tests share: whose malloc this is, objects that can be checked, and
 * running a case by its name; C and C++.
 *
 * The environment variable FACE_LIB names the file that malloc must come from. When it is not set,
 * as in a run by hand, the question is not asked. Nothing here allocates, because what is being
 * tested must not be needed to report it.
 */
#ifndef FACE_H
#define FACE_H

#include "check.h"
#include "child.h"
#include "proc.h"
#include "rng.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)

/* Marks a function that a report is to name. gcc would also make copies of it, whose names are
 * longer. */
#if __has_attribute(noipa)
#define NAMED __attribute__((noipa))
#else
#define NAMED __attribute__((noinline))
#endif

/* Waits for a child. It must exit with 0: any other end stops the process, and the line shows the
 * status. A signal is the status itself, and SIGALRM, 14, means that the child hung. */
__attribute__((unused)) static void face_child_ends_well(pid_t pid)
{
	check_le((size_t)(unsigned)child_wait(pid), 0, __FILE__, __LINE__,
		 "status of the child <= 0");
}

/* Returns whether malloc is the one in the file FACE_LIB; true when FACE_LIB is not set. */
__attribute__((unused)) static bool face_malloc_is_goalloc(void)
{
	char want[PATH_MAX], got[PATH_MAX];
	const char *lib = getenv("FACE_LIB");
	Dl_info info;
	if (lib == NULL)
		return true;
	if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) == 0 || info.dli_fname == NULL)
		return false;
	return realpath(lib, want) != NULL && realpath(info.dli_fname, got) != NULL &&
	       strcmp(want, got) == 0;
}

/* Returns the address of a symbol that no header declares. A missing symbol ends the process. */
__attribute__((unused)) static void *face_sym(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);
	if (p == NULL)
		check_fail(__FILE__, __LINE__, name);
	return p;
}

/* The header of an object that carries its size and a pattern. The thread that frees the object
 * can tell whether another thread wrote to it. An object that is too small for the header is not
 * checked. */
struct face_object {
	size_t size;
	uint64_t tag;
};

__attribute__((unused)) static void face_object_fill(void *p, size_t n, uint64_t tag)
{
	struct face_object *o = (struct face_object *)p;
	if (n < sizeof(*o))
		return;
	o->size = n;
	o->tag = tag ^ (uint64_t)n;
	if (n > sizeof(*o))
		((unsigned char *)p)[n - 1] = (unsigned char)(o->tag * 31);
}

__attribute__((unused)) static bool face_object_intact(const void *p, size_t n, uint64_t tag)
{
	const struct face_object *o = (const struct face_object *)p;
	if (n < sizeof(*o))
		return true;
	if (o->size != n || o->tag != (tag ^ (uint64_t)n))
		return false;
	return n == sizeof(*o) || ((const unsigned char *)p)[n - 1] == (unsigned char)(o->tag * 31);
}

/* A part of a program that CTest runs by name. */
struct face_case {
	const char *name;
	void (*run)(void);
};

/* Runs the case that the only argument names. For main() to return. */
__attribute__((unused)) static int face_run_case(int argc, char **argv,
						 const struct face_case *cases, size_t n)
{
	CHECK(argc == 2);
	CHECK(face_malloc_is_goalloc());
	for (size_t i = 0; i < n; i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			return 0;
		}
	}
	check_fail(__FILE__, __LINE__, "the name of a case");
}

/* A case that starts threads or children in numbers, and how many the test suite can afford. */
struct face_counted_case {
	const char *name;
	void (*run)(void);
	size_t count;
};

/* Runs the case that the first argument names. Before, *count becomes the second argument, or else
 * the count of the case. For main() to return. */
__attribute__((unused)) static int face_run_counted_case(int argc, char **argv,
							 const struct face_counted_case *cases,
							 size_t n, size_t *count)
{
	CHECK(argc == 2 || argc == 3);
	CHECK(face_malloc_is_goalloc());
	for (size_t i = 0; i < n; i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			*count = argc == 3 ? (size_t)atol(argv[2]) : cases[i].count;
			cases[i].run();
			return 0;
		}
	}
	check_fail(__FILE__, __LINE__, "the name of a case");
}

#endif
