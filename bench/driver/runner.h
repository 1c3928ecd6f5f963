/* SPDX-License-Identifier: MIT */
/*
 * runner.h - runs one program once and reports what the run cost.
 *
 * Owns     the scratch directory, in which the programs run and find their input. runner_close()
 *          removes it.
 * Locks    none: the driver has one thread.
 * Holds    at most one child runs at a time. It has a process group of its own, so that nothing it
 *          started outlives a time-out. LD_PRELOAD is set in the child only. The driver itself
 *          stays small, because the peak memory of a child begins with that of its parent.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_FAILURE_NBYTES 160

struct run_order {
	const char *program; /* path */
	const char *words;   /* arguments, split at blanks; may be "" */
	char **argv;         /* a user's command, to be run as it is instead of `words`; or NULL */
	const char *env;     /* NAME=VALUE words to add, or NULL */
	const char *preload; /* library, or NULL */
	double timeout_s;
};

struct run_outcome {
	bool ok;                          /* ended by itself with status 0 */
	bool ended;                       /* ended before its time was out; `status` is set */
	int status;                       /* as wait4 tells it */
	char failure[RUN_FAILURE_NBYTES]; /* why it is not ok, one line */
	double wall_ns;                   /* from fork to exit */
	double user_ns;                   /* of the child and all it waited for */
	double sys_ns;                    /* of the child and all it waited for */
	double rss_kib;                   /* peak of the largest process among them */
	double faults;                    /* page faults of the child and all it waited for */
	uint64_t output_hash;             /* of all of stdout */
	char output[512];                 /* how stdout begins, as a string */
};

/* Makes the scratch directory and blocks the signals that the runner waits for. Exits with status 1
 * if it cannot. */
void runner_open(void);
void runner_close(void);
const char *runner_scratch(void);

/* Runs the program and waits for its end. SIGINT, SIGTERM and SIGHUP kill the child, remove the
 * scratch directory and end the driver with status 130. */
void runner_run(const struct run_order *order, struct run_outcome *outcome);

/* Returns the path of a program, which the caller frees, or NULL. System directories come before
 * $PATH, so that a version manager's wrapper is not measured instead of the program. */
char *runner_find(const char *name);

/* Returns the path of a program along $PATH alone, which the caller frees, or NULL. */
char *runner_find_along_path(const char *name);

/* Writes how a process ended, from its status as wait4 tells it. */
void runner_describe_end(int status, char *text, size_t nbytes);

#endif
