/* SPDX-License-Identifier: MIT */
/*
 * out.h - text and bytes on a descriptor, buffered, without stdio and without memory from the heap.
 * See out.c.
 */
#ifndef GOALLOC_OUT_H
#define GOALLOC_OUT_H

#include "base/base.h"

#define OUT_BUFFER 4096

/* Text that is being written. It belongs to its writer, and is large for a stack. */
struct out {
	int fd;
	int error;           /* 0, or errno of a failed write; later text is dropped */
	size_t len;          /* bytes in buffer */
	size_t written;      /* bytes before those */
	char buffer[OUT_BUFFER];
};

void out_init(struct out *o, int fd);

void out_bytes(struct out *o, const void *p, size_t n);
void out_str(struct out *o, const char *s);

/* Writes the text of a format: see base/format.h. */
void out_format(struct out *o, const char *format, ...) FORMATS(2, 3);

/* Returns what makes a noun agree with n: "" or "s". */
static inline const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* Writes the buffer. Returns false when this or an earlier write failed; error tells why. */
bool out_flush(struct out *o);

/* In the file names below, %p stands for the process id and %n for the number n. If n is 0, %n
 * counts the calls in this process, from 1. */

/* Opens a file to append to it, and makes it if there is none: see os_file.h. Returns a high
 * descriptor, close-on-exec, or -errno. */
int out_open_append(const char *file, uint64_t n);

/* Calls write(fd, file) with the file opened, and closes it. Without append, the new file replaces
 * an older one if write() returns 0, and is removed otherwise. Returns 0, or the errno of the step
 * that failed. write() returns 0 or an errno, too. */
int out_to_file(const char *file, bool append, uint64_t n, int (*write)(int fd, const char *file));

/* Returns 0 or -errno, as opening the file would, as far as this is known without opening it. */
int out_check(const char *file, bool append);

/* Returns in words what an errno means for a file that is written. */
const char *out_reason(int error);

#endif
