/* SPDX-License-Identifier: MIT */
/*
 * double_free_in_tls_destructor.c - a destructor of thread-specific data that frees twice, in
 * the last round, when the thread has no cache left.
 */
#include "misuse.h"

static pthread_key_t key;

static void destructor(void *p)
{
	static int round;

	if (++round < PTHREAD_DESTRUCTOR_ITERATIONS) {
		(void)pthread_setspecific(key, p);
		return;
	}
	do_free(p);
	do_free(p);
}

static void *thread_with_data(void *arg)
{
	void *p = object_among_others(100);

	announce(p, 0);
	(void)pthread_setspecific(key, p);
	return arg;
}

int main(void)
{
	(void)pthread_key_create(&key, destructor);
	in_a_thread(thread_with_data, NULL);
	return 0;
}
