/* SPDX-License-Identifier: MIT */
/*
 * workload.h - declares the workloads, and the functions of main.c that they share.
 *
 * A workload does a fixed amount of work of one shape and returns nanoseconds per operation. It
 * takes memory for itself, such as arrays of pointers, from own_memory() and not from malloc, so
 * that the peak memory of a run belongs to the allocator.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/*
 * Each takes the words after its name and returns nanoseconds per operation. main.c has checked how
 * many words there are.
 */
double aligned_run(char **arg);
double big_run(char **arg);
double bulk_run(char **arg);
double churn_run(char **arg);
double exchange_run(char **arg);
double fill_run(char **arg);
double growth_run(char **arg);
double handover_run(char **arg);
double kept_run(char **arg);
double medium_run(char **arg);
double mix_run(char **arg);
double pair_run(char **arg);
double scatter_run(char **arg);
double server_run(char **arg);
double steady_run(char **arg);
double zeroed_run(char **arg);

/* Prints the file that malloc comes from. Returns 0, or 1 if the file cannot be found. */
int probe_print(void);

/* Returns a whole number in min..max that may end in K, M or G, which are powers of 1024. Anything
 * else ends the program with status 2. */
size_t arg_number(const char *word, size_t min, size_t max);

/* Returns the place of `word` in the list `choice`, which ends with NULL. A word that is not in the
 * list ends the program with status 2. */
size_t arg_choice(const char *word, const char *const *choice);

/* Returns nbytes of zeroed memory from the kernel. They stay until own_memory_release(), or until
 * the end of the program. */
void *own_memory(size_t nbytes);
void own_memory_release(void *p, size_t nbytes);

/* Starts a thread. A failure ends the program with status 1. */
void thread_start(uintptr_t *thread, void *(*body)(void *), void *arg);

void thread_join(uintptr_t thread);

/* Keeps the calling thread on the nth processor that it may use, counting round. Threads that work
 * together are then on different processors in every run. */
void thread_pin(unsigned nth);

#endif
