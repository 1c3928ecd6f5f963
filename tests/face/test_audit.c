/* SPDX-License-Identifier: MIT */
/*
 * test_audit.c - other namespaces: an audit library (LD_AUDIT) that allocates from its own libc,
 * and a second copy of libc and of libraries (dlmopen) in the same process.
 *
 * Usage: test_audit PLUGIN LIBRARY, with LD_AUDIT=audit_lib.so.
 */
#include "face.h"

#include <pthread.h>

typedef char *make_fn(size_t);
typedef void *malloc_fn(size_t);
typedef void free_fn(void *);

static void allocate_and_free(void)
{
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(i * 7 % 5000);
		char *p = malloc(n);

		CHECK(p != NULL);
		memset(p, 1, n);
		free(p);
	}
}

static void *in_thread(void *arg)
{
	allocate_and_free();
	CHECK(getppid() == 4711);
	return arg;
}

/* Checks that of two heaps of ours neither takes the objects of the other for its own, and that
 * both see the end of a thread. */
static void *in_both_heaps(void *arg)
{
	malloc_fn *other_malloc = (malloc_fn *)dlsym(arg, "malloc");
	free_fn *other_free = (free_fn *)dlsym(arg, "free");

	CHECK(other_malloc != NULL && other_free != NULL && other_malloc != &malloc);
	for (size_t n = 1; n < 100000; n += n / 4 + 1) {
		char *p = malloc(n), *q = other_malloc(n);

		CHECK(p != NULL && q != NULL && p != q);
		memset(p, 'p', n);
		memset(q, 'q', n);
		CHECK(p[0] == 'p' && p[n - 1] == 'p');
		free(p);
		other_free(q);
	}
	return arg;
}

int main(int argc, char **argv)
{
	void *handle, *other;
	pthread_t thread;
	make_fn *make;

	CHECK(argc == 3);
	CHECK(face_malloc_is_goalloc());
	CHECK(getppid() == 4711);
	allocate_and_free();
	CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);

	/* Our dlopen is in the middle of it. */
	handle = dlopen(argv[1], RTLD_NOW);
	CHECK(handle != NULL);
	make = (make_fn *)dlsym(handle, "plugin_make");
	CHECK(make != NULL);
	free(make(1000));
	CHECK(dlclose(handle) == 0);

	other = dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW);
	CHECK(other != NULL);
	CHECK(pthread_create(&thread, NULL, in_both_heaps, other) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	(void)in_both_heaps(other);
	CHECK(dlclose(other) == 0);
	allocate_and_free();
	return 0;
}
