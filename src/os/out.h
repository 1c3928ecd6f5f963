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
void out_dec(struct out *o, uint64_t v);
void out_left(struct out *o, const char *s, unsigned width); /* left-aligned: spaces behind it */
void out_hex(struct out *o, uint64_t v);                    /* 0x..., lowercase, no padding */
void out_padded(struct out *o, uint64_t v, unsigned width); /* decimal, right-aligned with spaces */

/* Writes v / 10^digits with digits places behind the point: out_fixed(o, 1234, 2) is 12.34. */
void out_fixed(struct out *o, uint64_t v, unsigned digits);

/* Writes a size right-aligned, with a binary unit and one place: "  12.3 MiB". It is 10 characters
 * wide up to the exbibyte. */
void out_size(struct out *o, uint64_t nbytes);

/* Writes a size without padding: "12.3 MiB", "48 B". */
void out_short_size(struct out *o, uint64_t nbytes);

/* Writes the buffer. Returns false when this or an earlier write failed; error tells why. */
bool out_flush(struct out *o);

/* Writes a text from outside, n bytes of it, with "?" for what a terminal would obey: see
 * text.h. */
void out_text(struct out *o, const char *s, size_t n);

/* In the names of files %p is the process id and %n a number: n, or where n is 0 that of such calls
 * in the process, from 1. */

/* Opens a file to append to, made if need be: see os_file.h. A high descriptor, close-on-exec; or
 * -errno. */
int out_open_append(const char *file, uint64_t n);

/* Has write(fd, file) write a file. One that is not appended to takes the place of an older one
 * when it is whole, and is removed when it is not. Returns 0, or the errno of what failed, which is
 * what write() returns, too. */
int out_to_file(const char *file, bool append, uint64_t n, int (*write)(int fd, const char *file));

/* Returns -errno of such an open, as far as is seen without doing it; 0. */
int out_check(const char *file, bool append);

/* Returns in words what an errno means for a file that is written. */
const char *out_reason(int error);

#endif
