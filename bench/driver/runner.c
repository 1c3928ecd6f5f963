/* SPDX-License-Identifier: MIT */
/*
 * runner.c - starts a program with clone and execve and waits for it with wait4. See runner.h.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_NWORDS       64
#define WORDS_NBYTES     1024
#define SCRATCH_DEPTH    16 /* directories held open while the scratch directory is removed */
#define MAX_NENV         512
#define EXIT_INTERRUPTED 130
#define EXIT_NO_EXEC     127

static char scratch[4096];
static sigset_t waited_for;
static int output_fd;
static int errors_fd;
static int null_fd;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_driver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_scratch(const char *name)
{
	char path[sizeof scratch + 16];

	snprintf(path, sizeof path, "%s/%s", scratch, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		fail(path);
	return fd;
}

void runner_open(void)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > sizeof scratch / 2)
		tmp = "/tmp";
	snprintf(scratch, sizeof scratch, "%s/goalloc-bench.XXXXXX", tmp);
	if (mkdtemp(scratch) == NULL)
		fail(scratch);
	output_fd = open_scratch("stdout");
	errors_fd = open_scratch("stderr");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		fail("/dev/null");
	/* A crash under test leaves no core file. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&waited_for);
	sigaddset(&waited_for, SIGCHLD);
	sigaddset(&waited_for, SIGINT);
	sigaddset(&waited_for, SIGTERM);
	sigaddset(&waited_for, SIGHUP);
	sigprocmask(SIG_BLOCK, &waited_for, NULL);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void runner_close(void)
{
	nftw(scratch, remove_entry, SCRATCH_DEPTH, FTW_DEPTH | FTW_PHYS);
}

const char *runner_scratch(void)
{
	return scratch;
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double timeval_ns(struct timeval t)
{
	return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

/* The arguments of execve, prepared before the fork. */
struct launch {
	const char *program;      /* path */
	char words[WORDS_NBYTES]; /* argv and envp point into these */
	char env_words[WORDS_NBYTES];
	char preload[WORDS_NBYTES];
	char *word[MAX_NWORDS]; /* argv points here unless the order has its own */
	char **argv;
	const char *dir; /* to run in; NULL: where the driver runs */
	int output_fd;   /* becomes stdout */
	char *envp[MAX_NENV];
};

/*
 * Splits `words` at blanks into `list` from place `n` on. Returns the next place. `list` has room
 * for `max` pointers including the NULL at its end.
 */
static size_t split(char *words, char **list, size_t n, size_t max)
{
	char *rest = NULL;

	for (char *w = strtok_r(words, " ", &rest); w != NULL && n < max - 1;
	     w = strtok_r(NULL, " ", &rest))
		list[n++] = w;
	list[n] = NULL;
	return n;
}

/* Returns whether `variable` is one that the runner or the row sets itself. */
static bool is_set_here(const char *variable, char *const *set, size_t nset)
{
	size_t length = strcspn(variable, "=") + 1;

	if (strncmp(variable, "LD_PRELOAD=", length) == 0)
		return true;
	for (size_t i = 0; i < nset; i++) {
		if (strncmp(variable, set[i], length) == 0)
			return true;
	}
	return false;
}

static void prepare(struct launch *l, const struct run_order *order)
{
	size_t nset;
	size_t n;

	if (order->argv != NULL) {
		l->argv = order->argv;
		l->dir = NULL;
		l->output_fd = null_fd;
		l->env_words[0] = '\0';
	} else {
		snprintf(l->words, sizeof l->words, "%s", order->words);
		l->word[0] = (char *)(uintptr_t)order->program; /* execve only reads it */
		split(l->words, l->word, 1, MAX_NWORDS);
		l->argv = l->word;
		l->dir = scratch;
		l->output_fd = output_fd;
		/* Without locale and random hash seeds the work is the same every time. */
		snprintf(l->env_words, sizeof l->env_words,
			 "LC_ALL=C PERL_HASH_SEED=0 PYTHONHASHSEED=0 %s",
			 order->env != NULL ? order->env : "");
	}
	l->program = order->program;
	n = nset = split(l->env_words, l->envp, 0, MAX_NENV);
	for (char **e = environ; *e != NULL && n < MAX_NENV - 2; e++) {
		if (!is_set_here(*e, l->envp, nset))
			l->envp[n++] = *e;
	}
	if (order->preload != NULL) {
		snprintf(l->preload, sizeof l->preload, "LD_PRELOAD=%s", order->preload);
		l->envp[n++] = l->preload;
	}
	l->envp[n] = NULL;
}

/*
 * Runs in the child between fork and execve. Memory that it touches counts as peak RSS of a program
 * that stays below that, such as `true` under glibc. It therefore calls only syscall() of libc.
 */
static _Noreturn void child(const struct launch *l)
{
	static const uint64_t no_signals;

	syscall(SYS_setpgid, 0, 0);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
	if (syscall(SYS_dup3, null_fd, STDIN_FILENO, 0) >= 0 &&
	    syscall(SYS_dup3, l->output_fd, STDOUT_FILENO, 0) >= 0 &&
	    syscall(SYS_dup3, errors_fd, STDERR_FILENO, 0) >= 0 &&
	    (l->dir == NULL || syscall(SYS_chdir, l->dir) == 0))
		syscall(SYS_execve, l->program, l->argv, l->envp);
	for (;;)
		syscall(SYS_exit_group, EXIT_NO_EXEC);
}

/* Waits until the child ends, or an interrupt ends the driver. Returns false on a time-out. */
static bool wait_child(pid_t pid, double deadline_ns, int *status, struct rusage *usage)
{
	for (;;) {
		pid_t ended = wait4(pid, status, WNOHANG, usage);

		if (ended == pid)
			return true;
		if (ended < 0 && errno != EINTR)
			fail("wait4");
		double left_ns = deadline_ns - now_ns();
		if (left_ns <= 0)
			return false;
		struct timespec left = { .tv_sec = (time_t)(left_ns / 1e9) };
		left.tv_nsec = (long)(left_ns - (double)left.tv_sec * 1e9);
		int caught = sigtimedwait(&waited_for, NULL, &left);
		if (caught > 0 && caught != SIGCHLD) {
			kill(-pid, SIGKILL);
			wait4(pid, status, 0, usage);
			runner_close();
			fputc('\n', stderr);
			exit(EXIT_INTERRUPTED);
		}
	}
}

/* Reads stdout from its file: hashes all of it (FNV-1a) and keeps the first bytes. */
static void read_output(struct run_outcome *outcome)
{
	unsigned char block[4096];
	off_t at = 0;
	ssize_t n;

	outcome->output_hash = 0xcbf29ce484222325u;
	while ((n = pread(output_fd, block, sizeof block, at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			outcome->output_hash = (outcome->output_hash ^ block[i]) * 0x100000001b3u;
		if (at == 0) {
			size_t keep = (size_t)n < sizeof outcome->output
					      ? (size_t)n
					      : sizeof outcome->output - 1;

			memcpy(outcome->output, block, keep);
			outcome->output[keep] = '\0';
		}
		at += n;
	}
}

/* Appends the first line of the child's stderr to the reason. */
static void explain(struct run_outcome *outcome)
{
	char line[100];
	ssize_t n = pread(errors_fd, line, sizeof line - 1, 0);
	size_t used = strlen(outcome->failure);

	if (n <= 0)
		return;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	for (char *c = line; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
	}
	snprintf(outcome->failure + used, sizeof outcome->failure - used, ": %s", line);
}

void runner_describe_end(int status, char *text, size_t nbytes)
{
	if (WIFSIGNALED(status))
		snprintf(text, nbytes, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, nbytes, "exit status %d", WEXITSTATUS(status));
}

void runner_run(const struct run_order *order, struct run_outcome *outcome)
{
	static struct launch launch;
	struct rusage usage;
	int status = 0;

	prepare(&launch, order);
	*outcome = (struct run_outcome){ 0 };
	if (ftruncate(output_fd, 0) != 0 || ftruncate(errors_fd, 0) != 0 ||
	    lseek(output_fd, 0, SEEK_SET) != 0 || lseek(errors_fd, 0, SEEK_SET) != 0)
		fail(scratch);

	double start_ns = now_ns();
	/* This is fork() without the handlers and the code that fork() runs in the child. */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		fail("clone");
	if (pid == 0)
		child(&launch);
	setpgid(pid, pid);
	bool ended = wait_child(pid, start_ns + order->timeout_s * 1e9, &status, &usage);
	outcome->wall_ns = now_ns() - start_ns;
	if (!ended) {
		kill(-pid, SIGKILL);
		wait4(pid, &status, 0, &usage);
		snprintf(outcome->failure, sizeof outcome->failure, "timed out after %.0f s",
			 order->timeout_s);
		return;
	}
	/* A daemon that the program left behind must not run beside the next program. */
	kill(-pid, SIGKILL);

	outcome->user_ns = timeval_ns(usage.ru_utime);
	outcome->sys_ns = timeval_ns(usage.ru_stime);
	outcome->rss_kib = (double)usage.ru_maxrss;
	outcome->faults = (double)usage.ru_minflt + (double)usage.ru_majflt;
	outcome->ended = true;
	outcome->status = status;
	read_output(outcome);
	outcome->ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (outcome->ok)
		return;
	runner_describe_end(status, outcome->failure, sizeof outcome->failure);
	explain(outcome);
}

static char *find_in(const char *dir, size_t length, const char *name)
{
	char *path = NULL;

	if (length == 0 || asprintf(&path, "%.*s/%s", (int)length, dir, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *find_along(const char *dirs, const char *name)
{
	char *found = NULL;

	while (found == NULL && *dirs != '\0') {
		size_t length = strcspn(dirs, ":");

		found = find_in(dirs, length, name);
		dirs += length + (dirs[length] == ':' ? 1 : 0);
	}
	return found;
}

char *runner_find_along_path(const char *name)
{
	const char *path = getenv("PATH");

	return path != NULL ? find_along(path, name) : NULL;
}

char *runner_find(const char *name)
{
	char *found = find_along("/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin", name);

	return found != NULL ? found : runner_find_along_path(name);
}
