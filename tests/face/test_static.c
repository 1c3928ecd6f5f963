/* SPDX-License-Identifier: MIT */
/*
 * test_static.c - a program linked -static with the archive: it has our malloc, once, and forks and
 * starts threads with it.
 *
 * That it links at all is half of the test: fork in libc.a pulls in glibc's malloc.o unless the
 * archive has every name that it wants.
 */
#include "check.h"
#include "child.h"
#include "rng.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The reference is weak, so it is resolved only when the member with malloc was taken from our
 * archive. */
extern size_t nallocx(size_t n, int flags) __attribute__((weak));

static void *churn(void *arg)
{
	enum { LIVE = 100 };
	unsigned char *p[LIVE] = {NULL};
	size_t n[LIVE] = {0};
	uint64_t rng = (uintptr_t)arg;

	for (int i = 0; i < 20000; i++) {
		size_t k;
		k = rng_below(&rng, LIVE);
		CHECK(p[k] == NULL || (p[k][0] == k && p[k][n[k] - 1] == k));
		n[k] = rng_below(&rng, i % 50 == 0 ? 100000 : 1000) + 1;
		if (i % 3 == 0) {
			p[k] = realloc(p[k], n[k]);
		} else {
			free(p[k]);
			p[k] = i % 3 == 1 ? malloc(n[k]) : calloc(1, n[k]);
		}
		CHECK(p[k] != NULL);
		p[k][0] = p[k][n[k] - 1] = (unsigned char)k;
	}
	for (size_t k = 0; k < LIVE; k++)
		free(p[k]);
	return NULL;
}

static void run_threads(void)
{
	pthread_t thread[4];

	for (uintptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static void fork_and_live_on(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		(void)churn((void *)7);
		run_threads();
		_exit(0);
	}
	CHECK(child_wait(child) == 0);
}

int main(void)
{
	char *line = NULL, *copy;
	size_t room = 0;
	FILE *f;
	void *p = NULL;

	CHECK(nallocx != NULL && nallocx(100, 0) == 112);
	(void)churn((void *)3);
	run_threads();
	fork_and_live_on();
	CHECK(posix_memalign(&p, 4096, 100) == 0 && (uintptr_t)p % 4096 == 0);
	free(p);
	f = fopen("/proc/self/stat", "r");
	CHECK(f != NULL && getline(&line, &room, f) > 0);
	(void)fclose(f);
	copy = strdup(line);
	CHECK(copy != NULL && strcmp(copy, line) == 0);
	free(line);
	free(copy);
	return 0;
}
