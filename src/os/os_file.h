/* SPDX-License-Identifier: MIT */
/*
 * os_file.h - files that are written: how a name is opened, and how a file takes the place of
 * another. See os_file.c.
 *
 * Every call keeps errno, takes no lock and allocates nothing. Results below 0 are -errno.
 */
#ifndef GOALLOC_OS_FILE_H
#define GOALLOC_OS_FILE_H

#include "base/base.h"

enum os_file_use { OS_FILE_APPEND, OS_FILE_REPLACE };

/* A file that is being written. */
struct os_file {
	int fd;                 /* to write to: a high number, close-on-exec */
	int dir;                /* where temp is to get its name; -1 */
	const char *name;       /* in dir; part of the path that was given */
	char temp[32];          /* name of an unfinished file; "": fd is the file itself */
};

/*
 * Opens a name to write to. What the name is decides:
 *   one of the process's own descriptors (/dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N)
 *          it is duplicated
 *   nothing, or a regular file    appended to; or a new file beside it, which os_file_end() renames
 *   a device or a FIFO            opened as it is, and it does not block: ENXIO if nobody reads
 *   a symbolic link               ELOOP: another user may have put it there
 * New files are the user's alone (0600). path stays the caller's until os_file_end(), and is
 * changed during this call. Returns 0, or -errno.
 */
int os_file_begin(struct os_file *f, char *path, enum os_file_use use);

/* Closes it. A new file gets its name if whole is true, and is removed if not. Returns 0, or
 * -errno. */
int os_file_end(struct os_file *f, bool whole);

/* What os_file_begin() would return, as far as is seen without opening anything. */
int os_file_check(char *path, enum os_file_use use);

#endif
