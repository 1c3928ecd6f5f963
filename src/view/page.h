/* SPDX-License-Identifier: MIT */
/*
 * page.h - the page that shows a heap in a browser. See page.c, and the folder page/ for its text.
 */
#ifndef GOALLOC_VIEW_PAGE_H
#define GOALLOC_VIEW_PAGE_H

#include <stddef.h>
#include <stdio.h>

/* The page, put together by page/embed.cmake. */
extern const unsigned char page_bytes[];
extern const size_t page_length;

/* Data that a saved page has inside. */
struct page_data {
	const char *name;        /* "stats", "heap", "flame" or "leaks" */
	const char *json;
	size_t length;
};

/* Writes the page with ndata data inside; with none, it asks its server for them. Errors are those
 * of the stream. */
void page_write(FILE *out, const struct page_data *data, size_t ndata);

#endif
