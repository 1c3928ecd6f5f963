/* SPDX-License-Identifier: MIT */
/*
 * retire.h - sbrk=1: what is freed is never used again. See retire.c.
 */
#ifndef GOALLOC_RETIRE_H
#define GOALLOC_RETIRE_H

#include "heap/mspan.h"

/* Frees the live object in a slot, or a big object (slot 0), for ever. Fatal when another thread did. */
void retire_slot(struct mspan *s, uint32_t slot, const char *func);

#endif
