/* SPDX-License-Identifier: MIT */
/*
 * os_file.h - opens the files that are written, and replaces a file by a new one. See os_file.c.
 *
 * Every call keeps errno, takes no lock and allocates nothing. Results below 0 are -errno.
 */
#ifndef GOALLOC_OS_FILE_H
#define GOALLOC_OS_FILE_H

#include "base/base.h"

enum os_file_use { OS_FILE_APPEND, OS_FILE_REPLACE };

/* A file that is being written. */
struct os_file {
	int fd;                 /* high, close-on-exec */
	int dir;                /* the directory of name and temp, or -1 */
	const char *name;       /* part of the path that was given */
	char temp[32];          /* the name of the new file; "" if fd is the file itself */
};

/*
 * Opens the file of a name to write to it. The name decides how:
 *   - The name of a descriptor of this process (/dev/stdout, /dev/stderr, /dev/fd/N,
 *     /proc/self/fd/N): the descriptor is duplicated.
 *   - A regular file or nothing: OS_FILE_APPEND opens or makes the file. OS_FILE_REPLACE makes a
 *     new file beside it, which os_file_end() renames.
 *   - A device or a FIFO: it is opened without blocking. The error is ENXIO if nobody reads a FIFO.
 *   - A symbolic link: the error is ELOOP, because another user may have made the link.
 * Only the user may read a new file (0600). The path must stay until os_file_end(). It is changed
 * during this call. Returns 0, or -errno.
 */
int os_file_begin(struct os_file *f, char *path, enum os_file_use use);

/* Closes the file. With whole, a new file gets its name; otherwise it is removed. Returns 0, or
 * -errno. */
int os_file_end(struct os_file *f, bool whole);

/* Returns what os_file_begin() would return, as far as this is known without opening the file. */
int os_file_check(char *path, enum os_file_use use);

#endif
