/* SPDX-License-Identifier: MIT */
/*
 * test_guard.c - efence=1, guardrate=N, sbrk=1, clobberfree=1: faults at the instruction, the
 * report with its three stacks, signals that keep their course, and correct programs that notice
 * nothing.
 *
 * The functions that a report must name are called through volatile pointers, and do something
 * after each call, so that they have a frame of their own. The program exports its symbols.
 *
 * Usage: test_guard CASE. Each case runs this program again as "--child DEED", with the options
 * that it is about in the environment, and reads its standard error.
 */
#include "face.h"
#include "lines.h"
#include "program.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>

enum { PAGE = 4096, HANDLED = 42 };

static struct program_result result;
static char **self;

/* Calls that no compiler looks through. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_aligned)(size_t, size_t) = aligned_alloc;

static volatile size_t steps;

/* --- deeds: what children do --- */

/* The reports name these functions. */
void *allocating_function(size_t size);
void freeing_function(void *p);
void writing_function(volatile char *p, ptrdiff_t at);
int reading_function(const volatile char *p, ptrdiff_t at);

NAMED void *allocating_function(size_t size)
{
	void *p = do_malloc(size);

	steps++;
	return p;
}

NAMED void freeing_function(void *p)
{
	do_free(p);
	steps++;
}

NAMED void writing_function(volatile char *p, ptrdiff_t at)
{
	p[at] = 1;
	steps++;
}

NAMED int reading_function(const volatile char *p, ptrdiff_t at)
{
	int c = p[at];

	steps++;
	return c;
}

/* Returns an object of 272 bytes at the right end of its pages, or at the left. */
static char *object_at(bool right, size_t size)
{
	for (;;) {
		char *p = allocating_function(size);
		uintptr_t past = (uintptr_t)p + size;

		CHECK(p != NULL);
		/* The heap would make more of it. */
		if (malloc_usable_size(p) != size)
			continue;
		if (right ? past % PAGE == 0 : (uintptr_t)p % PAGE == 0)
			return p;
	}
}

static void say(const void *p)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "0x%lx\n", (unsigned long)(uintptr_t)p);

	CHECK(write(1, text, (size_t)n) == n);
}

static void overflow_by_one(void)
{
	char *p = object_at(true, 272);

	say(p);
	writing_function(p, 272);
}

static void exact_read(void)
{
	char *p = allocating_function(1001);

	say(p);
	reading_function(p, 1001);
}

/* Every size ends at the guard, and what was asked for is aligned. */
static void exact_sizes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t size = 1; size < 300; size++) {
		char *p = do_malloc(size), *q = aligned_alloc(64, size), *r;

		memset(p, 'x', size);
		CHECK(((uintptr_t)p + size) % page == 0 && (uintptr_t)q % 64 == 0);
		CHECK(malloc_usable_size(p) == size);
		r = do_realloc(p, size + 7);
		CHECK(((uintptr_t)r + size + 7) % page == 0 && r[size - 1] == 'x');
		do_free(r);
		do_free(q);
	}
}

static void underflow_by_one(void)
{
	char *p = object_at(false, 272);

	say(p);
	(void)reading_function(p, -1);
}

static void write_after_free(void)
{
	char *p = allocating_function(100);

	say(p);
	freeing_function(p);
	writing_function(p, 50);
}

static void read_after_free(void)
{
	char *p = allocating_function(1000000);

	say(p);
	freeing_function(p);
	(void)reading_function(p, 999999);
}

static void read_after_realloc(void)
{
	char *p = allocating_function(100);

	say(p);
	CHECK(do_realloc(p, 200) != NULL);
	(void)reading_function(p, 0);
}

static void *thread_body(void *arg)
{
	freeing_function(arg);
	return NULL;
}

static void write_of_another_thread_s(void)
{
	char *p = allocating_function(3000);
	pthread_t thread;

	say(p);
	CHECK(pthread_create(&thread, NULL, thread_body, p) == 0 &&
	      pthread_join(thread, NULL) == 0);
	writing_function(p, 0);
}

static void touch_nothing(void)
{
	char *p = allocating_function(0);

	say(p);
	writing_function(p, 0);
}

static void overflow_found_by_free(void)
{
	char *p = NULL;

	/* 8 bytes behind it are its page's. */
	do
		p = allocating_function(264);
	while (((uintptr_t)p + 272) % PAGE != 0);
	say(p);
	writing_function(p, 265);
	freeing_function(p);
}

static void underflow_found_by_free(void)
{
	char *p = object_at(true, 272);

	say(p);
	writing_function(p, -1);
	freeing_function(p);
}

static void double_free(void)
{
	char *p = allocating_function(64);

	say(p);
	freeing_function(p);
	do_free(p);
	steps++;
}

/* Uses an object after its slot was used again. With guardrate=1 the report then knows only that
 * the object was freed. */
static void one_of_many(void)
{
	size_t guarded = 0;

	for (size_t i = 0; i < 100000; i++) {
		char *p = do_malloc(100);

		CHECK(p != NULL);
		guarded += malloc_usable_size(p) == 100;
		do_free(p);
	}
	printf("%zu\n", guarded);
}

/* --- handlers of the program's own --- */

static char *object;
static sigjmp_buf back;

static void exit_handled(int number, siginfo_t *info, void *context)
{
	(void)context;
	_exit(number == SIGSEGV && info->si_addr == object + 50 && info->si_code > 0 ? HANDLED : 3);
}

static void set_handler(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | flags;
	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
}

static void own_handler(void)
{
	set_handler(exit_handled, 0);
	object = allocating_function(100);
	say(object);
	freeing_function(object);
	writing_function(object, 50);
}

/* Sets a handler on an alternate stack, as programs with small stacks do. */
static void own_handler_on_its_stack(void)
{
	stack_t other = { .ss_size = 16 * KiB };

	other.ss_sp = mmap(NULL, other.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	CHECK(other.ss_sp != MAP_FAILED && sigaltstack(&other, NULL) == 0);
	set_handler(exit_handled, SA_ONSTACK);
	object = allocating_function(100);
	say(object);
	freeing_function(object);
	writing_function(object, 50);
}

static void jump_back(int number, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	siglongjmp(back, number);
}

/* Each fault is reported. */
static void survivor(void)
{
	static volatile int faults;

	set_handler(jump_back, 0);
	if (sigsetjmp(back, 1) != 0)
		faults++;
	if (faults < 3) {
		object = allocating_function(100);
		say(object);
		freeing_function(object);
		writing_function(object, faults);
	}
	_exit(faults == 3 ? HANDLED : 3);
}

static void null_pointer(void)
{
	char *volatile nowhere = NULL;

	do_free(do_malloc(10));
	say(NULL);
	writing_function(nowhere, 8);
}

static void exit_null(int number, siginfo_t *info, void *context)
{
	(void)context;
	_exit(number == SIGSEGV && info->si_addr == (void *)8 ? HANDLED : 3);
}

static void null_pointer_handled(void)
{
	set_handler(exit_null, 0);
	null_pointer();
}

static void exit_sent(int number, siginfo_t *info, void *context)
{
	(void)context;
	_exit(number == SIGSEGV && info->si_code == SI_USER && info->si_pid == getpid() ? HANDLED
											: 3);
}

static void sent_handled(void)
{
	set_handler(exit_sent, 0);
	do_free(do_malloc(10));
	say(NULL);
	CHECK(kill(getpid(), SIGSEGV) == 0);
	for (;;)
		(void)pause();
}

static void sent(void)
{
	do_free(do_malloc(10));
	say(NULL);
	CHECK(kill(getpid(), SIGBUS) == 0);
	for (;;)
		(void)pause();
}

/* --- programs that are right --- */

enum { MANY = 100000 };

static void check_content(char *p, size_t size)
{
	CHECK(p != NULL);
	for (size_t i = 0; i < size; i++)
		CHECK(p[i] == 0);
	memset(p, 'x', size);
	CHECK(malloc_usable_size(p) >= size);
}

static void many_objects(void)
{
	static void *kept[MANY];
	uint64_t random = 88172645463325252;

	for (size_t i = 0; i < MANY; i++) {
		size_t size = rng_next(&random) % 300;

		kept[i] = do_malloc(size);
		CHECK(kept[i] != NULL);
		face_object_fill(kept[i], size, i);
	}
	random = 88172645463325252;
	for (size_t i = 0; i < MANY; i++) {
		CHECK(face_object_intact(kept[i], rng_next(&random) % 300, i));
		do_free(kept[i]);
	}
}

static void all_calls(void)
{
	static const size_t sizes[] = {
		1,    7,    8,     15,    16,     17,      100,     4095,
		4096, 4097, 32768, 32769, 100000, 1048576, 3000000, 20000000
	};

	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = do_calloc(1, sizes[i]);

			check_content(p, sizes[i]);
			CHECK((uintptr_t)p % (sizes[i] < 16 ? 8 : 16) == 0);
			p = do_realloc(p, sizes[i] / 2 + 1);
			CHECK(p != NULL && p[sizes[i] / 2] == 'x');
			p = do_realloc(p, sizes[i] * 2);
			CHECK(p != NULL && p[0] == 'x' && p[sizes[i] / 2] == 'x');
			do_free(p);
		}
		for (size_t align = 1; align <= 4 * MiB; align *= 2) {
			char *p = do_aligned(align, 100 + round * 400);

			CHECK(p != NULL && (uintptr_t)p % align == 0);
			memset(p, 1, 100 + round * 400);
			do_free(p);
		}
		CHECK(malloc(PTRDIFF_MAX) == NULL && errno == ENOMEM);
	}
}

enum { THREADS = 4, TURNS = 1000, PLACES = 64 };

static void *places[PLACES];

/* Objects change hands. */
static void *exchange(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1;

	for (size_t i = 0; i < TURNS; i++) {
		size_t size = rng_next(&random) % 2000 + sizeof(struct face_object);
		struct face_object *p = do_malloc(size);
		struct face_object *other;

		CHECK(p != NULL);
		face_object_fill(p, size, 7);
		other = __atomic_exchange_n(&places[rng_next(&random) % PLACES], p,
					    __ATOMIC_ACQ_REL);
		CHECK(other == NULL || face_object_intact(other, other->size, 7));
		do_free(other);
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, exchange, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void forking(void)
{
	pthread_t threads[THREADS];
	char *p = do_malloc(1000);

	memset(p, 'p', 1000);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, exchange, (void *)i) == 0);
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			(void)alarm(20);
			CHECK(p[0] == 'p' && p[999] == 'p');
			p[0] = 'c';
			do_free(p);
			for (size_t k = 0; k < 200; k++)
				do_free(do_malloc(k * 10));
			_exit(0);
		}
		CHECK(child_wait(child) == 0);
		CHECK(p[0] == 'p');
	}
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	do_free(p);
}

/* The use after the fork is reported with the child's stacks. */
static void fault_in_child(void)
{
	char *p = allocating_function(100);
	int status;
	pid_t child;

	say(p);
	freeing_function(p);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		writing_function(p, 50);
		_exit(0);
	}
	status = child_wait(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	(void)signal(SIGSEGV, SIG_DFL);
	CHECK(raise(SIGSEGV) == 0);
}

/* --- sbrk=1 --- */

static int compare(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* Checks that no address comes twice. It sorts by itself, because qsort(3) allocates. */
static void check_all_differ(uintptr_t *addrs, size_t n)
{
	for (size_t width = 1; width < n; width *= 2) {
		static uintptr_t merged[300000];
		size_t m = 0;

		CHECK(n <= 300000);
		for (size_t from = 0; from < n; from += 2 * width) {
			size_t i = from, i_end = from + width < n ? from + width : n;
			size_t j = i_end, j_end = i_end + width < n ? i_end + width : n;

			while (i < i_end || j < j_end)
				merged[m++] = j == j_end || (i < i_end &&
							     compare(&addrs[i], &addrs[j]) < 0)
						      ? addrs[i++]
						      : addrs[j++];
		}
		memcpy(addrs, merged, n * sizeof(addrs[0]));
	}
	for (size_t i = 1; i < n; i++)
		CHECK(addrs[i] != addrs[i - 1]);
}

static uintptr_t addrs[300000];

static void *free_it(void *arg)
{
	do_free(arg);
	return NULL;
}

static void never_again(void)
{
	size_t n = 0, rss = proc_rss();
	pthread_t thread;
	pid_t child;

	for (size_t i = 0; i < 200000; i++) {
		char *p = do_malloc(i % 200);

		addrs[n++] = (uintptr_t)p;
		if (i % 200 != 0)
			memset(p, 'x', i % 200);
		do_free(p);
		/* Stale or zero. */
		CHECK(i % 200 == 0 || p[0] == 'x' || p[0] == 0);
	}
	for (size_t i = 0; i < 300; i++) {
		char *p = do_malloc(MiB + i * 8192);

		addrs[n++] = (uintptr_t)p;
		memset(p, 'x', MiB);
		do_free(p);
		CHECK(p[0] == 0);
	}
	/* 24 MB of small ones and 600 MB of big ones were written to. */
	CHECK_LE(proc_rss() - rss, 24 * MiB);
	for (size_t i = 0; i < 50; i++) {
		void *p = do_malloc(100);

		addrs[n++] = (uintptr_t)p;
		CHECK(pthread_create(&thread, NULL, free_it, p) == 0 &&
		      pthread_join(thread, NULL) == 0);
	}
	check_all_differ(addrs, n);
	/* Nor in a child, which puts in order what threads left. */
	CHECK(pthread_create(&thread, NULL, exchange, NULL) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		for (size_t i = 0; i < 50000; i++) {
			addrs[n++] = (uintptr_t)do_malloc(i % 100);
			do_free((void *)addrs[n - 1]);
		}
		check_all_differ(addrs, n);
		_exit(0);
	}
	CHECK(child_wait(child) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* --- clobberfree=1 --- */

static void check_clobbered(const volatile unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK(p[i] == 0xdf);
}

static void clobbered(void)
{
	static const size_t sizes[] = { 3, 8, 16, 24, 100, 1000, 5000, 32768, 40000, 300000 };
	void *(*malloc_noscan)(size_t);

	*(void **)&malloc_noscan = face_sym("goalloc_malloc_noscan");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *neighbour = do_malloc(sizes[i]);
		void *p = do_malloc(sizes[i]), *q;

		memset(p, 'x', sizes[i]);
		do_free(p);
		check_clobbered(p, sizes[i]);
		p = malloc_noscan(sizes[i]);
		q = malloc_noscan(sizes[i]);
		memset(p, 'x', sizes[i]);
		do_free(p);
		check_clobbered(p, sizes[i]);
		do_free(q);
		p = do_malloc(sizes[i]);
		memset(p, 'x', sizes[i]);
		q = do_realloc(p, sizes[i] * 3 + 64);
		if (q != p)
			check_clobbered(p, sizes[i]);
		do_free(q);
		do_free(neighbour);
	}
}

/* --- cases --- */

static const struct face_case deeds[] = {
	{ "overflow_by_one", overflow_by_one },
	{ "exact_read", exact_read },
	{ "exact_sizes", exact_sizes },
	{ "underflow_by_one", underflow_by_one },
	{ "write_after_free", write_after_free },
	{ "read_after_free", read_after_free },
	{ "read_after_realloc", read_after_realloc },
	{ "write_of_another_thread_s", write_of_another_thread_s },
	{ "touch_nothing", touch_nothing },
	{ "overflow_found_by_free", overflow_found_by_free },
	{ "underflow_found_by_free", underflow_found_by_free },
	{ "double_free", double_free },
	{ "one_of_many", one_of_many },
	{ "own_handler", own_handler },
	{ "own_handler_on_its_stack", own_handler_on_its_stack },
	{ "survivor", survivor },
	{ "null_pointer", null_pointer },
	{ "null_pointer_handled", null_pointer_handled },
	{ "sent", sent },
	{ "sent_handled", sent_handled },
	{ "many_objects", many_objects },
	{ "all_calls", all_calls },
	{ "run_threads", run_threads },
	{ "forking", forking },
	{ "fault_in_child", fault_in_child },
	{ "never_again", never_again },
	{ "clobbered", clobbered },
};

static void run_deed(const char *deed, const char *options)
{
	char text[200];
	char *argv[] = { self[0], (char *)(size_t)"--child", (char *)(size_t)deed, NULL };
	const char *env[] = { text, NULL };

	(void)snprintf(text, sizeof(text), "GOALLOC=%s", options);
	program_run(argv, env, &result);
}

static void complain(const char *what)
{
	(void)fprintf(stderr, "status 0x%x%s\nstdout: %.500s\nstderr: %.5000s\n",
		      (unsigned)result.status, result.timed_out ? " (hung)" : "", result.out,
		      result.err);
	check_fail(__FILE__, __LINE__, what);
}

static void expect_signal(int number)
{
	if (!WIFSIGNALED(result.status) || WTERMSIG(result.status) != number)
		complain("ended by the signal");
}

static void expect_exit(int status)
{
	if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != status)
		complain("ended with the status");
}

/* Returns what follows a word in the text. A missing word ends the process. */
static const char *behind(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	if (at == NULL)
		complain(what);
	return at + strlen(what);
}

/* Checks that the stack under this heading has a frame of the function. Functions are named
 * behind the address. */
static void expect_frame(const char *heading, const char *function)
{
	const char *at = behind(result.err, heading), *frame, *end;
	char name[100];

	(void)snprintf(name, sizeof(name), " %s+0x", function);
	frame = behind(at, name);
	end = strstr(at, " by thread ");
	end = end == NULL ? NULL : strstr(end + 1, " by thread ");
	if (end != NULL && frame > end)
		complain(name);
	/* The nearest frame but one at most: the library's own are not shown. */
	if (count_lines(at) - count_lines(frame) > 2)
		complain(name);
}

/* Returns the address that the child announced before its deed. */
static unsigned long announced(void)
{
	return strtoul(result.out, NULL, 16);
}

static void expect_text(const char *format, unsigned long a, unsigned long b)
{
	char text[200];

	(void)snprintf(text, sizeof(text), format, a, b);
	(void)behind(result.err, text);
}

static void overflow_is_a_fault_at_the_instruction(void)
{
	for (int rate = 0; rate < 2; rate++) {
		run_deed("overflow_by_one", rate == 0 ? "efence=1" : "guardrate=5");
		expect_signal(SIGSEGV);
		expect_text("goalloc: heap overflow: write at 0x%lx, 0 bytes behind the end of an "
			    "object of 272 bytes at 0x%lx\n",
			    announced() + 272, announced());
		expect_frame("  used by thread ", "writing_function");
		expect_frame("  allocated by thread ", "allocating_function");
		CHECK(strstr(result.err, "freed by") == NULL);
	}
}

static void a_read_by_one_is_found_where_objects_end_exactly(void)
{
	for (int rate = 0; rate < 2; rate++) {
		const char *options = rate == 0 ? "efence=1,guardexact=1"
						: "guardrate=1,guardexact=1";

		run_deed("exact_read", options);
		expect_signal(SIGSEGV);
		expect_text("goalloc: heap overflow: read at 0x%lx, 0 bytes behind the end of an "
			    "object of 1001 bytes at 0x%lx\n",
			    announced() + 1001, announced());
		expect_frame("  used by thread ", "reading_function");
		run_deed("exact_sizes", options);
		expect_exit(0);
	}
}

static void underflow_is_a_fault_at_the_instruction(void)
{
	for (int rate = 0; rate < 2; rate++) {
		run_deed("underflow_by_one", rate == 0 ? "efence=1" : "guardrate=5");
		expect_signal(SIGSEGV);
		expect_text("goalloc: heap underflow: read at 0x%lx, 1 bytes before an object of "
			    "272 bytes at 0x%lx\n",
			    announced() - 1, announced());
		expect_frame("  used by thread ", "reading_function");
		expect_frame("  allocated by thread ", "allocating_function");
	}
}

static void use_after_free_is_reported_with_three_stacks(void)
{
	static const struct {
		const char *deed, *access, *user, *freer;
		unsigned long at, size;
	} uses[] = {
		{ "write_after_free", "write", "writing_function", "freeing_function", 50, 100 },
		{ "read_after_free", "read", "reading_function", "freeing_function", 999999,
		  1000000 },
		{ "write_of_another_thread_s", "write", "writing_function", "freeing_function", 0,
		  3000 },
		{ "read_after_realloc", "read", "reading_function", "read_after_realloc", 0, 100 },
	};
	static const char *const options[] = { "efence=1", "guardrate=1", "efence=1,hardened=2",
					       "efence=1,sbrk=1,clobberfree=1" };

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
			char format[200];

			run_deed(uses[i].deed, options[k]);
			expect_signal(SIGSEGV);
			(void)snprintf(format, sizeof(format),
				       "goalloc: use after free: %s at 0x%%lx, %lu bytes into an "
				       "object of %lu bytes"
				       " at 0x%%lx\n",
				       uses[i].access, uses[i].at, uses[i].size);
			expect_text(format, announced() + uses[i].at, announced());
			expect_frame("  used by thread ", uses[i].user);
			expect_frame("  allocated by thread ", "allocating_function");
			/* A local function has no dynamic symbol, but one in the table of all. */
			expect_frame("  freed by thread ", uses[i].freer);
		}
	}
}

static void an_object_of_no_bytes_cannot_be_touched(void)
{
	run_deed("touch_nothing", "efence=1");
	expect_signal(SIGSEGV);
	expect_text("goalloc: heap overflow: write at 0x%lx, 0 bytes behind the end of an object "
		    "of 0 bytes",
		    announced(), 0);
}

static void free_finds_what_was_written_around(void)
{
	run_deed("overflow_found_by_free", "efence=1");
	expect_signal(SIGABRT);
	expect_text("goalloc: free(0x%lx): heap overflow\n  written to: 1 bytes behind the end of "
		    "an object of 264 bytes",
		    announced(), 0);
	expect_frame("  found by thread ", "freeing_function");
	expect_frame("  allocated by thread ", "allocating_function");
	run_deed("underflow_found_by_free", "efence=1");
	expect_signal(SIGABRT);
	expect_text("goalloc: free(0x%lx): heap underflow\n  written to: 1 bytes before an object "
		    "of 272 bytes",
		    announced(), 0);
}

static void a_double_free_is_reported_with_three_stacks(void)
{
	run_deed("double_free", "guardrate=1");
	expect_signal(SIGABRT);
	CHECK(strncmp(result.err, "goalloc: free(0x", 16) == 0);
	expect_text("goalloc: free(0x%lx): double free\n", announced(), 0);
	expect_frame("  used by thread ", "double_free");
	expect_frame("  allocated by thread ", "allocating_function");
	expect_frame("  freed by thread ", "freeing_function");
}

static void the_program_s_own_handler_is_called(void)
{
	run_deed("own_handler", "efence=1");
	expect_exit(HANDLED);
	expect_frame("goalloc: use after free", "writing_function");
	run_deed("own_handler_on_its_stack", "efence=1");
	expect_exit(HANDLED);
	expect_frame("goalloc: use after free", "writing_function");
	run_deed("survivor", "efence=1");
	expect_exit(HANDLED);
	for (int i = 0; i < 3; i++) {
		char text[100];

		(void)snprintf(text, sizeof(text), ", %d bytes into an object of 100 bytes", i);
		(void)behind(result.err, text);
	}
}

static void other_signals_take_their_course(void)
{
	for (int on = 0; on < 2; on++) {
		const char *options = on ? "efence=1" : "guardrate=1";

		run_deed("null_pointer", options);
		expect_signal(SIGSEGV);
		CHECK(result.err[0] == '\0');
		run_deed("null_pointer_handled", options);
		expect_exit(HANDLED);
		run_deed("sent", options);
		expect_signal(SIGBUS);
		CHECK(result.err[0] == '\0');
		run_deed("sent_handled", options);
		expect_exit(HANDLED);
		CHECK(result.err[0] == '\0');
	}
}

/* Checks that the count is within 7 standard deviations of a binomial distribution. */
static void expect_share(unsigned rate)
{
	char text[40];
	double expected = 100000.0 / rate, more;

	(void)snprintf(text, sizeof(text), "guardrate=%u", rate);
	run_deed("one_of_many", text);
	expect_exit(0);
	more = strtod(result.out, NULL) - expected;
	if (more * more > 49 * expected)
		complain("one of N");
}

static void one_of_n_is_guarded(void)
{
	expect_share(1);
	expect_share(50);
	expect_share(500);
}

static void right_programs_notice_nothing(void)
{
	static const char *const deeds_of[] = { "all_calls", "run_threads", "forking" };
	static const char *const options[] = {
		"efence=1",
		"guardrate=1",
		"guardrate=20,hardened=1",
		"sbrk=1",
		"sbrk=1,guardrate=7",
		"efence=1,hardened=2",
		"sbrk=1,hardened=1,clobberfree=1",
		"sbrk=1,profile=/dev/null,memprofilerate=100",
		"guardrate=3,profile=/dev/null,memprofilerate=1000"
	};

	for (size_t i = 0; i < sizeof(deeds_of) / sizeof(deeds_of[0]); i++) {
		for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
			run_deed(deeds_of[i], options[k]);
			if (!program_exited_0(&result) || result.err[0] != '\0')
				complain(options[k]);
		}
	}
	run_deed("many_objects", "efence=1");
	if (!program_exited_0(&result) || result.err[0] != '\0')
		complain("many objects");
}

static void a_fault_in_a_child_is_reported(void)
{
	run_deed("fault_in_child", "efence=1");
	expect_signal(SIGSEGV);
	expect_frame("  used by thread ", "writing_function");
	expect_frame("  freed by thread ", "freeing_function");
}

static void freed_memory_is_never_used_again(void)
{
	run_deed("never_again", "sbrk=1");
	expect_exit(0);
}

static void freed_objects_are_filled(void)
{
	run_deed("clobbered", "clobberfree=1");
	expect_exit(0);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "overflow", overflow_is_a_fault_at_the_instruction },
		{ "exact", a_read_by_one_is_found_where_objects_end_exactly },
		{ "underflow", underflow_is_a_fault_at_the_instruction },
		{ "use_after_free", use_after_free_is_reported_with_three_stacks },
		{ "nothing", an_object_of_no_bytes_cannot_be_touched },
		{ "around", free_finds_what_was_written_around },
		{ "double_free", a_double_free_is_reported_with_three_stacks },
		{ "own_handler", the_program_s_own_handler_is_called },
		{ "other_signals", other_signals_take_their_course },
		{ "rate", one_of_n_is_guarded },
		{ "right", right_programs_notice_nothing },
		{ "fork", a_fault_in_a_child_is_reported },
		{ "sbrk", freed_memory_is_never_used_again },
		{ "clobber", freed_objects_are_filled },
	};

	self = argv;
	if (argc == 3 && strcmp(argv[1], "--child") == 0)
		return face_run_case(argc - 1, argv + 1, deeds, sizeof(deeds) / sizeof(deeds[0]));
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
