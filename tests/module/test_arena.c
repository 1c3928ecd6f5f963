/* SPDX-License-Identifier: MIT */
/*
 * test_arena.c - address space grows in place where it can, and is neither lost nor taken twice.
 *
 * arena.c never touches what it reserves, so most tests run on an address space that exists in a
 * table only, where neighbours, refusals and limits are what the test says.
 */
#include "module.h"

#include "heap/arena.h"
#include "os/os.h"
#include "os_fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a pretended address space --- */

#define UNIT KiB(64)
#define WINDOW_UNITS 16384
#define WINDOW_BASE ((uintptr_t)0x700000000000)
_Static_assert(WINDOW_BASE % ARENA_SIZE == 0, "sites are counted from the window's start");

static struct {
	uint8_t used[WINDOW_UNITS];
	size_t nused;
	size_t limit;           /* units; as ulimit -v */
	bool ignore_hints;
	uintptr_t base;
	size_t top;             /* units; where the search from above begins */
} space;

static bool units_free(size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		if (space.used[i])
			return false;
	return true;
}

static void *space_reserve(void *hint, size_t nbytes)
{
	size_t n = nbytes / UNIT;
	size_t at = ((uintptr_t)hint - space.base) / UNIT;

	assert_int_equal(nbytes % UNIT, 0);
	assert_true(n != 0);
	if (n > WINDOW_UNITS || space.nused + n > space.limit)
		return NULL;
	if (hint == NULL || space.ignore_hints || (uintptr_t)hint < space.base ||
	    at > WINDOW_UNITS - n || !units_free(at, n)) {
		/* From above, as Linux does. */
		if (space.top < n)
			return NULL;
		at = space.top - n;
		while (at > 0 && !units_free(at, n))
			at--;
		if (!units_free(at, n))
			return NULL;
	}
	memset(space.used + at, 1, n);
	space.nused += n;
	return (void *)(space.base + at * UNIT);
}

static void space_unreserve(void *p, size_t nbytes)
{
	size_t at = ((uintptr_t)p - space.base) / UNIT;

	assert_int_equal(nbytes % UNIT, 0);
	for (size_t i = at; i < at + nbytes / UNIT; i++) {
		assert_true(i < WINDOW_UNITS && space.used[i]);
		space.used[i] = 0;
		space.nused--;
	}
}

static int setup_space(void **state)
{
	static const struct os_space_hooks hooks = { .reserve = space_reserve,
						     .unreserve = space_unreserve };

	(void)state;
	memset(&space, 0, sizeof(space));
	space.limit = WINDOW_UNITS;
	space.base = WINDOW_BASE;
	/* Not aligned to anything that arena.c cares for. */
	space.top = WINDOW_UNITS - 3;
	os_fail_set_hooks(&hooks);
	return 0;
}

static int teardown_space(void **state)
{
	(void)state;
	os_fail_set_hooks(NULL);
	return 0;
}

static bool is_reserved(uintptr_t addr, size_t nbytes)
{
	for (size_t i = (addr - space.base) / UNIT; i < (addr + nbytes - space.base) / UNIT; i++)
		if (!space.used[i])
			return false;
	return true;
}

/* Marks address space as mapped by somebody else. */
static void occupy(uintptr_t addr, size_t nbytes)
{
	memset(space.used + (addr - space.base) / UNIT, 1, nbytes / UNIT);
}

/* --- a fresh heap --- */

static void there_is_nothing_to_extend_before_the_first_place(void **state)
{
	struct arena_space a = { .next = 0 };

	(void)state;
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), 0);
	assert_int_equal(space.nused, 0);
}

static void a_place_is_a_whole_site_and_what_is_asked_for_its_beginning(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, KiB(512));

	(void)state;
	assert_int_not_equal(addr, 0);
	assert_int_equal(addr % ARENA_SIZE, 0);
	assert_int_equal(a.next, addr + KiB(512));
	assert_int_equal(a.end, addr + ARENA_SIZE);
	assert_true(is_reserved(addr, ARENA_SIZE));
	assert_int_equal(space.nused, ARENA_SIZE / UNIT);
}

static void a_place_for_more_than_a_site_is_whole_sites(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, 2 * ARENA_SIZE + PAGE_SIZE);

	(void)state;
	assert_int_equal(addr % ARENA_SIZE, 0);
	assert_int_equal(a.end, addr + 3 * ARENA_SIZE);
	assert_int_equal(a.next, addr + 2 * ARENA_SIZE + PAGE_SIZE);
	assert_int_equal(space.nused, 3 * ARENA_SIZE / UNIT);
}

static void the_edges_of_an_aligned_place_are_given_back(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr;

	(void)state;
	space.ignore_hints = true;
	/* Every position of the free room relative to a site boundary, the boundary itself
	 * included. */
	for (size_t shift = 0; shift < 3; shift++) {
		memset(space.used, 0, sizeof(space.used));
		space.nused = 0;
		space.top = WINDOW_UNITS - shift;
		a = (struct arena_space){ .next = 0 };
		addr = arena_space_move(&a, CHUNK_SIZE);
		assert_int_not_equal(addr, 0);
		assert_int_equal(addr % ARENA_SIZE, 0);
		assert_true(is_reserved(addr, ARENA_SIZE));
		assert_int_equal(space.nused, ARENA_SIZE / UNIT);
	}
}

/* --- extend --- */

static void extend_continues_what_was_handed_out_last(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, PAGE_SIZE * 64);

	(void)state;
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), addr + PAGE_SIZE * 64);
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE * 3), addr + PAGE_SIZE * 65);
	assert_int_equal(a.next, addr + PAGE_SIZE * 68);
	assert_int_equal(space.nused, ARENA_SIZE / UNIT);
}

static void the_last_page_of_a_site_needs_no_second_site(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr;

	(void)state;
	space.ignore_hints = true;
	addr = arena_space_move(&a, ARENA_SIZE - PAGE_SIZE);
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), addr + ARENA_SIZE - PAGE_SIZE);
	assert_int_equal(a.next, a.end);
	assert_int_equal(space.nused, ARENA_SIZE / UNIT);
}

/* Puts a's place at the window's site 1, with room above. */
static uintptr_t place_in_site_1(struct arena_space *a, size_t nbytes)
{
	uintptr_t addr;

	space.top = 2 * ARENA_SIZE / UNIT;
	space.ignore_hints = true;
	occupy(space.base, ARENA_SIZE);
	/* reserve_aligned() takes a site too much. */
	memset(space.used, 0, ARENA_SIZE / UNIT);
	addr = arena_space_move(a, nbytes);
	space.ignore_hints = false;
	space.top = WINDOW_UNITS - 3;
	return addr;
}

static void extend_beyond_the_site_takes_the_next_one_whole(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = place_in_site_1(&a, ARENA_SIZE - PAGE_SIZE);

	(void)state;
	assert_int_equal(arena_space_extend(&a, 2 * PAGE_SIZE), addr + ARENA_SIZE - PAGE_SIZE);
	assert_int_equal(a.next, addr + ARENA_SIZE + PAGE_SIZE);
	assert_int_equal(a.end, addr + 2 * ARENA_SIZE);
	assert_true(is_reserved(addr, 2 * ARENA_SIZE));
}

static void extend_takes_chunks_when_a_whole_site_is_refused(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = place_in_site_1(&a, ARENA_SIZE);

	(void)state;
	space.limit = space.nused + 2 * CHUNK_SIZE / UNIT;
	assert_int_equal(arena_space_extend(&a, CHUNK_SIZE + PAGE_SIZE), addr + ARENA_SIZE);
	assert_int_equal(a.end, addr + ARENA_SIZE + 2 * CHUNK_SIZE);
	assert_int_equal(a.next, addr + ARENA_SIZE + CHUNK_SIZE + PAGE_SIZE);
	assert_int_equal(space.nused, space.limit);
}

static void extend_takes_what_is_missing_when_a_chunk_is_refused(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = place_in_site_1(&a, ARENA_SIZE);
	const size_t word = GROW_MIN_PAGES * PAGE_SIZE;

	(void)state;
	space.limit = space.nused + 3 * word / UNIT;
	assert_int_equal(arena_space_extend(&a, 2 * word), addr + ARENA_SIZE);
	assert_int_equal(a.end, addr + ARENA_SIZE + 2 * word);
	assert_int_equal(arena_space_extend(&a, word), addr + ARENA_SIZE + 2 * word);
	assert_int_equal(space.nused, space.limit);
	assert_int_equal(arena_space_extend(&a, word), 0);
	/* There is room again: the reservation ends on a chunk, then on a site. */
	space.limit += CHUNK_SIZE / UNIT;
	assert_int_not_equal(arena_space_extend(&a, word), 0);
	assert_int_equal(a.end, addr + ARENA_SIZE + CHUNK_SIZE);
	space.limit = WINDOW_UNITS;
	assert_int_not_equal(arena_space_extend(&a, CHUNK_SIZE), 0);
	assert_int_equal(a.end, addr + 2 * ARENA_SIZE);
}

static void extend_that_is_refused_changes_nothing(void **state)
{
	struct arena_space a = { .next = 0 };
	struct arena_space before;
	size_t nused;

	(void)state;
	place_in_site_1(&a, ARENA_SIZE - PAGE_SIZE);
	occupy(a.end, UNIT);
	before = a;
	nused = space.nused;
	assert_int_equal(arena_space_extend(&a, 2 * PAGE_SIZE), 0);
	assert_int_equal(a.next, before.next);
	assert_int_equal(a.end, before.end);
	/* What the kernel offered elsewhere was not kept. */
	assert_int_equal(space.nused, nused);
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), before.next);
}

static void undo_takes_back_what_was_handed_out_last(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, MiB(1));

	(void)state;
	arena_space_undo(&a, MiB(1));
	assert_int_equal(arena_space_extend(&a, MiB(2)), addr);
	assert_int_equal(arena_space_extend(&a, MiB(1)), addr + MiB(2));
	arena_space_undo(&a, MiB(1));
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), addr + MiB(2));
}

/* --- move --- */

static void move_gives_back_what_was_left_of_the_old_place(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t old = place_in_site_1(&a, MiB(5));
	uintptr_t addr = arena_space_move(&a, MiB(1));

	(void)state;
	assert_int_not_equal(addr, 0);
	assert_true(is_reserved(old, MiB(5)));
	assert_false(is_reserved(old + MiB(5), UNIT));
	assert_int_equal(space.nused, (MiB(5) + ARENA_SIZE) / UNIT);
}

static void a_smaller_reservation_is_taken_when_a_site_cannot_be_had(void **state)
{
	(void)state;
	/* Aligning needs room for twice as much, a chunk's alignment a chunk more. */
	for (size_t room = 2 * CHUNK_SIZE; room < 2 * ARENA_SIZE; room += CHUNK_SIZE) {
		struct arena_space a = { .next = 0 };
		uintptr_t addr;

		setup_space(state);
		space.limit = room / UNIT;
		addr = arena_space_move(&a, PAGE_SIZE);
		assert_int_not_equal(addr, 0);
		assert_int_equal(addr % CHUNK_SIZE, 0);
		assert_int_equal(a.end % CHUNK_SIZE, 0);
		assert_true(a.end - addr >= CHUNK_SIZE && a.end - addr <= ARENA_SIZE);
		/* Nor much smaller than need be. */
		assert_true(2 * (a.end - addr) > min_size(room - CHUNK_SIZE, ARENA_SIZE - 1));
		assert_int_equal(space.nused, (a.end - addr) / UNIT);
		assert_true(is_reserved(addr, a.end - addr));
	}
}

static void a_smaller_reservation_still_holds_what_was_asked_for(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr;

	(void)state;
	space.limit = 6 * CHUNK_SIZE / UNIT;
	addr = arena_space_move(&a, 5 * CHUNK_SIZE - PAGE_SIZE);
	assert_int_not_equal(addr, 0);
	assert_int_equal(a.next, addr + 5 * CHUNK_SIZE - PAGE_SIZE);
	assert_int_equal(a.end, addr + 5 * CHUNK_SIZE);
}

/* A hole of less than a chunk is enough for what is needed. */
static void a_place_may_be_smaller_than_a_chunk(void **state)
{
	const size_t word = GROW_MIN_PAGES * PAGE_SIZE;
	struct arena_space a = { .next = 0 };
	uintptr_t addr;

	(void)state;
	space.limit = 3 * word / UNIT;
	addr = arena_space_move(&a, 2 * word);
	assert_int_not_equal(addr, 0);
	assert_int_equal(addr % word, 0);
	assert_int_equal(a.end, addr + 2 * word);
	assert_int_equal(space.nused, 2 * word / UNIT);
}

static void what_the_system_does_not_take_back_is_offered_again(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t old = place_in_site_1(&a, MiB(5));
	uintptr_t addr;

	(void)state;
	space.ignore_hints = true;
	/* The places of four hints, the edges of an aligned one, the rest of the old place. */
	os_fail_from(OS_UNRESERVE, 1);
	addr = arena_space_move(&a, ARENA_SIZE);
	assert_int_not_equal(addr, 0);
	assert_true(os_fail_failed() >= 6);
	assert_true(is_reserved(old, ARENA_SIZE));
	os_fail_stop();
	/* This is refused, too: but nothing is lost. */
	space.limit = space.nused;
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), 0);
	assert_false(is_reserved(old + MiB(5), UNIT));
	assert_int_equal(space.nused, (MiB(5) + ARENA_SIZE) / UNIT);
	assert_true(is_reserved(old, MiB(5)) && is_reserved(addr, ARENA_SIZE));
}

static void move_that_is_refused_keeps_the_old_place(void **state)
{
	struct arena_space a = { .next = 0 };
	struct arena_space before;

	(void)state;
	place_in_site_1(&a, MiB(5));
	before = a;
	space.limit = space.nused;
	assert_int_equal(arena_space_move(&a, PAGE_SIZE), 0);
	assert_int_equal(a.next, before.next);
	assert_int_equal(a.end, before.end);
	assert_true(is_reserved(a.end - ARENA_SIZE, ARENA_SIZE));
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), before.next);
}

static void an_address_beyond_the_arena_table_is_refused_and_given_back(void **state)
{
	struct arena_space a = { .next = 0 };

	(void)state;
	space.base = (uintptr_t)1 << ADDR_BITS;
	space.ignore_hints = true;
	assert_int_equal(arena_space_move(&a, PAGE_SIZE), 0);
	assert_int_equal(space.nused, 0);
	/* Just below the end of the table is fine. */
	space.base -= WINDOW_UNITS * UNIT;
	space.top = WINDOW_UNITS;
	assert_int_not_equal(arena_space_move(&a, PAGE_SIZE), 0);
	assert_true(a.end <= (uintptr_t)1 << ADDR_BITS);
}

static void a_run_that_would_pass_the_end_of_the_table_is_refused(void **state)
{
	struct arena_space a = { .next = 0 };

	(void)state;
	/* No reservation is tried: the pretended one would fail the test. */
	a.next = a.end = (uintptr_t)1 << ADDR_BITS;
	assert_int_equal(arena_space_extend(&a, PAGE_SIZE), 0);
	a.next = a.end = ((uintptr_t)1 << ADDR_BITS) - CHUNK_SIZE;
	assert_int_equal(arena_space_extend(&a, 2 * CHUNK_SIZE), 0);
	assert_int_equal(arena_space_move(&a, (size_t)1 << ADDR_BITS), 0);
	assert_int_equal(space.nused, 0);
}

/* --- the record --- */

static void a_new_record_owns_no_page(void **state)
{
	struct heap_arena *ha = calloc(1, sizeof(*ha));

	(void)state;
	assert_non_null(ha);
	heap_arena_init(ha, WINDOW_BASE + ARENA_SIZE - 1, 7);
	assert_int_equal(ha->base, WINDOW_BASE);
	assert_int_equal(ha->idx, 7);
	for (size_t w = 0; w < ARENA_PAGES / 64; w++) {
		assert_true(ha->alloc_bits[w] == UINT64_MAX);
		assert_true(ha->clean_bits[w] == 0);
	}
	for (size_t c = 0; c < ARENA_CHUNKS; c++)
		assert_int_equal(ha->chunks[c].sum.max, 0);
	free(ha);
}

/* --- the kernel's own address space --- */

static void a_place_of_the_kernels_can_be_extended_and_reserves_no_more_than_is_used(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, MiB(1));

	(void)state;
	assert_int_not_equal(addr, 0);
	assert_int_equal(addr % REGION_SIZE, 0);
	assert_true(a.end <= (uintptr_t)1 << ADDR_BITS);
	assert_true(a.apart);
	assert_int_equal(a.end, addr + MiB(1));
	assert_int_equal(arena_space_extend(&a, ARENA_SIZE), addr + MiB(1));
	assert_int_equal(a.end, addr + MiB(1) + ARENA_SIZE);
	/* What is undone is given back. */
	arena_space_undo(&a, ARENA_SIZE);
	assert_int_equal(a.end, addr + MiB(1));
	assert_int_equal(arena_space_extend(&a, MiB(1)), addr + MiB(1));
	assert_int_equal(a.end, addr + MiB(2));
	os_fail_real_unreserve((void *)addr, a.end - addr);
}

/* Extends the space where somebody else maps memory behind it. */
static void a_place_that_is_blocked_is_left_for_one_nearby(void **state)
{
	struct arena_space a = { .next = 0 };
	uintptr_t addr = arena_space_move(&a, MiB(1)), other;

	(void)state;
	assert_true(a.apart);
	assert_ptr_equal(os_fail_real_reserve((void *)a.end, UNIT), (void *)a.end);
	assert_int_equal(arena_space_extend(&a, MiB(1)), 0);
	other = arena_space_move(&a, MiB(1));
	assert_true(a.apart);
	assert_true(other > addr && other - addr < WINDOW_MAX_GAP * ARENA_SIZE);
	arena_space_undo_move(&a, MiB(1),
			      &(struct arena_space){
				      .next = addr + MiB(1), .end = addr + MiB(1), .apart = true });
	assert_ptr_equal(os_fail_real_reserve((void *)other, MiB(1)), (void *)other);
	assert_int_equal(a.next, addr + MiB(1));
	assert_int_equal(a.end, addr + MiB(1));
	assert_true(a.apart);
	os_fail_real_unreserve((void *)addr, MiB(1) + UNIT);
	os_fail_real_unreserve((void *)other, MiB(1));
}

static uintptr_t base_of_new_process(void)
{
	char self[512], command[600], line[64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(command, sizeof(command), "'%s' --print-base", self);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(pclose(f), 0);
	return (uintptr_t)strtoull(line, NULL, 16);
}

static void the_base_differs_from_process_to_process(void **state)
{
	uintptr_t first = base_of_new_process();
	bool differs = false;

	(void)state;
	assert_int_not_equal(first, 0);
	for (int i = 0; i < 4 && !differs; i++)
		differs = base_of_new_process() != first;
	assert_true(differs);
}

/* What maps memory at fixed addresses, or refuses the mappings of others there: the table in
 * arena.c. */
static const struct {
	const char *owner;
	uintptr_t from, to;
} taken[] = {
#if defined(__x86_64__)
	{ "MAP_32BIT", 0, 0x80000000 },
	{ "AddressSanitizer's shadow", 0x7fff8000, 0x10007fff8000 },
	{ "AddressSanitizer's allocator", 0x500000000000, 0x540000000000 },
	{ "AddressSanitizer's allocator, older", 0x600000000000, 0x640000000000 },
	{ "ThreadSanitizer, shadow to programs", 0x020000000000, 0x550000000000 },
	{ "ThreadSanitizer, older, programs to heap", 0x568000000000, 0x7b0000000000 },
	{ "MemorySanitizer", 0x010000000000, 0x510000000000 },
	{ "MemorySanitizer", 0x600000000000, 0x740000000000 },
	{ "CLISP", 0x100000000000, 0x200000000000 },
	{ "programs (PIE)", 0x555555554000, 0x565555554000 },
#elif defined(__aarch64__)
	{ "programs at fixed addresses", 0, 0x100000000 },
	{ "AddressSanitizer's shadow", 0x1000000000, 0x201000000000 },
	{ "ThreadSanitizer, shadow", 0x0a0000000000, 0xaaaa00000000 },
	{ "MemorySanitizer, shadow", 0x100000000000, 0xa00000000000 },
#elif defined(__riscv)
	{ "programs at fixed addresses", 0, 0x100000000 },
	{ "programs (PIE) with addresses of 38 bits", 0x2aaaaaa000, 0x3000000000 },
	{ "mappings with addresses of 38 bits", 0x3000000000, 0x4000000000 },
#endif
};

static void the_heap_begins_where_nobody_else_must_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (CPU_HEAP_LOW < taken[i].to && taken[i].from < CPU_HEAP_HIGH)
			fail_msg("hints are in the range of %s", taken[i].owner);
	for (int i = 0; i < 10; i++)
		assert_in_range(base_of_new_process(), CPU_HEAP_LOW, CPU_HEAP_HIGH - 1);
}

static int print_base(void)
{
	struct arena_space a = { .next = 0 };

	os_seed_random();
	printf("%llx\n", (unsigned long long)arena_space_move(&a, MiB(1)));
	return 0;
}

#define test_in_space(f) cmocka_unit_test_setup_teardown(f, setup_space, teardown_space)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test_in_space(there_is_nothing_to_extend_before_the_first_place),
		test_in_space(a_place_is_a_whole_site_and_what_is_asked_for_its_beginning),
		test_in_space(a_place_for_more_than_a_site_is_whole_sites),
		test_in_space(the_edges_of_an_aligned_place_are_given_back),
		test_in_space(extend_continues_what_was_handed_out_last),
		test_in_space(the_last_page_of_a_site_needs_no_second_site),
		test_in_space(extend_beyond_the_site_takes_the_next_one_whole),
		test_in_space(extend_takes_chunks_when_a_whole_site_is_refused),
		test_in_space(extend_takes_what_is_missing_when_a_chunk_is_refused),
		test_in_space(extend_that_is_refused_changes_nothing),
		test_in_space(undo_takes_back_what_was_handed_out_last),
		test_in_space(move_gives_back_what_was_left_of_the_old_place),
		test_in_space(a_smaller_reservation_is_taken_when_a_site_cannot_be_had),
		test_in_space(a_smaller_reservation_still_holds_what_was_asked_for),
		test_in_space(a_place_may_be_smaller_than_a_chunk),
		test_in_space(what_the_system_does_not_take_back_is_offered_again),
		test_in_space(move_that_is_refused_keeps_the_old_place),
		test_in_space(an_address_beyond_the_arena_table_is_refused_and_given_back),
		test_in_space(a_run_that_would_pass_the_end_of_the_table_is_refused),
		cmocka_unit_test(a_new_record_owns_no_page),
		cmocka_unit_test(
			a_place_of_the_kernels_can_be_extended_and_reserves_no_more_than_is_used),
		cmocka_unit_test(a_place_that_is_blocked_is_left_for_one_nearby),
		cmocka_unit_test(the_base_differs_from_process_to_process),
		cmocka_unit_test(the_heap_begins_where_nobody_else_must_be),
	};

	if (argc > 1 && strcmp(argv[1], "--print-base") == 0)
		return print_base();
	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
