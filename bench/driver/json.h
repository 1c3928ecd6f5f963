/* SPDX-License-Identifier: MIT */
/*
 * json.h - writes everything that was measured as JSON: samples, minima, medians, ratios, means.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdbool.h>

#include "machine.h"
#include "results.h"

/* Replaces the file; false, with errno set, if it cannot be written. */
bool json_write(const char *path, const struct results *r, const struct machine *m);

#endif
