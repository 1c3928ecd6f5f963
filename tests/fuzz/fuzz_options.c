/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.c - any string as GOALLOC is read without harm, and afterwards every value is in its
 * range.
 */
#include "base/options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Checks that a text option ends within its room and before the comma. */
static void check_file(const char *file)
{
	size_t n = strnlen(file, OPTION_PATH_MAX);

	CHECK(n < OPTION_PATH_MAX && strchr(file, ',') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char text[4096];
	struct options o = options;

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	options_parse(&o, "GOALLOC", text);
	CHECK(o.scavenge_ms <= 24 * 3600 * 1000);
	CHECK(o.realloczero <= REALLOC_ZERO_ABORT && o.leakcheck <= 2 && o.leakexit <= 255 &&
	      o.guardrate <= 1000000000);
	CHECK(o.signal <= 64 && o.signal != 9 && o.signal != 11);
	CHECK(o.memlimit <= PTRDIFF_MAX && o.memlimit_percent <= 100 &&
	      (o.memlimit == 0 || o.memlimit_percent == 0));
	CHECK(o.memprofilerate <= GiB(1));
	CHECK(o.keyed <= o.hardened);
	check_file(o.stats);
	check_file(o.profile);
	check_file(o.leakreport);
	check_file(o.heapmap);
	return 0;
}
