/* SPDX-License-Identifier: MIT */
/*
 * probe.h - places where bpftrace, perf, SystemTap and gdb can watch sampled allocations. See malloc.c for the overview.
 *
 * A probe that nobody watches costs its nop, and only samples come by: see sample.h.
 */
#ifndef GOALLOC_PROBE_H
#define GOALLOC_PROBE_H

#include "base/base.h"

/* The object at addr, of nbytes in a span of the class, is sampled: it was allocated just now, or is about to be free. */
#define PROBE_SAMPLED_ALLOC(addr, nbytes, spanclass) PROBE_3("goalloc", "sampled_alloc", addr, nbytes, spanclass)
#define PROBE_SAMPLED_FREE(addr, nbytes, spanclass) PROBE_3("goalloc", "sampled_free", addr, nbytes, spanclass)

#endif
