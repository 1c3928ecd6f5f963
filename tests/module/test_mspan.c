/* SPDX-License-Identifier: MIT */
/*
 * test_mspan.c - the slots of one span, and the ownership protocol, without a heap under it.
 *
 * A span never touches its pages, so its base is an address that nobody mapped.
 */
#include "module.h"

#include "live.h"
#include "spans.h"
#include "heap/mspan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BASE ((uintptr_t)0x123456780000)
#define ME ((uintptr_t)0x10000)
#define OTHER ((uintptr_t)0x20000)
#define CENTRAL ((uintptr_t)0x30000)
#define GUARD 64

/* Size classes by their slots: 1024, 341 (21 in the last word), 128; and by what is worth taking of
 * them. */
#define SC_8 make_spanclass(1, SCAN)
#define SC_24 make_spanclass(3, SCAN)
#define SC_64 make_spanclass(6, NOSCAN)
#define SC_WORTH_4 class_worth(4)
#define SC_WORTH_1 class_worth(1)

/* The spans of large objects are as long as was measured best: a class of which so many slots are
 * worth taking. */
static spanclass_t class_worth(unsigned slots)
{
	unsigned c = NUM_SIZE_CLASSES - 1;

	while (c > 0 && longest_nelems(make_spanclass(c, SCAN)) / 8 != slots)
		c--;
	assert_int_not_equal(c, 0);
	return make_spanclass(c, SCAN);
}

/* Returns a record that holds garbage and has a guard behind it. */
static struct mspan *new_record(unsigned shape)
{
	size_t nbytes = align_up(mspan_shape_bytes(shape), CACHE_LINE) + GUARD;
	struct mspan *s = aligned_alloc(CACHE_LINE, nbytes);

	assert_non_null(s);
	memset((void *)s, 0xa5, nbytes);
	mspan_init_record(s, shape);
	return s;
}

static void assert_guard(struct mspan *s)
{
	size_t record = mspan_shape_bytes(s->shape);
	size_t end = align_up(record, CACHE_LINE) + GUARD;

	for (size_t i = record; i < end; i++)
		assert_int_equal(((unsigned char *)s)[i], 0xa5);
}

static void drop(struct mspan *s)
{
	assert_guard(s);
	free(s);
}

static struct mspan *new_span_of(spanclass_t sc, size_t npages)
{
	struct mspan *s = new_record(mspan_shape(sc, spanclass_nelems(sc, npages)));

	mspan_init_small(s, BASE, sc, npages, true);
	mspan_check(s);
	return s;
}

static struct mspan *new_span(spanclass_t sc)
{
	return new_span_of(sc, spanclass_max_npages(sc));
}

/* Calls check with a new span of every class and length, but for tiny ones. */
static void for_each_length(void (*check)(struct mspan *s))
{
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		for (unsigned i = 0; sc != SPANCLASS_TINY && i < SPAN_LENGTHS; i++) {
			struct mspan *s = new_span_of((spanclass_t)sc,
						      sizeclasses[sc / 2].npages[i]);

			check(s);
			drop(s);
		}
	}
}

/* Hands out every free slot as live. */
static void hand_out_all(struct mspan *s)
{
	unsigned word;
	uint64_t bits;
	bool fresh;

	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		for (; bits != 0; bits &= bits - 1)
			slot_set(&s->state[word * 64 + ctz64(bits)], SLOT_LIVE);
}

static struct mspan *full_span(spanclass_t sc)
{
	struct mspan *s = new_span(sc);

	mspan_set_owner(s, ME);
	hand_out_all(s);
	assert_int_equal(s->nfree, 0);
	assert_false(mspan_set_full(s, ME));
	return s;
}

static bool free_remote(struct mspan *s, uint32_t slot)
{
	bool twice;
	bool claim;

	slot_set(&s->state[slot], SLOT_FREE);
	claim = mspan_free_remote(s, slot, &twice);
	assert_false(twice);
	return claim;
}

static void free_local(struct mspan *s, uint32_t slot)
{
	slot_set(&s->state[slot], SLOT_FREE);
	mspan_free_local(s, slot);
}

static unsigned worth(const struct mspan *s)
{
	return s->nelems >= 8 ? s->nelems / 8 : 1;
}

/* --- records --- */

static void every_length_has_a_shape_with_room_for_all_of_it(void **state)
{
	(void)state;
	for (unsigned i = 2 * SPAN_LENGTHS; i < NUM_SPAN_CLASSES * SPAN_LENGTHS; i++) {
		spanclass_t sc = (spanclass_t)(i / SPAN_LENGTHS);
		unsigned nelems =
			spanclass_nelems(sc, spanclass_info(sc)->npages[i % SPAN_LENGTHS]);
		unsigned shape = mspan_shape(sc, nelems);
		size_t words = (nelems + 63u) / 64;
		/* A byte for the slot behind the last one. */
		size_t states = sc == SPANCLASS_TINY ? nelems * (size_t)TINY_SIZE : nelems + 1u;

		assert_in_range(shape, 1, SPAN_SHAPES - 1);
		assert_true(mspan_shape_bytes(shape) >=
			    sizeof(struct mspan) + states + 2 * 8 * words);
		assert_int_equal(shape == SPAN_SHAPE_TINY, sc == SPANCLASS_TINY);
	}
}

/* Where a late freer sets its bit must not depend on what the record is used for by then. */
static void the_parts_of_a_record_do_not_overlap_and_stay_where_they_are(void **state)
{
	const char *remote_at[SPAN_SHAPES] = { NULL };

	(void)state;
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		struct mspan *s = new_span((spanclass_t)sc);
		size_t words = s->words;
		char *free_bits = (char *)mspan_free_bits(s);
		char *remote = (char *)(uintptr_t)mspan_remote_bits(s);

		assert_true(words * 64 >= s->nelems);
		assert_true(free_bits >= (char *)&s->state[s->nelems + 1u]);
		assert_true(remote >= (char *)&s->state[s->nelems + 1u]);
		assert_int_equal((uintptr_t)free_bits % 8, 0);
		assert_int_equal((uintptr_t)remote % 8, 0);
		assert_true(remote + 8 * words <= free_bits || free_bits + 8 * words <= remote);
		assert_true(free_bits + 8 * words <= (char *)s + mspan_shape_bytes(s->shape));
		assert_true(remote + 8 * words <= (char *)s + mspan_shape_bytes(s->shape));
		if (remote_at[s->shape] == NULL)
			remote_at[s->shape] = remote - (uintptr_t)s;
		assert_ptr_equal(remote_at[s->shape], remote - (uintptr_t)s);
		drop(s);
	}
}

static void a_fresh_span_has_every_slot_free_and_no_owner(void **state)
{
	(void)state;
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		struct mspan *s = new_span((spanclass_t)sc);
		unsigned n = 0;

		for (unsigned w = 0; w < s->words; w++)
			n += popcount64(mspan_free_bits(s)[w]);
		assert_int_equal(n, longest_nelems((spanclass_t)sc));
		assert_true(mspan_is_empty(s));
		assert_int_equal(span_count_live(s), 0);
		assert_int_equal(mspan_owner_relaxed(s), 0);
		assert_int_equal(s->kind, sc == SPANCLASS_TINY ? SPAN_TINY : SPAN_SMALL);
		assert_int_equal(mspan_nbytes(s), s->npages * PAGE_SIZE);
		drop(s);
	}
}

static void a_record_that_is_reused_remembers_nothing(void **state)
{
	struct mspan *s = new_span(SC_64);
	uint8_t shape = s->shape;

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	free_remote(s, 5);
	s->next = s->prev = s;
	s->moved = true;
	mspan_init_small(s, BASE + PAGE_SIZE, SC_64, 1, false);
	mspan_check(s);
	assert_int_equal(s->shape, shape);
	assert_true(mspan_is_empty(s));
	assert_int_equal(mspan_absorb(s), 0);
	assert_int_equal(span_count_live(s), 0);
	assert_int_equal(mspan_owner_relaxed(s), 0);
	assert_null(s->next);
	assert_null(s->prev);
	assert_false(s->moved);
	drop(s);
}

static void a_big_span_has_one_slot_that_the_fast_path_does_not_find(void **state)
{
	struct mspan *s = new_record(SPAN_SHAPE_BIG);
	uint32_t slot;

	(void)state;
	mspan_init_big(s, BASE, 5, true, false);
	mspan_check(s);
	assert_int_equal(s->kind, SPAN_BIG);
	assert_int_equal(s->spanclass, SPANCLASS_BIG_NOSCAN);
	assert_int_equal(mspan_nbytes(s), 5 * PAGE_SIZE);
	assert_int_equal(slot_state(&s->state[0]), SLOT_FREE);
	assert_false(mspan_slot_of(s, BASE, &slot));
	assert_false(mspan_slot_of(s, BASE + 8, &slot));
	drop(s);
}

static void words_are_taken_from_any_one_on_and_round(void **state)
{
	struct mspan *s = new_span(2);
	unsigned nwords = (s->nelems + 63u) / 64, word;
	uint64_t bits;
	bool fresh;

	(void)state;
	assert_true(nwords > 3);
	for (unsigned i = 0; i < nwords; i++) {
		assert_true(mspan_take_word(s, 3, &word, &bits, &fresh));
		assert_int_equal(word, (3 + i) % nwords);
	}
	assert_false(mspan_take_word(s, 3, &word, &bits, &fresh));
	drop(s);
}

/* --- slot_of --- */

static void check_ends_of_slots(struct mspan *s)
{
	uint32_t slot;

	for (uint32_t i = 0; i < s->nelems; i++) {
		uintptr_t addr = BASE + (uintptr_t)i * s->elemsize;

		assert_true(mspan_slot_of(s, addr, &slot));
		assert_int_equal(slot, i);
		assert_false(mspan_slot_of(s, addr + 1, &slot));
		assert_int_equal(slot, i);
		assert_false(mspan_slot_of(s, addr + s->elemsize - 1, &slot));
		assert_int_equal(slot, i);
	}
}

static void slot_of_is_right_at_both_ends_of_every_slot_of_every_length(void **state)
{
	(void)state;
	for_each_length(check_ends_of_slots);
}

static void check_tail(struct mspan *s)
{
	uint32_t slot;

	hand_out_all(s);
	for (uintptr_t a = BASE + (uintptr_t)s->nelems * s->elemsize; a < BASE + mspan_nbytes(s);
	     a++) {
		(void)mspan_slot_of(s, a, &slot);
		assert_int_equal(slot, s->nelems);
		assert_true(slot < s->state_bytes);
		assert_int_equal(slot_state(&s->state[slot]), SLOT_FREE);
	}
}

static void behind_the_last_slot_is_one_that_has_a_byte_and_is_never_live(void **state)
{
	(void)state;
	for_each_length(check_tail);
}

static void no_address_starts_a_slot_of_a_tiny_span(void **state)
{
	struct mspan *s = new_span(SPANCLASS_TINY);
	uint32_t slot;

	(void)state;
	for (uintptr_t a = BASE; a < BASE + PAGE_SIZE; a++)
		assert_false(mspan_slot_of(s, a, &slot));
	drop(s);
}

/* --- words --- */

static void words_are_taken_lowest_first_and_the_last_one_may_be_partial(void **state)
{
	static const unsigned classes[] = { 1, 3, 5, 6, 9, 10, 11, 33, 44, 61, 67 };

	(void)state;
	for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
		struct mspan *s = new_span(make_spanclass(classes[k], SCAN));
		unsigned nelems = s->nelems;
		unsigned word;
		uint64_t bits;
		bool fresh;

		for (unsigned w = 0; w < (nelems + 63) / 64; w++) {
			unsigned in_word = nelems - w * 64 < 64 ? nelems - w * 64 : 64;

			assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
			assert_int_equal(word, w);
			assert_true(bits == low_mask64(in_word));
			assert_true(fresh);
			mspan_check(s);
		}
		assert_int_equal(s->nfree, 0);
		assert_false(mspan_take_word(s, 0, &word, &bits, &fresh));
		drop(s);
	}
}

static void slots_63_64_and_the_last_one_come_back_where_they_were(void **state)
{
	struct mspan *s = new_span(SC_24);
	const uint32_t slots[] = { 63, 64, s->nelems - 1u };
	unsigned word;
	uint64_t bits;
	bool fresh;

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	for (unsigned i = 0; i < 3; i++) {
		free_local(s, slots[i]);
		assert_int_equal(s->nfree, i + 1);
		mspan_check(s);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
		assert_int_equal(word, slots[i] / 64);
		assert_true(bits == UINT64_C(1) << slots[i] % 64);
	}
	assert_false(mspan_take_word(s, 0, &word, &bits, &fresh));
	drop(s);
}

static void slots_put_back_can_be_taken_again(void **state)
{
	struct mspan *s = new_span(SC_64);
	unsigned word;
	uint64_t bits;
	bool fresh;

	(void)state;
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	slot_set(&s->state[0], SLOT_LIVE);
	mspan_put_word(s, word, bits & ~UINT64_C(1));
	mspan_check(s);
	assert_int_equal(s->nfree, s->nelems - 1);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, 0);
	assert_true(bits == ~UINT64_C(1));
	drop(s);
}

static void only_slots_that_nobody_had_are_called_fresh(void **state)
{
	struct mspan *s = new_span(SC_24);
	unsigned word;
	uint64_t bits;
	bool fresh;

	(void)state;
	mspan_set_owner(s, ME);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh) && fresh);
	for (unsigned i = 0; i < 64; i++)
		slot_set(&s->state[i], SLOT_LIVE);
	/* Freed at home and by others: neither is fresh, and the words not yet taken still are. */
	free_local(s, 3);
	free_remote(s, 4);
	mspan_absorb(s);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, 0);
	assert_true(bits == 0x18);
	assert_false(fresh);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, 1);
	assert_true(fresh);
	drop(s);
}

static void a_span_of_used_pages_is_never_fresh(void **state)
{
	struct mspan *s = new_span(SC_64);
	unsigned word;
	uint64_t bits;
	bool fresh = true;

	(void)state;
	mspan_init_small(s, BASE, SC_64, 1, false);
	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		assert_false(fresh);
	drop(s);
}

/* --- remote frees --- */

static void a_remote_free_is_seen_at_absorb_not_before(void **state)
{
	struct mspan *s = new_span(SC_24);
	unsigned word;
	uint64_t bits;
	bool fresh;

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	free_remote(s, 63);
	free_remote(s, 64);
	free_remote(s, s->nelems - 1u);
	assert_int_equal(s->nfree, 0);
	assert_false(mspan_take_word(s, 0, &word, &bits, &fresh));
	mspan_check(s);
	assert_int_equal(mspan_absorb(s), 3);
	assert_int_equal(s->nfree, 3);
	mspan_check(s);
	assert_int_equal(mspan_absorb(s), 0);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, 0);
	assert_true(bits == UINT64_C(1) << 63);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, 1);
	assert_true(bits == 1);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(word, (s->nelems - 1) / 64);
	drop(s);
}

static void the_second_of_two_frees_of_a_slot_is_told_so(void **state)
{
	struct mspan *s = new_span(SC_64);
	bool twice = true;

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	slot_set(&s->state[64], SLOT_FREE);
	mspan_free_remote(s, 64, &twice);
	assert_false(twice);
	mspan_free_remote(s, 63, &twice);
	assert_false(twice);
	mspan_free_remote(s, 64, &twice);
	assert_true(twice);
	drop(s);
}

static void absorb_dies_live_body(void)
{
	struct mspan *s = new_span(SC_64);

	mspan_set_owner(s, ME);
	hand_out_all(s);
	free_remote(s, 65);
	/* Handed out again behind the back of the free. */
	slot_set(&s->state[65], SLOT_LIVE);
	mspan_absorb(s);
}

static void absorb_dies_free_body(void)
{
	struct mspan *s = new_span(SC_64);

	mspan_set_owner(s, ME);
	hand_out_all(s);
	free_local(s, 65);
	free_remote(s, 65);
	mspan_absorb(s);
}

static void a_mark_on_a_slot_that_is_live_or_free_is_a_double_free(void **state)
{
	(void)state;
	/* BASE + 65 * 64 */
	run_until_abort(absorb_dies_live_body, "goalloc: free(0x123456781040): double free\n");
	run_until_abort(absorb_dies_free_body, "goalloc: free(0x123456781040): double free\n");
}

/* --- credit --- */

static void a_remote_free_into_a_span_in_use_never_says_claim(void **state)
{
	struct mspan *s = new_span(SC_WORTH_4);

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	for (uint32_t i = 0; i < s->nelems; i++)
		assert_false(free_remote(s, i));
	drop(s);
}

static void the_free_that_makes_a_full_span_worth_taking_says_claim(void **state)
{
	static const unsigned classes[] = { 1, 3, 10, 33, 44, 61, 65, 67 };

	(void)state;
	for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
		struct mspan *s = full_span(make_spanclass(classes[k], SCAN));

		assert_int_equal(mspan_owner_relaxed(s), ME | SPAN_FULL);
		for (uint32_t i = 0; i < s->nelems; i++)
			assert_int_equal(free_remote(s, i), i + 1 >= worth(s));
		drop(s);
	}
}

static void frees_before_the_span_is_full_count_too(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 8; before++) {
		struct mspan *s = new_span(SC_64);

		assert_int_equal(worth(s), 16);
		mspan_set_owner(s, ME);
		hand_out_all(s);
		/* Two words, so that both are counted. */
		for (uint32_t i = 0; i < before; i++) {
			assert_false(free_remote(s, i));
			assert_false(free_remote(s, 127 - i));
		}
		assert_false(mspan_set_full(s, ME));
		for (uint32_t i = 2 * before; i < 16; i++)
			assert_int_equal(free_remote(s, i + 20), i == 15);
		drop(s);
	}
}

static void set_full_says_so_when_nobody_else_will(void **state)
{
	struct mspan *s = new_span(SC_64);

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	for (uint32_t i = 0; i < 15; i++)
		free_remote(s, i * 8);
	free_remote(s, 127);
	assert_true(mspan_set_full(s, ME));
	/* It is full all the same, and anybody's: a claim like any other. */
	assert_int_equal(mspan_owner_relaxed(s), ME | SPAN_FULL);
	assert_true(mspan_claim_full(s, OTHER));
	assert_false(mspan_claim_full(s, ME));
	assert_int_equal(mspan_absorb(s), 16);
	mspan_check(s);
	drop(s);
}

static void every_free_after_the_one_that_said_claim_says_it_again(void **state)
{
	struct mspan *s = full_span(SC_WORTH_1);

	(void)state;
	assert_true(free_remote(s, 0));
	assert_true(free_remote(s, 1));
	/* Not any more once it is somebody's. */
	assert_true(mspan_claim_full(s, OTHER));
	assert_false(free_remote(s, 2));
	assert_int_equal(mspan_absorb(s), 3);
	drop(s);
}

static void one_claimant_wins_and_has_not_absorbed_yet(void **state)
{
	struct mspan *s = full_span(SC_WORTH_1);

	(void)state;
	assert_true(free_remote(s, 7));
	assert_true(mspan_claim_full(s, OTHER));
	assert_false(mspan_claim_full(s, ME));
	assert_int_equal(mspan_owner_relaxed(s), OTHER);
	assert_int_equal(s->nfree, 0);
	assert_int_equal(mspan_absorb(s), 1);
	mspan_check(s);
	drop(s);
}

static void only_full_spans_can_be_claimed(void **state)
{
	struct mspan *s = new_span(SC_64);

	(void)state;
	assert_false(mspan_claim_full(s, OTHER));
	mspan_set_owner(s, ME);
	assert_false(mspan_claim_full(s, OTHER));
	assert_int_equal(mspan_owner_relaxed(s), ME);
	mspan_set_central(s, CENTRAL);
	assert_false(mspan_claim_full(s, OTHER));
	assert_int_equal(mspan_owner_relaxed(s), CENTRAL | SPAN_CENTRAL);
	drop(s);
}

static void the_credit_starts_anew_each_time_a_span_is_full(void **state)
{
	struct mspan *s = full_span(SC_WORTH_4);

	(void)state;
	assert_int_equal(worth(s), 4);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(free_remote(s, i + round), i == 3);
		assert_true(mspan_claim_full(s, OTHER));
		assert_int_equal(mspan_absorb(s), 4);
		hand_out_all(s);
		assert_false(mspan_set_full(s, OTHER));
	}
	drop(s);
}

/* --- central --- */

/* Returns a span that ME owns, with live objects in its first slots. */
static struct mspan *span_with_live(spanclass_t sc, unsigned live)
{
	struct mspan *s = new_span(sc);

	mspan_set_owner(s, ME);
	hand_out_all(s);
	for (uint32_t i = live; i < s->nelems; i++)
		free_local(s, i);
	assert_int_equal(span_count_live(s), live);
	return s;
}

static void a_central_span_is_worth_taking_after_as_many_frees_as_a_full_one(void **state)
{
	struct mspan *s = span_with_live(SC_WORTH_4, 31);

	(void)state;
	assert_false(mspan_set_central(s, CENTRAL));
	for (uint32_t i = 0; i < 31; i++)
		assert_int_equal(free_remote(s, i), i >= 3);
	drop(s);
}

static void the_free_of_the_last_live_slot_of_a_central_span_says_claim(void **state)
{
	(void)state;
	for (unsigned live = 1; live <= 4; live++) {
		struct mspan *s = span_with_live(SC_WORTH_4, live);

		assert_false(mspan_set_central(s, CENTRAL));
		for (uint32_t i = 0; i < live; i++)
			assert_int_equal(free_remote(s, i), i == live - 1);
		mspan_set_owner(s, OTHER);
		mspan_absorb(s);
		assert_true(mspan_is_empty(s));
		drop(s);
	}
}

static void frees_before_the_span_is_central_count_too(void **state)
{
	struct mspan *s = span_with_live(SC_WORTH_4, 3);

	(void)state;
	assert_false(free_remote(s, 0));
	assert_false(free_remote(s, 2));
	assert_false(mspan_set_central(s, CENTRAL));
	assert_true(free_remote(s, 1));
	drop(s);
}

static void set_central_says_so_when_nobody_else_will_and_can_be_called_again(void **state)
{
	struct mspan *s = span_with_live(SC_WORTH_4, 20);

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		assert_false(free_remote(s, i));
	assert_true(mspan_set_central(s, CENTRAL));
	/* As mcentral does: absorb, then once more. The credit starts anew. */
	assert_int_equal(mspan_absorb(s), 4);
	assert_false(mspan_set_central(s, CENTRAL));
	assert_int_equal(mspan_owner_relaxed(s), CENTRAL | SPAN_CENTRAL);
	for (uint32_t i = 4; i < 8; i++)
		assert_int_equal(free_remote(s, i), i == 7);
	drop(s);
}

static void set_central_of_a_span_that_became_empty_says_so(void **state)
{
	struct mspan *s = span_with_live(SC_WORTH_4, 2);

	(void)state;
	assert_false(free_remote(s, 0));
	assert_false(free_remote(s, 1));
	assert_true(mspan_set_central(s, CENTRAL));
	assert_int_equal(mspan_absorb(s), 2);
	assert_true(mspan_is_empty(s));
	drop(s);
}

/* --- tiny spans: the mark is on the block, the states are of bytes --- */

static void tiny_live(struct mspan *s, uint32_t slot, unsigned offset, uint8_t nbytes)
{
	slot_set(&s->state[slot * TINY_SIZE + offset], nbytes);
}

static bool tiny_free_remote(struct mspan *s, uint32_t slot, unsigned offset)
{
	bool twice;

	slot_set(&s->state[slot * TINY_SIZE + offset], SLOT_FREE);
	return mspan_free_remote(s, slot, &twice);
}

/* Returns a tiny span that ME owns, with an 8-byte object at the start of each block. */
static struct mspan *tiny_span(void)
{
	struct mspan *s = new_span(SPANCLASS_TINY);
	unsigned word;
	uint64_t bits;
	bool fresh;

	mspan_set_owner(s, ME);
	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		for (; bits != 0; bits &= bits - 1) {
			tiny_live(s, word * 64 + ctz64(bits), 0, 8);
			/* The cache lets go of the block. */
			tiny_live(s, word * 64 + ctz64(bits), TINY_SIZE - 1, SLOT_FREE);
		}
	return s;
}

static void a_tiny_block_is_free_when_its_last_object_is(void **state)
{
	struct mspan *s = tiny_span();

	(void)state;
	tiny_live(s, 63, 8, 4);
	tiny_live(s, 63, 15, 1);
	tiny_free_remote(s, 63, 0);
	assert_int_equal(mspan_absorb(s), 0);
	tiny_free_remote(s, 63, 15);
	assert_int_equal(mspan_absorb(s), 0);
	tiny_free_remote(s, 63, 8);
	assert_int_equal(s->nfree, 0);
	assert_int_equal(mspan_absorb(s), 1);
	assert_int_equal(s->nfree, 1);
	mspan_check(s);
	drop(s);
}

static void a_tiny_block_may_be_marked_again_and_be_free_already(void **state)
{
	struct mspan *s = tiny_span();

	(void)state;
	tiny_live(s, 511, 8, 8);
	tiny_free_remote(s, 511, 8);
	/* The owner frees the other one, and the block. */
	slot_set(&s->state[511 * TINY_SIZE], SLOT_FREE);
	mspan_free_local(s, 511);
	assert_int_equal(mspan_absorb(s), 0);
	assert_int_equal(s->nfree, 1);
	mspan_check(s);
	drop(s);
}

static void marks_that_free_no_block_are_used_up_by_the_claim(void **state)
{
	struct mspan *s = tiny_span();

	(void)state;
	for (uint32_t i = 0; i < 64; i++)
		tiny_live(s, i, 8, 8);
	for (uint32_t i = 0; i < 64; i++)
		assert_false(tiny_free_remote(s, i, 8));
	/* 64 marks are what 512 blocks are worth, but not one block is free. */
	assert_true(mspan_set_full(s, ME));
	assert_true(mspan_claim_full(s, ME));
	assert_int_equal(mspan_absorb(s), 0);
	/* The marks were used up: it takes 64 more. */
	assert_false(mspan_set_full(s, ME));
	assert_int_equal(mspan_owner_relaxed(s), ME | SPAN_FULL);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(tiny_free_remote(s, i, 0), i == 63);
	assert_true(mspan_claim_full(s, OTHER));
	assert_int_equal(mspan_absorb(s), 64);
	mspan_check(s);
	drop(s);
}

static void blocks_in_a_cache_are_pinned_and_hold_no_object(void **state)
{
	struct mspan *s = new_span(SPANCLASS_TINY);
	unsigned word;
	uint64_t bits;
	bool fresh;

	(void)state;
	mspan_set_owner(s, ME);
	assert_true(mspan_take_word(s, 0, &word, &bits, &fresh));
	assert_int_equal(span_count_live(s), 0);
	/* A mark that comes late, for an object that was in the block before. */
	tiny_free_remote(s, 5, 0);
	assert_int_equal(mspan_absorb(s), 0);
	assert_int_equal(s->nfree, 512 - 64);
	mspan_put_word(s, word, bits);
	mspan_check(s);
	assert_true(mspan_is_empty(s));
	drop(s);
}

/* --- after a fork --- */

static void rebuild_makes_free_what_is_not_live_whoever_had_it(void **state)
{
	struct mspan *s = new_span(SC_24);
	unsigned word;
	uint64_t bits;
	bool fresh;
	unsigned live = 0;

	(void)state;
	mspan_set_owner(s, ME);
	hand_out_all(s);
	/* On a stack of the dead, in its word, marked by another, and every third live. */
	for (uint32_t i = 0; i < s->nelems; i++)
		slot_set(&s->state[i], i % 3 == 0 ? SLOT_LIVE : SLOT_FREE);
	for (uint32_t i = 1; i < s->nelems; i += 6)
		free_remote(s, i);
	s->next = s->prev = s;
	mspan_rebuild(s);
	mspan_check(s);
	assert_int_equal(mspan_owner_relaxed(s), 0);
	assert_null(s->next);
	assert_null(s->prev);
	assert_int_equal(mspan_absorb(s), 0);
	for (uint32_t i = 0; i < s->nelems; i++)
		live += i % 3 == 0;
	assert_int_equal(s->nfree, s->nelems - live);
	while (mspan_take_word(s, 0, &word, &bits, &fresh)) {
		assert_false(fresh);
		for (unsigned i = 0; i < 64 && word * 64 + i < s->nelems; i++)
			assert_int_equal(bits >> i & 1, (word * 64 + i) % 3 != 0);
	}
	drop(s);
}

static void rebuild_of_a_tiny_span_frees_the_blocks_without_objects(void **state)
{
	struct mspan *s = tiny_span();

	(void)state;
	slot_set(&s->state[64 * TINY_SIZE], SLOT_FREE);
	tiny_live(s, 65, 15, 1);
	slot_set(&s->state[65 * TINY_SIZE], SLOT_FREE);
	/* Pinned by who is gone: empty, and with an object. */
	slot_set(&s->state[66 * TINY_SIZE], SLOT_FREE);
	tiny_live(s, 66, 15, TINY_PIN);
	tiny_live(s, 67, 15, TINY_PIN);
	mspan_rebuild(s);
	mspan_check(s);
	assert_int_equal(s->nfree, 2);
	assert_true(mspan_free_bits(s)[1] == 5);
	assert_int_equal(span_count_live(s), 510);
	drop(s);
}

/* --- the checker --- */

static void check_finds_wrong_count(void)
{
	struct mspan *s = new_span(SC_64);

	s->nfree--;
	mspan_check(s);
}

static void check_finds_live_slot_in_free_bits(void)
{
	struct mspan *s = new_span(SC_64);

	slot_set(&s->state[63], SLOT_LIVE);
	mspan_check(s);
}

static void check_finds_bit_behind_the_last_slot(void)
{
	struct mspan *s = new_span(SC_24);

	mspan_free_bits(s)[5] |= UINT64_C(1) << 21;
	s->nfree++;
	mspan_check(s);
}

static void check_finds_slot_free_and_marked(void)
{
	struct mspan *s = new_span(SC_64);
	bool twice;

	mspan_set_owner(s, ME);
	mspan_free_remote(s, 1, &twice);
	mspan_check(s);
}

static void mspan_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = {
		check_finds_wrong_count,
		check_finds_live_slot_in_free_bits,
		check_finds_bit_behind_the_last_slot,
		check_finds_slot_free_and_marked,
	};

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "mspan.c");
}

/* --- histories --- */

enum { ABSENT, LIVE, CACHED, FREE_BIT, MARKED };

/* Does what one owner with a stack and a word would do, and frees as other threads do. */
static void history(spanclass_t sc, uint64_t seed, unsigned steps)
{
	static uint8_t model[SPAN_MAX_SLOTS];
	struct mspan *s = new_span(sc);
	uint64_t rnd = seed;

	mspan_set_owner(s, ME);
	memset(model, FREE_BIT, s->nelems);
	for (unsigned step = 0; step < steps; step++) {
		uint32_t slot = (uint32_t)rng_below(&rnd, s->nelems);
		unsigned kind = (unsigned)rng_below(&rnd, 12);
		unsigned word, n = 0;
		uint64_t bits;
		bool fresh;

		if (kind == 0) {
			unsigned lowest = 0;
			bool got = mspan_take_word(s, 0, &word, &bits, &fresh);

			while (lowest < s->nelems && model[lowest] != FREE_BIT)
				lowest++;
			assert_int_equal(got, lowest < s->nelems);
			for (unsigned i = lowest / 64 * 64;
			     got && i < lowest / 64 * 64 + 64 && i < s->nelems; i++) {
				assert_int_equal(bits >> i % 64 & 1, model[i] == FREE_BIT);
				if (model[i] == FREE_BIT)
					model[i] = CACHED;
			}
			if (got)
				assert_int_equal(word, lowest / 64);
		} else if (kind == 1) {
			for (uint32_t i = 0; i < s->nelems; i++) {
				n += model[i] == MARKED;
				if (model[i] == MARKED)
					model[i] = FREE_BIT;
			}
			assert_int_equal(mspan_absorb(s), n);
		} else if (model[slot] == CACHED && kind < 9) {
			model[slot] = LIVE;
			slot_set(&s->state[slot], SLOT_LIVE);
		} else if (model[slot] == CACHED && kind == 9) {
			model[slot] = FREE_BIT;
			mspan_put_word(s, slot / 64, UINT64_C(1) << slot % 64);
		} else if (model[slot] == LIVE && kind < 5) {
			model[slot] = FREE_BIT;
			free_local(s, slot);
		} else if (model[slot] == LIVE && kind < 9) {
			model[slot] = MARKED;
			assert_false(free_remote(s, slot));
		}
		mspan_check(s);
		for (uint32_t i = 0; i < s->nelems; i++)
			n += model[i] == FREE_BIT;
		if (kind != 1)
			assert_int_equal(s->nfree, n);
	}
	drop(s);
}

static void a_random_history_agrees_with_the_model(void **state)
{
	(void)state;
	history(SC_8, 1, 3000);
	history(SC_24, 2, 4000);
	history(SC_64, 3, 4000);
	history(SC_WORTH_4, 4, 4000);
	history(SC_WORTH_1, 5, 4000);
}

/* --- two threads: rule 1 --- */

enum { ROUNDS = 3000 };

static struct {
	struct mspan *s;
	pthread_barrier_t barrier;
	bool claim[ROUNDS];
} race;

static void *freer(void *arg)
{
	(void)arg;
	for (unsigned r = 0; r < ROUNDS; r++) {
		bool twice;

		pthread_barrier_wait(&race.barrier);
		slot_set(&race.s->state[r % 8], SLOT_FREE);
		race.claim[r] = mspan_free_remote(race.s, r % 8, &twice);
		pthread_barrier_wait(&race.barrier);
	}
	return NULL;
}

static void a_free_that_meets_set_full_is_seen_by_one_of_the_two(void **state)
{
	pthread_t t;
	unsigned both = 0, owner_saw = 0;

	(void)state;
	race.s = new_span(SC_WORTH_1);
	mspan_set_owner(race.s, ME);
	hand_out_all(race.s);
	pthread_barrier_init(&race.barrier, NULL, 2);
	assert_int_equal(pthread_create(&t, NULL, freer, NULL), 0);
	for (unsigned r = 0; r < ROUNDS; r++) {
		bool saw;

		pthread_barrier_wait(&race.barrier);
		saw = mspan_set_full(race.s, ME);
		pthread_barrier_wait(&race.barrier);
		assert_true(saw || race.claim[r]);
		owner_saw += saw;
		both += saw && race.claim[r];
		assert_true(mspan_claim_full(race.s, ME));
		assert_int_equal(mspan_absorb(race.s), 1);
		mspan_check(race.s);
		hand_out_all(race.s);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	pthread_barrier_destroy(&race.barrier);
	print_message("the owner saw %u of %u frees, both %u\n", owner_saw, (unsigned)ROUNDS, both);
	drop(race.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_has_a_shape_with_room_for_all_of_it),
		cmocka_unit_test(the_parts_of_a_record_do_not_overlap_and_stay_where_they_are),
		cmocka_unit_test(a_fresh_span_has_every_slot_free_and_no_owner),
		cmocka_unit_test(a_record_that_is_reused_remembers_nothing),
		cmocka_unit_test(a_big_span_has_one_slot_that_the_fast_path_does_not_find),
		cmocka_unit_test(words_are_taken_from_any_one_on_and_round),
		cmocka_unit_test(slot_of_is_right_at_both_ends_of_every_slot_of_every_length),
		cmocka_unit_test(behind_the_last_slot_is_one_that_has_a_byte_and_is_never_live),
		cmocka_unit_test(no_address_starts_a_slot_of_a_tiny_span),
		cmocka_unit_test(words_are_taken_lowest_first_and_the_last_one_may_be_partial),
		cmocka_unit_test(slots_63_64_and_the_last_one_come_back_where_they_were),
		cmocka_unit_test(slots_put_back_can_be_taken_again),
		cmocka_unit_test(only_slots_that_nobody_had_are_called_fresh),
		cmocka_unit_test(a_span_of_used_pages_is_never_fresh),
		cmocka_unit_test(a_remote_free_is_seen_at_absorb_not_before),
		cmocka_unit_test(the_second_of_two_frees_of_a_slot_is_told_so),
		cmocka_unit_test(a_mark_on_a_slot_that_is_live_or_free_is_a_double_free),
		cmocka_unit_test(a_remote_free_into_a_span_in_use_never_says_claim),
		cmocka_unit_test(the_free_that_makes_a_full_span_worth_taking_says_claim),
		cmocka_unit_test(frees_before_the_span_is_full_count_too),
		cmocka_unit_test(set_full_says_so_when_nobody_else_will),
		cmocka_unit_test(every_free_after_the_one_that_said_claim_says_it_again),
		cmocka_unit_test(one_claimant_wins_and_has_not_absorbed_yet),
		cmocka_unit_test(only_full_spans_can_be_claimed),
		cmocka_unit_test(the_credit_starts_anew_each_time_a_span_is_full),
		cmocka_unit_test(a_central_span_is_worth_taking_after_as_many_frees_as_a_full_one),
		cmocka_unit_test(the_free_of_the_last_live_slot_of_a_central_span_says_claim),
		cmocka_unit_test(frees_before_the_span_is_central_count_too),
		cmocka_unit_test(set_central_says_so_when_nobody_else_will_and_can_be_called_again),
		cmocka_unit_test(set_central_of_a_span_that_became_empty_says_so),
		cmocka_unit_test(a_tiny_block_is_free_when_its_last_object_is),
		cmocka_unit_test(a_tiny_block_may_be_marked_again_and_be_free_already),
		cmocka_unit_test(marks_that_free_no_block_are_used_up_by_the_claim),
		cmocka_unit_test(blocks_in_a_cache_are_pinned_and_hold_no_object),
		cmocka_unit_test(rebuild_makes_free_what_is_not_live_whoever_had_it),
		cmocka_unit_test(rebuild_of_a_tiny_span_frees_the_blocks_without_objects),
		cmocka_unit_test(mspan_check_stops_at_each_kind_of_lie),
		cmocka_unit_test(a_random_history_agrees_with_the_model),
		cmocka_unit_test(a_free_that_meets_set_full_is_seen_by_one_of_the_two),
	};

	return cmocka_run_group_tests_name("mspan", tests, NULL, NULL);
}
