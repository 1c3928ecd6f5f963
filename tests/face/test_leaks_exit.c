/* SPDX-License-Identifier: MIT */
/*
 * test_leaks_exit.c - leaks reported at exit and on a signal, by GOALLOC=leakcheck: into which
 * file, with which exit status, with which stacks.
 *
 * Without an argument the program is the driver, which runs itself with an argument as the program
 * that leaks. FACE_LIB is the library, which the plain variant loads by LD_PRELOAD.
 */
#include "leaks.h"
#include "lines.h"
#include "program.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* --- the program --- */

NAMED void leak_here(size_t n);
NAMED void leak_here(size_t n)
{
	(void)make(n);
	__asm__ volatile("");
}

/* Leaks an object that leads to one from elsewhere, which leads to three others. */
static __attribute__((noinline)) void chain_here(hidden first)
{
	for (int i = 0; i < 4; i++) {
		hidden next = make(100);

		lead(first, 0, next, 0);
		first = next;
	}
}

NAMED hidden lead_here(void);
NAMED hidden lead_here(void)
{
	hidden h = make(100);

	/* The call is not the last thing, so that the function has a frame. */
	__asm__ volatile("" : "+r"(h));
	return h;
}

/* Leaks below more calls than a report shows. */
static __attribute__((noinline)) void descend(int n)
{
	if (n > 0)
		descend(n - 1);
	else
		(void)make(100);
	__asm__ volatile("");
}

NAMED void deep_here(void);
NAMED void deep_here(void)
{
	descend(40);
	__asm__ volatile("");
}

/* Installs a filter that answers this system call with this error. */
static void answer(long call, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Holds an object's address only in memory that copies of the process do not get. */
static void keep_out_of_copies(void)
{
	void **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *pages = aligned_alloc(4096, 65536);

	CHECK(page != MAP_FAILED && pages != NULL);
	memset(pages, 0, 65536);
	*page = show(make(100));
	/* A page of the heap, too, which leads to the other objects. */
	*(char **)(void *)pages = show(make(200));
	page[1] = pages;
	CHECK(madvise(page, 4096, MADV_DONTFORK) == 0 && madvise(pages, 4096, MADV_DONTFORK) == 0);
}

/* Holds an object's address only in shared memory. */
static void keep_in_shared_memory(void)
{
	void **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED);
	*page = show(make(100));
}

/* Names the reasons why a leak check cannot be done. */
static void hinder(const char *how)
{
	if (strcmp(how, "dontfork") == 0)
		keep_out_of_copies();
	if (strcmp(how, "dontfork_unread") == 0) {
		keep_out_of_copies();
		answer(SYS_process_vm_readv, SECCOMP_RET_ERRNO | EPERM);
	}
	if (strcmp(how, "shared_unread") == 0) {
		keep_in_shared_memory();
		answer(SYS_process_vm_readv, SECCOMP_RET_ERRNO | EPERM);
	}
	if (strcmp(how, "no_process") == 0)
		answer(SYS_clone, SECCOMP_RET_ERRNO | EAGAIN);
	/* Only the copy makes this call. */
	if (strcmp(how, "killed") == 0)
		answer(SYS_prlimit64, SECCOMP_RET_KILL_PROCESS);
	if (strcmp(how, "forbidden") == 0)
		CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	if (strcmp(how, "no_memory") == 0) {
		struct rlimit none = { 0, 0 };

		CHECK(setrlimit(RLIMIT_AS, &none) == 0);
	}
}

static int leak_and_end(const char *how)
{
	if (strcmp(how, "chain") == 0) {
		chain_here(lead_here());
		hidden_scrub();
	}
	if (strcmp(how, "deep") == 0) {
		deep_here();
		hidden_scrub();
	}
	for (int i = 0; i < 5 && strcmp(how, "clean") != 0 && strcmp(how, "chain") != 0; i++)
		leak_here(100);
	hinder(how);
	if (strcmp(how, "closed") == 0)
		for (int fd = 0; fd < 100; fd++)
			(void)close(fd);
	if (strcmp(how, "closed_behind") == 0 || strcmp(how, "closed_all") == 0)
		for (int fd = strcmp(how, "closed_all") == 0 ? 0 : 3; fd < 256; fd++)
			(void)close(fd);
	if (strcmp(how, "signal") == 0) {
		const char *file = strstr(getenv("GOALLOC"), "leakreport=") + strlen("leakreport=");

		CHECK(raise(SIGUSR1) == 0);
		while (!proc_read_file(file, report, sizeof(report)) ||
		       strstr(report, "leaked: 5 objects") == NULL)
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

/* Returns true if the last child wrote the text. */
static bool said(const char *text)
{
	return strstr(result.err, text) != NULL;
}

/* A check that cannot look, or cannot tell, says why, and is a failure. */
static void hindered(void)
{
	static const char options[] = "leakcheck=1,leakexit=23";

	/* All memory is looked at, also what copies do not get, and what the system does not give
	 * in one call. */
	CHECK(run(options, "dontfork") == 23 && said("leaked: 5 objects"));
	CHECK(run(options, "dontfork_unread") == 23 &&
	      said("that copies of the process do not get (MADV_DONTFORK)") &&
	      said("leaked: 8 objects"));
	CHECK(run(options, "shared_unread") == 23 && said("leaked: 5 objects"));
	CHECK(run(options, "no_process") == 23 && said("leak check failed: ") &&
	      said("no more processes are allowed"));
	CHECK(run(options, "killed") == 23 &&
	      said("leak check failed: the copy of the process was killed by signal 31"));
	CHECK(run(options, "forbidden") == 23 &&
	      said("leak check failed: the program forbids looking at it"));
	CHECK(run(options, "no_memory") == 23 && said("leak check failed: there is no memory"));
	/* Without leakexit the status is the program's. */
	CHECK(run("leakcheck=1", "killed") == 7 && said("leak check failed: "));
	CHECK(run("leakcheck=1,leakexit=23,leakreport=/dev/full", "clean") == 23 &&
	      said("leakreport: cannot write to '/dev/full': no space left"));
}

/* Writes a file of suppressions, and returns the options that name it. */
static const char *suppressing(const char *lines)
{
	static char options[PATH_MAX + 64];
	char file[PATH_MAX];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s.known.%d", me, (int)getpid());
	f = fopen(file, "w");
	CHECK(f != NULL && fputs(lines, f) >= 0 && fclose(f) == 0);
	(void)snprintf(options, sizeof(options), "leakcheck=2,leakexit=23,suppressions=%s", file);
	return options;
}

static void suppressed(void)
{
	static const char cannot[] = "goalloc: suppressions: cannot read '";
	char by[128];

	(void)snprintf(by, sizeof(by), "suppressed: 5 objects, %zu bytes by ", 5 * slot(100));
	CHECK(run(suppressing("# none\nleak:nothing\nleak:^leak_here$\n"), "leak") == 7);
	CHECK(said(by) && said(" by leak:^leak_here$, line 3\n") && said("leaked: 0 objects") &&
	      !said("leak: "));
	/* The program itself is a module of the stack, also of its innermost frame. */
	CHECK(run(suppressing("leak:leak_here\nleak:leaks_exit"), "leak") == 7);
	CHECK(said(by) && said(", line 2\n") && !said(", line 1\n"));
	CHECK(run(suppressing("leak:/*leaks_exit"), "leak") == 7 && said(by));
	CHECK(run(suppressing("leak:^here"), "leak") == 23 && said("leaked: 5 objects") &&
	      !said("suppressed"));
	CHECK(run(suppressing("leak:leak_here\nfoo\nbar\n"), "leak") == 7 && said(by) &&
	      said("', line 2: no leak:PATTERN, ignored\n") && !said("line 3"));
	/* What only they lead to. */
	CHECK(run(suppressing("leak:lead_here"), "chain") == 7 &&
	      said("suppressed: 1 object, ") && said("suppressed: 4 objects, ") &&
	      said(" that only these lead to\n") && said("leaked: 0 objects"));
	CHECK(run(suppressing("leak:leak_here\nleak:deep_here"), "deep") == 7 && said(by) &&
	      said("suppressed: 1 object, ") && said("leaked: 0 objects"));
	CHECK(unlink(strchr(suppressing(""), '/')) == 0);
	CHECK(run("leakcheck=2,leakexit=23,suppressions=/nowhere/none", "leak") == 23 &&
	      said(cannot) && said("/none': no such file\n") && said("leaked: 5 objects"));
	CHECK(run("leakcheck=2,suppressions=/dev", "leak") == 7 && said(cannot) &&
	      said("/dev': it is a directory\n"));
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
	CHECK(run("leakcheck=1,memprofilerate=1GiB", "leak") == 7 && said(five) &&
	      said(" bytes each"));
	CHECK(run("leakcheck=2", "leak") == 7 && said(" leak_here+0x") &&
	      said("leaked: 5 objects"));
	CHECK(run("leakcheck=2", "clean") == 7 && said("leaked: 0 objects, 0 bytes") &&
	      !said("leak: "));
	/* The status tells. */
	CHECK(run("leakcheck=1,leakexit=23", "leak") == 23 && said("leaked: 5 objects"));
	CHECK(run("leakcheck=1,leakexit=23", "clean") == 7 && said("leaked: 0 objects"));
	hindered();
	suppressed();
	/* Standard error as it was at the start; a program that ends without exit handlers is not
	 * looked at. */
	CHECK(run("leakcheck=1", "closed") == 7 && said("leaked: 5 objects"));
	CHECK(run("leakcheck=1", "closed_behind") == 7 && said("leaked: 5 objects"));
	/* If nothing can be said, the status tells. */
	CHECK(run("leakcheck=1", "closed_all") == 7 && result.err[0] == '\0');
	CHECK(run("leakcheck=1,leakexit=23", "closed_all") == 23 && result.err[0] == '\0');
	CHECK(run("leakcheck=1", "_exit") == 7 && result.err[0] == '\0');
	/* To a file: on a signal, and once more at exit. */
	(void)snprintf(file, sizeof(file), "%s.report.%d", me, (int)getpid());
	(void)snprintf(options, sizeof(options), "leakcheck=1,signal=USR1,leakreport=%s", file);
	CHECK(run(options, "signal") == 7 && result.err[0] == '\0');
	CHECK(proc_read_file(file, report, sizeof(report)) && unlink(file) == 0 &&
	      count_lines(report) == 6);
	/* It is appended to. */
	(void)snprintf(options, sizeof(options), "leakcheck=1,leakreport=%s", file);
	CHECK(run(options, "leak") == 7 && result.err[0] == '\0');
	CHECK(run(options, "clean") == 7 && result.err[0] == '\0');
	CHECK(proc_read_file(file, report, sizeof(report)) && unlink(file) == 0);
	CHECK(strstr(report, five) != NULL && strstr(report, "leaked: 5 objects") != NULL &&
	      strstr(report, "leaked: 0 objects") != NULL);
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
