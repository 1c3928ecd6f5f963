/* SPDX-License-Identifier: MIT */
/*
 * test_leaks_exit.c - leaks told at exit and on a signal, by GOALLOC=leakcheck: where to, with which status, with which stacks.
 *
 * Owns     nothing. Run without arguments it is the driver, which runs itself with one: as the program that leaks.
 * Callers  CTest, linked and preloaded; FACE_LIB is the library, which the plain variant loads by LD_PRELOAD.
 */
#include "leaks.h"
#include "lines.h"
#include "program.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

/* --- the program --- */

__attribute__((noinline)) void leak_here(size_t n);
__attribute__((noinline)) void leak_here(size_t n)
{
	(void)make(n);
	__asm__ volatile("");
}

static int leak_and_end(const char *how)
{
	for (int i = 0; i < 5 && strcmp(how, "clean") != 0; i++)
		leak_here(100);
	if (strcmp(how, "closed") == 0)
		for (int fd = 0; fd < 100; fd++)
			(void)close(fd);
	if (strcmp(how, "signal") == 0) {
		const char *file = strstr(getenv("GOALLOC"), "leakreport=") + strlen("leakreport=");

		CHECK(raise(SIGUSR1) == 0);
		while (!proc_read_file(file, report, sizeof(report)) || strstr(report, "leaked: 5 objects") == NULL)
			(void)usleep(1000);
	}
	if (strcmp(how, "_exit") == 0)
		_exit(7);
	return 7;
}

/* --- the driver --- */

static const char *me;
static struct program_result result;

/* Runs the program with these options. Its exit status. */
static int run(const char *options, const char *how)
{
	char setting[1024];
	char *const argv[] = { (char *)(uintptr_t)me, (char *)(uintptr_t)how, NULL };
	const char *env[] = { setting, NULL };

	(void)snprintf(setting, sizeof(setting), "GOALLOC=%s", options);
	program_run(argv, env, &result);
	CHECK(!result.timed_out && WIFEXITED(result.status));
	return WEXITSTATUS(result.status);
}

/* What another one ends with is told. */
static bool said(const char *text)
{
	return strstr(result.err, text) != NULL;
}

static void drive(void)
{
	char file[PATH_MAX], options[PATH_MAX + 64];
	size_t nbytes = slot(100);
	char five[64];

	(void)snprintf(five, sizeof(five), "leak: 5 objects, %zu bytes", 5 * nbytes);
	/* Not asked for, nothing is said. */
	CHECK(run("off=0", "leak") == 7 && result.err[0] == '\0');
	CHECK(run("leakexit=23", "leak") == 7 && result.err[0] == '\0');
	/* Without all stacks by size, with them by function. */
	CHECK(run("leakcheck=1,memprofilerate=1GiB", "leak") == 7 && said(five) && said(" bytes each"));
	CHECK(run("leakcheck=2", "leak") == 7 && said(" leak_here+0x") && said("leaked: 5 objects"));
	CHECK(run("leakcheck=2", "clean") == 7 && said("leaked: 0 objects, 0 bytes") && !said("leak: "));
	/* The status tells. */
	CHECK(run("leakcheck=1,leakexit=23", "leak") == 23 && said("leaked: 5 objects"));
	CHECK(run("leakcheck=1,leakexit=23", "clean") == 7 && said("leaked: 0 objects"));
	/* Standard error as it was at the start; a program that ends without exit handlers is not looked at. */
	CHECK(run("leakcheck=1", "closed") == 7 && said("leaked: 5 objects"));
	CHECK(run("leakcheck=1", "_exit") == 7 && result.err[0] == '\0');
	/* To a file: on a signal, and once more at exit. */
	(void)snprintf(file, sizeof(file), "%s.report.%d", me, (int)getpid());
	(void)snprintf(options, sizeof(options), "leakcheck=1,signal=USR1,leakreport=%s", file);
	CHECK(run(options, "signal") == 7 && result.err[0] == '\0');
	CHECK(proc_read_file(file, report, sizeof(report)) && unlink(file) == 0 && count_lines(report) == 4);
	/* It is appended to. */
	(void)snprintf(options, sizeof(options), "leakcheck=1,leakreport=%s", file);
	CHECK(run(options, "leak") == 7 && result.err[0] == '\0');
	CHECK(run(options, "clean") == 7 && result.err[0] == '\0');
	CHECK(proc_read_file(file, report, sizeof(report)) && unlink(file) == 0);
	CHECK(strstr(report, five) != NULL && strstr(report, "leaked: 5 objects") != NULL && strstr(report, "leaked: 0 objects") != NULL);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	ssize_t n;

	if (argc == 2)
		return leak_and_end(argv[1]);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	CHECK(n > 0);
	path[n] = '\0';
	me = path;
	drive();
	return 0;
}
