/* SPDX-License-Identifier: MIT */
/*
 * service.h - what is written at exit and on a signal. See service.c.
 */
#ifndef GOALLOC_SERVICE_H
#define GOALLOC_SERVICE_H

#include "base/base.h"

/* When the program starts, after start_late_init(): installs the signal's handler, if the options
 * ask for a signal. */
void service_start(void);

/* Writes all that the options ask for. Any thread that holds no lock of ours; one writing at a time. */
void service_write_all(void);

/* The same when the program ends, for the last time. Does not return if leaks were found and the options give an exit status for
 * that: what is to be done at exit after the caller is done. */
void service_at_exit(void);

#endif
