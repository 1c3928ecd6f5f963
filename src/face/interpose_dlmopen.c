/* SPDX-License-Identifier: MIT */
/*
 * interpose_dlmopen.c - the functions of interpose_dlfcn.c that musl does not have. A library that
 * had them with musl would mislead programs that look whether libc has.
 *
 * Holds    the functions end in tail calls, as those of interpose_dlfcn.c do.
 */
#include "face/interpose_dlfcn.h"

EXPORT void *dlmopen(Lmid_t space, const char *file, int mode)
{
	dlfcn_prepare_load(mode);
	return CALL_NEXT(dlmopen_fn, LIBC_DLMOPEN, space, file, mode);
}

/* This library's names have no version of libc, so every handle may lead past it. */
EXPORT void *dlvsym(void *restrict handle, const char *restrict name, const char *restrict version)
{
	dlfcn_prepare_look_up(name);
	return CALL_NEXT(dlvsym_fn, LIBC_DLVSYM, handle, name, version);
}
