/* SPDX-License-Identifier: MIT */
/*
 * libc_shared.c - the functions of libc that the shared library calls, but does not need in order
 * to be loaded.
 *
 * glibc 2.34 gave these functions new versions, and before it they are in libpthread, which few
 * programs have; musl has no __register_atfork() and no __getauxval(). If the library referred to
 * them it would load with none of the older ones. So the functions here take their names within the
 * library. They call libc's, and where libc has none they fail as the manual page of each allows.
 *
 * Owns     nothing.
 * Holds    this file is in the shared library only. What a static program or a test calls by these
 *          names is libc's own function. A process without libpthread has one thread.
 */
#include "os/libc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>

/* Calls libc's function, and returns ENOSYS where libc has none. */
#define CALL(name, type, ...) \
	({ \
		type *libcs = (type *)libc_function(name); \
		libcs == NULL ? ENOSYS : libcs(__VA_ARGS__); \
	})

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int setstacksize_fn(pthread_attr_t *, size_t);
typedef int key_create_fn(pthread_key_t *, void (*)(void *));
typedef int setspecific_fn(pthread_key_t, const void *);
typedef int once_fn(pthread_once_t *, void (*)(void));
typedef int sigmask_fn(int, const sigset_t *, sigset_t *);
typedef int atfork_fn(void (*)(void), void (*)(void), void (*)(void));
typedef int register_fn(void (*)(void), void (*)(void), void (*)(void), void *);

HIDDEN int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
			  void *arg)
{
	return CALL(LIBC_PTHREAD_CREATE, create_fn, thread, attr, body, arg);
}

HIDDEN int pthread_attr_setstacksize(pthread_attr_t *attr, size_t nbytes)
{
	return CALL(LIBC_PTHREAD_ATTR_SETSTACKSIZE, setstacksize_fn, attr, nbytes);
}

HIDDEN int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
	return CALL(LIBC_PTHREAD_KEY_CREATE, key_create_fn, key, destroy);
}

HIDDEN int pthread_setspecific(pthread_key_t key, const void *value)
{
	return CALL(LIBC_PTHREAD_SETSPECIFIC, setspecific_fn, key, value);
}

HIDDEN int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	return CALL(LIBC_PTHREAD_SIGMASK, sigmask_fn, how, set, before);
}

/* The value that says that the function was called, with glibc and musl. */
#define ONCE_DONE 2

HIDDEN int pthread_once(pthread_once_t *once, void (*init)(void))
{
	once_fn *libcs = (once_fn *)libc_function(LIBC_PTHREAD_ONCE);

	if (libcs != NULL)
		return libcs(once, init);
	if (*once != PTHREAD_ONCE_INIT)
		return 0;
	*once = ONCE_DONE;
	init();
	return 0;
}

/* The compiler's name for this library, by which libc drops the handlers of a library that is
 * unloaded. */
extern void *__dso_handle HIDDEN;

HIDDEN int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	register_fn *glibcs = (register_fn *)libc_function(LIBC_REGISTER_ATFORK);

	if (glibcs != NULL)
		return glibcs(prepare, parent, child, __dso_handle);
	return CALL(LIBC_PTHREAD_ATFORK, atfork_fn, prepare, parent, child);
}

/* libgcc for arm64 asks by glibc's own name which atomic instructions the processor has. musl has
 * the public name only. */
unsigned long __getauxval(unsigned long type);
HIDDEN unsigned long __getauxval(unsigned long type)
{
	return getauxval(type);
}
