/* SPDX-License-Identifier: MIT */
/*
 * workload.h - what every workload offers to main.c, and what main.c offers to them.
 *
 * A workload does a fixed amount of work, one shape of it, and returns nanoseconds per operation.
 * What it needs for itself (arrays of pointers and the like) comes from own_memory(), not from
 * malloc, so that the peak memory of a run is the allocator's doing.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/*
 * Each takes the words after its name, checked for number by main.c, and returns ns per operation.
 */
double aligned_run(char **arg);
double big_run(char **arg);
double bulk_run(char **arg);
double churn_run(char **arg);
double exchange_run(char **arg);
double fill_run(char **arg);
double growth_run(char **arg);
double handover_run(char **arg);
double mix_run(char **arg);
double pair_run(char **arg);
double server_run(char **arg);
double steady_run(char **arg);
double zeroed_run(char **arg);

/* Prints the file that malloc comes from; returns 0, or 1 if it cannot be found. */
int probe_print(void);

/* A whole number with an optional K, M or G (1024s) in min..max, or the end of the program:
 * status 2. */
size_t arg_number(const char *word, size_t min, size_t max);

/* The place of `word` in the NULL-ended list `choice`, or the end of the program: status 2. */
size_t arg_choice(const char *word, const char *const *choice);

/* nbytes of zeroed memory straight from the kernel, kept to the end of the program. */
void *own_memory(size_t nbytes);

/* Starts a thread, or ends the program: status 1. */
void thread_start(uintptr_t *thread, void *(*body)(void *), void *arg);

void thread_join(uintptr_t thread);

/* Keeps the calling thread on the nth processor it may use, counted round, so that threads that
 * work together are always on different ones and never, by chance, in the same cache. */
void thread_pin(unsigned nth);

#endif
