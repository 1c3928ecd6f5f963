/* SPDX-License-Identifier: MIT */
/*
 * probe.c - prints the file that malloc comes from.
 *
 * ld.so goes on without a library that it cannot load. The driver therefore asks which malloc a
 * program really uses before it measures.
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
