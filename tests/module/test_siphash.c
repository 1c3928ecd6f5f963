/* SPDX-License-Identifier: MIT */
/*
 * test_siphash.c - SipHash-1-3 as others compute it, and the secret as nobody else can.
 *
 * The values of the key 0 are what CPython 3.11 answers for hash(bytes) with PYTHONHASHSEED=0. That
 * of another key is from an implementation that gives the published values of SipHash-2-4 when it
 * makes two rounds and four.
 */
#include "module.h"

#include "os/os.h"
#include "base/siphash.h"

static void it_is_what_others_compute(void **state)
{
	const struct siphash_key zero = { { 0, 0 } };

	(void)state;
	assert_true(siphash(&zero, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)) ==
		    UINT64_C(0x8972188433a5c5b7));
	assert_true(siphash(&zero, 0, 0) == UINT64_C(0x76be999e3e25b2a0));
}

static void the_key_decides_as_the_words_do(void **state)
{
	const struct siphash_key key = { { UINT64_C(0x0706050403020100),
					   UINT64_C(0x0f0e0d0c0b0a0908) } };

	(void)state;
	assert_true(siphash(&key, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)) ==
		    UINT64_C(0xcc4fdd1a7d908b66));
}

static void random_numbers_differ_from_call_to_call_and_from_secret_to_secret(void **state)
{
	uint64_t first, second;

	(void)state;
	os_seed_random();
	first = os_random();
	assert_true(first != os_random());
	os_seed_random();
	second = os_random();
	assert_true(first != second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_what_others_compute),
		cmocka_unit_test(the_key_decides_as_the_words_do),
		cmocka_unit_test(random_numbers_differ_from_call_to_call_and_from_secret_to_secret),
	};

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
