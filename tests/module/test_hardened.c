/* SPDX-License-Identifier: MIT */
/*
 * test_hardened.c - hardened=1 from inside: tails, fill, quarantine and guards. What programs see
 * of it is in tests/face/test_hardened.c, and the messages are in tests/abort.
 */
#include "module.h"

#include "safe/hardened.h"
#include "heap.h"
#include "heap/heapcheck.h"
#include "base/options.h"
#include "os/os.h"
#include "os_fail.h"

#include <string.h>

static void start(void)
{
	options.hardened = true;
	options.scavenge_ms = 1000000;
	heap_free(heap_malloc(1), "free");
}

static size_t slot_size(const void *p)
{
	return span_of((uintptr_t)p)->elemsize;
}

static uint64_t tail_of(const void *p)
{
	uint64_t tail;

	memcpy(&tail, (const char *)p + slot_size(p) - HARDENED_TAIL, sizeof(tail));
	return tail;
}

/* Whoever reads one tail must not be able to write another. */
TEST_IN_CHILD(tails_of_equal_sizes_differ_from_slot_to_slot)
{
	uint64_t tails[100];

	start();
	for (size_t i = 0; i < 100; i++) {
		tails[i] = tail_of(heap_malloc(40));
		CHECK(tails[i] != 40);
		for (size_t k = 0; k < i; k++)
			CHECK(tails[k] != tails[i]);
	}
}

TEST_IN_CHILD(the_rest_of_a_slot_is_filled_with_one_byte_that_is_not_0)
{
	start();
	for (size_t size = 0; size < 1000; size++) {
		unsigned char *p = heap_malloc(size);
		size_t end = slot_size(p) - HARDENED_TAIL;

		CHECK(end >= size && all_zero(p, size));
		for (size_t i = size; i < end; i++)
			CHECK(p[i] == p[size] && p[i] != 0);
		CHECK(heap_usable_size(p, "") == size);
	}
}

/* Changes the byte at an offset of an object of 100 bytes, and frees the object. */
static void change_and_free(size_t at)
{
	unsigned char *p;

	start();
	p = heap_malloc(100);
	CHECK(slot_size(p) == 112);
	p[at] ^= 0xff;
	heap_free(p, "free");
}

static void change_first_byte_behind(void)
{
	change_and_free(100);
}

static void change_last_byte_of_fill(void)
{
	change_and_free(103);
}

static void change_low_byte_of_tail(void)
{
	change_and_free(104);
}

static void change_high_byte_of_tail(void)
{
	change_and_free(111);
}

static void change_in_quarantine(void)
{
	unsigned char *p;

	start();
	p = heap_malloc(100);
	heap_free(p, "free");
	p[50] = 1;
	/* It leaves the quarantine when objects of another size take its place, and the write is
	 * seen when it is handed out. */
	for (size_t i = 0; i < 10000; i++)
		heap_free(heap_malloc(200), "free");
	for (size_t i = 0; i < 10000; i++)
		(void)heap_malloc(100);
}

static void every_byte_around_an_object_is_watched(void **state)
{
	static void (*const overflows[])(void) = {
		change_first_byte_behind,
		change_last_byte_of_fill,
		change_low_byte_of_tail,
		change_high_byte_of_tail,
	};
	static void (*const writes_after_free[])(void) = { change_in_quarantine };

	(void)state;
	each_body_aborts(overflows, sizeof(overflows) / sizeof(overflows[0]), "heap overflow");
	each_body_aborts(writes_after_free, 1, "write after free");
}

TEST_IN_CHILD(a_freed_object_is_clear_and_not_handed_out_before_another_is_freed)
{
	void *p;

	start();
	p = heap_malloc(200);
	memset(p, 7, 200);
	heap_free(p, "free");
	CHECK(all_zero(p, slot_size(p)));
	for (size_t i = 0; i < 10000; i++)
		CHECK(heap_malloc(200) != p);
}

TEST_IN_CHILD(no_more_objects_are_kept_back_than_there_are_places)
{
	struct quarantine *q;
	size_t kept = 0;

	start();
	for (size_t i = 0; i < 10000; i++)
		heap_free(heap_malloc(64), "free");
	q = &thread_cache()->quarantine;
	for (size_t i = 0; i < QUARANTINE_SMALL; i++)
		kept += q->small[i] != 0;
	CHECK(kept == QUARANTINE_SMALL);
	hardened_flush(thread_cache());
	for (size_t i = 0; i < QUARANTINE_SMALL; i++)
		CHECK(q->small[i] == 0);
	for (size_t i = 0; i < QUARANTINE_BIG; i++)
		CHECK(q->big[i] == NULL);
}

/* Large objects have fewer places, so that a thread does not keep back too many bytes. */
TEST_IN_CHILD(large_objects_are_kept_back_in_their_own_few_places)
{
	struct quarantine *q;

	start();
	hardened_flush(thread_cache());
	for (size_t i = 0; i < 10000; i++)
		heap_free(heap_malloc(2000), "free");
	q = &thread_cache()->quarantine;
	for (size_t i = QUARANTINE_LARGE; i < QUARANTINE_SMALL; i++)
		CHECK(q->small[i] == 0);
}

TEST_IN_CHILD(behind_a_big_object_is_a_page_that_cannot_be_read)
{
	static const size_t sizes[] = { 32761, 32769, 40960, 40961, 100000, MiB(1), MiB(3) + 1 };

	start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = heap_malloc(sizes[i]);
		size_t room = align_up(sizes[i], max_size(PAGE_SIZE, os_page_size()));

		CHECK(span_of((uintptr_t)p)->npages == hardened_big_npages(sizes[i]));
		CHECK(os_can_read(align_down((uintptr_t)p + room - 1, 8)));
		CHECK(!os_can_read((uintptr_t)p + room));
		CHECK(all_zero(p, sizes[i]) && heap_usable_size(p, "") == sizes[i]);
		heap_free(p, "free");
		CHECK(!os_can_read((uintptr_t)p));
		CHECK(!os_can_read(align_down((uintptr_t)p + room - 1, 8)));
	}
}

/* The system may refuse because there are too many mappings. */
TEST_IN_CHILD(guarded_objects_of_a_lost_thread_stay_guarded_though_the_system_refuses)
{
	struct mcache *c, *dead;
	struct mspan *s = NULL;
	size_t kept = 0;

	start();
	heap_free(heap_malloc(100000), "free");
	dead = thread_cache();
	c = thread_lock_shared();
	os_fail_from(OS_GUARD | OS_REMAP, 1);
	hardened_adopt(c, dead);
	for (size_t i = 0; i < QUARANTINE_BIG; i++) {
		CHECK(dead->quarantine.big[i] == NULL);
		kept += c->quarantine.big[i] != NULL;
		s = c->quarantine.big[i] != NULL ? c->quarantine.big[i] : s;
	}
	CHECK(kept == 1 && !os_can_read(s->base));
	hardened_flush(c);
	os_fail_stop();
	CHECK(!os_can_read(s->base));
	thread_leave(c);
	heap_free(heap_malloc(100000), "free");
	heapcheck();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tails_of_equal_sizes_differ_from_slot_to_slot),
		cmocka_unit_test(the_rest_of_a_slot_is_filled_with_one_byte_that_is_not_0),
		cmocka_unit_test(every_byte_around_an_object_is_watched),
		cmocka_unit_test(
			a_freed_object_is_clear_and_not_handed_out_before_another_is_freed),
		cmocka_unit_test(no_more_objects_are_kept_back_than_there_are_places),
		cmocka_unit_test(large_objects_are_kept_back_in_their_own_few_places),
		cmocka_unit_test(behind_a_big_object_is_a_page_that_cannot_be_read),
		cmocka_unit_test(
			guarded_objects_of_a_lost_thread_stay_guarded_though_the_system_refuses),
	};

	return cmocka_run_group_tests_name("hardened", tests, NULL, NULL);
}
