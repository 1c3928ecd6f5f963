/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - how much memory the process may have, as the system says. See cgroup.c.
 */
#ifndef GOALLOC_CGROUP_H
#define GOALLOC_CGROUP_H

#include "base/base.h"

/* Returns, in bytes, the lowest limit of the process's control group and those above it, and no
 * more than the machine's memory; 0 if neither can be read. /proc and /sys are looked for below
 * root: "", or another folder in tests. */
size_t cgroup_memory(const char *root);

#endif
