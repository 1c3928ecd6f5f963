/* SPDX-License-Identifier: MIT */
/*
 * progress.c - shows the progress of the run. See progress.h.
 */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PLAIN_INTERVAL_S 20 /* between two lines when stderr is not a terminal */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress_show(size_t done, size_t total, const char *row, const char *allocator)
{
	static double start_s;
	static double shown_s;
	double now = now_s();
	bool tty = isatty(STDERR_FILENO) == 1;

	if (done == 0)
		start_s = shown_s = now;
	if (!tty && now - shown_s < PLAIN_INTERVAL_S)
		return;
	shown_s = now;
	fprintf(stderr, "%s[%zu/%zu] ", tty ? "\r" : "", done + 1, total);
	/*
	 * Rows take different times. A third of the runs is enough for an estimate by their mean.
	 */
	if (done * 3 >= total)
		fprintf(stderr, "about %.0f s left: ",
			(now - start_s) / (double)done * (double)(total - done));
	fprintf(stderr, "%s, %s%s", row, allocator, tty ? "\033[K" : "\n");
	fflush(stderr);
}

void progress_clear(void)
{
	if (isatty(STDERR_FILENO) == 1)
		fputs("\r\033[K", stderr);
}
