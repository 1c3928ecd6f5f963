/* SPDX-License-Identifier: MIT */
/*
 * program.h - turns the command lines of --program into rows of the results.
 *
 * Owns     the rows and their words, which live until the driver ends.
 * Holds    a row's program exists, can be executed and can load a shared library, as far as its
 *          file tells. The row is run in the user's own directory and environment.
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include "options.h"
#include "results.h"

/* Adds a line to `r` for each command line in `o`. A command line that cannot be run is one line on
 * stderr and exit status 2. A program that ignores LD_PRELOAD is a warning on stderr. */
void programs_add(struct results *r, const struct options *o);

#endif
