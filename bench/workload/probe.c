/* SPDX-License-Identifier: MIT */
/*
 * probe.c - tells which file malloc comes from. ld.so goes on without a preload it cannot load, so
 * the driver asks before it believes that it measures what it preloaded.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "workload.h"

int probe_print(void)
{
	Dl_info info;
	void *symbol = dlsym(RTLD_DEFAULT, "malloc");

	if (symbol == NULL || dladdr(symbol, &info) == 0 || info.dli_fname == NULL)
		return 1;
	dprintf(STDOUT_FILENO, "malloc %s\n", info.dli_fname);
	return 0;
}
