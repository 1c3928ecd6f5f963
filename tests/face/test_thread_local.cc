/* SPDX-License-Identifier: MIT */
/*
 * test_thread_local.cc - C++ objects of thread storage duration whose constructors and destructors
 * allocate and free, in threads that allocate otherwise and in threads that do not.
 */
#include "face.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> living;

struct holder {
	std::map<int, std::string> texts;
	std::unique_ptr<char[]> big{new char[200000]};

	holder()
	{
		living++;
		for (int i = 0; i < 50; i++)
			texts[i] = std::string(static_cast<size_t>(i) * 10, 'x');
	}
	~holder()
	{
		std::vector<std::string> copies;

		for (auto &entry : texts) {
			CHECK(entry.second.size() == static_cast<size_t>(entry.first) * 10);
			copies.push_back(entry.second + "and more");
		}
		living--;
	}
};

thread_local holder first;

/* Its destructor is the first to allocate in the thread. */
struct allocates_at_the_end {
	int used = 0;
	~allocates_at_the_end()
	{
		std::vector<int> v(1000, used);
		CHECK(v[999] == 1);
	}
};

thread_local allocates_at_the_end second;

void use_both()
{
	CHECK(first.texts.size() == 50);
	second.used = 1;
}

void use_second()
{
	second.used = 1;
}

void run_threads(int n)
{
	for (int i = 0; i < n; i++) {
		std::thread a(use_both), b(use_second);
		a.join();
		b.join();
	}
}

/* Of the main thread they are destroyed before this. */
struct at_the_end {
	~at_the_end()
	{
		CHECK(living == 0);
	}
} end;

} // namespace

int main()
{
	size_t after_some;

	CHECK(face_malloc_is_goalloc());
	use_both();
	run_threads(200);
	after_some = proc_rss();
	run_threads(800);
	CHECK(living == 1);
	/* What the pages of two threads at a time come to; one object left behind by each would be
	 * more. */
	CHECK_LE(proc_rss(), after_some + 2 * MiB);
	return 0;
}
