/* SPDX-License-Identifier: MIT */
/*
 * test_memlimit.c - GOALLOC_MEMLIMIT: a program that would use more memory stays below the limit.
 * With hard=1, requests that go beyond it are refused, and the program goes on with what it has.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What CTest sets for most cases. */
#define LIMIT (200 * MiB)
#define HARD_LIMIT (64 * MiB)

/* The memory that the process has beside the heap: the program, libc, stacks, and pages that are
 * being released at that moment. */
#define SLACK (8 * MiB)

#define THREADS 4

static size_t peak_rss(void)
{
	return proc_status_bytes("VmHWM");
}

static void *touched(size_t size)
{
	char *p = malloc(size);

	CHECK(p != NULL);
	memset(p, 1, size);
	return p;
}

/* --- a program that wastes what it frees --- */

static pthread_barrier_t barrier;

/* Frees objects that its cache keeps, and then sleeps. */
static void *keep_some(void *arg)
{
	static void *objects[THREADS][2000];
	void **mine = objects[(uintptr_t)arg];

	for (size_t i = 0; i < 2000; i++)
		mine[i] = touched(16 + i);
	for (size_t i = 0; i < 2000; i++)
		free(mine[i]);
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	return NULL;
}

/* Has 185 MiB live at most. What is free lies between live objects, and is too short for what
 * comes. */
static void churn(void)
{
	static void *small[160], *large[70];
	pthread_t threads[THREADS];

	CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, keep_some, (void *)i) == 0);
	(void)pthread_barrier_wait(&barrier);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 160; i++)
			small[i] = touched(MiB - round * 16 * KiB);
		for (size_t i = 0; i < 160; i += 2)
			free(small[i]);
		for (size_t i = 0; i < 70; i++)
			large[i] = touched(3 * MiB / 2);
		for (size_t i = 1; i < 160; i += 2)
			free(small[i]);
		for (size_t i = 0; i < 70; i++)
			free(large[i]);
	}
	(void)pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void below(void)
{
	churn();
	CHECK_LE(peak_rss(), LIMIT + SLACK);
}

/* Checks that the program does need that much without a limit. Otherwise the case above would
 * prove nothing. */
static void without(void)
{
	churn();
	CHECK_LE(LIMIT + 5 * SLACK, peak_rss());
}

/* --- hard=1 --- */

static void *objects[MiB];
static size_t nobjects;

static void fill(size_t size)
{
	errno = 0;
	while (nobjects < MiB && (objects[nobjects] = malloc(size)) != NULL)
		memset(objects[nobjects++], 1, size);
	CHECK(nobjects < MiB && errno == ENOMEM);
}

static void empty_to(size_t n)
{
	while (nobjects > n)
		free(objects[--nobjects]);
}

static void hard(void)
{
	static const size_t sizes[] = {64, 700, 8192, 30000, 70000, MiB, 5 * MiB};
	void *p = malloc(3 * MiB), *q = &q;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t had;

		fill(sizes[i]);
		had = nobjects;
		CHECK_LE(HARD_LIMIT / 10 * 8, had * sizes[i]);
		errno = 0;
		CHECK(calloc(2, 8 * MiB) == NULL && errno == ENOMEM);
		errno = 0;
		CHECK(realloc(p, 9 * MiB) == NULL && errno == ENOMEM);
		errno = 0;
		CHECK(aligned_alloc(MiB, 8 * MiB) == NULL && errno == ENOMEM);
		CHECK(posix_memalign(&q, 4096, 8 * MiB) == ENOMEM && q == &q);
		empty_to(had / 2);
		fill(sizes[i]);
		CHECK_LE(had / 20 * 19, nobjects);
		empty_to(0);
	}
	free(p);
	CHECK_LE(peak_rss(), HARD_LIMIT + SLACK);
}

static _Atomic size_t refused;

/* Makes objects of all sizes, which now and then take the place of another thread's objects. */
static void *use_up(void *arg)
{
	static void *_Atomic handed[64];
	void *mine[3000] = {NULL};
	size_t sizes[3000] = {0};
	uint64_t rng = (uintptr_t)arg + 1;

	for (size_t step = 0; step < 40000; step++) {
		size_t i = rng_next(&rng) % 3000, size = rng_mixed_size(&rng) * 4;
		void *p;

		CHECK(mine[i] == NULL || face_object_intact(mine[i], sizes[i], i));
		if (step % 5 == 0) {
			p = realloc(mine[i], size + 1);
			if (p == NULL)
				refused++;
			else
				sizes[i] = size + 1;
			mine[i] = p != NULL ? p : mine[i];
		} else if (step % 7 == 0) {
			free(atomic_exchange(&handed[rng_next(&rng) % 64], mine[i]));
			mine[i] = NULL;
		} else {
			free(mine[i]);
			sizes[i] = size;
			mine[i] = step % 11 == 0 ? calloc(1, size) : malloc(size);
			refused += mine[i] == NULL;
		}
		if (mine[i] != NULL)
			face_object_fill(mine[i], sizes[i], i);
	}
	for (size_t i = 0; i < 3000; i++)
		free(mine[i]);
	(void)pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < 64; i++)
		free(atomic_exchange(&handed[i], NULL));
	return NULL;
}

static void hard_threads(void)
{
	pthread_t threads[THREADS];
	void *p;

	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use_up, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(refused != 0);
	p = malloc(HARD_LIMIT - 4 * MiB);
	CHECK(p != NULL);
	free(p);
	CHECK_LE(peak_rss(), HARD_LIMIT + SLACK);
}

/* --- a child has it for itself --- */

static void in_child(void)
{
	void *p = touched(40 * MiB);
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(malloc(40 * MiB) == NULL);
		free(p);
		p = touched(50 * MiB);
		CHECK(malloc(20 * MiB) == NULL);
		_exit(0);
	}
	CHECK(malloc(40 * MiB) == NULL);
	CHECK(child_wait(pid) == 0);
	free(p);
}

/* --- by call --- */

static size_t set_limit(size_t bytes)
{
	size_t (*set)(size_t bytes);

	*(void **)&set = face_sym("goalloc_set_memory_limit");
	return set(bytes);
}

static void by_call(void)
{
	void *p;

	CHECK(set_limit(0) == SIZE_MAX);
	p = touched(100 * MiB);
	free(p);
	errno = 77;
	CHECK(set_limit(30 * MiB) == SIZE_MAX && errno == 77);
	CHECK_LE(proc_rss(), 30 * MiB + SLACK);
	CHECK(set_limit(0) == 30 * MiB && set_limit(0) == 30 * MiB);
	CHECK(malloc(31 * MiB) == NULL);
	CHECK(set_limit(SIZE_MAX) == 30 * MiB && set_limit(0) == SIZE_MAX);
	p = malloc(31 * MiB);
	CHECK(p != NULL);
	free(p);
}

/* --- a process that frees much and then sleeps --- */

#define QUIET_LIMIT (32 * MiB)

static void free_much(void)
{
	static void *p[100000];

	for (size_t i = 0; i < 100000; i++)
		p[i] = touched(1000);
	for (size_t i = 0; i < 100000; i++)
		free(p[i]);
}

static void quiet(void)
{
	(void)alarm(20);
	free(malloc(100));
	CHECK(proc_threads() == 1);
	free_much();
	CHECK(proc_threads() == 2);
	while (proc_rss() > QUIET_LIMIT)
		(void)usleep(10000);
}

/* The thread is made for a limit that is set while more is in use, too. A child has none before it
 * allocates. */
static void quiet_by_call(void)
{
	pid_t pid;

	(void)alarm(20);
	free_much();
	CHECK(proc_threads() == 1);
	CHECK(set_limit(QUIET_LIMIT) == SIZE_MAX);
	free_much();
	CHECK(proc_threads() == 2);
	pid = fork();
	if (pid == 0) {
		CHECK(proc_threads() == 1);
		free_much();
		CHECK(proc_threads() == 2);
		while (proc_rss() > QUIET_LIMIT)
			(void)usleep(10000);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
}

static void no_thread(void)
{
	free_much();
	CHECK(proc_threads() == 1);
}

/* libc ends a process when its last thread ends, but it counts the scavenging thread, too. */
static void last_thread(void)
{
	(void)alarm(20);
	free_much();
	CHECK(proc_threads() == 2);
	pthread_exit(NULL);
}

/* --- a share --- */

static void share(void)
{
	CHECK_LE(MiB, set_limit(0));
	CHECK_LE(set_limit(0), (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2);
}

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[2048];
	int fd;
	bool ok;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	(void)close(fd);
	return ok;
}

/* Makes a control group below the process's own, with a limit of some bytes. Returns false where
 * that is not possible. */
static bool make_group(char *folder, size_t room, const char *limit)
{
	static const struct {
		const char *key, *mount, *file;
	} kinds[] = { { ":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes" },
		      { "0::", "/sys/fs/cgroup", "memory.max" } };
	char text[4096];

	CHECK(proc_read_file("/proc/self/cgroup", text, sizeof(text)));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *at = strstr(text, kinds[i].key);

		if (at == NULL)
			continue;
		at += strlen(kinds[i].key);
		(void)snprintf(folder, room, "%s%.*s/goalloc-test-%d", kinds[i].mount,
			       (int)strcspn(at, "\n"), at, (int)getpid());
		if (mkdir(folder, 0700) != 0)
			continue;
		if (write_file(folder, kinds[i].file, limit))
			return true;
		(void)rmdir(folder);
	}
	return false;
}

/* Runs a case of the program anew in a control group of its own, with a share of that group's
 * limit. */
static void run_in_group(const char *what, const char *limit, const char *share)
{
	char folder[1024], pid_text[32];
	int status;
	pid_t pid;

	if (!make_group(folder, sizeof(folder), limit))
		exit(77);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		(void)snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
		if (!write_file(folder, "cgroup.procs", pid_text))
			_exit(77);
		CHECK(setenv("GOALLOC_MEMLIMIT", share, 1) == 0);
		(void)execl("/proc/self/exe", what, what, (char *)NULL);
		_exit(1);
	}
	status = child_wait(pid);
	CHECK(rmdir(folder) == 0);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		exit(WEXITSTATUS(status));
}

static void cgroup(void)
{
	run_in_group("in_group", "314572800", "50%");
}

/* Replaces objects of 40 to 400 KB at random. At most 88 MiB are live. */
static void replace(void)
{
	static void *values[400];
	uint64_t rng = 1;

	for (size_t i = 0; i < 40000; i++) {
		size_t k = rng_next(&rng) % 400;

		free(values[k]);
		values[k] = touched(40000 + rng_next(&rng) % 360000);
	}
}

/* The kernel kills a process that needs more than its group may have. */
static void cgroup_small(void)
{
	static const char *const shares[] = { "85%", "88%", "90%", "92%" };

	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		run_in_group("replace", "104857600", shares[i]);
}

static void in_group(void)
{
	CHECK(set_limit(0) == 157286400);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "below", below },       { "without", without },
		{ "hard", hard },         { "hard_threads", hard_threads },
		{ "in_child", in_child }, { "by_call", by_call },
		{ "share", share },       { "cgroup", cgroup },
		{ "in_group", in_group }, { "quiet", quiet },
		{ "no_thread", no_thread }, { "last_thread", last_thread },
		{ "quiet_by_call", quiet_by_call }, { "replace", replace },
		{ "cgroup_small", cgroup_small },
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
