/* SPDX-License-Identifier: MIT */
/*
 * test_excess.c - how many dirty pages stay: simulated programs, of which only the numbers of pages
 * matter.
 */
#include "module.h"

#include "heap/excess.h"

#include <string.h>

#define PAGES(mib) ((size_t)MiB(mib) / PAGE_SIZE)
#define STEP 16
#define DECAY_MS 1000

/* A heap of three numbers. Taken pages are dirty ones first, as from a heap that takes the lowest
 * page. */
static struct {
	struct excess x;
	struct excess_figures f;
	size_t clean;       /* released pages */
	size_t faults;      /* pages taken that were clean or fresh */
	size_t releases;    /* calls that asked for a release */
	size_t most;        /* the most pages that one call asked for */
} sim;

static void start(void)
{
	memset(&sim, 0, sizeof(sim));
	sim.f.decay_ms = DECAY_MS;
	sim.f.now_ms = 5;
	excess_init(&sim.x, sim.f.now_ms);
}

static void take(size_t npages)
{
	for (size_t n; npages != 0; npages -= n) {
		size_t dirty, clean;

		n = min_size(npages, STEP);
		dirty = min_size(n, sim.f.dirty);
		clean = min_size(n - dirty, sim.clean);
		sim.f.dirty -= dirty;
		sim.clean -= clean;
		sim.f.inuse += n;
		sim.faults += n - dirty;
		excess_taken(&sim.x, clean, &sim.f);
	}
}

static void drop(size_t npages)
{
	for (size_t n; npages != 0; npages -= n) {
		size_t released;

		n = min_size(npages, STEP);
		sim.f.inuse -= n;
		sim.f.dirty += n;
		if (!excess_note_freed(&sim.x, &sim.f))
			continue;
		released = excess_freed(&sim.x, &sim.f);
		if (released == 0)
			continue;
		CHECK(released <= sim.f.dirty);
		sim.f.dirty -= released;
		sim.clean += released;
		sim.releases++;
		sim.most = max_size(sim.most, released);
		excess_released(&sim.x, released, released);
	}
}

/* Takes an object of pages that were never used. */
static void take_fresh(size_t npages)
{
	size_t released;

	sim.f.inuse += npages;
	sim.faults += npages;
	excess_taken(&sim.x, 0, &sim.f);
	released = excess_grown(&sim.x, npages, &sim.f);
	CHECK(released <= sim.f.dirty && released <= npages);
	sim.f.dirty -= released;
	sim.clean += released;
	sim.releases += released != 0;
	if (released != 0)
		excess_released(&sim.x, released, released);
}

static size_t faults_of(void (*turn)(void))
{
	size_t before = sim.faults;

	turn();
	return sim.faults - before;
}

static void a_mass_free_leaves_two_mib(void **state)
{
	(void)state;
	start();
	take(PAGES(350));
	drop(PAGES(350));
	CHECK(sim.f.dirty <= PAGES(2));
}

static void an_eighth_of_what_is_in_use_may_stay(void **state)
{
	(void)state;
	start();
	take(PAGES(1000));
	drop(PAGES(200));
	CHECK(sim.f.dirty > PAGES(30) && sim.f.dirty <= PAGES(100));
	CHECK(sim.f.inuse == PAGES(800));
}

static void a_small_program_never_releases(void **state)
{
	(void)state;
	start();
	for (int i = 0; i < 100; i++) {
		take(PAGES(18));
		drop(PAGES(18));
		sim.f.now_ms += 30;
	}
	CHECK(sim.releases == 0 && sim.faults == PAGES(18));
}

static void to_and_fro(void)
{
	take(PAGES(100));
	drop(PAGES(100));
	sim.f.now_ms += 50;
}

static void a_program_that_oscillates_pays_one_turn_however_long_it_runs(void **state)
{
	(void)state;
	start();
	CHECK(faults_of(to_and_fro) == PAGES(100));
	CHECK(faults_of(to_and_fro) <= PAGES(100));
	for (int i = 0; i < 1000; i++)
		CHECK(faults_of(to_and_fro) == 0);
}

static void a_tenth_of_a_turn_teaches_most_of_what_is_to_be_kept(void **state)
{
	size_t npages;

	(void)state;
	start();
	take(PAGES(100));
	drop(PAGES(100));
	npages = sim.f.dirty + PAGES(10);
	take(npages);
	drop(npages);
	/* What follows is fresh, and so teaches nothing. Later, because what was released does not
	 * count against the credit any more. */
	sim.clean = 0;
	sim.f.now_ms += 8 * DECAY_MS;
	take(PAGES(100));
	drop(PAGES(100));
	CHECK(sim.f.dirty > PAGES(70) && sim.f.dirty <= PAGES(100));
}

static void to_and_fro_slowly(void)
{
	take(PAGES(100));
	drop(PAGES(100));
	sim.f.now_ms += 30 * DECAY_MS;
}

static void pages_taken_after_the_decay_time_are_no_regret(void **state)
{
	(void)state;
	start();
	for (int i = 0; i < 10; i++) {
		to_and_fro_slowly();
		CHECK(sim.f.dirty <= PAGES(2));
	}
}

static void a_credit_that_is_not_used_goes_with_time(void **state)
{
	(void)state;
	start();
	for (int i = 0; i < 10; i++)
		to_and_fro();
	CHECK(sim.f.dirty == PAGES(100));
	for (int i = 0; i < 60; i++) {
		sim.f.now_ms += DECAY_MS;
		take(STEP);
		drop(STEP);
	}
	CHECK(sim.f.dirty <= PAGES(2));
}

static void a_program_that_frees_all_unlearns_what_its_phases_kept(void **state)
{
	(void)state;
	start();
	take(PAGES(400));
	for (int i = 0; i < 10; i++)
		to_and_fro();
	CHECK(sim.f.dirty == PAGES(100));
	drop(PAGES(400));
	CHECK(sim.f.dirty <= PAGES(64));
	sim.f.now_ms += 2 * DECAY_MS;
	take(PAGES(1));
	drop(PAGES(1));
	CHECK(sim.f.dirty <= PAGES(64));
}

/* Takes npages, with small frees between. */
static void grow(size_t npages)
{
	for (size_t n = 0; n < npages; n += PAGES(2)) {
		take(PAGES(3));
		drop(PAGES(1));
	}
}

static void a_fall_deeper_than_those_it_rose_from_unlearns_all(void **state)
{
	(void)state;
	start();
	grow(PAGES(160));
	for (int i = 0; i < 10; i++)
		to_and_fro();
	CHECK(faults_of(to_and_fro) == 0);
	take(PAGES(100));
	drop(PAGES(260));
	CHECK(sim.f.inuse == 0 && sim.f.dirty <= PAGES(3));
}

static void a_deep_fall_releases_whatever_the_credit_is(void **state)
{
	(void)state;
	start();
	grow(PAGES(160));
	for (int i = 0; i < 10; i++)
		to_and_fro();
	/* Threads whose objects overlap teach that much. */
	sim.x.credit = PAGES(1000);
	drop(PAGES(160));
	CHECK(sim.f.inuse == 0 && sim.f.dirty <= PAGES(3));
	CHECK(sim.x.credit == PAGES(1000));
}

static void a_fall_as_deep_as_those_it_rose_from_unlearns_half(void **state)
{
	(void)state;
	start();
	take(PAGES(160));
	/* Once to the ground and up again. */
	drop(PAGES(159));
	take(PAGES(159));
	for (int i = 0; i < 10; i++)
		to_and_fro();
	take(PAGES(100));
	drop(PAGES(260));
	CHECK(sim.f.inuse == 0 && sim.f.dirty >= PAGES(50));
}

static void a_release_is_neither_small_nor_long(void **state)
{
	(void)state;
	start();
	take(PAGES(4000));
	drop(PAGES(4000));
	CHECK(sim.most <= PAGES(16));
	CHECK(sim.releases <= PAGES(4000) / PAGES(1) + 1);
}

static void a_longer_decay_time_keeps_more_in_proportion(void **state)
{
	(void)state;
	start();
	sim.f.decay_ms = 60 * DECAY_MS;
	take(PAGES(100));
	drop(PAGES(100));
	CHECK(sim.releases == 0);
	start();
	sim.f.decay_ms = 0;
	take(PAGES(100));
	drop(PAGES(100));
	CHECK(sim.f.dirty <= PAGES(2));
}

static void pages_that_cannot_be_released_are_not_tried_at_every_free(void **state)
{
	size_t calls = 0;

	(void)state;
	start();
	sim.f.inuse = PAGES(400);
	for (size_t i = 0; i < PAGES(400); i++) {
		size_t wanted = 0;

		sim.f.inuse--;
		sim.f.dirty++;
		if (excess_note_freed(&sim.x, &sim.f))
			wanted = excess_freed(&sim.x, &sim.f);
		if (wanted == 0)
			continue;
		calls++;
		excess_released(&sim.x, wanted, 0);
	}
	CHECK(calls != 0 && calls <= 400 / 16);
}

static void a_buffer_that_grows_by_copies_has_no_former_places_beside_it(void **state)
{
	(void)state;
	start();
	take(PAGES(60));
	for (size_t npages = PAGES(1); npages < PAGES(16); npages *= 2) {
		take_fresh(2 * npages);
		CHECK(sim.f.dirty == 0);
		drop(npages);
	}
	CHECK(sim.releases != 0);
}

static void an_object_of_fresh_pages_releases_no_more_than_it_takes(void **state)
{
	(void)state;
	start();
	take(PAGES(60));
	drop(PAGES(10));
	take_fresh(PAGES(4));
	CHECK(sim.f.dirty == PAGES(6));
	take_fresh(PAGES(4));
	CHECK(sim.f.dirty == PAGES(2));
}

static void a_program_that_takes_its_pages_again_keeps_them_when_objects_are_fresh(void **state)
{
	size_t before;

	(void)state;
	start();
	take(PAGES(60));
	for (int i = 0; i < 8; i++) {
		drop(PAGES(10));
		take_fresh(PAGES(2));
		take(PAGES(10));
	}
	before = sim.faults;
	for (int i = 0; i < 100; i++) {
		drop(PAGES(10));
		take_fresh(PAGES(2));
		take(PAGES(10));
	}
	CHECK(sim.faults == before + 100 * PAGES(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mass_free_leaves_two_mib),
		cmocka_unit_test(an_eighth_of_what_is_in_use_may_stay),
		cmocka_unit_test(a_small_program_never_releases),
		cmocka_unit_test(a_program_that_oscillates_pays_one_turn_however_long_it_runs),
		cmocka_unit_test(a_tenth_of_a_turn_teaches_most_of_what_is_to_be_kept),
		cmocka_unit_test(pages_taken_after_the_decay_time_are_no_regret),
		cmocka_unit_test(a_credit_that_is_not_used_goes_with_time),
		cmocka_unit_test(a_program_that_frees_all_unlearns_what_its_phases_kept),
		cmocka_unit_test(a_fall_deeper_than_those_it_rose_from_unlearns_all),
		cmocka_unit_test(a_deep_fall_releases_whatever_the_credit_is),
		cmocka_unit_test(a_fall_as_deep_as_those_it_rose_from_unlearns_half),
		cmocka_unit_test(a_release_is_neither_small_nor_long),
		cmocka_unit_test(a_longer_decay_time_keeps_more_in_proportion),
		cmocka_unit_test(pages_that_cannot_be_released_are_not_tried_at_every_free),
		cmocka_unit_test(a_buffer_that_grows_by_copies_has_no_former_places_beside_it),
		cmocka_unit_test(an_object_of_fresh_pages_releases_no_more_than_it_takes),
		cmocka_unit_test(
			a_program_that_takes_its_pages_again_keeps_them_when_objects_are_fresh),
	};

	return cmocka_run_group_tests_name("excess", tests, NULL, NULL);
}
