/* SPDX-License-Identifier: MIT */
/*
 * test_plugin.c - libraries that come and go: memory that one allocated is freed after it was
 * unloaded, and many of them have thread-local storage, which libc allocates with our malloc.
 *
 * Each copy of plugin_lib.so in a directory of the test is a library of its own to the dynamic
 * linker. Usage: test_plugin PLUGIN CASE.
 */
#include "face.h"

#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { COPIES = 60 };

static const char *plugin;
static char directory[] = "/tmp/face_plugin_XXXXXX";

typedef char *make_fn(size_t);
typedef int count_fn(void);

static void name_of_copy(int i, char *path, size_t room)
{
	CHECK(snprintf(path, room, "%s/%d.so", directory, i) > 0);
}

static void make_copies(void)
{
	char path[PATH_MAX];
	struct stat st;

	CHECK(mkdtemp(directory) != NULL);
	for (int i = 0; i < COPIES; i++) {
		int from = open(plugin, O_RDONLY), to;

		name_of_copy(i, path, sizeof(path));
		to = open(path, O_WRONLY | O_CREAT, 0700);
		CHECK(from >= 0 && to >= 0 && fstat(from, &st) == 0);
		CHECK(sendfile(to, from, NULL, (size_t)st.st_size) == st.st_size);
		CHECK(close(from) == 0 && close(to) == 0);
	}
}

static void drop_copies(void)
{
	char path[PATH_MAX];

	for (int i = 0; i < COPIES; i++) {
		name_of_copy(i, path, sizeof(path));
		CHECK(unlink(path) == 0);
	}
	CHECK(rmdir(directory) == 0);
}

static void *open_copy(int i)
{
	char path[PATH_MAX];

	name_of_copy(i, path, sizeof(path));
	return dlopen(path, RTLD_NOW);
}

/* --- freed after dlclose --- */

static void *free_all(void *arg)
{
	for (char **p = arg; *p != NULL; p++)
		free(*p);
	return arg;
}

static void what_a_library_allocated_outlives_it(void)
{
	static char *made[21];
	size_t after_some = 0;

	for (int round = 0; round < 400; round++) {
		void *handle = dlopen(plugin, RTLD_NOW);
		pthread_t thread;
		make_fn *make;

		CHECK(handle != NULL);
		make = (make_fn *)dlsym(handle, "plugin_make");
		CHECK(make != NULL);
		for (size_t i = 0; i < 20; i++)
			made[i] = make(i * 2000 + 10);
		CHECK(dlclose(handle) == 0);
		for (size_t i = 0; i < 20; i++)
			CHECK(made[i][0] == 'p' && made[i][i * 2000 + 9] == 'p');
		CHECK(pthread_create(&thread, NULL, free_all, made) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		if (round == 50)
			after_some = proc_rss();
	}
	CHECK_LE(proc_rss(), after_some + MiB);
}

/* --- thread-local storage --- */

static void *handles[COPIES];
static pthread_barrier_t opened, closed;

static void count_twice(void)
{
	for (int i = 0; i < COPIES; i++) {
		count_fn *count = (count_fn *)dlsym(handles[i], "plugin_count");

		CHECK(count != NULL && count() == 1 && count() == 2);
	}
}

/* Has a thread that is there before the libraries, and after them. What libc allocated for it is
 * freed when they go, or with the thread. */
static void *old_thread(void *arg)
{
	(void)pthread_barrier_wait(&opened);
	count_twice();
	(void)pthread_barrier_wait(&closed);
	(void)pthread_barrier_wait(&closed);
	return arg;
}

static void *new_thread(void *arg)
{
	count_twice();
	return arg;
}

static void thread_local_storage_of_many_libraries(void)
{
	pthread_t old[3], new[3];
	size_t after_some = 0;

	make_copies();
	for (int round = 0; round < 20; round++) {
		CHECK(pthread_barrier_init(&opened, NULL, 4) == 0 &&
		      pthread_barrier_init(&closed, NULL, 4) == 0);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_create(&old[i], NULL, old_thread, NULL) == 0);
		for (int i = 0; i < COPIES; i++)
			CHECK((handles[i] = open_copy(i)) != NULL);
		(void)pthread_barrier_wait(&opened);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_create(&new[i], NULL, new_thread, NULL) == 0);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_join(new[i], NULL) == 0);
		(void)pthread_barrier_wait(&closed);
		for (int i = 0; i < COPIES; i++)
			CHECK(dlclose(handles[i]) == 0);
		(void)pthread_barrier_wait(&closed);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_join(old[i], NULL) == 0);
		if (round == 4)
			after_some = proc_rss();
	}
	/* Threads meet differently in each round. */
	CHECK_LE(proc_rss(), after_some + 3 * MiB);
	drop_copies();
}

/* Loads libraries until there is no room for more. Then dlopen() fails, and nothing else does. */
static void static_thread_local_storage_may_run_out(void)
{
	int n = 0;

	make_copies();
	while (n < COPIES && (handles[n] = open_copy(n)) != NULL)
		n++;
	CHECK(n > 0 && n < COPIES);
	CHECK(strstr(dlerror(), "static TLS") != NULL);
	for (int i = 0; i < n; i++)
		CHECK(dlclose(handles[i]) == 0);
	CHECK(malloc(1000) != NULL);
	drop_copies();
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	CHECK(face_malloc_is_goalloc());
	plugin = argv[1];
	if (strcmp(argv[2], "outlived") == 0)
		what_a_library_allocated_outlives_it();
	else if (strcmp(argv[2], "tls") == 0)
		thread_local_storage_of_many_libraries();
	else if (strcmp(argv[2], "static_tls") == 0)
		static_thread_local_storage_may_run_out();
	else
		check_fail(__FILE__, __LINE__, argv[2]);
	return 0;
}
