/* SPDX-License-Identifier: MIT */
/*
 * test_containers.cc - goalloc.hpp: containers in noscan memory.
 */
#include <goalloc.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

static int failures;

#define CHECK(c) \
	do { \
		if (!(c)) { \
			std::printf("%s:%d: %s\n", __FILE__, __LINE__, #c); \
			failures++; \
		} \
	} while (0)

static std::uint64_t noscan_bytes()
{
	goalloc_memstats stats{};

	stats.size = sizeof stats;
	CHECK(goalloc_read_memstats(&stats) == 0);
	return stats.NoscanAlloc;
}

/* 1 MiB of numbers is 1 MiB more of noscan memory, and none when they are gone. */
static void vectors_are_noscan_memory()
{
	const std::size_t n = 1 << 17;
	std::uint64_t before = noscan_bytes();
	goalloc::noscan_resource resource;

	{
		std::vector<double, goalloc::noscan_allocator<double>> numbers(n, 1.5);
		CHECK(noscan_bytes() - before >= n * sizeof(double));
		CHECK(numbers[n - 1] == 1.5);
		std::uint64_t with_numbers = noscan_bytes();
		std::pmr::vector<double> samples(n, 2.5, &resource);
		CHECK(noscan_bytes() - with_numbers >= n * sizeof(double));
		CHECK(samples[n - 1] == 2.5);
	}
	CHECK(noscan_bytes() - before < n);
	std::vector<double> plain(n, 3.5);
	CHECK(noscan_bytes() - before < n && plain[1] == 3.5);
}

static void strings_grow()
{
	using text = std::basic_string<char, std::char_traits<char>,
				       goalloc::noscan_allocator<char>>;
	text s;

	for (int i = 0; i < 10000; i++)
		s += static_cast<char>('a' + i % 26);
	text copy = s;
	CHECK(copy == s && s.size() == 10000 && s[27] == 'b');
	CHECK(s.get_allocator() == goalloc::noscan_allocator<int>());
	CHECK(!(s.get_allocator() != goalloc::noscan_allocator<int>()));
}

static void alignment_is_the_types()
{
	struct alignas(256) wide {
		char c[256];
	};
	std::vector<wide, goalloc::noscan_allocator<wide>> wides(3);
	goalloc::noscan_resource resource, other;
	void *p = resource.allocate(1, 4096);

	CHECK(reinterpret_cast<std::uintptr_t>(wides.data()) % 256 == 0);
	CHECK(reinterpret_cast<std::uintptr_t>(p) % 4096 == 0);
	CHECK(resource.is_equal(other) && !resource.is_equal(*std::pmr::new_delete_resource()));
	other.deallocate(p, 1, 4096);
}

static int handled;

static void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

static void no_memory_is_thrown()
{
	goalloc::noscan_allocator<double> allocator;
	goalloc::noscan_resource resource;
	volatile std::size_t too_many = SIZE_MAX / 4, too_much = SIZE_MAX / 2;
	int thrown = 0;

	try {
		allocator.deallocate(allocator.allocate(too_many), 1);
	} catch (const std::bad_array_new_length &) {
		thrown++;
	}
	std::set_new_handler(handler);
	try {
		resource.deallocate(resource.allocate(too_much, 16), 1, 16);
	} catch (const std::bad_alloc &) {
		thrown++;
	}
	CHECK(thrown == 2 && handled == 3);
}

int main()
{
	vectors_are_noscan_memory();
	strings_grow();
	alignment_is_the_types();
	no_memory_is_thrown();
	return failures != 0;
}
