/* SPDX-License-Identifier: MIT */
/*
 * test_roots.c - which memory counts: an object is reached from every kind of memory that a program
 * may keep an address in, and not from memory that is the library's, a file's or nobody's.
 *
 * Each test hides the address of one object, puts it in one place, and asks a copy of the process
 * what roots_mark() reaches.
 */
#include "module.h"

#include "hidden.h"
#include "heap.h"
#include "tools/roots.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the copy tells. Its mapping is the one that does not count as a root. */
static struct told {
	size_t nlive, nlost, unread;
	uintptr_t place;
} *told;

static void ignore(const struct mark_object *o, bool direct, void *arg)
{
	(void)o;
	(void)direct;
	(void)arg;
}

static void look(struct snapshot *sn, void *arg)
{
	struct mark mark;
	struct mark_counts counts;
	struct procmap maps;

	(void)arg;
	CHECK(procmap_read(&maps, getpid()));
	told->unread = roots_complete(sn, &maps);
	procmap_free(&maps);
	CHECK(procmap_read(&maps, getpid()));
	CHECK(mark_start(&mark));
	CHECK(roots_mark(&mark, sn, &maps, told));
	mark_each_lost(ignore, NULL, &counts);
	told->nlive = counts.nlive;
	told->nlost = counts.nlost;
}

static hidden object;

__attribute__((noinline)) static void make_object(void)
{
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	object = hide(heap_calloc(100));
}

/* Puts the object's address in a place. The last call leaves another value in the register of
 * results: clang pushes that register to align the stack, and the object would be reached. */
__attribute__((noinline)) static void put(void *place)
{
	*(void *volatile *)place = show(object);
	CHECK(getpid() != 0);
}

/* Returns whether the object is reached. It is the only one. */
__attribute__((noinline)) static bool is_reached(void)
{
	hidden_scrub();
	CHECK(snapshot_take(look, NULL, cpu_stack_pointer()).error == 0);
	CHECK(told->nlive == 1 && told->nlost <= 1);
	return told->nlost == 0;
}

static void *map(int flags, int fd)
{
	void *p = mmap(NULL, 4 * (size_t)getpagesize(), PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void *in_bss;
static void *in_data = &in_data;
static __thread void *in_tls;

TEST_IN_CHILD(an_address_that_is_kept_nowhere_does_not_count)
{
	make_object();
	CHECK(!is_reached());
}

TEST_IN_CHILD(static_and_thread_local_variables_count)
{
	make_object();
	put(&in_bss);
	CHECK(is_reached());
	in_bss = NULL;
	CHECK(!is_reached());
	put(&in_data);
	CHECK(is_reached());
	in_data = NULL;
	put(&in_tls);
	CHECK(is_reached());
	in_tls = NULL;
	CHECK(!is_reached());
}

TEST_IN_CHILD(variables_of_the_functions_that_are_running_count)
{
	void *volatile here = NULL;

	make_object();
	CHECK(!is_reached());
	put((void *)&here);
	CHECK(is_reached());
	here = NULL;
	CHECK(!is_reached());
}

TEST_IN_CHILD(private_mappings_count_at_their_first_and_last_word)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	size_t nbytes = 4 * (size_t)getpagesize();

	make_object();
	put(p);
	CHECK(is_reached());
	*(void **)(void *)p = NULL;
	put(p + nbytes - sizeof(void *));
	CHECK(is_reached());
	CHECK(munmap(p, nbytes) == 0);
	CHECK(!is_reached());
}

/* The copy does not get such memory; it is read from the program. */
TEST_IN_CHILD(memory_that_copies_do_not_get_counts)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	CHECK(madvise(p, 4 * (size_t)getpagesize(), MADV_DONTFORK) == 0);
	make_object();
	CHECK(!is_reached());
	put(p + getpagesize());
	CHECK(is_reached());
	CHECK(told->unread == 0);
}

TEST_IN_CHILD(shared_memory_counts_but_for_a_files)
{
	char path[] = "/var/tmp/goalloc-test-XXXXXX";
	int file = mkstemp(path), memfd = memfd_create("shared", MFD_CLOEXEC);
	char *p;

	CHECK(file >= 0 && unlink(path) == 0 && ftruncate(file, 1 << 20) == 0);
	CHECK(memfd >= 0 && ftruncate(memfd, 1 << 20) == 0);
	make_object();
	p = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	put(p + getpagesize());
	CHECK(is_reached());
	*(void **)(void *)(p + getpagesize()) = NULL;
	p = map(MAP_SHARED, memfd);
	put(p);
	CHECK(is_reached());
	*(void **)(void *)p = NULL;
	p = map(MAP_SHARED, file);
	put(p);
	CHECK(!is_reached());
	/* Private pages of a file are the program's own. */
	p = map(MAP_PRIVATE, file);
	put(p);
	CHECK(is_reached());
}

TEST_IN_CHILD(the_shared_memory_of_the_check_itself_does_not_count)
{
	make_object();
	put(&told->place);
	CHECK(!is_reached());
}

/* What is freed may still hold addresses: no root is in an arena. */
TEST_IN_CHILD(freed_objects_do_not_count)
{
	void **p;

	make_object();
	p = heap_malloc(100);
	put(&p[5]);
	heap_free(p, "free");
	p = NULL;
	CHECK(!is_reached());
}

static pthread_barrier_t ready, done;

static void *wait_with_variable(void *arg)
{
	void *volatile here = NULL;

	if (arg != NULL)
		put((void *)&here);
	hidden_scrub();
	(void)pthread_barrier_wait(&ready);
	(void)pthread_barrier_wait(&done);
	return here == NULL ? NULL : arg;
}

TEST_IN_CHILD(the_stack_of_another_thread_counts_while_it_lives)
{
	pthread_t thread;

	make_object();
	CHECK(pthread_barrier_init(&ready, NULL, 2) == 0);
	CHECK(pthread_barrier_init(&done, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, wait_with_variable, &ready) == 0);
	(void)pthread_barrier_wait(&ready);
	CHECK(is_reached());
	(void)pthread_barrier_wait(&done);
	CHECK(pthread_join(thread, NULL) == 0);
	/* libc keeps the stack for the next thread. */
	CHECK(!is_reached());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_is_kept_nowhere_does_not_count),
		cmocka_unit_test(static_and_thread_local_variables_count),
		cmocka_unit_test(variables_of_the_functions_that_are_running_count),
		cmocka_unit_test(private_mappings_count_at_their_first_and_last_word),
		cmocka_unit_test(memory_that_copies_do_not_get_counts),
		cmocka_unit_test(shared_memory_counts_but_for_a_files),
		cmocka_unit_test(the_shared_memory_of_the_check_itself_does_not_count),
		cmocka_unit_test(freed_objects_do_not_count),
		cmocka_unit_test(the_stack_of_another_thread_counts_while_it_lives),
	};

	return cmocka_run_group_tests_name("roots", tests, NULL, NULL);
}
