/* SPDX-License-Identifier: MIT */
/* size_delete.c - sized operator delete of an object of another type. */
#include "misuse.h"

int main(void)
{
	void *p = _Znwm(100);

	announce(p, malloc_usable_size(p));
	_ZdlPvm(p, 5000);
	return 0;
}
