/* SPDX-License-Identifier: MIT */
/*
 * table.h - prints the results as text: times, peak memory, means and failures.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdio.h>

#include "machine.h"
#include "results.h"

/* Prints the tables. On a terminal the best of a row is bold, unless NO_COLOR is set. */
void table_print(FILE *f, const struct results *r, const struct machine *m);

/* Prints a table for each command line of --program: a line for each allocator with its times, peak
 * memory and page faults. */
void table_print_programs(FILE *f, const struct results *r, const struct machine *m);

#endif
