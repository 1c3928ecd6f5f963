/* SPDX-License-Identifier: MIT */
/*
 * input.h - writes the files that the real programs of the bench read. They are always the same.
 *
 * Owns     nothing; the files lie in the scratch directory `dir` and are removed with it.
 * Holds    true means that the files are complete.
 */
#ifndef BENCH_INPUT_H
#define BENCH_INPUT_H

#include <stdbool.h>

bool input_python(const char *dir);     /* objects.py */
bool input_perl(const char *dir);       /* hashes.pl */
bool input_lua(const char *dir);        /* tables.lua */
bool input_node(const char *dir);       /* objects.js */
bool input_ruby(const char *dir);       /* objects.rb */
bool input_sqlite(const char *dir);     /* insert.sql */
bool input_c_source(const char *dir);   /* generated.c */
bool input_cxx_source(const char *dir); /* generated.cc */
bool input_lines(const char *dir);      /* lines.txt */
bool input_sort(const char *dir);       /* lines.txt and sort.sh */
bool input_git(const char *dir);        /* repository.sh and repository.import */
bool input_redis(const char *dir);      /* redis.sh */

#endif
