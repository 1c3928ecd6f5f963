/* SPDX-License-Identifier: MIT */
/*
 * test_profile_times.c - profiles that are written before the program ends.
 *
 * The program runs itself with options, and reads the file that this other process leaves.
 */
#include "face.h"

#include <sys/wait.h>

static char directory[] = "/tmp/goalloc-times.XXXXXX";
static char file[64];

static void use(size_t nbytes)
{
	char *volatile p = malloc(nbytes);

	CHECK(p != NULL);
	memset(p, 1, nbytes);
	free(p);
}

/* --- the programs --- */

/* Has 64 MiB at most, and 8 MiB when it ends. */
static void run_peak(void)
{
	char *volatile at_end;

	use(16 * MiB);
	use(64 * MiB);
	for (int i = 0; i < 20; i++)
		use(8 * MiB);
	at_end = malloc(8 * MiB);
	memset(at_end, 1, 8 * MiB);
}

/* Allocates until the file is there, and ends without a last writing. */
static void run_every(const char *expected)
{
	while (access(expected, F_OK) != 0) {
		use(1 * MiB);
		usleep(1000);
	}
	_exit(0);
}

/* --- the tests --- */

static void run(const char *self, const char *what, const char *options)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setenv("GOALLOC", options, 1) == 0);
		(void)execl(self, self, what, file, (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Returns the live bytes in the profile, and the number of live samples. */
static unsigned long live_bytes(void)
{
	unsigned long objects, bytes;
	FILE *f = fopen(file, "r");

	CHECK(f != NULL);
	CHECK(fscanf(f, "heap profile: %lu: %lu", &objects, &bytes) == 2);
	(void)fclose(f);
	return bytes;
}

int main(int argc, char **argv)
{
	char options[128], self[PATH_MAX];
	ssize_t n;

	if (argc == 3 && strcmp(argv[1], "peak") == 0) {
		run_peak();
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "every") == 0)
		run_every(argv[2]);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	CHECK(n > 0);
	self[n] = 0;
	CHECK(mkdtemp(directory) != NULL);
	(void)snprintf(file, sizeof(file), "%s/p.heap", directory);

	(void)snprintf(options, sizeof(options), "profile=%s,peak=1", file);
	run(self, "peak", options);
	CHECK(live_bytes() >= 64 * MiB);
	CHECK(unlink(file) == 0);

	(void)snprintf(options, sizeof(options), "profile=%s", file);
	run(self, "peak", options);
	CHECK(live_bytes() < 64 * MiB);
	CHECK(unlink(file) == 0);

	(void)snprintf(options, sizeof(options), "profile=%s,every=1s", file);
	run(self, "every", options);
	CHECK(access(file, F_OK) == 0 && unlink(file) == 0);
	/* Nothing lies beside. */
	CHECK(rmdir(directory) == 0);
	return 0;
}
