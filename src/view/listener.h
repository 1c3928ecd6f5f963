/* SPDX-License-Identifier: MIT */
/*
 * listener.h - the socket on which goalloc-view waits for clients. See listener.c.
 */
#ifndef GOALLOC_VIEW_LISTENER_H
#define GOALLOC_VIEW_LISTENER_H

#include <stdbool.h>

/* A socket that listens. */
struct listener {
	int fd;
	char url[160];           /* as a client names it */
	const char *path;        /* of a unix socket, to be removed; NULL for an address */
};

/* Listens at an address as serve() takes it. Returns 0, or the exit status of serve() after a line
 * on standard error. `where` is used until listener_close(). */
int listener_open(struct listener *l, const char *where);

/* Stops listening, and removes a unix socket. */
void listener_close(struct listener *l);

#endif
