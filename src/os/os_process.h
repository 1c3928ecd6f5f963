/* SPDX-License-Identifier: MIT */
/*
 * os_process.h - what is asked of the kernel about processes and threads: helpers, copies, stopping. See os_process.c.
 *
 * Every call keeps errno, takes no lock and allocates nothing. Those that say so return -errno when they fail.
 */
#ifndef GOALLOC_OS_PROCESS_H
#define GOALLOC_OS_PROCESS_H

#include "base/base.h"

/* --- processes of ours --- */

/* A process of its own that shares the caller's memory, with a stack that ends at stack; it runs body(arg) and ends with its result.
 * The caller waits for it with os_wait_exit(): nobody else is told. Its id, or -errno. */
int os_start_helper(int (*body)(void *arg), void *stack, void *arg);

/* In a helper: copies it and the memory it sees. Returns 0 in the copy, which is a child of the helper's parent, waited for like the
 * helper; its id in the helper, or -errno. */
int os_copy_process(void);

/* Waits for a process made by these. Returns its exit status; -N: signal N killed it;
 * OS_NO_PROCESS: there is none. */
#define OS_NO_PROCESS INT32_MIN
int os_wait_exit(int pid);

_Noreturn void os_exit(int status);

/* The calling process is killed when the thread that made it ends. False: it ended already. */
bool os_die_with(int parent_pid);

/* In a copy: closes every descriptor but one (-1: none). */
void os_close_all_but(int fd);

/* No core file of this process. */
void os_no_core(void);

/* All signals wait until they are let through again. */
uint64_t os_block_signals(void);
void os_restore_signals(uint64_t before);

/* --- who may look --- */

int os_thread_id(void);

/* 1: the process may be traced, and its /proc be read, by others of the same user. 0 or 2: not. */
int os_get_dumpable(void);

/* With Yama: pid, no child of the caller's ancestors, may trace the caller; 0: nobody. False: there is no Yama. */
bool os_allow_tracer(int pid);

/* --- threads of another process --- */

/* Fills tids with the threads of a process; their number, which may be more than max, or -errno. */
long os_list_threads(int pid, int *tids, size_t max);

/* 'R', 'S', 'D' and so on as proc(5) has it; 0: there is no such thread. */
char os_thread_state(int pid, int tid);

/* The thread shall stop, whatever it does, and comes to no instruction of its own again until os_trace_end() or the end of the
 * calling process. 0, or -errno. */
int os_trace_begin(int tid);

enum os_trace { OS_TRACE_RUNS, OS_TRACE_STOPPED, OS_TRACE_GONE };

/* Whether it has stopped; *signal is what it was about to get, for os_trace_end(). */
enum os_trace os_trace_poll(int tid, int *signal);

/* Registers of a stopped thread: general ones, those of vectors, the one that thread-local storage is found by where it is not among
 * the general ones. Bytes written to buffer, 0: there are none. */
enum os_registers { OS_GENERAL, OS_VECTORS, OS_TLS };
size_t os_trace_registers(int tid, enum os_registers which, void *buffer, size_t nbytes);

void os_trace_end(int tid, int signal);

uint64_t os_now_us(void);           /* CLOCK_MONOTONIC */
void os_yield(unsigned microseconds);

/* A file of a process in /proc, to read. -errno. */
int os_open_process(int pid, const char *file);

/* Copies memory of another process. Returns how many bytes could be read, from the first on. */
size_t os_read_process(int pid, void *to, uintptr_t from, size_t nbytes);

#endif
