/* SPDX-License-Identifier: MIT */
/*
 * libc.h - finds libc's own functions, which this library replaces or needs, and what the loader
 * knows of the loaded objects. See libc.c.
 */
#ifndef GOALLOC_LIBC_H
#define GOALLOC_LIBC_H

#include "os/libc_linked.h"
#include "os/loaded.h"

enum libc_name {
	LIBC_MALLOC,
	LIBC_FREE,
	LIBC_CALLOC,
	LIBC_REALLOC,
	LIBC_ALIGNED_ALLOC,
	LIBC_USABLE_SIZE,
	LIBC_MALLINFO,
	LIBC_MALLINFO2,
	LIBC_DLOPEN,
	LIBC_DLMOPEN,
	LIBC_DLSYM,
	LIBC_DLVSYM,
	LIBC_DL_ITERATE_PHDR,
	LIBC_FIND_OBJECT,
	LIBC_GETTID,
	LIBC_GNU_VERSION,
	LIBC_REGISTER_ATFORK,
	LIBC_PTHREAD_ATFORK,
	LIBC_PTHREAD_ATTR_SETSTACKSIZE,
	LIBC_PTHREAD_CREATE,
	LIBC_PTHREAD_KEY_CREATE,
	LIBC_PTHREAD_ONCE,
	LIBC_PTHREAD_SETSPECIFIC,
	LIBC_PTHREAD_SIGMASK,
	LIBC_NAMES
};

/* Returns libc's function of the name, or NULL if libc has none. The result is never a function of
 * this library, nor of another library that replaces libc's. */
void *libc_function(enum libc_name name);

/* Reads libc's tables. Returns false if libc is not among the loaded objects. */
bool libc_tables(struct loaded *libc);

/* Reads the tables of the part of libc that defines the function. glibc before 2.34 has some
 * functions in libraries beside libc. Returns false if no part does. */
bool libc_tables_with(enum libc_name name, struct loaded *part);

/* Reads this library's own tables. Returns false if the loader does not know the library. */
bool libc_own_tables(struct loaded *own);

/* Returns the loader's record of the object that this code is part of, or NULL. */
struct link_map *libc_own_map(void);

/* Returns true if programs take malloc from this library, not from libc, because it comes first in
 * the order of symbol search. A library that was opened after the start comes behind libc. */
bool libc_is_behind(void);

/* Returns whether the address is in libc's mappings. Sets *executable to whether its segment has
 * code. */
bool libc_contains(const struct loaded *libc, uintptr_t addr, bool *executable);

/* Returns the function of the name that dlsym(RTLD_NEXT) would find: that of the first object
 * after this library in the order of symbol search, at last libc's. */
void *libc_next_function(enum libc_name name);

/* Finds the loaded object at an address. Takes no lock, and may be called in signal handlers.
 * Returns 0 if it was found, -1 if no object is there, and LIBC_CANNOT_FIND where libc cannot be
 * asked. */
#define LIBC_CANNOT_FIND 1
int libc_find_object(uintptr_t addr, struct libc_object *found);

/* Returns the address of the ELF header of the loaded object at an address, or 0 if there is none.
 * It reads the loader's list of objects without a lock. The list may change meanwhile; then an
 * object may be missed, but no read is a fault. The object that is found is one that the list had
 * and that was mapped. */
uintptr_t libc_header_of(uintptr_t addr);

/* Points to what is nonzero while the process has one thread. Where libc does not tell, it points
 * to 0: there may be other threads. */
extern const char *libc_single_threaded HIDDEN;

/* Returns true if libc is glibc. The library for glibc runs with musl, too. */
bool libc_is_glibc(void);

/* Returns true if libc takes the calling thread for another one. musl keeps the number of each
 * thread, and does not correct it in a child of vfork(2) or of the system call clone(). What it
 * sends to the calling thread then goes to the parent. */
bool libc_mistakes_thread(void);

/* Returns true if the process has one thread (glibc 2.32 and later; others do not tell). */
static inline bool os_single_threaded(void)
{
	return *libc_single_threaded != 0;
}

#endif
