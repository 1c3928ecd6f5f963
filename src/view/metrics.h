/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - a snapshot in the text format of Prometheus. See metrics.c.
 */
#ifndef GOALLOC_METRICS_H
#define GOALLOC_METRICS_H

#include "view/snapshot.h"

#include <stdio.h>

/* The media type of what metrics_write() writes. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_write(FILE *f, const struct snapshot *sn);

#endif
