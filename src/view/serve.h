/* SPDX-License-Identifier: MIT */
/*
 * serve.h - answers HTTP requests on a loopback address or a unix socket. See serve.c.
 */
#ifndef GOALLOC_VIEW_SERVE_H
#define GOALLOC_VIEW_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What is served. */
struct serve_site {
	/* Writes the answer to GET path?query to `out`, and sets *type to its media type, which is
	 * static. Returns an HTTP status; with another one than 200 the text is one line that says
	 * why. */
	int (*answer)(void *context, const char *path, const char *query, FILE *out,
		      const char **type);
	/* Returns whether the answer takes long. It is made in a child process then, one at a time,
	 * while others get theirs. NULL: none does. */
	bool (*is_slow)(void *context, const char *path, const char *query);
	/* Returns whether there is anything left to look at. Once it returns false, requests get
	 * 410 for a while, so that open pages notice. Then serve() returns. */
	bool (*lasts)(void *context);
	void *context;
	const char *name;        /* of what is served, for the line that tells the address */
};

/* Serves `site` at `where`, which is 127.0.0.1:PORT, [::1]:PORT, localhost:PORT, PORT or unix:PATH,
 * until SIGINT, SIGTERM or SIGHUP comes or the site ends. Port 0 is one that is free. Returns an
 * exit status: 0, 1 for an address that cannot be had, 2 for one that is refused, with a line on
 * standard error. */
int serve(const char *where, const struct serve_site *site);

#endif
