/* SPDX-License-Identifier: MIT */
/*
 * loader_lock_lib.cc - a plug-in whose constructor starts a thread and waits for it. The dynamic
 * linker's lock is held meanwhile: what the thread allocates must not need that lock.
 *
 * Callers  test_cxx_plugin.c, which opens it; a hang ends the test.
 */
#include <malloc.h>
#include <new>
#include <pthread.h>
#include <stdlib.h>

extern "C" {
int loader_lock_done;
}

static void *volatile kept;

static void *allocate(void *)
{
	void *p = malloc(100);
	int right = 0;

	right += malloc_usable_size(p) >= 100;
	p = realloc(p, 50000);
	right += p != nullptr;
	free(p);
	kept = ::operator new(static_cast<size_t>(1) << 60, std::nothrow);
	right += kept == nullptr;
	kept = ::operator new(static_cast<size_t>(1) << 60, std::align_val_t(64), std::nothrow);
	right += kept == nullptr;
	try {
		kept = ::operator new(static_cast<size_t>(1) << 60);
	} catch (const std::bad_alloc &) {
		right++;
	}
	loader_lock_done = right;
	return nullptr;
}

__attribute__((constructor)) static void begin()
{
	pthread_t thread;

	if (pthread_create(&thread, nullptr, allocate, nullptr) == 0)
		pthread_join(thread, nullptr);
}
