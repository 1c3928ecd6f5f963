/* SPDX-License-Identifier: MIT */
/*
 * cxx_plugin_lib.cc - C++ code that a C program opens: its operators new fail, and what its own C++
 * library says is what holds.
 *
 * Callers  test_cxx_plugin.c, by dlsym. Built with the shared libstdc++, and with one inside of it.
 */
#include <cstddef>
#include <new>

static int handled;
static void *volatile kept;
static const size_t huge = static_cast<size_t>(1) << 60;

/* Not known to the compiler, which would refuse it. */
static volatile size_t no_power = 48;

/* Frees nothing, and is asked three times. */
static void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

template <typename F> static bool throws(F f)
{
	try {
		kept = f();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

/* Forms that throw what they should. */
extern "C" int plugin_throws()
{
	return throws([] { return ::operator new(huge); }) +
	       throws([] { return ::operator new[](huge); }) +
	       throws([] { return ::operator new(huge, std::align_val_t(64)); }) +
	       throws([] { return ::operator new[](huge, std::align_val_t(64)); }) +
	       throws([] { return ::operator new(100, std::align_val_t(no_power)); });
}

/* Forms that return NULL as they should. */
extern "C" int plugin_returns_null()
{
	kept = nullptr;
	return (::operator new(huge, std::nothrow) == kept) +
	       (::operator new[](huge, std::nothrow) == kept) +
	       (::operator new(huge, std::align_val_t(64), std::nothrow) == kept) +
	       (::operator new[](huge, std::align_val_t(64), std::nothrow) == kept);
}

/* Counts how often a form asks the new handler, in two ways. */
extern "C" int plugin_asks_handler(int nothrow)
{
	handled = 0;
	std::set_new_handler(handler);
	if (nothrow != 0)
		kept = ::operator new(huge, std::nothrow);
	else if (!throws([] { return ::operator new(huge); }))
		return -1;
	return handled;
}

extern "C" int plugin_allocates()
{
	int right = 0;

	for (size_t n = 1; n < 100000; n = n * 3 / 2 + 1) {
		char *p = new char[n],
		     *q = static_cast<char *>(::operator new(n, std::align_val_t(128)));

		p[n - 1] = 'p';
		right += p[n - 1] == 'p' && reinterpret_cast<size_t>(q) % 128 == 0;
		delete[] p;
		::operator delete(q, std::align_val_t(128));
	}
	return right;
}
