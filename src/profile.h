/* SPDX-License-Identifier: MIT */
/*
 * profile.h - stand-in until helper C's comes.
 */
#ifndef GOALLOC_PROFILE_H
#define GOALLOC_PROFILE_H
#include "base.h"
static inline uint64_t profile_next_sample(uint64_t *random, uint64_t rate)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (*random >> 33) % (2 * rate);
}
bool profile_start(size_t rate);
void profile_alloc(uintptr_t addr, size_t nbytes);
void profile_free(uintptr_t addr);
void profile_after_fork(void);
#endif
