/* SPDX-License-Identifier: MIT */
/*
 * svg.h - draws the results as two panels, time and peak memory, with a line for each row and a dot
 * for each allocator at its ratio to glibc.
 */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stdbool.h>

#include "machine.h"
#include "results.h"

/* Replaces the file; false, with errno set, if it cannot be written. */
bool svg_write(const char *path, const struct results *r, const struct machine *m);

#endif
