/* SPDX-License-Identifier: MIT */
/*
 * http.h - reads the head of an HTTP request. See http.c.
 */
#ifndef GOALLOC_VIEW_HTTP_H
#define GOALLOC_VIEW_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* The longest head that is read, in bytes. */
enum { HTTP_HEAD_MAX = 8192 };

/* The longest path and the longest query, with the byte behind them. */
enum { HTTP_PATH_MAX = 128, HTTP_QUERY_MAX = 512 };

/* What a request asks for. */
struct http_request {
	char path[HTTP_PATH_MAX];   /* begins with '/'; nothing is decoded */
	char query[HTTP_QUERY_MAX]; /* what follows '?', or "" */
	bool head;                  /* HEAD: the answer has no body */
	bool foreign;               /* another site's page makes a browser ask */
};

/* Reads the first nbytes of a request. Returns 200 and fills in *r if the head is whole and asks
 * for something by GET or HEAD; 0 if more has to come; else the status that says what is wrong with
 * it, with r->head set if the method was read. With `local`, the request must name this machine as
 * its host. The bytes need not end in a null. */
int http_parse(const char *bytes, size_t nbytes, bool local, struct http_request *r);

/* Returns the words that belong to a status. */
const char *http_reason(int status);

#endif
