/* SPDX-License-Identifier: MIT */
/*
 * test_tracer.c - what others write into the tracer's words begins and ends a profile, and nothing
 * else does.
 */
#include "module.h"

#include "heap.h"
#include "os/lock.h"
#include "os/os.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/tracer.h"

#include <sys/wait.h>
#include <unistd.h>

/* Makes slow paths of malloc, and samples if there is a profile. */
static void allocate(void)
{
	for (int i = 0; i < 100; i++)
		heap_free(heap_malloc(100000), "free");
}

static void write_rate(uint32_t rate, uint32_t lease_ms)
{
	tracer.lease_ms = lease_ms;
	tracer.rate = rate;
}

TEST_IN_CHILD(a_rate_begins_a_profile_and_0_ends_it)
{
	struct profile_totals totals;

	allocate();
	CHECK(!profile_is_on());
	write_rate(10000, 0);
	CHECK(!profile_is_on());
	allocate();
	CHECK(profile_is_on() && sample_counts());
	profile_count(&totals);
	CHECK(totals.rate == 10000 && totals.samples > 50);
	write_rate(0, 0);
	allocate();
	CHECK(!profile_is_on() && !sample_counts());
}

TEST_IN_CHILD(a_semaphore_means_the_rate_of_the_options)
{
	struct profile_totals totals;

	allocate();
	tracer.free_watchers = 1;
	allocate();
	profile_count(&totals);
	CHECK(profile_is_on() && totals.rate == KiB(512));
	/* Both wishes have to go. */
	write_rate(1, 0);
	tracer.free_watchers = 0;
	allocate();
	CHECK(profile_is_on());
	write_rate(0, 0);
	allocate();
	CHECK(!profile_is_on());
}

TEST_IN_CHILD(the_rate_goes_with_its_lease)
{
	allocate();
	write_rate(10000, 3600000);
	allocate();
	allocate();
	CHECK(profile_is_on() && tracer.end_ms > os_now_ms());
	tracer.end_ms = os_now_ms();
	/* A sample sees that the lease is over, and the next slow path ends the profile. */
	allocate();
	CHECK(tracer.rate == 0 && !profile_is_on());
	/* A rate without a lease stays. */
	write_rate(10000, 0);
	allocate();
	CHECK(profile_is_on() && tracer.end_ms == 0);
}

TEST_IN_CHILD(the_programs_own_profile_is_left_alone)
{
	uint64_t serial;

	allocate();
	CHECK(sample_begin_profile(5000));
	serial = profile_serial();
	write_rate(10000, 0);
	allocate();
	write_rate(0, 0);
	allocate();
	CHECK(profile_is_on() && profile_serial() == serial);
	/* One that the program begins while a tracer looks is its own. */
	sample_end_profile();
	write_rate(10000, 0);
	allocate();
	CHECK(sample_begin_profile(5000));
	write_rate(0, 0);
	allocate();
	CHECK(profile_is_on());
}

TEST_IN_CHILD(a_thread_with_a_lock_does_not_answer)
{
	allocate();
	write_rate(10000, 0);
	lock_stay();
	allocate();
	CHECK(!profile_is_on());
	lock_leave();
	allocate();
	CHECK(profile_is_on());
}

TEST_IN_CHILD(a_forked_child_is_not_asked)
{
	int status;
	pid_t pid;

	allocate();
	write_rate(10000, 0);
	allocate();
	CHECK(profile_is_on());
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		allocate();
		_exit(tracer.rate != 0 || profile_is_on());
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	allocate();
	CHECK(profile_is_on());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_begins_a_profile_and_0_ends_it),
		cmocka_unit_test(a_semaphore_means_the_rate_of_the_options),
		cmocka_unit_test(the_rate_goes_with_its_lease),
		cmocka_unit_test(the_programs_own_profile_is_left_alone),
		cmocka_unit_test(a_thread_with_a_lock_does_not_answer),
		cmocka_unit_test(a_forked_child_is_not_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
