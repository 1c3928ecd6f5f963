/* SPDX-License-Identifier: MIT */
/*
 * growth.c - grows buffers by realloc from 64 bytes to LIMIT, by half of their size in each step.
 *
 * Several buffers grow in turn and are filled as they grow. One operation is one realloc and the
 * filling of the new part.
 */
#include "object.h"
#include "stopwatch.h"
#include "workload.h"

#define FIRST_NBYTES ((size_t)64)
#define NBYTES       (256 * MIB) /* filled in all */
#define SMALL_NBYTES GIB         /* filled in all by one buffer whose limit is below SMALL_LIMIT */
#define SMALL_LIMIT  MIB
#define MIN_NROUNDS  3u
#define MAX_NROUNDS  20000u
#define MAX_NBATCHES 10u

static size_t grown(size_t nbytes, size_t limit)
{
	return nbytes + nbytes / 2 < limit ? nbytes + nbytes / 2 : limit;
}

/* Grows all buffers to the limit, one step each in turn, and frees them. Returns how often it
 * called realloc. */
static uint64_t round_run(unsigned char **buffer, uint32_t nbuffers, size_t limit)
{
	uint64_t nops = 0;
	size_t nbytes = FIRST_NBYTES;

	for (uint32_t i = 0; i < nbuffers; i++) {
		buffer[i] = object_must(malloc(nbytes));
		memset(buffer[i], (int)(i & 0x7f), nbytes);
	}
	while (nbytes < limit) {
		size_t more = grown(nbytes, limit);

		for (uint32_t i = 0; i < nbuffers; i++, nops++) {
			unsigned char fill = (unsigned char)(i & 0x7f);

			buffer[i] = object_must(realloc(buffer[i], more));
			if (buffer[i][0] != fill || buffer[i][nbytes - 1] != fill)
				object_failed("realloc lost what the buffer held");
			memset(buffer[i] + nbytes, fill, more - nbytes);
		}
		nbytes = more;
	}
	for (uint32_t i = 0; i < nbuffers; i++)
		free(buffer[i]);
	return nops;
}

double growth_run(char **arg)
{
	uint32_t nbuffers = (uint32_t)arg_number(arg[0], 1, 1u << 20);
	size_t limit = arg_number(arg[1], 2 * FIRST_NBYTES, 16 * GIB);
	unsigned char **buffer = own_memory(nbuffers * sizeof *buffer);
	uint64_t nrounds =
		(nbuffers == 1 && limit < SMALL_LIMIT ? SMALL_NBYTES : NBYTES) / limit / nbuffers;
	struct stopwatch watch = { 0 };

	if (nrounds < MIN_NROUNDS)
		nrounds = MIN_NROUNDS;
	if (nrounds > MAX_NROUNDS)
		nrounds = MAX_NROUNDS;
	uint64_t nbatches = nrounds < MAX_NBATCHES ? nrounds : MAX_NBATCHES;
	for (uint64_t batch = 0; batch < nbatches; batch++) {
		uint64_t nops = 0;

		stopwatch_start(&watch);
		for (uint64_t i = 0; i < nrounds / nbatches; i++)
			nops += round_run(buffer, nbuffers, limit);
		stopwatch_stop(&watch, nops);
	}
	return watch.best_ns;
}
