/* SPDX-License-Identifier: MIT */
/*
 * test_mappings.c - address space in odd states: few mappings left of those that the kernel allows,
 * or nothing free but small holes; and how many mappings the library itself makes.
 *
 * Usage: test_mappings CASE. The exit status is 77 where the system does not let the state be made.
 */
#include "face.h"

#include <malloc.h>
#include <sys/mman.h>

enum { SKIPPED = 77, BLOCKS = 60000, SMALL = 20000 };

static unsigned char *blocks[BLOCKS];
static const uint64_t tag = 9;

static size_t block_size(size_t i)
{
	return 64 * KiB + i * 7919 % (192 * KiB);
}

static void free_block(size_t i)
{
	CHECK(face_object_intact(blocks[i], block_size(i), tag));
	free(blocks[i]);
	blocks[i] = NULL;
}

static void make_block(size_t i)
{
	blocks[i] = malloc(block_size(i));
	CHECK(blocks[i] != NULL);
	face_object_fill(blocks[i], block_size(i), tag);
}

/* Allocates 60 000 blocks of 64 to 256 KiB, 9 GiB of address space, frees every second and makes
 * it again. */
static void many_blocks(void)
{
	bool hardened = getenv("GOALLOC") != NULL && strstr(getenv("GOALLOC"), "hardened=") != NULL;
	/* Its guards are mappings, of a bounded number of blocks; those that were used together
	 * stay one or two. */
	size_t most = hardened ? 40000 : 100;

	for (size_t i = 0; i < BLOCKS; i++)
		make_block(i);
	(void)printf("%d blocks: %zu mappings\n", BLOCKS, proc_mappings());
	CHECK_LE(proc_mappings(), most);
	for (size_t i = 0; i < BLOCKS; i += 2)
		free_block(i);
	(void)printf("every second freed: %zu mappings\n", proc_mappings());
	CHECK_LE(proc_mappings(), most);
	(void)malloc_trim(0);
	CHECK_LE(proc_mappings(), most);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = round % 2; i < BLOCKS; i += 2) {
			if (blocks[i] != NULL)
				free_block(i);
			make_block(i);
		}
	}
	(void)printf("made anew: %zu mappings\n", proc_mappings());
	CHECK_LE(proc_mappings(), most);
	for (size_t i = 0; i < BLOCKS; i++)
		free_block(i);
	(void)printf("all freed: %zu mappings\n", proc_mappings());
	CHECK_LE(proc_mappings(), most);
}

/* Allocates as programs do. Every request must return an object. */
static void use_malloc(void)
{
	uint64_t rng = 3;
	char *grows = NULL;

	for (size_t i = 0; i < SMALL; i++) {
		size_t n = rng_mixed_size(&rng);

		blocks[i] = malloc(n);
		CHECK(blocks[i] != NULL);
		face_object_fill(blocks[i], n, tag);
		if (i % 3 == 2) {
			free(blocks[i - 1]);
			blocks[i - 1] = NULL;
		}
		if (i % 1000 == 0)
			(void)malloc_trim(0);
	}
	for (size_t n = 1000; n < 20 * MiB; n += n / 2) {
		grows = realloc(grows, n);
		CHECK(grows != NULL);
		/* The byte at the end of every size before. */
		for (size_t k = 1000; k < n; k += k / 2)
			CHECK(grows[k - 1] == (char)k);
		grows[n - 1] = (char)n;
	}
	free(grows);
	for (size_t i = 0; i < SMALL; i++)
		free(blocks[i]);
}

static size_t max_mappings(void)
{
	char buf[64];

	if (!proc_read_file("/proc/sys/vm/max_map_count", buf, sizeof(buf)))
		return 0;
	return (size_t)strtoull(buf, NULL, 10);
}

/* Uses up the mappings that the kernel allows, except for a few: every second page of a range
 * gets another protection. */
static void few_mappings_left(void)
{
	size_t most = max_mappings(), page = (size_t)sysconf(_SC_PAGESIZE), left;
	char *p;

	if (most == 0 || most > 1 << 20) {
		(void)printf("skipped: max_map_count is %zu\n", most);
		exit(SKIPPED);
	}
	p = mmap(NULL, (most + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	CHECK(p != MAP_FAILED);
	for (size_t i = 1; mprotect(p + i * page, page, PROT_READ) == 0; i += 2)
		CHECK(i < most);
	/* Some are given back: a page in the middle joins with its neighbours to one. */
	for (left = 0; left < 12; left += 2)
		CHECK(mprotect(p + (1 + left) * page, page, PROT_NONE) == 0);
	(void)printf("%zu of %zu mappings\n", proc_mappings(), most);
	CHECK_LE(most - 30, proc_mappings());
	use_malloc();
	use_malloc();
	CHECK(munmap(p, (most + 2) * page) == 0);
	use_malloc();
}

/* Takes the whole address space except for holes of this size. No hint is granted, and no arena
 * has room. */
static void only_holes_of(size_t hole)
{
	enum { HOLES = 150 };
	const size_t wall = 64 * KiB, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	bool hardened = getenv("GOALLOC") != NULL && strstr(getenv("GOALLOC"), "hardened=") != NULL;
	size_t n = 0;
	char *p;

	p = mmap(NULL, HOLES * (hole + wall), PROT_NONE, (int)flags, -1, 0);
	CHECK(p != MAP_FAILED);
	for (size_t nbytes = (size_t)1 << 46; nbytes >= wall; nbytes /= 2)
		while (mmap(NULL, nbytes, PROT_NONE, (int)flags, -1, 0) != MAP_FAILED)
			;
	for (size_t i = 0; i < HOLES; i++)
		CHECK(munmap(p + i * (hole + wall), hole) == 0);
	for (; n < BLOCKS; n++) {
		errno = 0;
		blocks[n] = malloc(16 * KiB);
		if (blocks[n] == NULL)
			break;
		face_object_fill(blocks[n], 16 * KiB, tag);
	}
	CHECK(n < BLOCKS && errno == ENOMEM);
	(void)printf("%d holes of %zu KiB: %zu KiB had\n", HOLES, hole / KiB, n * 16);
	/* Used are the whole 512 KiB in a hole. 16 KiB and what hardened=1 adds are of a class of
	 * 18 KiB. */
	CHECK_LE(HOLES * (hole - 512 * KiB) / 1000 * (hardened ? 800 : 900), n * 16 * KiB);
	for (size_t i = 0; i < n; i++) {
		CHECK(face_object_intact(blocks[i], 16 * KiB, tag));
		free(blocks[i]);
	}
}

static void holes_of_1_mib(void)
{
	only_holes_of(MiB);
}

static void holes_of_5_mib(void)
{
	only_holes_of(5 * MiB);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"many_blocks", many_blocks},
		{"few_left", few_mappings_left},
		{"holes_1", holes_of_1_mib},
		{"holes_5", holes_of_5_mib},
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
