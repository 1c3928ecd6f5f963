/* SPDX-License-Identifier: MIT */
/*
 * test_token_new.cc - operator new as clang's allocation tokens call it: every delete takes its
 * memory, it fails as the plain forms fail, and the new handler is asked.
 *
 * test_token.c has what all entry points have in common.
 */
#include "face.h"
#include "token.h"

#include <malloc.h>
#include <sys/resource.h>

#include <initializer_list>
#include <new>

static const size_t sizes[] = {0, 1, 3, 8, 9, 16, 24, 25, 100, 1000, 5000, 32768, 32769, 1000000};
static volatile size_t huge = SIZE_MAX / 2 + 1;
static volatile size_t no_address_space = static_cast<size_t>(1) << 48;
static const std::nothrow_t &tag = std::nothrow;

/* Calls test(abi, token) for every pair. */
template <typename F> static void each_token(F test)
{
	for (size_t token = 0; token < 4; token++) {
		test(TOKEN_ABI_ARG, token);
		test(TOKEN_ABI_NAME, token);
	}
}

static void every_delete_takes_it(token_abi abi, size_t token)
{
	for (size_t n : sizes) {
		::operator delete(TOKEN_CALL(_Znwm, abi, token, n));
		::operator delete(TOKEN_CALL(_Znwm, abi, token, n), n);
		::operator delete(TOKEN_CALL(_ZnwmRKSt9nothrow_t, abi, token, n, &tag), tag);
		::operator delete[](TOKEN_CALL(_Znam, abi, token, n));
		::operator delete[](TOKEN_CALL(_Znam, abi, token, n), n);
		::operator delete[](TOKEN_CALL(_ZnamRKSt9nothrow_t, abi, token, n, &tag), tag);
		for (size_t a = 8; a <= 64 * KiB; a *= 2) {
			std::align_val_t al{a};

			::operator delete(TOKEN_CALL(_ZnwmSt11align_val_t, abi, token, n, a), al);
			::operator delete(TOKEN_CALL(_ZnwmSt11align_val_t, abi, token, n, a), n,
					  al);
			::operator delete(TOKEN_CALL(_ZnwmSt11align_val_tRKSt9nothrow_t, abi, token,
						     n, a, &tag),
					  al, tag);
			::operator delete[](TOKEN_CALL(_ZnamSt11align_val_t, abi, token, n, a), al);
			::operator delete[](TOKEN_CALL(_ZnamSt11align_val_t, abi, token, n, a), n,
					    al);
			::operator delete[](TOKEN_CALL(_ZnamSt11align_val_tRKSt9nothrow_t, abi,
						       token, n, a, &tag),
					    al, tag);
		}
	}
}

template <typename E, typename F> static bool throws(F f)
{
	try {
		f();
	} catch (const E &) {
		return true;
	}
	return false;
}

template <typename E> static void every_form_throws(token_abi abi, size_t token, size_t n)
{
	CHECK(throws<E>([=] { TOKEN_CALL(_Znwm, abi, token, n); }));
	CHECK(throws<E>([=] { TOKEN_CALL(_Znam, abi, token, n); }));
	CHECK(throws<E>([=] { TOKEN_CALL(_ZnwmSt11align_val_t, abi, token, n, 64); }));
	CHECK(throws<E>([=] { TOKEN_CALL(_ZnamSt11align_val_t, abi, token, n, 64); }));
}

static void every_nothrow_form_is_null(token_abi abi, size_t token, size_t n)
{
	CHECK(TOKEN_CALL(_ZnwmRKSt9nothrow_t, abi, token, n, &tag) == nullptr);
	CHECK(TOKEN_CALL(_ZnamRKSt9nothrow_t, abi, token, n, &tag) == nullptr);
	CHECK(TOKEN_CALL(_ZnwmSt11align_val_tRKSt9nothrow_t, abi, token, n, 64, &tag) == nullptr);
	CHECK(TOKEN_CALL(_ZnamSt11align_val_tRKSt9nothrow_t, abi, token, n, 64, &tag) == nullptr);
}

static void what_cannot_be_had_is_bad_alloc_or_null(token_abi abi, size_t token)
{
	for (size_t n : {static_cast<size_t>(huge), static_cast<size_t>(no_address_space)}) {
		every_form_throws<std::bad_alloc>(abi, token, n);
		every_nothrow_form_is_null(abi, token, n);
	}
}

static int handler_calls;

static void the_new_handler_is_called_until_there_is_none(token_abi abi, size_t token)
{
	const std::new_handler gives_up_at_the_third_call = [] {
		if (++handler_calls == 3)
			std::set_new_handler(nullptr);
	};

	handler_calls = 0;
	std::set_new_handler(gives_up_at_the_third_call);
	CHECK(throws<std::bad_alloc>([=] { TOKEN_CALL(_Znwm, abi, token, huge); }));
	CHECK(handler_calls == 3);
	handler_calls = 0;
	std::set_new_handler(gives_up_at_the_third_call);
	CHECK(TOKEN_CALL(_ZnamRKSt9nothrow_t, abi, token, huge, &tag) == nullptr);
	CHECK(handler_calls == 3);
}

struct handlers_own {
};

static void what_a_handler_throws_passes_or_is_caught(token_abi abi, size_t token)
{
	std::set_new_handler([] { throw handlers_own{}; });
	every_form_throws<handlers_own>(abi, token, huge);
	std::set_new_handler([] { throw std::bad_alloc(); });
	every_form_throws<std::bad_alloc>(abi, token, huge);
	every_nothrow_form_is_null(abi, token, huge);
	std::set_new_handler(nullptr);
}

static void an_alignment_that_is_none_is_bad_alloc_or_null(token_abi abi, size_t token)
{
	CHECK(throws<std::bad_alloc>(
		[=] { TOKEN_CALL(_ZnwmSt11align_val_t, abi, token, size_t{ 100 }, 24); }));
	CHECK(TOKEN_CALL(_ZnwmSt11align_val_tRKSt9nothrow_t, abi, token, size_t{ 100 }, 24, &tag) ==
	      nullptr);
}

static void *spare;

/* The new handler gives memory back, so that operator new succeeds when it tries again. */
static void what_a_handler_frees_is_had(token_abi abi, size_t token)
{
	const size_t n = 256 * MiB;
	struct rlimit was, less;
	void *p;

	spare = malloc(n);
	CHECK(spare != nullptr);
	CHECK(getrlimit(RLIMIT_DATA, &was) == 0);
	less = was;
	less.rlim_cur = 64 * MiB;
	CHECK(setrlimit(RLIMIT_DATA, &less) == 0);
	std::set_new_handler([] {
		CHECK(spare != nullptr);
		free(spare);
		spare = nullptr;
	});
	p = TOKEN_CALL(_Znwm, abi, token, n);
	std::set_new_handler(nullptr);
	CHECK(setrlimit(RLIMIT_DATA, &was) == 0);
	CHECK(spare == nullptr);
	CHECK(p != nullptr && malloc_usable_size(p) >= n);
	::operator delete(p, n);
}

int main()
{
	CHECK(face_malloc_is_goalloc());
	each_token(every_delete_takes_it);
	each_token(what_cannot_be_had_is_bad_alloc_or_null);
	each_token(the_new_handler_is_called_until_there_is_none);
	each_token(what_a_handler_throws_passes_or_is_caught);
	each_token(an_alignment_that_is_none_is_bad_alloc_or_null);
	each_token(what_a_handler_frees_is_had);
}
