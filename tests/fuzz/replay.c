/* SPDX-License-Identifier: MIT */
/*
 * replay.c - a fuzz target without libFuzzer: it runs every file given, and then as many strings of
 * a fixed random sequence as asked for.
 *
 * Usage: fuzz_NAME_replay COUNT [FILE...]. The exit status is 0, or 1 when a file cannot be read. A
 * broken check aborts.
 */
#include "rng.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint8_t data[1 << 16];

int main(int argc, char **argv)
{
	uint64_t random = 1;

	for (int i = 2; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t n;

		if (f == NULL) {
			perror(argv[i]);
			return 1;
		}
		n = fread(data, 1, sizeof(data), f);
		fclose(f);
		LLVMFuzzerTestOneInput(data, n);
	}
	for (long left = argc > 1 ? strtol(argv[1], NULL, 10) : 0; left > 0; left--) {
		size_t n = rng_below(&random, 2000);

		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)rng_next(&random);
		LLVMFuzzerTestOneInput(data, n);
	}
	return 0;
}
