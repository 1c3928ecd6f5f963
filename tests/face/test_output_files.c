/* SPDX-License-Identifier: MIT */
/*
 * test_output_files.c - what is written at exit: into which files, for whom, and that the end of
 * the program stays its own.
 *
 * Owns     a directory for the files. Run without arguments it is the driver, which runs itself
 *          with one: as the program that ends.
 * Callers  CTest, linked and preloaded; FACE_LIB is the library, which the plain variant loads
 *          by LD_PRELOAD.
 */
#include "face.h"
#include "program.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#define STATUS 7

/* --- the program --- */

/* Begins anew with a standard error that nobody reads. */
static void with_broken_pipe(void)
{
	char *const argv[] = { (char *)(uintptr_t) "/proc/self/exe", (char *)(uintptr_t) "leave",
			       NULL };
	int ends[2];

	CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2 && close(ends[0]) == 0 &&
	      close(ends[1]) == 0);
	(void)execv(argv[0], argv);
	_exit(2);
}

static int leave(const char *how)
{
	struct rlimit small = { 10, RLIM_INFINITY };

	if (strcmp(how, "broken_pipe") == 0)
		with_broken_pipe();
	free(malloc(100));
	if (strcmp(how, "small_files") == 0)
		CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	if (strcmp(how, "name") == 0)
		CHECK(prctl(PR_SET_NAME, "e\x1b[1m\xc2\x9b" "31m") == 0);
	return STATUS;
}

/* --- the driver --- */

static const char *me;
static char directory[] = "/tmp/goalloc-files-XXXXXX";
static struct program_result result;

/* Runs the program with these options, in which %s is the directory. It ends with its own
 * status. */
static void run(const char *options, const char *how)
{
	char *const argv[] = { (char *)(uintptr_t)me, (char *)(uintptr_t)how, NULL };
	const char *env[] = { options, NULL };

	program_run(argv, env, &result);
	CHECK(!result.timed_out && WIFEXITED(result.status) &&
	      WEXITSTATUS(result.status) == STATUS);
}

/* "BEGINNING DIRECTORY/NAME" */
static const char *setting(const char *beginning, const char *name)
{
	static char text[PATH_MAX];

	(void)snprintf(text, sizeof(text), "%s%s/%s", beginning, directory, name);
	return text;
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static bool said(const char *text)
{
	return strstr(result.err, text) != NULL;
}

static void files_are_the_users_alone(void)
{
	static const char *const options[] = { "GOALLOC=profile=", "GOALLOC=heapmap=",
					       "GOALLOC=stats=",
					       "GOALLOC=leakcheck=1,leakreport=" };
	struct stat st;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		run(setting(options[i], "file"), "leave");
		CHECK(result.err[0] == '\0');
		CHECK(stat(path_of("file"), &st) == 0 && (st.st_mode & 07777) == 0600 &&
		      st.st_size > 0);
		CHECK(unlink(path_of("file")) == 0);
	}
}

static void links_are_refused(void)
{
	static const char *const options[] = { "GOALLOC=profile=", "GOALLOC=stats=" };
	char target[PATH_MAX];
	struct stat st;

	(void)snprintf(target, sizeof(target), "%s/target", directory);
	CHECK(close(open(target, O_WRONLY | O_CREAT, 0644)) == 0 &&
	      symlink(target, path_of("link")) == 0);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		run(setting(options[i], "link"), "leave");
		CHECK(said("it is a symbolic link") && stat(target, &st) == 0 && st.st_size == 0);
	}
	CHECK(unlink(path_of("link")) == 0 && unlink(target) == 0);
}

static void the_end_stays_the_programs(void)
{
	run("GOALLOC=stats=-", "broken_pipe");
	run("GOALLOC=stats=-,profile=/nowhere/file", "broken_pipe");
	run(setting("GOALLOC=profile=", "file"), "small_files");
	CHECK(said("profile: cannot write to") && said("the file would be too large"));
	/* Nothing is left of what could not be written whole. */
	CHECK(access(path_of("file"), F_OK) != 0);
	CHECK(mkfifo(path_of("fifo"), 0600) == 0);
	run(setting("GOALLOC=stats=", "fifo"), "leave");
	CHECK(said("stats: cannot write to") && said("nobody reads it"));
	run(setting("GOALLOC=heapmap=", "fifo"), "leave");
	CHECK(said("heapmap: cannot write to") && said("nobody reads it"));
	CHECK(unlink(path_of("fifo")) == 0);
}

static void descriptors_have_names(void)
{
	static const char *const options[] = { "GOALLOC=stats=/dev/stdout",
					       "GOALLOC=stats=/dev/fd/1",
					       "GOALLOC=heapmap=/proc/self/fd/1" };

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		run(options[i], "leave");
		CHECK(result.err[0] == '\0' && strlen(result.out) > 100);
	}
	run("GOALLOC=stats=/dev/full", "leave");
	CHECK(said("stats: cannot write to '/dev/full': no space left"));
}

/* Checks that a report has no byte that a terminal obeys, whatever the names are. */
static void terminals_are_safe(void)
{
	run("GOALLOC=stats=-", "name");
	CHECK(said("goalloc: e?[1m??31m, pid"));
	run("GOALLOC=\x9b" "1m\xc2\x9b=\x1b", "leave");
	CHECK(said("unknown option in '?1m?\?=?'"));
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	ssize_t n;

	if (argc == 2)
		return leave(argv[1]);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	CHECK(n > 0 && mkdtemp(directory) != NULL);
	path[n] = '\0';
	me = path;
	files_are_the_users_alone();
	links_are_refused();
	the_end_stays_the_programs();
	descriptors_have_names();
	terminals_are_safe();
	CHECK(rmdir(directory) == 0);
	return 0;
}
