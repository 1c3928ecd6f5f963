/* SPDX-License-Identifier: MIT */
/*
 * attend.h - runs a program, and looks at it in the moment in which it ends. See attend.c.
 */
#ifndef GOALLOC_VIEW_ATTEND_H
#define GOALLOC_VIEW_ATTEND_H

#include <sys/types.h>

/* Becomes the program argv[0], with its process id, parent and files, while another process waits
 * for its end. There that process calls look(context, pid) once: the program stands still, with all
 * its memory, and has done whatever it does at exit. It is looked at as well when a signal ends it.
 * With `preload`, that library stands first in the program's LD_PRELOAD.
 *
 * Does not return in the process that becomes the program if all goes well. Returns an exit status
 * after a line on standard error: 1 if the program may not be traced, 126 or 127 if it cannot be
 * run. */
int attend(char **argv, const char *preload, void (*look)(void *context, pid_t pid), void *context);

#endif
