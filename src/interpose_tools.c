/* SPDX-License-Identifier: MIT */
/*
 * interpose_tools.c - the functions of goalloc.h that look into the heap and steer it.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  programs. Calls malloc.h.
 * Locks    none.
 * Holds    no logic: what a function does is done below.
 */
#include "malloc.h"

#include "../include/goalloc.h"

EXPORT size_t goalloc_set_memory_limit(size_t bytes)
{
	return bytes == 0 ? heap_limit() : heap_set_limit(bytes);
}
