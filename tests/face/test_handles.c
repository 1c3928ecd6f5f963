/* SPDX-License-Identifier: MIT */
/*
 * test_handles.c - programs that look up free by a handle of libc, by libc's version of it, or as
 * the next one behind the library: it takes what malloc and strdup return. ctypes.CDLL("libc.so.6")
 * of Python and LibC of Ruby's FFI are such programs.
 *
 * Usage: test_handles CASE. Each case is a process of its own, because the first look-up decides
 * for the others.
 */
#include "face.h"
#include "handles_lib.h"

#include <malloc.h>

typedef void *malloc_fn(size_t);
typedef void *realloc_fn(void *, size_t);
typedef void free_fn(void *);
typedef size_t usable_fn(void *);
typedef void *dlsym_fn(void *, const char *);

static void *libc_handle(void)
{
#if defined(__GLIBC__)
	void *handle = dlopen("libc.so.6", RTLD_NOW);
#else
	void *handle = dlopen("libc.so", RTLD_NOW);
#endif

	CHECK(handle != NULL);
	return handle;
}

static void *found(void *f)
{
	CHECK(f != NULL);
	return f;
}

/* Objects of both ways go both ways. */
static void mix(malloc_fn *their_malloc, realloc_fn *their_realloc, free_fn *their_free,
		usable_fn *their_usable)
{
	static const size_t sizes[] = { 0, 1, 24, 1000, 5000, 40000, 3 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = malloc(sizes[i]), *q = their_malloc(sizes[i]);

		CHECK(p != NULL && q != NULL);
		CHECK(their_usable(p) >= sizes[i] && malloc_usable_size(q) >= sizes[i]);
		p = their_realloc(p, sizes[i] + 100);
		q = realloc(q, sizes[i] + 100);
		CHECK(p != NULL && q != NULL);
		their_free(p);
		free(q);
	}
	their_free(strdup("made by libc's strdup"));
	their_free(NULL);
}

static void by_a_handle(void *handle)
{
	mix((malloc_fn *)found(dlsym(handle, "malloc")),
	    (realloc_fn *)found(dlsym(handle, "realloc")),
	    (free_fn *)found(dlsym(handle, "free")),
	    (usable_fn *)found(dlsym(handle, "malloc_usable_size")));
}

static void by_libcs_own_dlsym(void)
{
	void *handle = libc_handle();
	dlsym_fn *own = (dlsym_fn *)found(dlsym(handle, "dlsym"));

	mix((malloc_fn *)found(own(handle, "malloc")), (realloc_fn *)found(own(handle, "realloc")),
	    (free_fn *)found(own(handle, "free")),
	    (usable_fn *)found(own(handle, "malloc_usable_size")));
}

static void by_a_library_behind(void)
{
	char *p = malloc(100), *q = handles_malloc(100);

	CHECK(p != NULL && q != NULL);
	handles_free(p);
	free(q);
	handles_free(strdup("made by libc's strdup"));
	p = realloc(handles_malloc(10), 5000);
	CHECK(malloc_usable_size(p) >= 5000);
	handles_free(p);
}

/* --- what glibc alone has --- */

#if defined(__GLIBC__)

/* The version that each processor's first glibc gave its functions. */
#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST_VERSION "GLIBC_2.17"
#else
#define FIRST_VERSION "GLIBC_2.27"
#endif

static void by_libcs_version(void *handle)
{
	mix((malloc_fn *)found(dlvsym(handle, "malloc", FIRST_VERSION)),
	    (realloc_fn *)found(dlvsym(handle, "realloc", FIRST_VERSION)),
	    (free_fn *)found(dlvsym(handle, "free", FIRST_VERSION)),
	    (usable_fn *)found(dlvsym(handle, "malloc_usable_size", FIRST_VERSION)));
}

typedef struct mallinfo2 mallinfo2_fn(void);

static void figures_and_trim_are_this_heaps(void)
{
	enum { N = 20000 };
	static void *objects[N];
	void *handle = libc_handle();
	mallinfo2_fn *figures = (mallinfo2_fn *)found(dlsym(handle, "mallinfo2"));
	int (*trim)(size_t) = (int (*)(size_t))found(dlsym(handle, "malloc_trim"));
	struct mallinfo2 before = figures(), after;

	for (int i = 0; i < N; i++)
		objects[i] = memset(malloc(1000), 1, 1000);
	after = figures();
	CHECK_LE(before.uordblks + (size_t)N * 1000, after.uordblks);
	for (int i = 0; i < N; i++)
		free(objects[i]);
	CHECK(trim(0) == 1);
}

static bool run_glibc_case(const char *name)
{
	if (strcmp(name, "version") == 0)
		by_libcs_version(libc_handle());
	else if (strcmp(name, "default_version") == 0)
		by_libcs_version(RTLD_DEFAULT);
	else if (strcmp(name, "figures") == 0)
		figures_and_trim_are_this_heaps();
	else
		return false;
	return true;
}

#else

static bool run_glibc_case(const char *name)
{
	return name == NULL;
}

#endif

int main(int argc, char **argv)
{
	CHECK(argc == 2 && face_malloc_is_goalloc());
	if (strcmp(argv[1], "libc") == 0)
		by_a_handle(libc_handle());
	else if (strcmp(argv[1], "libm") == 0)
		by_a_handle(found(dlopen("libm.so.6", RTLD_NOW)));
	else if (strcmp(argv[1], "next") == 0)
		by_a_handle(RTLD_NEXT);
	else if (strcmp(argv[1], "dlsym") == 0)
		by_libcs_own_dlsym();
	else if (strcmp(argv[1], "behind") == 0)
		by_a_library_behind();
	else if (!run_glibc_case(argv[1]))
		check_fail(__FILE__, __LINE__, argv[1]);
	return 0;
}
