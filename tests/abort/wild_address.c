/* SPDX-License-Identifier: MIT */
/* wild_address.c - free of the number in argv[1]: no mapping, no canonical address. */
#include "misuse.h"

int main(int argc, char **argv)
{
	void *p = argc == 2 ? (void *)strtoull(argv[1], NULL, 0) : NULL;

	do_free(do_malloc(10));
	announce(p, 0);
	do_free(p);
	return 0;
}
