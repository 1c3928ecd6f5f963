/* SPDX-License-Identifier: MIT */
/*
 * test_mapped_over.c - objects over which the program maps a file, as databases and ring buffers
 * do, and which it then frees: memory that calloc returns is zero, and the file stays as it is.
 *
 * Owns     the file, in memory.
 * Callers  CTest, linked with the library and preloaded. argv[1] is the case.
 * Locks    none.
 * Holds    the address range of the object is the program's until free(). Afterwards it is the
 *          heap's again, whatever is mapped there.
 */
#include "face.h"

#include <malloc.h>
#include <sys/mman.h>

#define OBJECT_SIZE (8 * MiB)
#define FILE_SIZE (2 * MiB)

static int make_file(void)
{
	static char bytes[64 * KiB];
	int fd = memfd_create("mapped over", MFD_CLOEXEC);

	CHECK(fd >= 0);
	memset(bytes, 0x5a, sizeof(bytes));
	for (size_t n = 0; n < FILE_SIZE; n += sizeof(bytes))
		CHECK(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
	return fd;
}

static void check_file(int fd)
{
	unsigned char byte;

	for (size_t at = 0; at < FILE_SIZE; at += 4 * KiB)
		CHECK(pread(fd, &byte, 1, (off_t)at) == 1 && byte == 0x5a);
}

static void check_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK(p[i] == 0);
}

/* Maps the file over two places of the object. One of them is its end. */
static void map_over(char *p, int fd, int flags)
{
	char *at = p + 2 * MiB;

	CHECK(mmap(at, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0) == at);
	at = p + OBJECT_SIZE - FILE_SIZE;
	CHECK(mmap(at, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0) == at);
	CHECK(at[0] == 0x5a);
}

/* The memory goes back to the system, and comes again. */
static void free_and_look(void *p, int fd)
{
	unsigned char *q[2];

	free(p);
	CHECK(malloc_trim(0) == 1);
	for (int i = 0; i < 2; i++) {
		q[i] = calloc(1, OBJECT_SIZE);
		CHECK(q[i] != NULL);
		check_zero(q[i], OBJECT_SIZE);
		memset(q[i], 0xff, OBJECT_SIZE);
	}
	check_file(fd);
	for (int i = 0; i < 2; i++)
		free(q[i]);
}

static void *make_object(void)
{
	void *p = aligned_alloc(2 * MiB, OBJECT_SIZE);

	CHECK(p != NULL);
	memset(p, 1, OBJECT_SIZE);
	return p;
}

static void shared(void)
{
	int fd = make_file();
	char *p = make_object();

	map_over(p, fd, MAP_SHARED);
	free_and_look(p, fd);
}

static void private(void)
{
	int fd = make_file();
	char *p = make_object();

	map_over(p, fd, MAP_PRIVATE);
	free_and_look(p, fd);
}

/* The pages of an object that realloc grows may be moved by the kernel; what stays behind is still
 * a mapping of the file. */
static void grown(void)
{
	int fd = make_file();
	char *p = make_object(), *behind = malloc(MiB), *q;

	CHECK(behind != NULL);
	map_over(p, fd, MAP_SHARED);
	q = realloc(p, 3 * OBJECT_SIZE);
	CHECK(q != NULL && q[2 * MiB] == 0x5a && q[OBJECT_SIZE - 1] == 0x5a);
	free_and_look(q, fd);
	free(behind);
}

static void kept(void)
{
	int fd = make_file();
	char *p = make_object();
	unsigned char *q;

	/* Without a trim the pages are used again as they are. */
	map_over(p, fd, MAP_PRIVATE);
	free(p);
	q = calloc(1, OBJECT_SIZE);
	CHECK(q != NULL);
	check_zero(q, OBJECT_SIZE);
	check_file(fd);
	free(q);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"shared", shared},
		{"private", private},
		{"grown", grown},
		{"kept", kept},
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
