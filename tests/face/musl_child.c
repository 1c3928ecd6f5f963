/* SPDX-License-Identifier: MIT */
/*
 * musl_child.c - a program for musl_child.sh: threads that come and go, a forked child, strings of
 * libc's. The library has dlvsym(3), which musl lacks.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs look whether libc has it. */
__attribute__((weak)) void *dlvsym(void *handle, const char *name, const char *version);

static void *churn(void *arg)
{
	for (size_t i = 0; i < 20000; i++) {
		char *volatile p = malloc(i % 3000 + 1);

		if (p == NULL)
			abort();
		p[i % 3000] = 1;
		free(p);
	}
	return arg;
}

int main(void)
{
	pthread_t threads[4];
	int status;
	char *text;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, churn, NULL) != 0)
			return 2;
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	if (fork() == 0) {
		(void)churn(NULL);
		_exit(3);
	}
	if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 3)
		return 4;
	if (dlvsym == NULL || dlvsym(NULL, "malloc", "GLIBC_2.2.5") != NULL)
		return 6;
	text = strdup("by libc");
	status = text != NULL && strcmp(text, "by libc") == 0 ? 0 : 5;
	free(text);
	return status;
}
