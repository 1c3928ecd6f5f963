/* SPDX-License-Identifier: MIT */
/*
 * child.h - waiting for a child process; C and C++.
 */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>

/* Waits for the end of a child, whatever signals come meanwhile. Returns the status that waitpid(2)
 * gives, which is 0 for a child that exited with 0. A pid that is no child of this process is a
 * mistake of the test and aborts it. */
static inline int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid) {
		if (pid <= 0 || errno != EINTR) {
			perror("child_wait");
			abort();
		}
	}
	return status;
}

#endif
