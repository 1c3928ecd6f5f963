/* SPDX-License-Identifier: MIT */
/*
 * start.h - the way into the heap, from the first malloc of the process to the last free of a
 * thread that ends. See start.c.
 */
#ifndef GOALLOC_START_H
#define GOALLOC_START_H

#include "heap/thread.h"

/* The rest of start-up is still to be done, by a slow path of malloc. */
extern _Atomic bool start_attention;

/* Does the rest of start-up if libc is up. */
void start_attend(void);

/* Returns a cache that the caller may use until thread_leave(): its own, made now if need be, or
 * the shared cache, locked. That is for threads that end, for want of memory, and while another
 * thread starts the library. The first call of the process sets the heap up. The key of hardened=2
 * is open. Keeps errno. */
struct mcache *start_enter(void);

/* Does the rest of start-up after libc is up: reads the environment and registers for forks and the
 * ends of threads. Does nothing before libc is up, nor a second time. */
void start_late_init(void);

#endif
