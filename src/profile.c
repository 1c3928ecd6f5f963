/* SPDX-License-Identifier: MIT */
/*
 * profile.c - stand-in.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  nobody.
 * Locks    none.
 * Holds    nothing.
 */
#include "profile.h"
bool profile_start(size_t rate) { return rate != 0; }
void profile_alloc(uintptr_t addr, size_t nbytes) { (void)addr; (void)nbytes; }
void profile_free(uintptr_t addr) { (void)addr; }
void profile_after_fork(void) {}
