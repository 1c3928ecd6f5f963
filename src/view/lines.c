/* SPDX-License-Identifier: MIT */
/*
 * lines.c - goalloc-lines: writes files and lines into profiles and reports of the library.
 *
 *	goalloc-lines FILE...              rewrites profiles
 *	goalloc-lines                      copies standard input to standard output
 *	goalloc-lines --run [--text] [--profile FILE] [--preload LIB] -- PROGRAM [ARGUMENT]...
 *
 * With --run the program is a child. When it has ended, the profiles that it has written are
 * rewritten; with --text its standard error goes through this program. Signals that end, stop or
 * inform the program are passed on, and the exit status is the program's. goalloc-run(1) starts
 * this where a tool that knows lines is installed.
 */
#include "view/lines.h"
#include "view/symbolize.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "goalloc-lines: %s: %s\n", what, why);
	return 1;
}

static bool never(void)
{
	return false;
}

/* --- the program --- */

static volatile sig_atomic_t child;
static int child_status;
static bool child_ended;

/* Passes a signal on to the program. */
static void pass_on(int number)
{
	int saved = errno;

	if (child > 0)
		(void)kill((pid_t)child, number);
	errno = saved;
}

/* Looks whether the program has ended. */
static bool has_ended(void)
{
	if (!child_ended && waitpid((pid_t)child, &child_status, WNOHANG) == (pid_t)child)
		child_ended = true;
	return child_ended;
}

/* Signals from the terminal reach the program, too, so they are only survived. */
static void pass_signals_on(void)
{
	static const int passed[] = { SIGHUP, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT,
				      SIGPROF, SIGVTALRM, SIGIO, SIGWINCH, SIGPWR, SIGURG };
	struct sigaction action = { .sa_handler = pass_on, .sa_flags = SA_RESTART };

	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		(void)sigaction(passed[i], &action, NULL);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		(void)sigaction(i, &action, NULL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
}

/* In the child: executes the program. GOALLOC_RUN_PID stays 0 if no process owns the plain names of
 * files. */
static _Noreturn void become(char **argv, const char *preload)
{
	const char *owner = getenv("GOALLOC_RUN_PID");
	char number[16];

	(void)snprintf(number, sizeof(number), "%ld", (long)getpid());
	if (owner == NULL || strcmp(owner, "0") != 0)
		(void)setenv("GOALLOC_RUN_PID", number, 1);
	if (preload != NULL)
		(void)setenv("LD_PRELOAD", preload, 1);
	(void)execvp(argv[0], argv);
	(void)complain(argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Starts the program, whose standard error is a pipe if `text` is not NULL. */
static pid_t start(char **argv, const char *preload, int *text)
{
	sigset_t all, before;
	int ends[2] = { -1, -1 };
	pid_t pid;

	if (text != NULL && pipe(ends) != 0)
		return -1;
	/* No signal is lost between the fork and pass_signals_on(). */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0) {
		if (text != NULL) {
			(void)dup2(ends[1], 2);
			(void)close(ends[0]);
			(void)close(ends[1]);
		}
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		become(argv, preload);
	}
	child = pid;
	pass_signals_on();
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (text != NULL) {
		(void)close(ends[1]);
		*text = ends[0];
	}
	return pid;
}

/* Ends as the program has ended. */
static int end_like_the_program(void)
{
	static const struct rlimit none = { 0, 0 };

	if (!WIFSIGNALED(child_status))
		return WEXITSTATUS(child_status);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(WTERMSIG(child_status), SIG_DFL);
	(void)raise(WTERMSIG(child_status));
	return 128 + WTERMSIG(child_status);
}

/* --- its profiles --- */

/* Returns a pattern for the names of a profile: %p and %n stand for numbers, and processes beside
 * the first one have their number before the ending. With `beside`, the pattern is for these. */
static char *pattern_of(const char *file, bool beside)
{
	char *pattern = malloc(2 * strlen(file) + 8), *to = pattern;
	const char *base = strrchr(file, '/'), *ending;

	base = base == NULL ? file : base + 1;
	ending = strstr(base, ".pb.gz");
	if (ending == NULL)
		ending = strrchr(base, '.');
	if (ending == NULL)
		ending = file + strlen(file);
	for (const char *at = file; pattern != NULL; at++) {
		if (at == ending && beside) {
			memcpy(to, ".[0-9]*", 7);
			to += 7;
		}
		if (*at == '\0')
			break;
		if (at[0] == '%' && (at[1] == 'p' || at[1] == 'n')) {
			memcpy(to, "[0-9]*", 6);
			to += 6;
			at++;
			continue;
		}
		if (strchr("*?[\\", *at) != NULL)
			*to++ = '\\';
		*to++ = *at;
	}
	if (pattern != NULL)
		*to = '\0';
	return pattern;
}

/* Rewrites the profiles of this name that were written since a time. */
static void rewrite(const char *file, bool beside, const struct timespec *since)
{
	char *pattern = pattern_of(file, beside);
	glob_t found;

	if (pattern != NULL && glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct stat st;

			if (stat(found.gl_pathv[i], &st) == 0 && S_ISREG(st.st_mode) &&
			    (st.st_mtim.tv_sec > since->tv_sec ||
			     (st.st_mtim.tv_sec == since->tv_sec &&
			      st.st_mtim.tv_nsec >= since->tv_nsec)))
				(void)lines_into_profile(found.gl_pathv[i]);
		}
		globfree(&found);
	}
	free(pattern);
}

static int run(bool filter, const char *profile, const char *preload, char **argv)
{
	struct timespec since;
	int text = -1;

	/* The clock of file times. */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &since);
	if (start(argv, preload, filter ? &text : NULL) < 0)
		return complain(argv[0], strerror(errno));
	if (filter)
		lines_into_text(text, stderr, has_ended);
	while (!child_ended && waitpid((pid_t)child, &child_status, 0) < 0 && errno == EINTR)
		continue;
	child = 0;
	if (profile != NULL) {
		rewrite(profile, false, &since);
		if (strstr(profile, "%p") == NULL)
			rewrite(profile, true, &since);
	}
	return end_like_the_program();
}

int main(int argc, char **argv)
{
	const char *profile = NULL, *preload = NULL;
	bool filter = false;
	int status = 0, i = 1;

	if (argc == 1) {
		lines_into_text(0, stdout, never);
		return 0;
	}
	if (strcmp(argv[1], "--can") == 0)
		return symbolize_can() ? 0 : 1;
	if (strcmp(argv[1], "--run") != 0) {
		for (; i < argc; i++) {
			const char *why = lines_into_profile(argv[i]);

			if (why != NULL)
				status = complain(argv[i], why);
		}
		return status;
	}
	for (i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--text") == 0)
			filter = true;
		else if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc)
			profile = argv[++i];
		else if (strcmp(argv[i], "--preload") == 0 && i + 1 < argc)
			preload = argv[++i];
	}
	if (i + 1 >= argc)
		return complain("--run", "no program given");
	return run(filter, profile, preload, argv + i + 1);
}
