/* SPDX-License-Identifier: MIT */
/*
 * test_leaks.c - programs with known leaks: an object that is reached is no leak, and an object
 * that is not reached is counted and reported.
 *
 * A case begins without leaks, and ends with the leaks that it made. Usage: test_leaks CASE.
 */
#include "leaks.h"

#include <dlfcn.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void *volatile global;
static void *volatile globals[1000];
static volatile hidden put_away;

static void direct(void)
{
	for (int i = 0; i < 3; i++)
		(void)make(112);
	CHECK_LEAKS(3);
	CHECK(reported(3, 3 * slot(112), ", "));
	CHECK(reported(3, 3 * slot(112), "; live: "));
	/* It changes nothing: once more is the same. */
	CHECK_LEAKS(3);
}

static hidden chain(int n, size_t size)
{
	hidden head = make(size);

	for (hidden last = head; n > 1; n--) {
		hidden next = make(size);

		lead(last, 8, next, 0);
		last = next;
	}
	return head;
}

static void indirect(void)
{
	put_away = chain(100, 48);
	CHECK_LEAKS(100);
	CHECK(reported(100, 100 * slot(48), ", of these 1 object, "));
	global = show(put_away);
	CHECK_LEAKS(0);
	global = NULL;
}

/* One object of a ring is a direct leak, whichever object has the lowest address. If another lost
 * object leads to the ring, none of the ring is. */
static void ring(void)
{
	hidden a = make(48), b = make(48), c = make(48), before = make(112), after = make(8);

	lead(a, 0, b, 0);
	lead(b, 0, c, 0);
	lead(c, 0, a, 0);
	globals[0] = show(before);
	globals[1] = show(after);
	CHECK_LEAKS(3);
	CHECK(reported(3, 3 * slot(48), ", of these 1 object, "));
	lead(before, 104, b, 16);
	globals[0] = NULL;
	CHECK_LEAKS(4);
	CHECK(reported(3, 3 * slot(48), ", indirect"));
	CHECK(reported(1, slot(112), ", "));
	lead(before, 104, before, 0);
	lead(after, 0, c, 47);
	globals[1] = NULL;
	CHECK_LEAKS(5);
	CHECK(reported(3, 3 * slot(48), ", indirect"));
	CHECK(reported(1, slot(112), ", ") && !reported(1, slot(112), ", indirect"));
	CHECK(reported(1, slot(8), ", ") && !reported(1, slot(8), ", indirect"));
}

static void interior(void)
{
	hidden h = make(512);
	size_t nbytes = slot(512);

	global = (char *)show(h) + 511;
	CHECK_LEAKS(0);
	/* The neighbour's first byte. */
	global = (char *)global + nbytes - 511;
	CHECK_LEAKS(1);
}

/* Objects of a thousand sizes, each reached by its last byte alone. */
static void sizes(void)
{
	size_t size = 1;

	for (int i = 0; i < 1000; i++) {
		globals[i] = (char *)show(make(size)) + size - 1;
		size += size / 64 + 1;
	}
	CHECK_LEAKS(0);
	for (int i = 0; i < 1000; i += 2)
		globals[i] = NULL;
	CHECK_LEAKS(500);
}

static void freed(void)
{
	hidden container = make(64), content = make(64);

	lead(container, 0, content, 0);
	global = show(container);
	CHECK_LEAKS(0);
	drop(container);
	/* Also while the address of what was freed is known. */
	CHECK_LEAKS(1);
	drop(content);
	CHECK_LEAKS(0);
}

static void big(void)
{
	hidden h = make(200000), content = make(32);

	lead(h, 199992, content, 0);
	global = (char *)show(h) + 5 * 8192 + 100;
	CHECK_LEAKS(0);
	global = NULL;
	CHECK_LEAKS(2);
	CHECK(reported(1, slot(32), ", indirect"));
	global = (char *)show(h) + 199999;
	CHECK_LEAKS(0);
}

/* A few pages of a gigabyte are touched. The check does not touch the others. */
static void sparse(void)
{
	hidden h = make((size_t)1 << 30), content = make(32);
	size_t rss = proc_rss();

	lead(h, ((size_t)1 << 30) - 8, content, 0);
	global = show(h);
	CHECK_LEAKS(0);
	CHECK_LE(proc_rss(), rss + 16 * MiB);
	lead(h, ((size_t)1 << 30) - 8, h, 0);
	CHECK_LEAKS(1);
}

__attribute__((noinline)) static hidden make_noscan(size_t n)
{
	void *(*noscan)(size_t);
	void *f = face_sym("goalloc_malloc_noscan");
	memcpy(&noscan, &f, sizeof(f));
	f = noscan(n);
	memset(f, 0, n);
	return hide(f);
}

static void noscan(void)
{
	hidden holder = make_noscan(64), content = make(64);

	lead(holder, 0, content, 0);
	global = show(holder);
	CHECK_LEAKS(1);
	lead(holder, 0, holder, 0);
	global = NULL;
	CHECK_LEAKS(2);
}

/* Tiny objects share blocks, and each is reached or lost by itself. */
static void tiny(void)
{
	for (int i = 0; i < 100; i++)
		globals[i] = (char *)show(make_noscan(5)) + i % 5;
	CHECK_LEAKS(0);
	for (int i = 0; i < 100; i += 3)
		globals[i] = NULL;
	CHECK_LEAKS(34);
}

static void nothing(void)
{
	global = malloc(0);
	CHECK_LEAKS(0);
	global = NULL;
	CHECK_LEAKS(1);
	CHECK(getenv("GOALLOC") != NULL || reported(1, 0, "; live: "));
}

/* Calls goalloc_ignore(). Returns 0, or errno. */
__attribute__((noinline)) static int ignore(void *p)
{
	static int (*goalloc_ignore)(void *);
	void *f = face_sym("goalloc_ignore");

	memcpy(&goalloc_ignore, &f, sizeof(f));
	errno = 0;
	return goalloc_ignore(p) == 0 && errno == 0 ? 0 : errno;
}

/* What an ignored object leads to is no leak, what leads to it is one. */
static void ignored(void)
{
	hidden before = make(112), h = make(48), behind = chain(10, 112), big = make(200000);
	hidden tiny = make_noscan(5), zero = hide(malloc(0));

	lead(before, 0, h, 0);
	lead(h, 8, behind, 0);
	CHECK_LEAKS(15);
	CHECK(ignore(show(h)) == 0);
	CHECK_LEAKS(4);
	CHECK(reported(1, slot(112), ", "));
	CHECK(ignore(show(big)) == 0 && ignore(show(tiny)) == 0 && ignore(show(zero)) == 0);
	CHECK(ignore(show(big)) == 0);
	CHECK_LEAKS(1);
	drop(h);
	drop(tiny);
	drop(big);
	drop(zero);
	CHECK_LEAKS(11);
}

/* A slot that was ignored has an object like any other after a free, and a tiny object keeps its
 * size. */
static void ignored_slot_is_used_again(void)
{
	static const size_t sizes[] = { 5, 48, 40000, 200000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		hidden h = i == 0 ? make_noscan(sizes[i]) : make(sizes[i]);
		size_t usable = malloc_usable_size(show(h));

		CHECK(ignore(show(h)) == 0);
		CHECK(malloc_usable_size(show(h)) == usable);
		CHECK_LEAKS((long)i);
		for (int n = 0; n < 1000; n++) {
			drop(h);
			h = i == 0 ? make_noscan(sizes[i]) : make(sizes[i]);
		}
		CHECK_LEAKS((long)i + 1);
	}
}

/* realloc() keeps the mark: in the slot, in another slot, and in pages that grow, move and
 * shrink. */
static void ignored_is_resized(void)
{
	static const size_t sizes[] = { 40, 47, 300, 30000, 33000, 400000, 4000000, 40000000,
					3000000, 70, 3 };
	hidden h = make(33);
	void *room;

	CHECK(ignore(show(h)) == 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		h = hide(realloc(show(h), sizes[i]));
		CHECK_LEAKS(0);
		/* What comes behind it lies in the way of the next step. */
		globals[i] = malloc(sizes[i]);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		room = globals[i];
		globals[i] = NULL;
		free(room);
	}
	room = NULL;
	CHECK_LEAKS(0);
	drop(h);
	(void)make(3);
	CHECK_LEAKS(1);
}

/* With guardrate=2 the object is between guards, in the heap, and between guards again. */
static void ignored_between_guards(void)
{
	hidden h = make(33);

	CHECK(ignore(show(h)) == 0);
	for (size_t i = 0; i < 50; i++) {
		h = hide(realloc(show(h), 33 + 100 * (i % 7)));
		CHECK_LEAKS(0);
	}
}

static void ignored_child(void)
{
	pid_t pid;
	hidden h = make(64);

	CHECK(ignore(show(h)) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_LEAKS(0);
		drop(h);
		(void)make(64);
		CHECK_LEAKS(1);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
	CHECK_LEAKS(0);
}

/* What is no object of the heap is refused, and nothing else happens. */
static void ignored_by_mistake(void)
{
	char *p = show(make(64)), *q = show(make(100000)), *t = show(make_noscan(12));
	int local = 0;

	CHECK(ignore(NULL) == 0);
	CHECK(ignore(p + 8) == EINVAL && ignore(q + 8192) == EINVAL && ignore(t + 4) == EINVAL);
	CHECK(ignore(&local) == EINVAL && ignore((void *)8) == EINVAL);
	CHECK(ignore((void *)~(uintptr_t)0) == EINVAL);
	globals[0] = p;
	globals[1] = q;
	globals[2] = t;
	CHECK_LEAKS(0);
	for (int i = 0; i < 3; i++) {
		free(globals[i]);
		CHECK(ignore(globals[i]) == EINVAL);
	}
}

static __thread void *volatile in_tls;

static void tls(void)
{
	in_tls = show(make(64));
	CHECK_LEAKS(0);
	in_tls = NULL;
	CHECK_LEAKS(1);
}

/* The address is in a register that calls preserve, of the thread that asks. */
static void own_register(void)
{
	hidden h = make(64);
	long n;
#if defined(__x86_64__)
	register hidden held __asm__("r15") = h;
#else
	register hidden held __asm__("x28") = h;
#endif

	hidden_scrub();
	held = ~held;
	__asm__ volatile("" : "+r"(held));
	n = run_check();
	__asm__ volatile("" : "+r"(held));
	held = 0;
	__asm__ volatile("" : "+r"(held));
	CHECK(n == 0);
	CHECK_LEAKS(1);
}

static void dynamic_tls(void)
{
	void *library = dlopen(getenv("LEAKS_LIB"), RTLD_NOW);
	void *f = dlsym(library, "leaks_keep");
	void (*keep)(void *);

	CHECK(f != NULL);
	memcpy(&keep, &f, sizeof(f));
	keep(show(make(64)));
	CHECK_LEAKS(0);
	keep(NULL);
	CHECK_LEAKS(1);
}

/* Maps memory that leads to objects: also such that is shared, or that cannot be written to any
 * more. */
static void mapped(void)
{
	for (int flags = 0; flags < 2; flags++) {
		size_t n = 64 * MiB;
		void **p = mmap(NULL, n, PROT_READ | PROT_WRITE,
				MAP_ANONYMOUS | MAP_NORESERVE | (flags ? MAP_SHARED : MAP_PRIVATE),
				-1, 0);
		size_t at = n / sizeof(*p) / 2;

		CHECK(p != MAP_FAILED);
		p[at] = show(make(64));
		CHECK_LEAKS(flags);
		CHECK(mprotect(p, n, PROT_READ) == 0 || flags);
		CHECK(flags || check() == 0);
		CHECK(mprotect(p, n, PROT_READ | PROT_WRITE) == 0);
		p[at] = NULL;
		CHECK_LEAKS(flags + 1);
	}
}

/* The check passes over a page of an object that cannot be read. */
static void protected(void)
{
	char *p = aligned_alloc(65536, 65536);
	hidden content = make(64);

	CHECK(p != NULL);
	memset(p, 0, 65536);
	lead(hide(p), 0, content, 0);
	CHECK(mprotect(p + 16384, 8192, PROT_NONE) == 0);
	global = p;
	CHECK_LEAKS(0);
	CHECK(mprotect(p + 16384, 8192, PROT_READ | PROT_WRITE) == 0);
	p[16384] = 1;
	lead(hide(p), 0, hide(p), 0);
	CHECK_LEAKS(1);
}

/* No thread, wait(2) and SIGCHLD see nothing of it. */
static volatile sig_atomic_t children;

static void count_child(int number)
{
	(void)number;
	children++;
}

static void unseen(void)
{
	struct sigaction act = { .sa_handler = count_child };
	sigset_t before, after;

	/* musl fills a part of them only. */
	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	CHECK(sigaction(SIGCHLD, &act, NULL) == 0);
	(void)make(64);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
	CHECK_LEAKS(1);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	CHECK(children == 0);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	CHECK_LEAKS(1);
}

static void forked(void)
{
	pid_t pid;

	(void)make(64);
	CHECK_LEAKS(1);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		(void)make(64);
		CHECK_LEAKS(2);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
	CHECK_LEAKS(1);
}

/* A check leaves no descriptor, mapping or thread behind. */
static void leaves_nothing(void)
{
	size_t mappings;
	int fd;

	(void)check();
	mappings = proc_mappings();
	fd = dup(0);
	(void)close(fd);
	for (int i = 0; i < 20; i++)
		(void)check();
	CHECK(dup(0) == fd);
	CHECK_LE(proc_mappings(), mappings + 1);
}

/* A report that cannot be written is lost; the count is not. */
static void unwritable(void)
{
	ssize_t (*leak_check)(int fd);
	void *f = face_sym("goalloc_leak_check");

	memcpy(&leak_check, &f, sizeof(f));
	(void)make(64);
	hidden_scrub();
	CHECK(leak_check(-1) == 1);
	hidden_scrub();
	CHECK(leak_check(999) == 1);
}

static const struct face_case cases[] = {
	{ "direct", direct },
	{ "indirect", indirect },
	{ "ring", ring },
	{ "interior", interior },
	{ "sizes", sizes },
	{ "freed", freed },
	{ "big", big },
	{ "sparse", sparse },
	{ "noscan", noscan },
	{ "tiny", tiny },
	{ "nothing", nothing },
	{ "ignored", ignored },
	{ "ignored_slot_is_used_again", ignored_slot_is_used_again },
	{ "ignored_is_resized", ignored_is_resized },
	{ "ignored_between_guards", ignored_between_guards },
	{ "ignored_child", ignored_child },
	{ "ignored_by_mistake", ignored_by_mistake },
	{ "tls", tls },
	{ "own_register", own_register },
	{ "dynamic_tls", dynamic_tls },
	{ "mapped", mapped },
	{ "protected", protected },
	{ "unseen", unseen },
	{ "forked", forked },
	{ "leaves_nothing", leaves_nothing },
	{ "unwritable", unwritable },
};

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	CHECK_LEAKS(0);
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
