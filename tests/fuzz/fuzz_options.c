/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.c - any string as GOALLOC: read without harm, and every value in its range afterwards.
 *
 * Callers  libFuzzer (GOALLOC_FUZZ=ON), replay.c.
 */
#include "options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char text[4096];
	struct options o = options;

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	options_parse(&o, "GOALLOC", text);
	CHECK(o.tiny_align == 1 || o.tiny_align == 2 || o.tiny_align == 4 || o.tiny_align == 8);
	CHECK(o.scavenge_ms <= 24 * 3600 * 1000);
	return 0;
}
