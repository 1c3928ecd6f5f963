/* SPDX-License-Identifier: MIT */
/*
 * attend.h - runs a program, and looks at it in the moment in which it ends. See attend.c.
 */
#ifndef GOALLOC_VIEW_ATTEND_H
#define GOALLOC_VIEW_ATTEND_H

#include <sys/types.h>

/* Becomes the program argv[0], with its process id, parent and files, while another process waits
 * for its end. There that process calls look(context, tid) once: the program stands still, with all
 * its memory, and has done whatever it does at exit. It is looked at as well when a signal ends it.
 * tid is a thread that still has the memory; the first one, whose number is the process's, if that
 * lasts until the end.
 *
 * Does not return in the process that becomes the program if all goes well. Returns an exit status
 * after a line on standard error: 1 if the program may not be traced, 126 or 127 if it cannot be
 * run. */
int attend(char **argv, void (*look)(void *context, pid_t tid), void *context);

#endif
