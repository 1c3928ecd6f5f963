/* SPDX-License-Identifier: MIT */
/*
 * sort.h - sorts an array by a number that each element has, in place and without memory. See
 * sort.c.
 */
#ifndef GOALLOC_SORT_H
#define GOALLOC_SORT_H

#include "base/base.h"

/* The largest element, in bytes. */
#define SORT_ELEMENT_MAX 64

/* Sorts n elements of size bytes so that key() rises. Equal elements may change places. */
void sort_by_key(void *at, size_t n, size_t size, uint64_t (*key)(const void *element));

#endif
