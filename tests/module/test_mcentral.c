/* SPDX-License-Identifier: MIT */
/*
 * test_mcentral.c - spans that no thread holds: each is taken once, by the first thread that comes.
 */
#include "module.h"
#include "spans.h"

#include "heap/mcentral.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define ME ((uintptr_t)0x10000)
#define OTHER ((uintptr_t)0x20000)

/* A class of 32 slots or a few more: worth taking with 4 free. */
static spanclass_t sc_scan, sc_noscan;

static void start(void)
{
	unsigned c = NUM_SIZE_CLASSES - 1;

	while (c > 0 && longest_nelems(make_spanclass(c, SCAN)) / 8 != 4)
		c--;
	CHECK(c != 0);
	sc_scan = make_spanclass(c, SCAN);
	sc_noscan = make_spanclass(c, NOSCAN);
	mheap_init();
}

/* Returns a span that ME owns, with live objects in its first slots and no others. */
static struct mspan *span_with_live(spanclass_t sc, unsigned live)
{
	struct mspan *s = alloc_longest(NULL, sc);
	unsigned word;
	uint64_t bits;
	bool fresh;

	CHECK(s != NULL);
	mspan_set_owner(s, ME);
	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		for (; bits != 0; bits &= bits - 1)
			slot_set(&s->state[word * 64 + ctz64(bits)], SLOT_LIVE);
	for (uint32_t slot = live; slot < s->nelems; slot++) {
		slot_set(&s->state[slot], SLOT_FREE);
		mspan_free_local(s, slot);
	}
	CHECK(s->nfree == s->nelems - live);
	return s;
}

static bool free_remote(struct mspan *s, uint32_t slot)
{
	bool twice;
	bool claim;

	slot_set(&s->state[slot], SLOT_FREE);
	claim = mspan_free_remote(s, slot, &twice);
	CHECK(!twice);
	return claim;
}

TEST_IN_CHILD(nothing_is_taken_from_an_empty_class)
{
	start();
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		CHECK(mcentral_take((spanclass_t)sc, ME) == NULL);
	mcentral_check();
}

TEST_IN_CHILD(a_span_put_is_taken_once_with_its_new_owner)
{
	struct mspan *s;

	start();
	s = span_with_live(sc_scan, 10);
	mcentral_put(s);
	mcentral_check();
	CHECK(mcentrals[sc_scan].npartial == 1 && mcentrals[sc_scan].lists[CENTRAL_EVEN] == s);
	CHECK(mspan_owner_relaxed(s) == ((uintptr_t)&mcentrals[sc_scan] | SPAN_CENTRAL));
	CHECK(mcentral_take(sc_scan, OTHER) == s);
	CHECK(mspan_owner_relaxed(s) == OTHER);
	CHECK(mcentral_take(sc_scan, ME) == NULL);
	CHECK(mcentrals[sc_scan].npartial == 0);
	mcentral_check();
}

TEST_IN_CHILD(each_of_the_136_classes_has_spans_of_its_own)
{
	static struct mspan *s[NUM_SPAN_CLASSES];

	start();
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		if (sc == SPANCLASS_TINY)
			continue;
		s[sc] = span_with_live((spanclass_t)sc, 1);
		mcentral_put(s[sc]);
	}
	mcentral_check();
	for (unsigned sc = NUM_SPAN_CLASSES; sc-- > 2;)
		CHECK(mcentral_take((spanclass_t)sc, ME) == s[sc]);
}

TEST_IN_CHILD(the_last_span_put_is_the_first_taken)
{
	struct mspan *s[5];

	start();
	for (unsigned i = 0; i < 5; i++)
		mcentral_put(s[i] = span_with_live(sc_scan, 1 + i));
	mcentral_check();
	for (unsigned i = 5; i-- > 0;)
		CHECK(mcentral_take(sc_scan, ME) == s[i]);
}

TEST_IN_CHILD(a_claim_takes_a_span_from_anywhere_on_the_list)
{
	struct mspan *s[5];

	start();
	for (unsigned i = 0; i < 5; i++)
		mcentral_put(s[i] = span_with_live(sc_scan, 1 + i));
	/* Middle, head, tail. */
	CHECK(mcentral_claim(s[2], OTHER));
	mcentral_check();
	CHECK(mcentral_claim(s[4], OTHER));
	mcentral_check();
	CHECK(mcentral_claim(s[0], OTHER));
	mcentral_check();
	CHECK(mcentrals[sc_scan].npartial == 2);
	CHECK(mspan_owner_relaxed(s[2]) == OTHER);
	CHECK(!mcentral_claim(s[2], ME));
	CHECK(mcentral_take(sc_scan, ME) == s[3] && mcentral_take(sc_scan, ME) == s[1]);
	CHECK(!mcentral_claim(s[1], OTHER));
	mcentral_check();
}

TEST_IN_CHILD(only_central_spans_are_claimed)
{
	struct mspan *s;

	start();
	s = span_with_live(sc_scan, longest_nelems(sc_scan));
	CHECK(!mcentral_claim(s, OTHER));
	CHECK(!mspan_set_full(s, ME));
	CHECK(!mcentral_claim(s, OTHER));
	CHECK(mspan_owner_relaxed(s) == (ME | SPAN_FULL));
	mspan_set_owner(s, 0);
	CHECK(!mcentral_claim(s, OTHER));
}

TEST_IN_CHILD(the_free_of_the_last_object_of_a_central_span_gets_it)
{
	struct mspan *s;

	start();
	s = span_with_live(sc_scan, 2);
	mcentral_put(s);
	CHECK(!free_remote(s, 0));
	CHECK(free_remote(s, 1));
	CHECK(mcentral_claim(s, OTHER));
	CHECK(mspan_absorb(s) == 2 && mspan_is_empty(s));
	mheap_free_span(NULL, s);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(frees_before_put_are_counted_and_absorbed_when_worth_it)
{
	struct mspan *few, *enough;

	start();
	few = span_with_live(sc_scan, 20);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(!free_remote(few, i));
	mcentral_put(few);
	CHECK(few->nfree == few->nelems - 20);
	CHECK(free_remote(few, 3));
	enough = span_with_live(sc_noscan, 20);
	for (uint32_t i = 0; i < 4; i++)
		CHECK(!free_remote(enough, i));
	mcentral_put(enough);
	CHECK(enough->nfree == enough->nelems - 16);
	CHECK(mcentrals[sc_noscan].npartial == 1);
	/* The credit began anew. */
	for (uint32_t i = 4; i < 8; i++)
		CHECK(free_remote(enough, i) == (i == 7));
	mcentral_check();
}

TEST_IN_CHILD(a_span_that_turns_out_empty_goes_to_the_heap)
{
	struct mspan *s;
	uintptr_t base;

	start();
	s = span_with_live(sc_scan, 3);
	base = s->base;
	for (uint32_t i = 0; i < 3; i++)
		CHECK(!free_remote(s, i));
	mcentral_put(s);
	CHECK(span_of(base) == &mspan_dead);
	CHECK(mcentrals[sc_scan].npartial == 0 && mcentrals[sc_scan].lists[CENTRAL_EVEN] == NULL);
	CHECK(mheap.pages.nfree == mheap.pages.ntotal);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(a_taken_span_still_has_what_others_freed_to_absorb)
{
	struct mspan *s;

	start();
	s = span_with_live(sc_scan, 20);
	mcentral_put(s);
	free_remote(s, 5);
	CHECK(mcentral_take(sc_scan, OTHER) == s);
	CHECK(s->nfree == s->nelems - 20);
	CHECK(mspan_absorb(s) == 1 && s->nfree == s->nelems - 19);
}

/* --- draining --- */

/* Returns how many spans of the class are drained. */
static unsigned count_drained(spanclass_t sc)
{
	unsigned n = 0;

	for (struct mspan *s = mcentrals[sc].lists[CENTRAL_DRAINED]; s != NULL; s = s->next)
		n++;
	return n;
}

TEST_IN_CHILD(a_span_is_drained_after_one_to_two_decay_times)
{
	struct mspan *s, *later;

	start();
	mcentral_put(s = span_with_live(sc_scan, 1));
	CHECK(!mcentral_drain_poll(1000, 100));
	CHECK(s->released == 0 && count_drained(sc_scan) == 0);
	mcentral_put(later = span_with_live(sc_scan, 1));
	CHECK(!mcentral_drain_poll(1099, 100));
	CHECK(count_drained(sc_scan) == 0);
	CHECK(!mcentral_drain_poll(1100, 100));
	CHECK(s->released != 0 && s->list == CENTRAL_DRAINED);
	CHECK(later->released == 0 && count_drained(sc_scan) == 1);
	mcentral_check();
	mheap_check();
	CHECK(!mcentral_drain_poll(1200, 100));
	CHECK(later->released != 0 && count_drained(sc_scan) == 2);
	mcentral_check();
}

TEST_IN_CHILD(a_span_that_was_taken_meanwhile_is_young_again)
{
	struct mspan *s;

	start();
	mcentral_put(s = span_with_live(sc_scan, 1));
	CHECK(!mcentral_drain_poll(1000, 100));
	CHECK(mcentral_take(sc_scan, ME) == s);
	mcentral_put(s);
	CHECK(!mcentral_drain_poll(1100, 100));
	CHECK(count_drained(sc_scan) == 0);
	CHECK(!mcentral_drain_poll(1200, 100));
	CHECK(count_drained(sc_scan) == 1);
}

TEST_IN_CHILD(a_span_put_as_idle_is_drained_in_the_next_pass)
{
	struct mspan *s;

	start();
	CHECK(!mcentral_drain_poll(1000, 100));
	mcentral_put_idle(s = span_with_live(sc_scan, 1));
	CHECK(!mcentral_drain_poll(1099, 100));
	CHECK(count_drained(sc_scan) == 0);
	CHECK(!mcentral_drain_poll(1100, 100));
	CHECK(s->released != 0 && count_drained(sc_scan) == 1);
	mcentral_check();
}

TEST_IN_CHILD(drained_spans_are_taken_last)
{
	struct mspan *drained, *old, *young;

	start();
	mcentral_put(drained = span_with_live(sc_scan, 1));
	CHECK(mcentral_drain_all());
	mcentral_put(old = span_with_live(sc_scan, 1));
	CHECK(!mcentral_drain_poll(1000, 100));
	mcentral_put(young = span_with_live(sc_scan, 1));
	CHECK(mcentral_take(sc_scan, ME) == young);
	CHECK(mcentral_take(sc_scan, ME) == old);
	CHECK(mcentral_take(sc_scan, ME) == drained);
	mcentral_check();
}

TEST_IN_CHILD(draining_all_a_second_time_costs_no_call_but_for_what_changed)
{
	struct mspan *s[5];

	start();
	for (unsigned i = 0; i < 5; i++)
		mcentral_put(s[i] = span_with_live(sc_scan, 5));
	CHECK(mcentral_drain_all());
	CHECK(count_drained(sc_scan) == 5 && mcentrals[sc_scan].npartial == 5);
	CHECK(!mcentral_drain_all());
	CHECK(!free_remote(s[2], 3));
	CHECK(mcentral_drain_all());
	CHECK(s[2]->nfree == s[2]->nelems - 4);
	CHECK(!mcentral_drain_all());
	CHECK(count_drained(sc_scan) == 5);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(more_spans_than_a_batch_are_drained)
{
	enum { MANY = 700 };

	start();
	for (unsigned i = 0; i < MANY; i++)
		mcentral_put(span_with_live(sc_noscan, 1));
	CHECK(mcentral_drain_all());
	CHECK(count_drained(sc_noscan) == MANY);
	mcentral_check();
}

TEST_IN_CHILD(a_pass_that_finds_much_goes_on_at_the_next_poll)
{
	/* Two runs of whole pages in each span, so two calls. */
	enum { MANY = 3000 };

	start();
	for (unsigned i = 0; i < MANY; i++) {
		struct mspan *s = span_with_live(sc_scan, 1);
		unsigned word;
		uint64_t bits;
		bool fresh;

		CHECK(mspan_take_word(s, 0, &word, &bits, &fresh));
		bits &= ~((uint64_t)1 << s->nelems / 2);
		mspan_put_word(s, word, bits);
		mcentral_put(s);
	}
	CHECK(!mcentral_drain_poll(1000, 100));
	CHECK(mcentral_drain_poll(1100, 100));
	CHECK(count_drained(sc_scan) < MANY);
	/* The rest needs no new pass. */
	CHECK(!mcentral_drain_poll(1100, 100));
	CHECK(count_drained(sc_scan) == MANY);
	mcentral_check();
}

TEST_IN_CHILD(a_pass_for_growth_comes_when_the_heap_has_grown_by_a_part)
{
	struct mspan *s;

	start();
	mcentral_put(s = span_with_live(sc_scan, 5));
	/* What the heap has when growth is looked at first is none. */
	mcentral_drain_growth(MiB(64));
	/* The first pass only makes the span old. */
	mcentral_drain_growth(MiB(68));
	CHECK(s->released == 0 && count_drained(sc_scan) == 0);
	mcentral_drain_growth(MiB(72));
	CHECK(s->released == 0 && count_drained(sc_scan) == 0);
	mcentral_drain_growth(MiB(73));
	CHECK(s->released != 0 && count_drained(sc_scan) == 1);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(a_pass_for_growth_goes_on_as_the_heap_grows)
{
	enum { MANY = 300 };
	unsigned polls = 1, drained;

	start();
	for (unsigned i = 0; i < MANY; i++)
		mcentral_put_idle(span_with_live(sc_scan, 1));
	mcentral_drain_growth(1);
	CHECK(count_drained(sc_scan) == 0);
	/* A small heap grows by more than a part. */
	mcentral_drain_growth(MiB(2));
	CHECK(count_drained(sc_scan) == 0);
	mcentral_drain_growth(MiB(2) + 1);
	CHECK(count_drained(sc_scan) != 0);
	while ((drained = count_drained(sc_scan)) < MANY) {
		mcentral_drain_growth(MiB(2) + 2);
		CHECK(count_drained(sc_scan) > drained);
		CHECK(count_drained(sc_scan) - drained <= 64);
		polls++;
	}
	CHECK(polls >= MANY / 64);
	/* A time that has come makes a pass of its own. */
	mcentral_put_idle(span_with_live(sc_noscan, 1));
	CHECK(!mcentral_drain_poll(1000, 100));
	CHECK(count_drained(sc_noscan) == 1);
	mcentral_check();
}

TEST_IN_CHILD(a_span_can_be_drained_as_it_comes)
{
	struct mspan *s;

	start();
	mcentral_put_drained(s = span_with_live(sc_scan, 5));
	CHECK(s->released != 0 && count_drained(sc_scan) == 1);
	CHECK(mcentral_take(sc_scan, ME) == s);
	/* One without objects goes to the heap. */
	for (uint32_t i = 0; i < 5; i++) {
		slot_set(&s->state[i], SLOT_FREE);
		mspan_free_local(s, i);
	}
	mcentral_put_drained(s);
	CHECK(span_of(s->base) == &mspan_dead);
	CHECK(mcentrals[sc_scan].npartial == 0 && mspan_count_released() == 0);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(a_span_found_empty_goes_to_the_heap)
{
	struct mspan *s;

	start();
	/* With three remote frees that did not see the central owner word yet. */
	mcentral_put(s = span_with_live(sc_scan, 9));
	for (uint32_t i = 0; i < 3; i++)
		CHECK(!free_remote(s, i));
	CHECK(mcentral_drain_all());
	CHECK(s->nfree == s->nelems - 6);
	for (uint32_t i = 3; i < 6; i++)
		CHECK(!free_remote(s, i));
	CHECK(mcentral_drain_all());
	/* The free of the last object always claims: the drain comes first here. */
	for (uint32_t i = 6; i < 9; i++)
		(void)free_remote(s, i);
	(void)mcentral_drain_all();
	CHECK(span_of(s->base) == &mspan_dead);
	CHECK(mcentrals[sc_scan].npartial == 0 && mspan_count_released() == 0);
	mcentral_check();
	mheap_check();
}

TEST_IN_CHILD(a_free_from_elsewhere_claims_a_drained_span_as_any)
{
	struct mspan *s;

	start();
	mcentral_put(s = span_with_live(sc_scan, 20));
	CHECK(mcentral_drain_all());
	for (uint32_t i = 0; i < 4; i++)
		CHECK(free_remote(s, i) == (i == 3));
	CHECK(mcentral_claim(s, OTHER));
	CHECK(count_drained(sc_scan) == 0 && mspan_absorb(s) == 4);
	/* Nothing was handed out yet. */
	CHECK(s->released != 0);
	mcentral_put(s);
	mcentral_check();
	mheap_check();
}

/* --- fork --- */

TEST_IN_CHILD(a_child_mends_a_list_that_was_being_changed)
{
	struct mspan *s[5], *quiet;
	pid_t pid;

	start();
	for (unsigned i = 0; i < 5; i++)
		mcentral_put(s[i] = span_with_live(sc_scan, 1 + i));
	mcentral_put(quiet = span_with_live(sc_noscan, 1));
	lock_holder_start(&mcentrals[sc_scan].lock);
	/* It was about to take the head: the span is its own but still on the list; a back link and
	 * the count are late. */
	mspan_set_owner(s[4], OTHER);
	s[1]->prev = s[4];
	mcentrals[sc_scan].npartial = 77;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		mcentral_after_fork();
		mcentral_check();
		CHECK(mcentrals[sc_scan].npartial == 4);
		CHECK(mcentral_take(sc_noscan, ME) == quiet);
		CHECK(mcentral_claim(s[1], ME));
		mcentral_check();
		mcentral_put(s[1]);
		for (unsigned i = 0; i < 4; i++) {
			struct mspan *got = mcentral_take(sc_scan, ME);

			CHECK(got != NULL && got != s[4]);
		}
		CHECK(mcentral_take(sc_scan, ME) == NULL);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
}

/* --- threads: each span to one --- */

enum { THREADS = 3, TURNS = 3000, SPANS = 6 };

static void *trade(void *arg)
{
	uintptr_t owner = (uintptr_t)arg;

	for (unsigned i = 0; i < TURNS; i++) {
		struct mspan *s = mcentral_take(sc_scan, owner);

		if (s == NULL)
			continue;
		/* Nobody else touches the plain fields. */
		CHECK(mspan_owner_relaxed(s) == owner);
		s->nfree--;
		s->nfree++;
		mcentral_put(s);
	}
	return NULL;
}

TEST_IN_CHILD(threads_that_trade_spans_never_have_the_same_one)
{
	pthread_t t[THREADS];

	start();
	for (unsigned i = 0; i < SPANS; i++)
		mcentral_put(span_with_live(sc_scan, 1 + i));
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, trade, (void *)((i + 1) << 16)) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	mcentral_check();
	CHECK(mcentrals[sc_scan].npartial == SPANS);
}

static void check_finds_wrong_owner(void)
{
	struct mspan *s;

	start();
	mcentral_put(s = span_with_live(sc_scan, 3));
	mspan_set_owner(s, OTHER);
	mcentral_check();
}

static void check_finds_wrong_count(void)
{
	start();
	mcentral_put(span_with_live(sc_scan, 3));
	mcentrals[sc_scan].npartial++;
	mcentral_check();
}

static void mcentral_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = { check_finds_wrong_owner, check_finds_wrong_count };

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "mcentral.c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_taken_from_an_empty_class),
		cmocka_unit_test(a_span_put_is_taken_once_with_its_new_owner),
		cmocka_unit_test(each_of_the_136_classes_has_spans_of_its_own),
		cmocka_unit_test(the_last_span_put_is_the_first_taken),
		cmocka_unit_test(a_claim_takes_a_span_from_anywhere_on_the_list),
		cmocka_unit_test(only_central_spans_are_claimed),
		cmocka_unit_test(the_free_of_the_last_object_of_a_central_span_gets_it),
		cmocka_unit_test(frees_before_put_are_counted_and_absorbed_when_worth_it),
		cmocka_unit_test(a_span_that_turns_out_empty_goes_to_the_heap),
		cmocka_unit_test(a_taken_span_still_has_what_others_freed_to_absorb),
		cmocka_unit_test(a_span_is_drained_after_one_to_two_decay_times),
		cmocka_unit_test(a_span_that_was_taken_meanwhile_is_young_again),
		cmocka_unit_test(a_span_put_as_idle_is_drained_in_the_next_pass),
		cmocka_unit_test(drained_spans_are_taken_last),
		cmocka_unit_test(draining_all_a_second_time_costs_no_call_but_for_what_changed),
		cmocka_unit_test(more_spans_than_a_batch_are_drained),
		cmocka_unit_test(a_pass_that_finds_much_goes_on_at_the_next_poll),
		cmocka_unit_test(a_pass_for_growth_comes_when_the_heap_has_grown_by_a_part),
		cmocka_unit_test(a_pass_for_growth_goes_on_as_the_heap_grows),
		cmocka_unit_test(a_span_can_be_drained_as_it_comes),
		cmocka_unit_test(a_span_found_empty_goes_to_the_heap),
		cmocka_unit_test(a_free_from_elsewhere_claims_a_drained_span_as_any),
		cmocka_unit_test(a_child_mends_a_list_that_was_being_changed),
		cmocka_unit_test(threads_that_trade_spans_never_have_the_same_one),
		cmocka_unit_test(mcentral_check_stops_at_each_kind_of_lie),
	};

	return cmocka_run_group_tests_name("mcentral", tests, NULL, NULL);
}
