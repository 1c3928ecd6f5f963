/* SPDX-License-Identifier: MIT */
/*
 * row.h - describes a row of the bench: a program that runs under every allocator in the same way.
 *
 * Owns     the table of rows, which is constant.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include <stdbool.h>
#include <stddef.h>

enum row_group {
	ROW_MICRO,   /* a workload of bench_workload: time is its own ns per operation */
	ROW_PROGRAM, /* a program that exists: time is wall time, and its output must not change */
};

struct row {
	enum row_group group;
	bool full;           /* only with --full */
	bool any_output;     /* the output differs from run to run */
	unsigned repeat;     /* runs in one sample, whose mean is taken; 0 is 1 */
	const char *name;    /* printed, and compared with --only */
	const char *words;   /* arguments of bench_workload; or a program and its arguments */
	char **argv;         /* of --program: the words to execute as they are; else NULL */
	const char *needs;   /* programs that have to be installed besides, or NULL */
	const char *env;     /* NAME=VALUE words, or NULL */
	const char *prepare; /* command to run once before, without preload, or NULL */
	bool (*input)(const char *dir); /* writes the program's input; false if it fails; or NULL */
};

extern const struct row rows[];
extern const size_t nrows;

const char *row_group_name(enum row_group group);

#endif
