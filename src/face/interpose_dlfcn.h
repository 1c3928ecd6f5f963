/* SPDX-License-Identifier: MIT */
/*
 * interpose_dlfcn.h - what prepares libc's symbol table before a load or a look-up that may lead
 * past this library. See interpose_dlfcn.c.
 */
#ifndef GOALLOC_INTERPOSE_DLFCN_H
#define GOALLOC_INTERPOSE_DLFCN_H

#include "os/libc.h"
#include "os/libc_types.h"

typedef void *dlopen_fn(const char *file, int mode);
typedef void *dlmopen_fn(Lmid_t space, const char *file, int mode);
typedef void *dlsym_fn(void *handle, const char *name);
typedef void *dlvsym_fn(void *handle, const char *name, const char *version);

/* Calls the next function of the name behind ours, by a tail call if the value is returned. Is NULL
 * where libc has none: musl has no dlvsym(3), and glibc before 2.34 has libdl for all of them. */
#define CALL_NEXT(type, name, ...) \
	({ \
		type *next_ = (type *)libc_next_function(name); \
		next_ == NULL ? NULL : next_(__VA_ARGS__); \
	})

/* Prepares for a load in this mode, as dlopen(3) has it. */
void dlfcn_prepare_load(int mode);

/* Prepares for a look-up of the name. */
void dlfcn_prepare_look_up(const char *name);

#endif
