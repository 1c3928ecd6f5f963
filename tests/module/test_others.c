/* SPDX-License-Identifier: MIT */
/*
 * test_others.c - slots of another thread's span on a thread's own free stack: which go there, how
 * many, and that they find back to their span.
 */
#include "caches.h"
#include "module.h"

#include "heap/thread.h"

enum { N = 40 };

/* Frees p by cache c as free() does where the fast path has failed. */
static void put(struct mcache *c, void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot;

	CHECK(mspan_slot_of(s, (uintptr_t)p, &slot) && slot_is_live(&s->state[slot]));
	mcache_free_slot((uintptr_t)p, s, slot, "free", c);
	CHECK(slot_state(&s->state[slot]) == SLOT_FREE);
}

static spanclass_t class_of(size_t size)
{
	return make_spanclass(sizeclass_for(size, 8), SCAN);
}

TEST_IN_CHILD(the_first_slots_of_others_stay_and_the_rest_goes_home)
{
	spanclass_t sc = class_of(64);
	const struct bin *b = &cache[1].bins[sc];
	void *p[N];

	start();
	for (int i = 0; i < N; i++)
		p[i] = get(&cache[0], sc);
	for (int i = 0; i < N; i++) {
		put(&cache[1], p[i]);
		CHECK(stack_depth(b) == (i < STACK_OTHERS_ENTRIES ? (uint32_t)i + 1 :
								     STACK_OTHERS_ENTRIES));
	}
	CHECK(mspan_has_remote(span_of((uintptr_t)p[0])));
	check_all();
	/* Last freed first, and then from a span of its own. */
	for (int i = STACK_OTHERS_ENTRIES; i-- > 0;)
		CHECK(get(&cache[1], sc) == p[i]);
	CHECK(span_of((uintptr_t)get(&cache[1], sc)) != span_of((uintptr_t)p[0]));
}

TEST_IN_CHILD(a_flush_brings_slots_of_others_home)
{
	spanclass_t sc = class_of(64);
	void *p[N];

	start();
	for (int i = 0; i < N; i++)
		p[i] = get(&cache[0], sc);
	for (int i = 0; i < N; i++)
		put(&cache[1], p[i]);
	mcache_flush_stacks(&cache[1]);
	CHECK(stack_depth(&cache[1].bins[sc]) == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_slot_of_another_on_a_stack_keeps_its_span_from_the_heap)
{
	spanclass_t sc = class_of(1024);
	struct mspan *s;
	void *p;

	start();
	p = get(&cache[0], sc);
	s = span_of((uintptr_t)p);
	put(&cache[1], p);
	mcache_flush(&cache[0]);
	CHECK(span_of((uintptr_t)p) == s);
	CHECK(get(&cache[2], sc) != p);
	CHECK(get(&cache[1], sc) == p);
	put(&cache[1], p);
	mcache_check(&cache[1]);
}

TEST_IN_CHILD(slots_of_others_that_share_a_line_with_many_go_home_at_once)
{
	spanclass_t sc = class_of(16);
	void *p;

	start();
	p = get(&cache[0], sc);
	put(&cache[1], p);
	CHECK(stack_depth(&cache[1].bins[sc]) == 0 && mspan_has_remote(span_of((uintptr_t)p)));
	end_with_empty_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_slots_of_others_stay_and_the_rest_goes_home),
		cmocka_unit_test(a_flush_brings_slots_of_others_home),
		cmocka_unit_test(a_slot_of_another_on_a_stack_keeps_its_span_from_the_heap),
		cmocka_unit_test(slots_of_others_that_share_a_line_with_many_go_home_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
