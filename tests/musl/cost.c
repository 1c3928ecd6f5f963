/* SPDX-License-Identifier: MIT */
/*
 * cost.c - runs a program and tells what it cost: cost LIBRARY PROGRAM ARGUMENT...
 *
 * LIBRARY is preloaded, unless it is empty. At the end a line on standard error has the processor
 * time in milliseconds and the peak memory in KiB of the process that used most. The kernel counts
 * for a program what its process had before exec(3), so the process that starts it must be small.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double ms(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

int main(int argc, char **argv)
{
	struct rusage used;
	int status = 0;
	pid_t pid;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: cost LIBRARY PROGRAM ARGUMENT...\n");
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (argv[1][0] == '\0' || setenv("LD_PRELOAD", argv[1], 1) == 0)
			(void)execv(argv[2], argv + 2);
		_exit(127);
	}
	while (pid > 0 && wait4(pid, &status, 0, &used) != pid)
		if (errno != EINTR)
			return 126;
	if (pid < 0)
		return 126;
	(void)fprintf(stderr, "%.0f %ld\n", ms(used.ru_utime) + ms(used.ru_stime),
		      used.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
