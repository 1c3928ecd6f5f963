/* SPDX-License-Identifier: MIT */
/*
 * measure.h - takes one sample: one row under one allocator.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>

#include "results.h"

/* Runs the row and adds a sample or a failure to its cell. */
void measure(struct results *r, size_t line, size_t allocator, double timeout_s);

#endif
