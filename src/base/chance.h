/* SPDX-License-Identifier: MIT */
/*
 * chance.h - how far it is to the next sample, and how many objects a sampled one stands for. See
 * chance.c.
 */
#ifndef GOALLOC_CHANCE_H
#define GOALLOC_CHANCE_H

#include "base/base.h"

/* Returns the number of bytes, or of anything else, before the next one that is sampled. rate is
 * the mean; 1 and 0 always give 0. *random is the state of the caller's generator, any number. */
uint64_t chance_gap(uint64_t *random, uint64_t rate);

/* Returns the chance that an object of nbytes, not 0, is sampled, in (0, 1]. A sampled object
 * stands for 1 / chance objects. */
double chance_of(size_t nbytes, size_t rate);

/* Returns the natural logarithm; x is positive, finite and not denormal. */
double chance_ln(double x);

/* Returns 1 - e^-x without cancellation, x >= 0. */
double chance_one_minus_exp(double x);

#endif
