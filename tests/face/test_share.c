/* SPDX-License-Identifier: MIT */
/*
 * test_share.c - how much of RLIMIT_AS or RLIMIT_DATA a program gets from malloc before it returns
 * NULL, and how much of that again after everything was freed.
 *
 * The program sets the limit and runs itself anew, as under `ulimit -v` or `ulimit -d`. It prints
 * the shares; by hand without the library, the shares of another malloc.
 *
 * Usage: test_share as|data KIB BYTES|mixed SHARE; SHARE is the least share, in per mille of what
 * the limit left to main().
 */
#include "face.h"

#include <sys/resource.h>

/* An object begins with the address of the object before it, so that no table counts against the
 * limit. */
struct object {
	struct object *before;
	size_t n;
};

static size_t fixed_size;    /* 0: mixed */

static size_t next_size(uint64_t *rng)
{
	return fixed_size != 0 ? fixed_size : sizeof(struct object) + 1 + rng_mixed_size(rng);
}

/* Allocates until malloc returns NULL. Returns the sum of the sizes that were asked for. */
static size_t fill_up(struct object **all)
{
	uint64_t rng = 11;
	size_t nbytes = 0;

	for (;;) {
		size_t n = next_size(&rng);
		struct object *o;

		errno = 0;
		o = malloc(n);
		if (o == NULL)
			break;
		o->before = *all;
		o->n = n;
		((char *)o)[n - 1] = 1;
		*all = o;
		nbytes += n;
	}
	CHECK(errno == ENOMEM);
	return nbytes;
}

static void free_all(struct object **all)
{
	while (*all != NULL) {
		struct object *o = *all;

		*all = o->before;
		CHECK(((char *)o)[o->n - 1] == 1);
		free(o);
	}
}

/* Returns what counts against the limit already: all mappings, or with `data` those that are
 * private and writable. */
static size_t used_bytes(bool data)
{
	return proc_status_bytes(data ? "VmData" : "VmSize");
}

int main(int argc, char **argv)
{
	struct object *all = NULL;
	size_t limit, used, got, again, least_share;
	bool data;

	CHECK(argc == 5);
	data = strcmp(argv[1], "data") == 0;
	limit = (size_t)strtoull(argv[2], NULL, 10) * KiB;
	if (getenv("FACE_LIMITED") == NULL) {
		struct rlimit r = {limit, limit};

		CHECK(setenv("FACE_LIMITED", "1", 1) == 0);
		CHECK(setrlimit(data ? RLIMIT_DATA : RLIMIT_AS, &r) == 0);
		(void)execv("/proc/self/exe", argv);
		check_fail(__FILE__, __LINE__, "exec");
	}
	CHECK(face_malloc_is_goalloc());
	fixed_size = strcmp(argv[3], "mixed") == 0 ? 0 : (size_t)strtoull(argv[3], NULL, 10);
	least_share = (size_t)strtoull(argv[4], NULL, 10);
	used = used_bytes(data);
	got = fill_up(&all);
	free_all(&all);
	again = fill_up(&all);
	free_all(&all);
	(void)printf("%s %zu KiB, objects of %s: %.1f %% of the limit, %.1f %% of what main had "
		     "left (%zu KiB), again %.2f %%\n",
		     argv[1], limit / KiB, argv[3], 100.0 * (double)got / (double)limit,
		     100.0 * (double)got / (double)(limit - used), (limit - used) / KiB,
		     100.0 * (double)again / (double)got);
	CHECK_LE(least_share * ((limit - used) / 1000), got);
	/* Mixed sizes find other holes the second time: up to 4 % less, and the first NULL may come
	 * two objects of the largest size earlier. */
	CHECK_LE(got / 1000 * (fixed_size != 0 ? 990 : 960), again + (fixed_size != 0 ? 0 : MiB));
	return 0;
}
