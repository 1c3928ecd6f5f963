/* SPDX-License-Identifier: MIT */
/*
 * test_deepbind.c - pointers that cross the border to a library loaded with RTLD_DEEPBIND, in
 * both directions, and pointers that never leave it.
 *
 * Usage: test_deepbind DEEPBIND_LIB DIRECTION FUNCTION. FUNCTION opens the library: see
 * open_library().
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

static void *(*deep_malloc)(size_t);
static void *(*deep_calloc)(size_t);
static void *(*deep_aligned)(size_t, size_t);
static char *(*deep_strdup)(const char *);
static void *(*deep_realloc)(void *, size_t);
static size_t (*deep_usable)(void *);
static void (*deep_free)(void *);
static int (*deep_strdup_and_free)(const char *);

static const size_t sizes[] = {1,    8,    15,   16,    24,     40,      100,
				1000, 1040, 5000, 33000, 140000, 1 << 20, 5 << 20};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void expect_and_free(char *p, size_t n, int byte)
{
	CHECK(p != NULL);
	for (size_t i = 0; i < n; i++)
		CHECK(p[i] == byte);
	free(p);
}

static void the_program_frees_and_reallocs_what_the_library_allocated(void)
{
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			size_t n = sizes[i];
			char *p = deep_malloc(n), *q = deep_calloc(n), *r = deep_aligned(64, n);
			CHECK(p != NULL && q != NULL && r != NULL);
			memset(p, 'p', n);
			memset(q, 'q', n);
			memset(r, 'r', n);
			CHECK(malloc_usable_size(p) >= n);
			expect_and_free(p, n, 'p');
			expect_and_free(realloc(q, n + 100), n, 'q');
			expect_and_free(realloc(r, n / 2 + 1), n / 2 + 1, 'r');
		}
		expect_and_free(deep_strdup("ssssssssssssssssssssss"), 22, 's');
		CHECK(realloc(deep_malloc(100), (size_t)round & 0) == NULL);
	}
}

static void the_library_frees_and_reallocs_what_the_program_allocated(void)
{
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			size_t n = sizes[i];
			char *p = malloc(n), *q = calloc(1, n), *r = aligned_alloc(64, n);
			CHECK(p != NULL && q != NULL && r != NULL);
			memset(q, 'q', n);
			memset(r, 'r', n);
			CHECK(deep_usable(p) >= n);
			deep_free(p);
			expect_and_free(deep_realloc(q, n + 100), n, 'q');
			expect_and_free(deep_realloc(r, n / 2 + 1), n / 2 + 1, 'r');
		}
		deep_free(strdup("made by the program's strdup"));
	}
}

static void the_library_frees_its_own_strdup(void)
{
	for (int round = 0; round < 200; round++) {
		char *p, *q;
		CHECK(deep_strdup_and_free("made and freed in the library") == 1);
		p = deep_strdup("a short one");
		q = deep_realloc(p, 200);
		CHECK(q != NULL && strcmp(q, "a short one") == 0);
		deep_free(q);
		deep_free(deep_malloc((size_t)round * 100));
	}
}

static void look_up(void *handle)
{
	deep_malloc = (void *(*)(size_t))dlsym(handle, "deep_malloc");
	deep_calloc = (void *(*)(size_t))dlsym(handle, "deep_calloc");
	deep_aligned = (void *(*)(size_t, size_t))dlsym(handle, "deep_aligned");
	deep_strdup = (char *(*)(const char *))dlsym(handle, "deep_strdup");
	deep_realloc = (void *(*)(void *, size_t))dlsym(handle, "deep_realloc");
	deep_usable = (size_t (*)(void *))dlsym(handle, "deep_usable");
	deep_free = (void (*)(void *))dlsym(handle, "deep_free");
	deep_strdup_and_free = (int (*)(const char *))dlsym(handle, "deep_strdup_and_free");
	CHECK(deep_malloc != NULL && deep_calloc != NULL && deep_aligned != NULL &&
	      deep_strdup != NULL && deep_realloc != NULL && deep_usable != NULL &&
	      deep_free != NULL && deep_strdup_and_free != NULL);
}

/* --- ways to open a library --- */

typedef void *dlopen_fn(const char *, int);
typedef void *dlmopen_fn(Lmid_t, const char *, int);

/* Returns libc's own function, as it is found by the handle of a library that has it. */
static void *function_of(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_NOW), *f;

	CHECK(handle != NULL);
	f = dlsym(handle, name);
	CHECK(f != NULL);
	return f;
}

static void *open_library(const char *how, const char *file)
{
	int mode = RTLD_NOW | RTLD_DEEPBIND;

	if (strcmp(how, "dlopen") == 0)
		return dlopen(file, mode);
	if (strcmp(how, "dlmopen") == 0)
		return dlmopen(LM_ID_BASE, file, mode);
	if (strcmp(how, "libc_dlopen") == 0)
		return ((dlopen_fn *)function_of("libc.so.6", "dlopen"))(file, mode);
	if (strcmp(how, "libc_dlmopen") == 0)
		return ((dlmopen_fn *)function_of("libc.so.6", "dlmopen"))(LM_ID_BASE, file, mode);
	if (strcmp(how, "libm_dlopen") == 0)
		return ((dlopen_fn *)function_of("libm.so.6", "dlopen"))(file, mode);
	check_fail(__FILE__, __LINE__, how);
}

/* --- threads that are the first at the same time --- */

static pthread_barrier_t barrier;

static void *open_and_use(void *arg)
{
	void *handle;

	(void)pthread_barrier_wait(&barrier);
	handle = dlopen(arg, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	CHECK(handle != NULL);
	deep_strdup_and_free = (int (*)(const char *))dlsym(handle, "deep_strdup_and_free");
	CHECK(deep_strdup_and_free("made and freed in the library") == 1);
	return NULL;
}

static void threads_open_their_first_library(char *file)
{
	for (int round = 0; round < 200; round++) {
		pid_t child = fork();
		int status;

		CHECK(child >= 0);
		if (child == 0) {
			pthread_t threads[4];

			CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
			for (int i = 0; i < 4; i++)
				CHECK(pthread_create(&threads[i], NULL, open_and_use, file) == 0);
			for (int i = 0; i < 4; i++)
				CHECK(pthread_join(threads[i], NULL) == 0);
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
}

/* --- what is nobody's, afterwards --- */

static void a_wild_pointer_is_reported_as_before(void)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		/* On the stack, what glibc would take for an object. */
		_Alignas(16) size_t fake[16] = {0, 0x41};
		void *volatile p = &fake[2];

		(void)close(2);
		free(p);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGABRT);
}

/* For GOALLOC=off=1, too: then libc's heap is behind all names. */
static void sizes_are_told(void)
{
	void *p = malloc(100), *q = deep_malloc(100);

	CHECK(malloc_usable_size(p) >= 100 && malloc_usable_size(q) >= 100 &&
	      deep_usable(p) >= 100);
	deep_free(p);
	free(q);
	p = realloc(deep_malloc(10), 1000);
	CHECK(malloc_usable_size(p) >= 1000);
	free(p);
}

int main(int argc, char **argv)
{
	void *handle;

	CHECK(argc == 4);
	CHECK(face_malloc_is_goalloc());
	if (strcmp(argv[2], "race") == 0) {
		threads_open_their_first_library(argv[1]);
		return 0;
	}
	handle = open_library(argv[3], argv[1]);
	if (handle == NULL)
		check_fail(__FILE__, __LINE__, dlerror());
	look_up(handle);
	if (strcmp(argv[2], "library_to_program") == 0)
		the_program_frees_and_reallocs_what_the_library_allocated();
	else if (strcmp(argv[2], "program_to_library") == 0)
		the_library_frees_and_reallocs_what_the_program_allocated();
	else if (strcmp(argv[2], "within_library") == 0)
		the_library_frees_its_own_strdup();
	else if (strcmp(argv[2], "wild") == 0)
		a_wild_pointer_is_reported_as_before();
	else if (strcmp(argv[2], "sizes") == 0)
		sizes_are_told();
	else
		check_fail(__FILE__, __LINE__, argv[2]);
	CHECK(dlclose(handle) == 0);
	return 0;
}
