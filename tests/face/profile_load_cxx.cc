/* SPDX-License-Identifier: MIT */
/*
 * profile_load_cxx.cc - does what profile_load.c does, in C++: methods, templates, containers.
 *
 * Usage: profile_load_cxx CASE RATE FILE...
 */
#include "face.h"

#include <malloc.h>

#include <string>
#include <vector>

#include "../../include/goalloc.h"

#define NOINLINE __attribute__((noinline))
#define NOT_LAST() __asm__ volatile("" ::: "memory")

static void count(const char *name, size_t objects, size_t bytes)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %zu %zu %zu %zu\n", name, objects, bytes, objects,
			 bytes);

	CHECK(write(1, line, static_cast<size_t>(n)) == n);
}

namespace shop {

struct Item {
	char bytes[1000];
};

class Basket {
public:
	NOINLINE void fill(size_t n)
	{
		size_t bytes = 0;

		for (size_t i = 0; i < n; i++) {
			last_ = new Item;
			bytes += malloc_usable_size(last_);
		}
		count("shop::Basket::fill", n, bytes);
	}

private:
	Item *last_ = nullptr;
};

template <typename T> NOINLINE T *make_arrays(size_t n, size_t each)
{
	size_t bytes = 0;
	T *p = nullptr;

	for (size_t i = 0; i < n; i++) {
		p = new T[each];
		bytes += malloc_usable_size(p);
	}
	count("shop::make_arrays", n, bytes);
	return p;
}

}

int main(int argc, char **argv)
{
	int (*start)(size_t), (*write_profile)(const char *);
	shop::Basket basket;

	CHECK(argc >= 4);
	CHECK(face_malloc_is_goalloc());
	*reinterpret_cast<void **>(&start) = face_sym("goalloc_profile_start");
	*reinterpret_cast<void **>(&write_profile) = face_sym("goalloc_profile_write");
	CHECK(start(strtoull(argv[2], nullptr, 10)) == 0);
	basket.fill(20000);
	CHECK(shop::make_arrays<double>(4000, 300) != nullptr);
	for (char **file = argv + 3; *file != nullptr; file++)
		CHECK(write_profile(*file) == 0);
	return 0;
}
