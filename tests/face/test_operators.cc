/* SPDX-License-Identifier: MIT */
/*
 * test_operators.cc - the twenty C++ operators: alignment, sizes, failure, new handlers, and
 * objects that live before main and after it.
 *
 * The operators are called by name, because the compiler may leave out a new-expression. The last
 * static destructor checks the counters of what ran after main.
 */
#include "face.h"

#include <malloc.h>

#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static bool is_aligned(const void *p, size_t alignment)
{
	return (reinterpret_cast<uintptr_t>(p) & (alignment - 1)) == 0;
}

static const size_t sizes[] = {0, 1, 3, 8, 9, 16, 24, 25, 100, 1000, 5000, 32768, 32769, 1000000};
static volatile size_t huge = SIZE_MAX / 2 + 1;
static volatile size_t no_address_space = static_cast<size_t>(1) << 48;

static void use(void *p, size_t n)
{
	CHECK(p != nullptr);
	CHECK(malloc_usable_size(p) >= n);
	memset(p, 0x3c, n);
}

/* --- rules --- */

static void new_of_any_size_goes_with_every_unaligned_delete()
{
	for (size_t n : sizes) {
		void *p = ::operator new(n), *q = ::operator new(n);
		CHECK(p != q);
		CHECK(is_aligned(p, n < 16 ? 8 : 16));
		use(p, n);
		use(q, n);
		::operator delete(p);
		::operator delete(q, n);
		p = ::operator new(n, std::nothrow);
		use(p, n);
		::operator delete(p, std::nothrow);

		p = ::operator new[](n);
		use(p, n);
		::operator delete[](p);
		p = ::operator new[](n);
		use(p, n);
		::operator delete[](p, n);
		p = ::operator new[](n, std::nothrow);
		use(p, n);
		::operator delete[](p, std::nothrow);
	}
}

static void aligned_new_of_any_size_goes_with_every_aligned_delete()
{
	for (size_t a = 8; a <= 64 * KiB; a *= 2) {
		std::align_val_t al{a};
		for (size_t n : sizes) {
			void *p = ::operator new(n, al);
			CHECK(is_aligned(p, a));
			use(p, n);
			::operator delete(p, al);
			p = ::operator new(n, al);
			use(p, n);
			::operator delete(p, n, al);
			p = ::operator new(n, al, std::nothrow);
			CHECK(is_aligned(p, a));
			use(p, n);
			::operator delete(p, al, std::nothrow);

			p = ::operator new[](n, al);
			CHECK(is_aligned(p, a));
			use(p, n);
			::operator delete[](p, al);
			p = ::operator new[](n, al);
			use(p, n);
			::operator delete[](p, n, al);
			p = ::operator new[](n, al, std::nothrow);
			CHECK(is_aligned(p, a));
			use(p, n);
			::operator delete[](p, al, std::nothrow);
		}
	}
}

static void delete_of_nullptr_does_nothing()
{
	void *volatile null = nullptr;
	::operator delete(null);
	::operator delete(null, 100);
	::operator delete[](null);
	::operator delete[](null, 100);
	::operator delete(null, std::align_val_t{64});
	::operator delete[](null, 100, std::align_val_t{64});
}

static void memory_from_new_may_be_freed_by_free_and_the_other_way_round()
{
	free(::operator new(100));
	::operator delete(malloc(100));
	::operator delete(malloc(100), 100);
}

template <typename F> static bool throws_bad_alloc(F f)
{
	try {
		f();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void new_that_fails_throws_bad_alloc()
{
	std::align_val_t al{64};
	for (size_t n : {static_cast<size_t>(huge), static_cast<size_t>(no_address_space)}) {
		CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n)); }));
		CHECK(throws_bad_alloc([&] { ::operator delete[](::operator new[](n)); }));
		CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n, al), al); }));
		CHECK(throws_bad_alloc([&] { ::operator delete[](::operator new[](n, al), al); }));
	}
}

static void nothrow_new_that_fails_returns_nullptr()
{
	std::align_val_t al{64};
	for (size_t n : {static_cast<size_t>(huge), static_cast<size_t>(no_address_space)}) {
		CHECK(::operator new(n, std::nothrow) == nullptr);
		CHECK(::operator new[](n, std::nothrow) == nullptr);
		CHECK(::operator new(n, al, std::nothrow) == nullptr);
		CHECK(::operator new[](n, al, std::nothrow) == nullptr);
	}
}

static int handler_calls;

static void handler_that_gives_up_at_the_third_call()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

static void the_new_handler_is_called_until_there_is_none()
{
	std::align_val_t al{4096};

	handler_calls = 0;
	std::set_new_handler(handler_that_gives_up_at_the_third_call);
	CHECK(throws_bad_alloc([] { ::operator delete(::operator new(huge)); }));
	CHECK(handler_calls == 3);

	handler_calls = 0;
	std::set_new_handler(handler_that_gives_up_at_the_third_call);
	CHECK(throws_bad_alloc([&] { ::operator delete[](::operator new[](huge, al), al); }));
	CHECK(handler_calls == 3);

	handler_calls = 0;
	std::set_new_handler(handler_that_gives_up_at_the_third_call);
	CHECK(::operator new(huge, std::nothrow) == nullptr);
	CHECK(handler_calls == 3);
}

struct handlers_own {
	int value;
};

static void a_handlers_exception_passes_through_new()
{
	int caught = 0;
	std::set_new_handler([] { throw handlers_own{17}; });
	/* only a bad_alloc may be thrown by a handler; what we are told is passed on as it is */
	try {
		::operator delete(::operator new(huge));
	} catch (const handlers_own &e) {
		caught = e.value;
	}
	std::set_new_handler(nullptr);
	CHECK(caught == 17);
}

static void nothrow_new_catches_a_handlers_bad_alloc()
{
	void *volatile p;

	std::set_new_handler([] { throw std::bad_alloc(); });
	p = ::operator new(huge, std::nothrow);
	CHECK(p == nullptr);
	p = ::operator new[](huge, std::nothrow);
	CHECK(p == nullptr);
	p = ::operator new(huge, std::align_val_t{64}, std::nothrow);
	CHECK(p == nullptr);
	p = ::operator new[](huge, std::align_val_t{64}, std::nothrow);
	CHECK(p == nullptr);
	std::set_new_handler(nullptr);
}

static void after_bad_alloc_new_works_again()
{
	CHECK(throws_bad_alloc([] { ::operator delete(::operator new(huge)); }));
	void *p = ::operator new(100000);
	use(p, 100000);
	::operator delete(p, 100000);
}

struct alignas(256) wide {
	char bytes[300];
};

static void containers_and_over_aligned_types_work()
{
	std::map<std::string, std::vector<std::string>> m;
	for (int i = 0; i < 20000; i++)
		m["key of some length number " + std::to_string(i % 997)].push_back(
			std::string(static_cast<size_t>(i % 300), 'x'));
	size_t total = 0;
	for (const auto &e : m)
		for (const auto &s : e.second)
			total += s.size();
	CHECK(total > 1000000);
	std::vector<std::unique_ptr<wide>> w;
	for (int i = 0; i < 500; i++) {
		w.emplace_back(new wide);
		CHECK(is_aligned(w.back().get(), 256));
	}
	std::unique_ptr<wide[]> array(new wide[10]);
	CHECK(is_aligned(array.get(), 256));
}

/* --- life before and after main, and at the end of threads --- */

static int thread_local_ends, static_ends;

/* The first static object made is the last destroyed. */
struct check_at_the_very_end {
	std::string text = std::string(200, 'e');
	~check_at_the_very_end()
	{
		CHECK(text.size() == 200);
		CHECK(thread_local_ends == 33);
		CHECK(static_ends == 1);
	}
};
static check_at_the_very_end very_end;

struct static_object {
	std::vector<std::string> v;
	static_object() : v(100, std::string(100, 's')) {}
	~static_object()
	{
		v.insert(v.end(), 1000, std::string(50, 't'));
		v.clear();
		v.shrink_to_fit();
		static_ends++;
	}
};
static static_object made_before_main;

struct per_thread {
	std::vector<std::string> v;
	std::string *late = nullptr;
	~per_thread()
	{
		CHECK(late != nullptr && late->size() == 1000);
		delete late;
		std::vector<std::string> again(500, std::string(77, 'd'));
		v = again;
		__atomic_add_fetch(&thread_local_ends, 1, __ATOMIC_RELAXED);
	}
};
static thread_local per_thread mine;

static void thread_local_destructors_allocate_and_free()
{
	auto body = [] {
		for (int i = 0; i < 100; i++)
			mine.v.emplace_back(static_cast<size_t>(i), 'v');
		mine.late = new std::string(1000, 'l');
	};
	for (int round = 0; round < 4; round++) {
		std::vector<std::thread> threads;
		for (int i = 0; i < 8; i++)
			threads.emplace_back(body);
		for (auto &t : threads)
			t.join();
	}
	body(); /* main has one too; it ends before the static objects */
}

int main()
{
	CHECK(face_malloc_is_goalloc());
	new_of_any_size_goes_with_every_unaligned_delete();
	aligned_new_of_any_size_goes_with_every_aligned_delete();
	delete_of_nullptr_does_nothing();
	memory_from_new_may_be_freed_by_free_and_the_other_way_round();
	new_that_fails_throws_bad_alloc();
	nothrow_new_that_fails_returns_nullptr();
	the_new_handler_is_called_until_there_is_none();
	a_handlers_exception_passes_through_new();
	nothrow_new_catches_a_handlers_bad_alloc();
	after_bad_alloc_new_works_again();
	containers_and_over_aligned_types_work();
	thread_local_destructors_allocate_and_free();
	return 0;
}
