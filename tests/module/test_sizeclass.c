/* SPDX-License-Identifier: MIT */
/*
 * test_sizeclass.c - the table of sizes is right for every size, slot and offset.
 */
#include "module.h"

#include "heap/sizeclass.h"

static void sizes_rise_from_zero_to_the_largest_small_size(void **state)
{
	(void)state;
	assert_int_equal(sizeclasses[0].elemsize, 0);
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++)
		assert_true(sizeclasses[c].elemsize > sizeclasses[c - 1].elemsize);
	assert_int_equal(sizeclasses[NUM_SIZE_CLASSES - 1].elemsize, MAX_SMALL_SIZE);
}

/* Compares a few sizes from each end, and the odd ones, with Go's. */
static void the_68_sizes_are_go_s(void **state)
{
	static const struct {
		unsigned sizeclass, size;
	} known[] = {
		{ 1, 8 },      { 2, 16 },     { 3, 24 },     { 4, 32 },      { 5, 48 },
		{ 10, 128 },   { 18, 256 },   { 26, 512 },   { 32, 1024 },   { 35, 1408 },
		{ 41, 3072 },  { 44, 4096 },  { 48, 6528 },  { 51, 8192 },   { 59, 16384 },
		{ 61, 19072 }, { 65, 27264 }, { 66, 28672 }, { 67, 32768 },
	};

	(void)state;
	assert_int_equal(NUM_SIZE_CLASSES, 68);
	assert_int_equal(NUM_SPAN_CLASSES, 136);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal(sizeclasses[known[i].sizeclass].elemsize, known[i].size);
}

static void only_class_24_breaks_16_byte_alignment(void **state)
{
	(void)state;
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		assert_int_equal(sizeclasses[c].elemsize % 8, 0);
		if (sizeclasses[c].elemsize >= 16 && sizeclasses[c].elemsize != 24)
			assert_int_equal(sizeclasses[c].elemsize % 16, 0);
	}
}

static void nelems_is_what_fits_and_what_a_span_can_count(void **state)
{
	(void)state;
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		size_t elemsize = spanclass_info((spanclass_t)sc)->elemsize;
		size_t most = spanclass_max_npages((spanclass_t)sc);

		assert_in_range(most * PAGE_SIZE / elemsize, 1, SPAN_MAX_SLOTS);
		for (size_t npages = 1; npages <= most; npages++)
			assert_int_equal(spanclass_nelems((spanclass_t)sc, npages),
					 npages * PAGE_SIZE / elemsize);
	}
}

static void lengths_of_spans_double_at_least_and_lose_an_eighth_at_most(void **state)
{
	(void)state;
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		const struct sizeclass *info = &sizeclasses[c];
		size_t longest = info->npages[SPAN_LENGTHS - 1];

		for (unsigned i = 0; i < SPAN_LENGTHS; i++) {
			size_t nbytes = info->npages[i] * PAGE_SIZE;

			assert_in_range(nbytes, info->elemsize, longest * PAGE_SIZE);
			assert_true(nbytes % info->elemsize <= nbytes / 8);
			if (i > 0 && info->npages[i] != longest)
				assert_true(info->npages[i] >= 2 * info->npages[i - 1]);
		}
	}
}

/* Checks for every byte of every span that one multiplication gives the slot, and whether it
 * starts there. */
static void the_multiply_divides_at_every_offset(void **state)
{
	(void)state;
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		const struct sizeclass *info = &sizeclasses[c];
		uint64_t nbytes = info->npages[SPAN_LENGTHS - 1] * PAGE_SIZE;
		uint64_t slot = 0, rest = 0;
		unsigned wrong = 0;

		assert_int_equal(info->divmul, (UINT64_C(0x100000000) + info->elemsize - 1) /
						       info->elemsize);
		for (uint64_t offset = 0; offset < nbytes; offset++) {
			uint64_t product = offset * info->divmul;

			wrong += product >> 32 != slot;
			wrong += ((uint32_t)product < info->divmul) != (rest == 0);
			if (++rest == info->elemsize) {
				rest = 0;
				slot++;
			}
		}
		if (wrong != 0)
			fail_msg("%u wrong answers in class %u of %u bytes", wrong, c,
				 info->elemsize);
	}
}

static void stack_entries_respect_both_bounds(void **state)
{
	(void)state;
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		const struct sizeclass *info = &sizeclasses[c];

		assert_in_range(info->stack_entries, STACK_MIN_ENTRIES, STACK_MAX_ENTRIES);
		assert_true(info->stack_entries == STACK_MIN_ENTRIES ||
			    info->elemsize <= STACK_SMALL_SIZE ||
			    info->stack_entries * (size_t)info->elemsize <= STACK_BYTES);
	}
}

/* Returns the smallest class that fits, by trying all classes. */
static unsigned smallest_class(size_t size, size_t align)
{
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++)
		if (sizeclasses[c].elemsize >= size && sizeclasses[c].elemsize % align == 0)
			return c;
	return 0;
}

static void lookup_of_every_size_is_the_smallest_class_that_malloc_may_use(void **state)
{
	(void)state;
	for (size_t size = 1; size <= MAX_SMALL_SIZE; size++) {
		size_t align = size > 8 ? 16 : 8;
		spanclass_t sc = sizeclass_of_malloc(size);

		assert_int_equal(spanclass_scan(sc), SCAN);
		assert_int_equal(sc >> 1, smallest_class(size, align));
	}
	/* The entry that no size of one byte or more reaches. */
	assert_int_equal(sizeclass_malloc[0], SPANCLASS_BIG);
}

static void the_align_of_malloc_gives_the_class_of_the_lookup(void **state)
{
	(void)state;
	for (size_t size = 1; size <= MAX_SMALL_SIZE; size++)
		assert_int_equal(sizeclass_for(size, sizeclass_malloc_align(size)),
				 sizeclass_of_malloc(size) >> 1);
}

/* Diverts sizes. It is the last test, because that is for good. */
static void diverted_sizes_have_no_class_in_the_lookup_alone(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 8; align *= 2)
		for (size_t size = 1; size <= 8; size++)
			assert_int_equal(sizeclass_for(size, align), 1);
	assert_int_equal(sizeclass_for(8, 16), 2);
	sizeclass_divert_all();
	for (size_t size = 0; size <= MAX_SMALL_SIZE; size++)
		assert_int_equal(sizeclass_of_malloc(size), SPANCLASS_BIG);
	for (size_t size = 1; size <= MAX_SMALL_SIZE; size++)
		assert_int_equal(sizeclass_for(size, 16), smallest_class(size, 16));
}

static void a_class_serves_its_size_and_not_one_byte_more(void **state)
{
	(void)state;
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		size_t size = sizeclasses[c].elemsize;

		assert_int_equal(sizeclass_for(size, 8), c);
		assert_int_equal(sizeclass_for(sizeclasses[c - 1].elemsize + 1, 8), c);
		if (size < MAX_SMALL_SIZE)
			assert_int_equal(sizeclass_for(size + 1, 8), c + 1);
	}
}

static void class_24_serves_only_alignments_up_to_8(void **state)
{
	(void)state;
	for (size_t size = 17; size <= 24; size++) {
		for (size_t align = 1; align <= 8; align *= 2)
			assert_int_equal(sizeclasses[sizeclass_for(size, align)].elemsize, 24);
		assert_int_equal(sizeclasses[sizeclass_for(size, 16)].elemsize, 32);
		assert_int_equal(sizeclasses[sizeclass_of_malloc(size) >> 1].elemsize, 32);
	}
	for (size_t size = 1; size <= MAX_SMALL_SIZE; size++)
		if (size < 17 || size > 24)
			assert_int_not_equal(sizeclasses[sizeclass_for(size, 8)].elemsize, 24);
}

static void every_alignment_gets_the_smallest_class_whose_slots_have_it(void **state)
{
	(void)state;
	for (size_t align = 1; align <= PAGE_SIZE; align *= 2)
		for (size_t size = 1; size <= MAX_SMALL_SIZE; size++) {
			unsigned c = sizeclass_for(size, align);
			unsigned want = smallest_class(size, align);

			/* 9..16 bytes are never put where 8-byte alignment would do: class 16 is
			 * the smallest anyway. */
			if (c != want)
				fail_msg("size %zu align %zu: class %u, not %u", size, align, c,
					 want);
		}
}

static void the_bit_of_a_span_class_is_noscan(void **state)
{
	(void)state;
	for (unsigned c = 0; c < NUM_SIZE_CLASSES; c++)
		for (unsigned noscan = 0; noscan < 2; noscan++) {
			spanclass_t sc = make_spanclass(c, noscan != 0);

			assert_int_equal(sc, 2 * c + noscan);
			assert_int_equal(spanclass_scan(sc), noscan);
			assert_ptr_equal(spanclass_info(sc), &sizeclasses[c]);
		}
	assert_int_equal(SPANCLASS_TINY,
			 make_spanclass(sizeclass_for(TINY_SIZE, TINY_SIZE), NOSCAN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_rise_from_zero_to_the_largest_small_size),
		cmocka_unit_test(the_68_sizes_are_go_s),
		cmocka_unit_test(only_class_24_breaks_16_byte_alignment),
		cmocka_unit_test(nelems_is_what_fits_and_what_a_span_can_count),
		cmocka_unit_test(lengths_of_spans_double_at_least_and_lose_an_eighth_at_most),
		cmocka_unit_test(the_multiply_divides_at_every_offset),
		cmocka_unit_test(stack_entries_respect_both_bounds),
		cmocka_unit_test(lookup_of_every_size_is_the_smallest_class_that_malloc_may_use),
		cmocka_unit_test(a_class_serves_its_size_and_not_one_byte_more),
		cmocka_unit_test(class_24_serves_only_alignments_up_to_8),
		cmocka_unit_test(every_alignment_gets_the_smallest_class_whose_slots_have_it),
		cmocka_unit_test(the_bit_of_a_span_class_is_noscan),
		cmocka_unit_test(the_align_of_malloc_gives_the_class_of_the_lookup),
		cmocka_unit_test(diverted_sizes_have_no_class_in_the_lookup_alone),
	};

	return cmocka_run_group_tests_name("sizeclass", tests, NULL, NULL);
}
