/* SPDX-License-Identifier: MIT */
/*
 * suppress.h - suppressions of leaks, in the format of LeakSanitizer: which names they match. See
 * suppress.c. The leak finder and goalloc-view use it.
 */
#ifndef GOALLOC_SUPPRESS_H
#define GOALLOC_SUPPRESS_H

#include "base/base.h"

/* The largest file of suppressions, in bytes. */
#define SUPPRESS_FILE_MAX MiB(1)

/* A line "leak:PATTERN". */
struct suppression {
	const char *pattern;         /* in the text; it has no 0 behind it */
	size_t len;                  /* not 0 */
	size_t line;                 /* number in the file, from 1 */
	size_t nobjects, nbytes;     /* that it suppressed */
};

struct suppress_list {
	struct suppression *at;      /* in the order of the file */
	size_t n;
	size_t bad_line;             /* number of the first line that is none; 0: all are */
};

/* Returns how many lines the text has. */
size_t suppress_count_lines(const char *text, size_t nbytes);

/* Fills list->at, which has zeroed room for so many, with the suppressions in the text. Empty lines
 * and those that begin with # are comments. The list refers to the text. */
void suppress_read(struct suppress_list *list, const char *text, size_t nbytes);

/* Returns whether a pattern of n bytes matches a name: * stands for any text, ^ at the beginning
 * for the beginning of the name and $ at the end for its end. Otherwise it may match in the
 * middle. */
bool suppress_matches(const char *pattern, size_t n, const char *name);

/* Returns the first suppression that matches the name or, if this is the symbol of a C++ function,
 * the function's name; NULL if there is none. */
struct suppression *suppress_find(const struct suppress_list *list, const char *name);

/* Counts an object of nbytes for the suppression that matches it. NULL has no effect. */
void suppress_count(struct suppression *by, size_t nbytes);

/* Stores the name of a C++ function with its namespaces and classes, such as "zoo::Cat::purr" for
 * "_ZN3zoo3Cat4purrEi", without what stands behind the first template arguments, operator or
 * constructor. It is cut to the room, which is not 0. Returns false for another symbol. */
bool suppress_plain_name(const char *symbol, char *name, size_t room);

#endif
