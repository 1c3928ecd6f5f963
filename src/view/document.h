/* SPDX-License-Identifier: MIT */
/*
 * document.h - what can be asked about a target, by the names that the server and the page use. See
 * document.c.
 */
#ifndef GOALLOC_DOCUMENT_H
#define GOALLOC_DOCUMENT_H

#include "view/target.h"

#include <stdio.h>

struct document {
	const char *path;        /* on the server */
	const char *name;        /* inside a saved page, or NULL if it does not go there */
	const char *type;        /* media type */
	/* Looks at the target and writes the document. Returns an HTTP status: 200, 410 if the
	 * process has ended, or another one with a line of text that says why. */
	int (*write)(FILE *out, struct target *t, const char *query);
	bool (*takes_long)(const char *query);    /* NULL: never */
};

/* All documents; a path of NULL ends them. */
extern const struct document documents[];

#endif
