/* SPDX-License-Identifier: MIT */
/*
 * os_process.h - makes helper processes and copies, and stops the threads of a process. See
 * os_process.c.
 *
 * Every call keeps errno, takes no lock and allocates nothing.
 */
#ifndef GOALLOC_OS_PROCESS_H
#define GOALLOC_OS_PROCESS_H

#include "base/base.h"

/* --- processes of ours --- */

/* Makes a process that shares the caller's memory, runs body(arg) on the stack that ends at
 * `stack`, and exits with the result. The caller must wait for it by os_wait_exit(), because no
 * signal announces its end. Returns its id, or -errno. */
int os_start_helper(int (*body)(void *arg), void *stack, void *arg);

/* Copies the calling helper and the memory that it sees. Returns 0 in the copy, which is a child of
 * the helper's parent. Returns the copy's id in the helper, or -errno. */
int os_copy_process(void);

/* Waits for a process that one of the two functions made. Returns its exit status, or -N if signal
 * N killed it, or OS_NO_PROCESS if there is no such process. */
#define OS_NO_PROCESS INT32_MIN
int os_wait_exit(int pid);

_Noreturn void os_exit(int status);

/* Ends the process as abort(3) does. Where libc would signal another process in place of the
 * caller's, no handler of SIGABRT runs. */
_Noreturn void os_abort(void);

/* Changes the exit status of the process. The caller is called by exit(3). */
_Noreturn void os_exit_again(int status);

/* Asks the kernel to kill the calling process when the thread that made it ends. Returns false if
 * that thread has ended already. */
bool os_die_with(int parent_pid);

/* Closes all descriptors except fd; -1 stands for none. Called in a copy. */
void os_close_all_but(int fd);

/* Keeps the kernel from writing a core file of this process. */
void os_no_core(void);

/* Blocks all signals, and returns the set that was blocked before, for os_restore_signals(). */
uint64_t os_block_signals(void);
void os_restore_signals(uint64_t before);

/* --- who may look --- */

/* Returns 1 if other processes of the same user may trace this one and read its /proc, else 0 or
 * 2. */
int os_get_dumpable(void);

/* Lets the process pid trace the caller under Yama; 0 lets no process, OS_ANY_TRACER every process
 * of the same user. Returns false if there is no Yama. */
#define OS_ANY_TRACER (-1)
bool os_allow_tracer(int pid);

/* --- threads of another process --- */

/* Fills tids with the threads of a process. Returns their number, which may be more than max, or
 * -errno. */
long os_list_threads(int pid, int *tids, size_t max);

/* Returns the state of a thread by its letter in proc(5), such as 'R', or 0 if it cannot be read,
 * or there is no such thread. */
char os_thread_state(int pid, int tid);

/* Returns true if a thread has ended or is at its end. The first thread of a process is still
 * listed then, as long as there are others. */
bool os_thread_ended(int pid, int tid);

/* Makes the thread stop. It runs no instruction of its own until os_trace_end() or the end of the
 * calling process. Returns 0, or -errno. */
int os_trace_begin(int tid);

enum os_trace { OS_TRACE_RUNS, OS_TRACE_STOPPED, OS_TRACE_GONE };

/* Tells whether the thread has stopped. *signal is the signal that it was about to get, for
 * os_trace_end(). */
enum os_trace os_trace_poll(int tid, int *signal);

/* Copies registers of a stopped thread: the general ones, those of vectors, or the thread pointer
 * where it is not a general one. Returns the number of bytes, 0 if there are none. */
enum os_registers { OS_GENERAL, OS_VECTORS, OS_TLS };
size_t os_trace_registers(int tid, enum os_registers which, void *buffer, size_t nbytes);

void os_trace_end(int tid, int signal);

uint64_t os_now_us(void);           /* CLOCK_MONOTONIC */
void os_yield(unsigned microseconds);

/* Opens a file of a process in /proc to read it. Returns a descriptor, or -errno. */
int os_open_process(int pid, const char *file);

/* Copies memory of a process. Returns how many bytes could be read, from the first on, or
 * -errno. */
long os_read_process(int pid, void *to, uintptr_t from, size_t nbytes);

#endif
