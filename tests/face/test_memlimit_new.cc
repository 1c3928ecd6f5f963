/* SPDX-License-Identifier: MIT */
/*
 * test_memlimit_new.cc - hard=1 in C++: operator new throws std::bad_alloc or calls the new
 * handler, and its nothrow form returns a null pointer.
 */
#include "face.h"

#include <new>
#include <vector>

static char *reserve;

/* As programs have them: something is given up for those who need it. */
static void give_reserve_up()
{
	CHECK(reserve != nullptr);
	delete[] reserve;
	reserve = nullptr;
}

int main()
{
	std::vector<char *> objects;
	/* Volatile, because a compiler may leave a new out whose object nobody sees. */
	char *volatile other;
	bool thrown = false;

	objects.reserve(1000);
	try {
		for (;;)
			objects.push_back(new char[MiB]);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown && objects.size() >= 50 && objects.size() < 64);
	other = new (std::nothrow) char[MiB];
	CHECK(other == nullptr);
	CHECK(*new int(7) == 7);

	reserve = objects.back();
	objects.pop_back();
	std::set_new_handler(give_reserve_up);
	objects.push_back(new char[MiB]);
	CHECK(reserve == nullptr);
	std::set_new_handler(nullptr);

	for (char *p : objects)
		delete[] p;
	other = new char[50 * MiB];
	delete[] other;
	return 0;
}
