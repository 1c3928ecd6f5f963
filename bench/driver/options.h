/* SPDX-License-Identifier: MIT */
/*
 * options.h - describes the command line of bench_driver.
 *
 * Holds    after options_parse(), every number is in its range, every output file can be opened,
 *          and every library that is named exists.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_NWITH     16
#define MAX_NONLY     32
#define MAX_NROUNDS   1000
#define MAX_NPROGRAMS 16

struct with {
	char *name;       /* column heading; owned */
	const char *path; /* of the library, as given */
};

struct options {
	bool full;            /* all rows, more rounds */
	bool list;            /* print the rows and exit */
	bool show_allocators; /* print the machine and the libraries and exit */
	bool no_peers;        /* only glibc, goalloc and the allocators of --with */
	unsigned nrounds;     /* 1..MAX_NROUNDS */
	const char *lib;      /* goalloc's .so; NULL: the one beside the driver's directory */
	const char *json;     /* file to write, or NULL */
	const char *svg;      /* file to write, or NULL */
	const char *only[MAX_NONLY]; /* patterns; a row that matches one is run */
	size_t nonly;
	const char *program[MAX_NPROGRAMS]; /* command lines of the user, run instead of rows */
	size_t nprograms;
	struct with with[MAX_NWITH];
	size_t nwith;
};

/* Reads the command line. --help prints a text and exits with status 0. A mistake is one line on
 * stderr and exit status 2. */
void options_parse(struct options *o, int argc, char **argv);

/* Returns whether the row `name` was asked for by --only, or --only was not given. */
bool options_select(const struct options *o, const char *name);

/* Prints one line on stderr and exits with status 2. */
_Noreturn void options_fail(const char *format, ...);

#endif
