/* SPDX-License-Identifier: MIT */
/*
 * runner.h - runs one program once and says what it cost.
 *
 * Owns     the scratch directory, in which programs run and find their input, and which
 *          runner_close() removes.
 * Callers  measure.c for the samples, allocator.c to probe, main.c to prepare input. One thread.
 * Holds    one child at a time, in a process group of its own, so that nothing it started outlives
 *          a time-out. LD_PRELOAD is set in the child only. The caller stays small: a child's peak
 *          RSS begins as that of the process it was forked from.
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
	double sys_ns;                    /* the same */
	double rss_kib;                   /* peak of the largest process among them */
	double faults;                    /* page faults of the child and all it waited for */
	uint64_t output_hash;             /* of all of stdout */
	char output[512];                 /* how stdout begins, as a string */
};

/* Makes the scratch directory and blocks the signals the runner waits for. Exits 1 if it cannot. */
void runner_open(void);
void runner_close(void);
const char *runner_scratch(void);

/* Runs and waits. After an interrupt (SIGINT, SIGTERM, SIGHUP) the child is killed, the scratch
 * directory removed, and the program ends with status 130. */
void runner_run(const struct run_order *order, struct run_outcome *outcome);

/* The path of a program, which the caller frees, or NULL. System directories come before $PATH, so
 * that version managers' wrappers are not what is measured. */
char *runner_find(const char *name);

/* Does the same along $PATH alone, in its order. */
char *runner_find_along_path(const char *name);

/* Writes how a process ended, from its status as wait4 tells it. */
void runner_describe_end(int status, char *text, size_t nbytes);

#endif
