/* SPDX-License-Identifier: MIT */
/*
 * test_setuid.c - a setuid program is not steered by the environment of the user that starts it.
 *
 * The test makes a setuid copy of itself in a directory of its own. It is linked with the static
 * library, because what may be loaded into such a program is not the subject. It runs as root and
 * where programs may be setuid; otherwise it is skipped (77).
 */
#include "face.h"
#include "program.h"

#include <malloc.h>
#include <sys/auxv.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { SKIPPED = 77, NOBODY = 65534, HARDENED = 1, SECURE = 2 };

static char path[PATH_MAX];

/* Returns as a status what the setuid copy sees. */
static int probe(void)
{
	void *p = malloc(100);

	return (malloc_usable_size(p) == 100 ? HARDENED : 0) |
	       (getauxval(AT_SECURE) != 0 ? SECURE : 0);
}

static void make_copy(const char *self, mode_t mode)
{
	int from = open(self, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	struct stat st;

	CHECK(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	CHECK(sendfile(to, from, NULL, (size_t)st.st_size) == st.st_size);
	CHECK(fchmod(to, mode) == 0 && close(from) == 0 && close(to) == 0);
}

static struct program_result result;

/* Runs the copy as nobody, with every option; its status. */
static int run_copy(void)
{
	static const char *const env[] = { "GOALLOC=hardened=1,nonsense=1", "GOALLOC_STATS=1",
					   "GOALLOC_MEMLIMIT=1GiB", NULL };
	char *argv[] = { path, (char *)(size_t)"probe", NULL };
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
		program_run(argv, env, &result);
		CHECK(!result.timed_out && WIFEXITED(result.status));
		/* Secure: without a word. Else a warning each, and the statistics. */
		if ((WEXITSTATUS(result.status) & SECURE) != 0)
			CHECK(result.err[0] == 0);
		else
			CHECK(strstr(result.err, "nonsense") != NULL &&
			      strstr(result.err, "live objects") != NULL);
		_exit(WEXITSTATUS(result.status));
	}
	status = child_wait(child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	char directory[] = "/tmp/face_setuid_XXXXXX";
	int open_to_all, setuid_root;

	if (argc == 2)
		return probe();
	if (getuid() != 0)
		return SKIPPED;
	CHECK(mkdtemp(directory) != NULL && chmod(directory, 0755) == 0);
	CHECK(snprintf(path, sizeof(path), "%s/probe", directory) > 0);
	make_copy(argv[0], 0755);
	open_to_all = run_copy();
	make_copy(argv[0], 04755);
	setuid_root = run_copy();
	CHECK(unlink(path) == 0 && rmdir(directory) == 0);
	CHECK(open_to_all == HARDENED);
	if ((setuid_root & SECURE) == 0)
		return SKIPPED; /* a file system or a process that allows no such programs */
	CHECK(setuid_root == SECURE);
	return 0;
}
