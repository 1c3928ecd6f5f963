/* SPDX-License-Identifier: MIT */
/*
 * interior_aligned.c - free of an address inside of an aligned object, itself as aligned.
 */
#include "misuse.h"

int main(void)
{
	void *p = NULL;

	if (posix_memalign(&p, 256, 1000) != 0)
		return 3;
	announce((char *)p + 256, 0);
	do_free((char *)p + 256);
	return 0;
}
