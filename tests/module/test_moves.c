/* SPDX-License-Identifier: MIT */
/*
 * test_moves.c - when realloc moves pages, and when it copies bytes.
 */
#include "module.h"

#include "base/options.h"
#include "moves.h"
#include "os/os.h"

/* What passes while a case runs is no decay time, unless the case waits for one. */
#define LONG_MS 1000000000

static int begin(void **state)
{
	(void)state;
	options.scavenge_ms = 0;
	moves_note_made(0);
	moves_note_freed(0);
	options.scavenge_ms = LONG_MS;
	return 0;
}

/* Moves the pages of an object once and frees it. */
static void move_and_free(size_t nbytes)
{
	moves_note_made(0);
	moves_note_freed(nbytes);
}

static void below_1_MiB_bytes_are_copied(void **state)
{
	(void)state;
	CHECK(!moves_pay(MiB(1) - 1) && moves_pay(MiB(1)));
}

static void freed_objects_that_were_moved_end_it_for_moderate_lengths(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++)
		move_and_free(MiB(2));
	CHECK(moves_pay(MiB(1)) && moves_pay(MiB(8)));
	move_and_free(MiB(2));
	CHECK(!moves_pay(MiB(1)) && !moves_pay(MiB(8)) && moves_pay(MiB(8) + 1));
}

static void moving_on_is_no_loss(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		moves_note_made(i == 0 ? 0 : MiB(4));
		if (i != 0)
			moves_note_freed(MiB(4));
	}
	CHECK(moves_pay(MiB(4)));
	moves_note_freed(MiB(4));
	CHECK(moves_pay(MiB(4)));
}

static void what_was_lost_is_forgotten_after_the_decay_time(void **state)
{
	uint64_t begin_ms;

	(void)state;
	move_and_free(MiB(100));
	CHECK(!moves_pay(MiB(2)));
	begin_ms = os_now_ms();
	options.scavenge_ms = 20;
	while (os_now_ms() - begin_ms < 20)
		;
	CHECK(moves_pay(MiB(2)));
	/* The next loss begins anew. */
	move_and_free(MiB(1));
	options.scavenge_ms = LONG_MS;
	CHECK(moves_pay(MiB(2)));
	move_and_free(MiB(15));
	CHECK(!moves_pay(MiB(2)));
}

static void only_so_many_spans_are_moved_at_a_time(void **state)
{
	(void)state;
	for (int i = 0; i < 1024; i++) {
		CHECK(moves_pay(MiB(64)));
		moves_note_made(0);
	}
	CHECK(!moves_pay(MiB(64)));
	moves_note_freed(0);
	CHECK(moves_pay(MiB(64)));
	for (int i = 0; i < 1023; i++)
		moves_note_freed(0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(below_1_MiB_bytes_are_copied, begin),
		cmocka_unit_test_setup(freed_objects_that_were_moved_end_it_for_moderate_lengths,
				       begin),
		cmocka_unit_test_setup(moving_on_is_no_loss, begin),
		cmocka_unit_test_setup(what_was_lost_is_forgotten_after_the_decay_time, begin),
		cmocka_unit_test_setup(only_so_many_spans_are_moved_at_a_time, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
