/* SPDX-License-Identifier: MIT */
/*
 * progress.h - says on stderr how far the run is: one line written over and over on a terminal, a
 * line now and then elsewhere.
 *
 * Owns     that line. progress_clear() takes it away before something else is printed.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stddef.h>

/* Before the `done`-th of `total` runs, 0 the first. */
void progress_show(size_t done, size_t total, const char *row, const char *allocator);

void progress_clear(void);

#endif
