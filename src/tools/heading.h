/* SPDX-License-Identifier: MIT */
/*
 * heading.h - of which program, when, and by which version a report is. See heading.c.
 */
#ifndef GOALLOC_HEADING_H
#define GOALLOC_HEADING_H

#include "base/base.h"

/* Bytes of the longest heading, its end included. */
#define HEADING_MAX 160

/* What a heading tells. */
struct heading {
	const char *program;     /* its name, of at most 40 bytes */
	unsigned pid;
	uint64_t time_s;         /* since 1970 */
	uint64_t up_s;           /* HEADING_UP_UNKNOWN, or seconds */
	const char *version;     /* of the library, of at most 40 bytes */
};

#define HEADING_UP_UNKNOWN UINT64_MAX

/* Makes "redis-server, pid 123, 2026-11-30 09:15:02 UTC, up 12 s, goalloc 1.0.0". */
void heading_make(char text[HEADING_MAX], const struct heading *h);

/* Makes the heading of a report about the process pid: the calling process or, in a snapshot, the
 * process that the snapshot is a copy of. */
void heading_of_self(char text[HEADING_MAX], int pid);

#endif
