/* SPDX-License-Identifier: MIT */
/* double_delete.c - operator delete of what was deleted. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	_ZdlPv(p);
	_ZdlPv(p);
	return 0;
}
