/* SPDX-License-Identifier: MIT */
/*
 * heading.h - of which program, when, and by which version a report is. See heading.c.
 */
#ifndef GOALLOC_HEADING_H
#define GOALLOC_HEADING_H

#include "os/out.h"

/* Prints "redis-server, pid 123, 2026-11-30 09:15:02 UTC, up 12 s, goalloc 1.0.0". The name of the
 * program has n bytes. */
void heading_print(struct out *o, const char *name, size_t n);

/* Prints a time as "2026-11-30 09:15:02 UTC", from seconds since 1970. */
void heading_print_time(struct out *o, uint64_t seconds);

#endif
