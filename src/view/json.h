/* SPDX-License-Identifier: MIT */
/*
 * json.h - a snapshot as JSON. See json.c.
 */
#ifndef GOALLOC_JSON_H
#define GOALLOC_JSON_H

#include "view/snapshot.h"

#include <stdio.h>

/* Write the figures, and the map: goalloc-view(1) describes both. */
void json_stats(FILE *f, const struct snapshot *sn);
void json_heap(FILE *f, const struct snapshot *sn);

/* Writes a string with its quotation marks. What is no UTF-8 becomes "?". */
void json_string(FILE *f, const char *text);

#endif
