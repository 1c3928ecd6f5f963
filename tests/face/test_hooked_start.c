/* SPDX-License-Identifier: MIT */
/*
 * test_hooked_start.c - a program whose own getenv, mmap, syscall and so on allocate. If the
 * library called one of them through the PLT while it starts or holds a lock, it would come back
 * into malloc: endless recursion, or a lock taken twice.
 *
 * `hooked` counts how often a hook ran; calls from libc count too. A hook makes raw system
 * calls for its own work, or calls the next function of its name. ENABLE_EXPORTS shows the hooks to
 * the library.
 */
#include "face.h"

#include <elf.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char **environ;

static volatile int hooked;

/* Allocates, as a tracing program would. A hook that is reached from here does not allocate
 * again. */
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

/* Makes a system call without libc. */
static long call_kernel(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__riscv)
	register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = e,
			 a5 __asm__("a5") = f;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
#else
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e,
			 x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#endif
}

/* As torsocks and uid_wrapper have it. */
long syscall(long number, ...)
{
	long v[6], result;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		v[i] = va_arg(ap, long);
	va_end(ap);
	allocate_in_hook();
	result = call_kernel(number, v[0], v[1], v[2], v[3], v[4], v[5]);
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

/* Reads the auxiliary vector where the kernel put it, behind the environment. The program has
 * not changed that. */
unsigned long getauxval(unsigned long type)
{
	char **e = environ;

	allocate_in_hook();
	while (e != NULL && *e != NULL)
		e++;
	for (const Elf64_auxv_t *a = e == NULL ? NULL : (const void *)(e + 1);
	     a != NULL && a->a_type != AT_NULL; a++)
		if (a->a_type == type)
			return a->a_un.a_val;
	return 0;
}

int sigfillset(sigset_t *set)
{
	allocate_in_hook();
	memset(set, 0xff, sizeof(*set));
	return 0;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	allocate_in_hook();
	return (int)-call_kernel(SYS_rt_sigprocmask, how, (long)set, (long)before, 8, 0, 0);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
	int (*real)(int, const struct sigaction *, struct sigaction *);

	allocate_in_hook();
	*(void **)&real = dlsym(RTLD_NEXT, "sigaction");
	return real(number, action, before);
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	int (*real)(pthread_key_t *, void (*)(void *));

	allocate_in_hook();
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_key_create");
	return real(key, destructor);
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	int (*real)(pthread_key_t, const void *);

	allocate_in_hook();
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_setspecific");
	return real(key, value);
}

int pthread_setcancelstate(int state, int *before)
{
	int (*real)(int, int *);

	allocate_in_hook();
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_setcancelstate");
	return real(state, before);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	allocate_in_hook();
	return (int)call_kernel(SYS_clock_gettime, clock, (long)ts, 0, 0, 0, 0);
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
	char *big;

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
		big = malloc(3 << 20);
		CHECK(big != NULL && malloc(0) != NULL);
		memset(big, 1, 3 << 20);
		big = realloc(big, 30 << 20);
		CHECK(big != NULL && big[(3 << 20) - 1] == 1);
		free(big);
		malloc_trim(0);
	}
	CHECK(getenv("PATH") == find_in_environ("PATH"));
	CHECK(hooked > 0);
	return 0;
}
