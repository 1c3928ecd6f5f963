/* SPDX-License-Identifier: MIT */
/*
 * test_hooked_start.c - a program whose own getenv, open, mmap and so on allocate. If the library
 * called one of them through the PLT while it starts or holds a lock, it would come back into
 * malloc: endless recursion, or a lock taken twice.
 *
 * `hooked` counts how often a hook ran; calls from libc count too. A hook makes only raw system
 * calls for its own work. ENABLE_EXPORTS shows the hooks to the library.
 */
#include "face.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char **environ;

static volatile int hooked;

/* Allocates, as a tracing program would. A hook reached from here does not again. */
static void allocate_in_hook(void)
{
	static __thread int inside __attribute__((tls_model("initial-exec")));

	hooked++;
	if (inside++ == 0) {
		void *volatile p = malloc(100);
		void *volatile q = malloc(50000);
		free(p);
		free(q);
	}
	inside--;
}

static char *find_in_environ(const char *name)
{
	size_t n = strlen(name);
	for (char **e = environ; e != NULL && *e != NULL; e++)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return *e + n + 1;
	return NULL;
}

char *getenv(const char *name)
{
	allocate_in_hook();
	return find_in_environ(name);
}

char *secure_getenv(const char *name)
{
	allocate_in_hook();
	return find_in_environ(name);
}

int open(const char *path, int flags, ...)
{
	int mode = 0;

	if (flags & O_CREAT) {
		va_list ap;
		va_start(ap, flags);
		mode = va_arg(ap, int);
		va_end(ap);
	}
	allocate_in_hook();
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	allocate_in_hook();
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

int munmap(void *at, size_t n)
{
	allocate_in_hook();
	return (int)syscall(SYS_munmap, at, n);
}

int mprotect(void *at, size_t n, int prot)
{
	allocate_in_hook();
	return (int)syscall(SYS_mprotect, at, n, prot);
}

int madvise(void *at, size_t n, int advice)
{
	allocate_in_hook();
	return (int)syscall(SYS_madvise, at, n, advice);
}

int main(void)
{
	enum { N = 3000 };
	static void *p[N];

	CHECK(face_malloc_is_goalloc());
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			p[i] = malloc(i * 13);
			CHECK(p[i] != NULL);
			face_object_fill(p[i], i * 13, 1);
		}
		for (size_t i = 0; i < N; i++) {
			CHECK(face_object_intact(p[i], i * 13, 1));
			free(p[i]);
		}
	}
	CHECK(getenv("PATH") == find_in_environ("PATH"));
	CHECK(hooked > 0);
	return 0;
}
