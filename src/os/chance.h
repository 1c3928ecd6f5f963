/* SPDX-License-Identifier: MIT */
/*
 * chance.h - how far it is to the next sample, and how many objects a sampled one stands for. See chance.c.
 */
#ifndef GOALLOC_CHANCE_H
#define GOALLOC_CHANCE_H

#include "base/base.h"

/* Bytes before the next one that is sampled, or whatever is counted; rate is the mean. 0 always when rate is 1 or 0.
 * *random is the caller's state, of a thread or a test: 0 the first time gives it a seed. */
uint64_t chance_gap(uint64_t *random, uint64_t rate);

/* The chance that an object of nbytes is sampled, in (0, 1]. It counts for 1 / chance objects. nbytes is not 0. */
double chance_of(size_t nbytes, size_t rate);

/* Natural logarithm; x is positive, finite and not denormal. */
double chance_ln(double x);

/* 1 - e^-x without cancellation, x >= 0. */
double chance_one_minus_exp(double x);

#endif
