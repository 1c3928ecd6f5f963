/* SPDX-License-Identifier: MIT */
/*
 * face.h - what the black-box tests share: a check that stops the process, the resident
 * size, a random number, and the question whose malloc this is.
 *
 * Owns     nothing but the environment variable FACE_LIB, read here: the file malloc must
 *          come from. Unset, the question is not asked (a run by hand).
 * Callers  every program in tests/face; C and C++. cmocka tests use only the helpers that
 *          do not check.
 * Locks    none. face_fail() may be called by any thread, in a handler, in a forked child.
 * Holds    nothing here allocates: what is tested must not be needed to report it.
 */
#ifndef FACE_H
#define FACE_H

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

/* Stops the process with one line on stderr unless cond holds. */
#define CHECK(cond) ((cond) ? (void)0 : face_fail(__FILE__, __LINE__, #cond))

/* As CHECK(a <= b), and the line shows both numbers. */
#define CHECK_LE(a, b) face_check_le((size_t)(a), (size_t)(b), __FILE__, __LINE__, #a " <= " #b)

__attribute__((noreturn, unused)) static void face_fail(const char *file, int line,
							const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "FAILED %s:%d (pid %d, errno %d): %s\n", file, line,
			 (int)getpid(), errno, what);
	if (n > 0 && write(2, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
		_exit(3);
	_exit(1);
}

__attribute__((unused)) static void face_check_le(size_t a, size_t b, const char *file, int line,
						  const char *what)
{
	char text[256];
	if (a <= b)
		return;
	(void)snprintf(text, sizeof(text), "%s (%zu > %zu)", what, a, b);
	face_fail(file, line, text);
}

/* Reads a small /proc file whole; false when it cannot be opened. Ends buf with 0. */
__attribute__((unused)) static bool face_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	if (fd < 0)
		return false;
	while (have < size - 1) {
		ssize_t n = read(fd, buf + have, size - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	buf[have] = 0;
	(void)close(fd);
	return true;
}

/* Resident bytes of this process, exact: smaps_rollup walks the page tables, while the
 * counters behind statm lag by a batch per CPU. */
__attribute__((unused)) static size_t face_rss(void)
{
	char buf[2048];
	const char *at;
	if (!face_read_file("/proc/self/smaps_rollup", buf, sizeof(buf)))
		face_fail(__FILE__, __LINE__, "open /proc/self/smaps_rollup");
	at = strstr(buf, "\nRss:");
	if (at == NULL)
		face_fail(__FILE__, __LINE__, "Rss in /proc/self/smaps_rollup");
	return (size_t)strtoull(at + 5, NULL, 10) * KiB;
}

/* Mappings of this process. */
__attribute__((unused)) static size_t face_count_mappings(void)
{
	char buf[4096];
	size_t lines = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		face_fail(__FILE__, __LINE__, "open /proc/self/maps");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	(void)close(fd);
	return lines;
}

/* xorshift64: the next number of a sequence; *state must not be 0. */
__attribute__((unused)) static uint64_t face_rng(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A size from a mix like that of programs: mostly below 512, some to 8 KiB, a few big. */
__attribute__((unused)) static size_t face_mixed_size(uint64_t *state)
{
	uint64_t r = face_rng(state);
	uint64_t pick = r % 1000;
	r >>= 16;
	if (pick < 850)
		return (size_t)(r % 512);
	if (pick < 980)
		return (size_t)(r % (8 * KiB));
	if (pick < 998)
		return (size_t)(r % (64 * KiB));
	return (size_t)(r % (512 * KiB));
}

/* Is malloc the one in the file FACE_LIB? True when FACE_LIB is not set. */
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

/* The address of a symbol that no header declares; stops when it is missing. */
__attribute__((unused)) static void *face_sym(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);
	if (p == NULL)
		face_fail(__FILE__, __LINE__, name);
	return p;
}

/* Objects that carry their size and a pattern, so that whoever frees one can tell whether
 * somebody else wrote to it. Any n; objects too small for the header are not checked. */
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
__attribute__((unused)) static int face_run_case(int argc, char **argv, const struct face_case *cases, size_t n)
{
	CHECK(argc == 2);
	CHECK(face_malloc_is_goalloc());
	for (size_t i = 0; i < n; i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			return 0;
		}
	}
	face_fail(__FILE__, __LINE__, "the name of a case");
}

#endif
