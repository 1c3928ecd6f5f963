/* SPDX-License-Identifier: MIT */
/*
 * profile_load.c - a program whose functions allocate known amounts. check_profile.py compares the
 * amounts with the profile.
 *
 * Usage: profile_load CASE RATE FILE...; each FILE is written at the end. The program says on
 * stdout what each function took and still has: "NAME objects bytes live-objects live-bytes". Bytes
 * are those that malloc_usable_size() tells.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

#include "../../include/goalloc.h"

#define NOINLINE __attribute__((noinline))
/* Keeps a call from becoming a jump, which leaves no frame. */
#define NOT_LAST() __asm__ volatile("" ::: "memory")

static int (*start)(size_t rate), (*stop)(void), (*write_profile)(const char *file),
	(*write_fd)(int fd, int text);
static size_t rate;
static char **files;

static void count(const char *name, size_t objects, size_t bytes, size_t live, size_t live_bytes)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %zu %zu %zu %zu\n", name, objects, bytes, live,
			 live_bytes);

	CHECK(write(1, line, (size_t)n) == n);
}

static void write_files(void)
{
	for (char **file = files; *file != NULL; file++)
		CHECK(write_profile(*file) == 0);
}

/* Objects are in a list, because a table of them would be an object too. */
struct link {
	struct link *next;
};

static struct link *keep(struct link *list, void *p)
{
	struct link *l = p;

	CHECK(l != NULL);
	l->next = list;
	return l;
}

static NOINLINE void free_all(struct link *list)
{
	while (list != NULL) {
		struct link *next = list->next;

		free(list);
		list = next;
	}
}

static struct link *kept;
static size_t last_bytes;

/* n objects of size bytes; their bytes in last_bytes. The comment for the assembler keeps equal
 * functions from becoming one. */
#define TAKER(name, expression) \
	static NOINLINE struct link *name(struct link *list, size_t n, size_t size) \
	{ \
		last_bytes = 0; \
		for (size_t i = 0; i < n; i++) { \
			void *p = (expression); \
			last_bytes += malloc_usable_size(p); \
			list = keep(list, p); \
		} \
		__asm__ volatile("# " #name ::: "memory"); \
		return list; \
	}

static void *aligned(size_t align, size_t size)
{
	void *p = NULL;

	return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

TAKER(take_half, malloc(size))
TAKER(take_third, malloc(size))
TAKER(take_big, malloc(size))
TAKER(take_and_free, malloc(size))
TAKER(take_zeroed, calloc(1, size))
TAKER(take_aligned, aligned(64, size))
TAKER(take_before, malloc(size))
TAKER(take_after, malloc(size))
TAKER(take_in_child, malloc(size))

/* Returns the bytes that an object of this size takes. */
static NOINLINE size_t slot_of(size_t size)
{
	void *p = malloc(size);
	size_t nbytes = malloc_usable_size(p);

	free(p);
	return nbytes;
}

static void take(struct link *(*taker)(struct link *, size_t, size_t), const char *name, size_t n,
		 size_t size)
{
	kept = taker(kept, n, size);
	count(name, n, last_bytes, n, last_bytes);
}

static NOINLINE void take_some_and_free(size_t n, size_t size)
{
	free_all(take_and_free(NULL, n, size));
	count("take_and_free", n, last_bytes, 0, 0);
}

static NOINLINE void take_by_several(size_t scale)
{
	take(take_half, "take_half", 20 * scale, 1000);
	take(take_third, "take_third", 40 * scale, 300);
	take(take_big, "take_big", scale / 12, 100000);
	take_some_and_free(30 * scale, 700);
	NOT_LAST();
}

static void shares(void)
{
	CHECK(start(rate) == 0);
	take_by_several(1024);
	write_files();
}

/* Allocates in every way. The caller of each is on top of its stack. */
static void exact(void)
{
	CHECK(start(rate) == 0);
	take_by_several(100);
	take(take_zeroed, "take_zeroed", 77, 200);
	take(take_zeroed, "take_zeroed", 7, 50000);
	take(take_aligned, "take_aligned", 33, 640);
	take(take_aligned, "take_aligned", 3, 64000);
	write_files();
}

/* Reallocates: that is an allocation and a free. */
static NOINLINE void *grow_slowly(size_t *objects, size_t *bytes)
{
	void *p = malloc(24);
	size_t nbytes = malloc_usable_size(p);

	*objects = 1;
	*bytes = nbytes;
	for (size_t size = 24; size < 20000; size += 100) {
		p = realloc(p, size);
		if (malloc_usable_size(p) == nbytes)
			continue;
		nbytes = malloc_usable_size(p);
		*objects += 1;
		*bytes += nbytes;
	}
	return p;
}

static void resized(void)
{
	size_t objects, bytes;
	void *p;

	CHECK(start(rate) == 0);
	p = grow_slowly(&objects, &bytes);
	count("grow_slowly", objects, bytes, 1, malloc_usable_size(p));
	write_files();
	free(p);
}

static void run_time(void)
{
	struct link *before, *during;

	before = take_before(NULL, 10000, 500);
	CHECK(start(rate) == 0);
	free_all(take_and_free(NULL, 1000, 700));
	/* From here on anew. */
	CHECK(start(rate) == 0);
	during = take_half(NULL, 10000, 1000);
	take(take_third, "take_third", 10000, 300);
	CHECK(stop() == 0);
	take_after(NULL, 10000, 500);
	free_all(before);
	count("take_half", 10000, 10000 * slot_of(1000), 0, 0);
	free_all(during);
	write_files();
}

/* Forks. The child's profile, written when it ends, has what the parent had. The parent's has
 * nothing of the child. */
static void child(void)
{
	char name[4096];
	pid_t pid;

	CHECK(start(rate) == 0);
	take(take_half, "take_half", 10000, 1000);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		take(take_in_child, "take_in_child", 10000, 300);
		CHECK(atexit(write_files) == 0);
		exit(0);
	}
	CHECK(child_wait(pid) == 0);
	(void)snprintf(name, sizeof(name), "%s.parent", files[0]);
	CHECK(write_profile(name) == 0);
}

static void *run_thread(void *arg)
{
	take_third(NULL, (size_t)arg, 300);
	free_all(take_and_free(NULL, (size_t)arg, 700));
	return NULL;
}

static void threads(void)
{
	enum { N = 4, EACH = 20000 };
	pthread_t threads[N];

	CHECK(start(rate) == 0);
	for (int i = 0; i < N; i++)
		CHECK(pthread_create(&threads[i], NULL, run_thread, (void *)(size_t)EACH) == 0);
	/* Written while they run, too. */
	write_files();
	for (int i = 0; i < N; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	count("take_third", N * EACH, N * EACH * slot_of(300), N * EACH, N * EACH * slot_of(300));
	count("take_and_free", N * EACH, N * EACH * slot_of(700), 0, 0);
	write_files();
}

/* Has GOALLOC=profile=FILE write everything, also for a child. */
static void by_option(void)
{
	take_by_several(100);
}

static void by_option_child(void)
{
	pid_t pid;

	take(take_half, "take_half", 10000, 1000);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		take(take_in_child, "take_in_child", 10000, 300);
		exit(0);
	}
	CHECK(child_wait(pid) == 0);
}

static void errors(void)
{
	errno = 0;
	CHECK(start(0) == -1 && errno == EINVAL);
	/* No profile yet: an empty one. */
	write_files();
	CHECK(start(rate) == 0);
	CHECK(write_profile("/nonexistent/file") == -1 && errno == ENOENT);
	CHECK(write_profile("/") == -1 && errno == EISDIR);
	CHECK(write_fd(-1, 0) == -1 && errno == EBADF);
	CHECK(write_fd(-1, 1) == -1 && errno == EBADF);
	if (access("/dev/full", W_OK) == 0)
		CHECK(write_profile("/dev/full") == -1 && errno == ENOSPC);
	errno = 4711;
	CHECK(stop() == 0 && stop() == 0 && start(rate) == 0);
	write_files();
	CHECK(errno == 4711);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "shares", shares },
		{ "exact", exact },
		{ "resized", resized },
		{ "run_time", run_time },
		{ "child", child },
		{ "threads", threads },
		{ "errors", errors },
		{ "by_option", by_option },
		{ "by_option_child", by_option_child },
	};

	CHECK(argc >= 4);
	*(void **)&start = face_sym("goalloc_profile_start");
	*(void **)&stop = face_sym("goalloc_profile_stop");
	*(void **)&write_profile = face_sym("goalloc_profile_write");
	*(void **)&write_fd = face_sym("goalloc_profile_write_fd");
	rate = strtoull(argv[2], NULL, 10);
	files = argv + 3;
	return face_run_case(2, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
