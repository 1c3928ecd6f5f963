/* SPDX-License-Identifier: MIT */
/*
 * test_quiet.c - the library has no descriptor, no thread and no output of its own, at any time.
 *
 * Without an argument the program runs itself with three descriptors and no others.
 */
#define _GNU_SOURCE 1
#include "face.h"
#include "program.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <malloc.h>
#include <pthread.h>

/* Returns how many entries a directory of numbers has. The descriptor that it is read by does
 * not count. */
static size_t entries(const char *path, bool has_own)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	(void)closedir(dir);
	return n - has_own;
}

static void check(void)
{
	CHECK(entries("/proc/self/fd", true) == 3);
	CHECK(entries("/proc/self/task", false) == 1);
}

static void *use_heap(void *arg)
{
	for (size_t n = 1; n < 100 * MiB; n *= 2) {
		char *p = malloc(n), *q = realloc(calloc(1, n), 2 * n);

		CHECK(p != NULL && q != NULL);
		free(p);
		free(q);
	}
	CHECK(malloc_trim(0) >= 0);
	return arg;
}

static void use_everything(void)
{
	pthread_t thread;
	pid_t child;

	check();
	CHECK(malloc((size_t)1 << 60) == NULL);
	(void)use_heap(NULL);
	check();
	CHECK(pthread_create(&thread, NULL, use_heap, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	/* The thread's entry goes after the join. */
	for (int i = 0; i < 1000 && entries("/proc/self/task", false) != 1; i++)
		(void)usleep(1000);
	check();
	child = fork();
	if (child == 0) {
		check();
		(void)use_heap(NULL);
		check();
		exit(0);
	}
	CHECK(child_wait(child) == 0);
	check();
}

static struct program_result result;

int main(int argc, char **argv)
{
	char *again[] = { argv[0], (char *)(size_t)"check", NULL };

	CHECK(face_malloc_is_goalloc());
	if (argc == 2) {
		use_everything();
		return 0;
	}
	CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
	program_run(again, NULL, &result);
	(void)fputs(result.err, stderr);
	CHECK(program_exited_0(&result) && result.out[0] == 0 && result.err[0] == 0);
	return 0;
}
