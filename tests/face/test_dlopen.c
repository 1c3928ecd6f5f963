/* SPDX-License-Identifier: MIT */
/*
 * test_dlopen.c - the library loaded by dlopen into a program that has another malloc.
 *
 * The library stays loaded after dlclose (nodelete), because its memory is in use. A library with
 * much static TLS, or with TLS that needs __tls_get_addr, would fail here, because threads exist
 * already.
 *
 * Usage: test_dlopen LIBRARY local|global.
 */
#include "face.h"

#include <pthread.h>
#include <sys/wait.h>

typedef void *malloc_fn(size_t);
typedef void *realloc_fn(void *, size_t);
typedef void free_fn(void *);
typedef size_t usable_fn(void *);
typedef void *dlsym_fn(void *, const char *);

static malloc_fn *our_malloc;
static realloc_fn *our_realloc;
static free_fn *our_free;
static usable_fn *our_usable;
static pthread_barrier_t loaded;

static void allocate_and_free(uint64_t seed)
{
	enum { N = 1000 };
	void *p[N];
	size_t n[N];

	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < N; i++) {
			n[i] = rng_mixed_size(&seed);
			p[i] = our_malloc(n[i]);
			CHECK(p[i] != NULL);
			CHECK(our_usable(p[i]) >= n[i]);
			face_object_fill(p[i], n[i], 3);
		}
		for (size_t i = 0; i < N; i++) {
			CHECK(face_object_intact(p[i], n[i], 3));
			if (i % 5 == 0)
				p[i] = our_realloc(p[i], n[i] * 2 + 1);
			our_free(p[i]);
		}
	}
}

/* Runs in a thread that is older than the library. */
static void *old_thread(void *arg)
{
	(void)pthread_barrier_wait(&loaded);
	allocate_and_free(17);
	return arg;
}

static void *new_thread(void *arg)
{
	allocate_and_free(99);
	return arg;
}

static void pointers_from_before_are_handed_to_their_malloc(void)
{
	static const size_t sizes[] = {1, 24, 100, 5000, 300000, 4000000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = malloc(sizes[i]), *q = malloc(sizes[i]);
		CHECK(p != NULL && q != NULL);
		memset(p, 'p', sizes[i]);
		memset(q, 'q', sizes[i]);
		CHECK(our_usable(p) >= sizes[i]);
		our_free(p);
		q = our_realloc(q, sizes[i] * 2);
		CHECK(q != NULL && q[0] == 'q' && q[sizes[i] - 1] == 'q');
		our_free(q);
	}
}

/* The program's calls that are bound already go to its own malloc. */
static void look_ups_lead_to_the_programs_malloc(dlsym_fn *our_dlsym)
{
	void *programs = dlsym(RTLD_NEXT, "malloc");

	CHECK(our_dlsym != NULL && programs != (void *)our_malloc);
	CHECK(our_dlsym(RTLD_NEXT, "malloc") == programs);
	CHECK(dlsym(RTLD_NEXT, "malloc") == programs);
}

static void forked_child_uses_it(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		pthread_t t;
		allocate_and_free(5);
		CHECK(pthread_create(&t, NULL, new_thread, NULL) == 0);
		CHECK(pthread_join(t, NULL) == 0);
		_exit(0);
	}
	CHECK(child_wait(child) == 0);
}

int main(int argc, char **argv)
{
	pthread_t old[3], new[3];
	void *handle, *kept;

	CHECK(argc == 3);
	CHECK(pthread_barrier_init(&loaded, NULL, 4) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&old[i], NULL, old_thread, NULL) == 0);

	handle = dlopen(argv[1], RTLD_NOW | (strcmp(argv[2], "global") == 0 ? RTLD_GLOBAL : 0));
	if (handle == NULL)
		check_fail(__FILE__, __LINE__, dlerror());
	our_malloc = (malloc_fn *)dlsym(handle, "malloc");
	our_realloc = (realloc_fn *)dlsym(handle, "realloc");
	our_free = (free_fn *)dlsym(handle, "free");
	our_usable = (usable_fn *)dlsym(handle, "malloc_usable_size");
	CHECK(our_malloc != NULL && our_realloc != NULL && our_free != NULL && our_usable != NULL);
	CHECK(our_malloc != &malloc);

	(void)pthread_barrier_wait(&loaded);
	allocate_and_free(1);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&new[i], NULL, new_thread, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_join(old[i], NULL) == 0);
		CHECK(pthread_join(new[i], NULL) == 0);
	}
	pointers_from_before_are_handed_to_their_malloc();
	look_ups_lead_to_the_programs_malloc((dlsym_fn *)dlsym(handle, "dlsym"));
	forked_child_uses_it();

	kept = our_malloc(5000);
	CHECK(kept != NULL);
	memset(kept, 1, 5000);
	CHECK(dlclose(handle) == 0);
	our_free(kept);
	allocate_and_free(2);
	return 0;
}
