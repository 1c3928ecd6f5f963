/* SPDX-License-Identifier: MIT */
/*
 * gzip.h - writes a gzip file of blocks that are stored, not compressed. See gzip.c.
 */
#ifndef GOALLOC_GZIP_H
#define GOALLOC_GZIP_H

#include "os/out.h"

#define GZIP_BLOCK 4096

/* A file that is being written. It belongs to its writer, and is large for a stack. */
struct gzip {
	struct out out;
	uint32_t crc;       /* inverted */
	uint32_t total;     /* bytes, modulo 2^32 */
	size_t len;         /* bytes in block */
	uint8_t block[GZIP_BLOCK];
};

/* Begins a file on a descriptor, and adds bytes to it. */
void gzip_begin(struct gzip *z, int fd);
void gzip_bytes(struct gzip *z, const void *p, size_t n);

/* Ends the file. Returns 0, or the errno of a write that failed. */
int gzip_end(struct gzip *z);

#endif
