/* SPDX-License-Identifier: MIT */
/*
 * service.h - what is written at exit and on a signal. See service.c.
 */
#ifndef GOALLOC_SERVICE_H
#define GOALLOC_SERVICE_H

#include "base/base.h"
#include "base/options.h"

/* Prepares what the options ask for, and installs the signal's handler. Called when the program
 * starts, after start_late_init(). */
void service_start(void);

/* Writes all outputs that the options ask for. The caller holds none of our locks. */
void service_write_all(void);

/* Writes all outputs for the last time, when the program ends. Does not return if leaks were found
 * and the options give an exit status for that: it then calls exit() with the status. */
void service_at_exit(void);

/* Writes the profile if the options want it while the program runs, and it is time. */
void service_write_profile(void);

/* Calls service_write_profile() where the options may want it. Called after a sample, without a
 * lock and a cache in use. Keeps errno. */
static inline void service_after_sample(void)
{
	if (UNLIKELY(options.every_s != 0 || options.peak != 0))
		service_write_profile();
}

#endif
