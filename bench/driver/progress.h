/* SPDX-License-Identifier: MIT */
/*
 * progress.h - tells on stderr how far the run is: one line that is rewritten on a terminal, a new
 * line now and then elsewhere.
 *
 * Owns     that line. progress_clear() removes it before something else is printed.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stddef.h>

/* Shows that run number `done` of `total` begins; the first has number 0. */
void progress_show(size_t done, size_t total, const char *row, const char *allocator);

void progress_clear(void);

#endif
