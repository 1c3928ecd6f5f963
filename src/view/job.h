/* SPDX-License-Identifier: MIT */
/*
 * job.h - makes an answer that takes long in a child process. See job.c.
 */
#ifndef GOALLOC_VIEW_JOB_H
#define GOALLOC_VIEW_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* A child that makes an answer, and what has come of it. */
struct job {
	pid_t pid;               /* 0: there is none */
	int fd;                  /* to be polled */
	char *bytes;             /* the head, then the text */
	size_t nbytes, room;
};

struct job_answer {
	int status;              /* of HTTP */
	char type[64];
	char *text;              /* to be freed */
	size_t length;
};

/* Starts a child that calls make(context, out, &type) and ends. make writes the answer to out and
 * returns its status, as serve_site.answer does. The child closes the descriptors in `closes`.
 * Returns false with errno set. */
bool job_start(struct job *j, int (*make)(void *context, FILE *out, const char **type),
	       void *context, const int *closes, size_t ncloses);

/* Reads what has come, when the descriptor is readable. Returns true when the answer is whole, or
 * will not be; job_end() is called then. */
bool job_read(struct job *j);

/* Ends the child, if it has not ended, and takes its answer if that is whole. answer may be NULL.
 * Returns false if there is none. */
bool job_end(struct job *j, struct job_answer *answer);

#endif
