/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - how much memory the process may have, as the system says. See cgroup.c.
 */
#ifndef GOALLOC_CGROUP_H
#define GOALLOC_CGROUP_H

#include "base/base.h"

/* Bytes: the lowest limit of the process's control group and those it is in; where there is none, all of the machine's. 0: cannot be
 * read. /proc and /sys are looked for below root: "", or another place in tests. */
size_t cgroup_memory(const char *root);

#endif
