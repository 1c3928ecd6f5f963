/* SPDX-License-Identifier: MIT */
/*
 * live.h - counts the live objects of a span by its state bytes.
 */
#ifndef GOALLOC_TESTS_LIVE_H
#define GOALLOC_TESTS_LIVE_H

#include "heap/mspan.h"

static inline unsigned span_count_live(const struct mspan *s)
{
	bool tiny = s->kind == SPAN_TINY;
	unsigned n = 0;

	for (unsigned i = 0; i < s->nelems * (tiny ? TINY_SIZE : 1u); i++) {
		uint8_t state = slot_state(&s->state[i]);

		n += tiny ? state != SLOT_FREE && state <= TINY_SIZE : slot_is_live(&s->state[i]);
	}
	return n;
}

#endif
