/* SPDX-License-Identifier: MIT */
/*
 * test_chance.c - ln and 1 - e^-x are libm's; gaps are as long as they should be, and fit the
 * chances.
 */
#include "module.h"

#include "base/chance.h"
#include "base/config.h"

#include <math.h>

#define PRECISION 1e-14

static double relative_error(double got, double expected)
{
	return expected == 0 ? fabs(got) : fabs(got - expected) / fabs(expected);
}

static void ln_is_that_of_libm(void **state)
{
	uint64_t rnd = 1;

	(void)state;
	assert_true(chance_ln(1) == 0);
	for (int i = 0; i < 100000; i++) {
		/* All that a gap can ask for, and other magnitudes. */
		double unit = (double)((rng_next(&rnd) >> 11) + 1) / 9007199254740992.0;
		double wide = ldexp(1 + unit, (int)rng_below(&rnd, 2000) - 1000);

		/* Next to 1 the argument itself has no more digits. */
		assert_true(fabs(chance_ln(unit) - log(unit)) <=
			    PRECISION * fabs(log(unit)) + 1e-17);
		assert_true(relative_error(chance_ln(wide), log(wide)) < PRECISION);
	}
	for (int e = -53; e <= 0; e++)
		assert_true(relative_error(chance_ln(ldexp(1, e)), log(ldexp(1, e))) < PRECISION);
	assert_true(relative_error(chance_ln(sqrt(2)), log(sqrt(2))) < PRECISION);
	assert_true(relative_error(chance_ln(nextafter(sqrt(2), 2)), log(nextafter(sqrt(2), 2))) <
		    PRECISION);
	assert_true(relative_error(chance_ln(nextafter(1, 0)), log(nextafter(1, 0))) < PRECISION);
}

static void one_minus_exp_has_all_its_digits_however_small(void **state)
{
	(void)state;
	assert_true(chance_one_minus_exp(0) == 0);
	for (double x = 1e-18; x < 1000; x *= 1.01)
		assert_true(relative_error(chance_one_minus_exp(x), -expm1(-x)) < PRECISION);
	assert_true(relative_error(chance_one_minus_exp(0.125), -expm1(-0.125)) < PRECISION);
	assert_true(chance_one_minus_exp(INFINITY) == 1);
}

static void at_rate_1_every_object_is_a_sample_and_counts_once(void **state)
{
	uint64_t random = 7;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(chance_gap(&random, 1), 0);
	assert_true(chance_of(8, 1) == 1);
	assert_true(chance_of(8, 0) == 1);
}

/* Checks that of n gaps the share chance_of(s) is shorter than s bytes, within five deviations. */
static void check_share(const uint64_t *gaps, size_t n, size_t s, size_t rate)
{
	double p = chance_of(s, rate), count = 0;

	for (size_t i = 0; i < n; i++)
		count += gaps[i] < s;
	assert_true(fabs(count - (double)n * p) < 5 * sqrt((double)n * p * (1 - p)) + 1);
}

static void gaps_are_exponential_and_fit_the_chance_of_an_object(void **state)
{
	enum { N = 200000 };
	static uint64_t gaps[N];
	static const size_t rates[] = { 2, 100, 4096, KiB(512), GiB(1) };

	(void)state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		uint64_t random = 1000 + r;
		double sum = 0, rate = (double)rates[r];

		for (size_t i = 0; i < N; i++) {
			gaps[i] = chance_gap(&random, rates[r]);
			sum += (double)gaps[i];
		}
		for (size_t s = 1; s < 16 * rates[r]; s *= 3)
			check_share(gaps, N, s, rates[r]);
		/* The mean of an exponential, rounded down, and five of its deviations. */
		assert_true(fabs(sum / (double)N - 1 / expm1(1 / rate)) < 5 * rate / sqrt(N));
	}
}

static void gaps_do_not_depend_on_each_other(void **state)
{
	enum { N = 200000 };
	uint64_t random = 3;
	double before = 0, product = 0, rate = 1000;

	(void)state;
	for (int i = 0; i < N; i++) {
		double gap = (double)chance_gap(&random, 1000) + 0.5 - rate;

		product += gap * before;
		before = gap;
	}
	assert_true(fabs(product / (double)N / (rate * rate)) < 5 / sqrt(N));
}

static void the_same_state_gives_the_same_gaps_and_another_state_others(void **state)
{
	uint64_t a = 5, b = 5, c = 0, d = 1;
	int same = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(chance_gap(&a, 100000), chance_gap(&b, 100000));
		same += chance_gap(&c, 1000000) == chance_gap(&d, 1000000);
	}
	assert_in_range(same, 0, 5);
}

static void no_rate_is_too_large(void **state)
{
	uint64_t random = 9;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(chance_gap(&random, UINT64_MAX) <= UINT64_C(1) << 62);
	assert_true(chance_of(8, SIZE_MAX) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ln_is_that_of_libm),
		cmocka_unit_test(one_minus_exp_has_all_its_digits_however_small),
		cmocka_unit_test(at_rate_1_every_object_is_a_sample_and_counts_once),
		cmocka_unit_test(gaps_are_exponential_and_fit_the_chance_of_an_object),
		cmocka_unit_test(gaps_do_not_depend_on_each_other),
		cmocka_unit_test(the_same_state_gives_the_same_gaps_and_another_state_others),
		cmocka_unit_test(no_rate_is_too_large),
	};

	return cmocka_run_group_tests_name("chance", tests, NULL, NULL);
}
