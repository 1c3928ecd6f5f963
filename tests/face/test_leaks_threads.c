/* SPDX-License-Identifier: MIT */
/*
 * test_leaks_threads.c - an object that only another thread knows is no leak, wherever the thread
 * keeps the address; and nothing that a thread is in the middle of stops the check.
 *
 * A check blocks all signals, so CTest's timeout ends one that hangs. Usage: test_leaks_threads
 * CASE.
 */
#include "leaks.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

static _Atomic int stop, ready;

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int before = ready;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 256 * KiB) == 0);
	CHECK(pthread_create(&thread, &attr, run, arg) == 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
	while (ready == before)
		(void)usleep(100);
	return thread;
}

static void end(pthread_t thread)
{
	stop = 1;
	CHECK(pthread_join(thread, NULL) == 0);
	stop = 0;
}

static void wait_for_stop(void)
{
	ready++;
	while (stop == 0)
		(void)usleep(500);
}

/* --- registers --- */

#define SECRET ((uintptr_t)0x5a5a5a5a5a5a5a5a)

static volatile uintptr_t masked;

/* Waits with the address in this register and nowhere else. */
static void *hold_in_register(void *arg)
{
	uintptr_t secret = SECRET;

	(void)arg;
	ready++;
#if defined(__x86_64__)
	__asm__ volatile("mov %1, %%r13\n\txor %0, %%r13\n1:\tpause\n\tcmpl $0, %2\n\tje 1b\n\txor "
			 "%%r13d, %%r13d"
			 :
			 : "r"(secret), "m"(masked), "m"(stop)
			 : "r13", "memory");
#else
	__asm__ volatile("ldr x21, %1\n\teor x21, x21, %0\n1:\tyield\n\tldr w9, %2\n\tcbz w9, "
			 "1b\n\tmov x21, #0"
			 :
			 : "r"(secret), "m"(masked), "m"(stop)
			 : "x21", "x9", "memory");
#endif
	return NULL;
}

static void *hold_in_vector(void *arg)
{
	uintptr_t secret = SECRET;

	(void)arg;
	ready++;
#if defined(__x86_64__)
	__asm__ volatile("movq %1, %%xmm7\n\tmovq %0, %%xmm6\n\tpxor %%xmm6, "
			 "%%xmm7\n1:\tpause\n\tcmpl $0, %2\n\tje 1b\n\t"
			 "pxor %%xmm7, %%xmm7"
			 :
			 : "r"(secret), "m"(masked), "m"(stop)
			 : "xmm6", "xmm7", "memory");
#else
	__asm__ volatile("ldr d8, %1\n\tfmov d9, %0\n\teor v8.8b, v8.8b, v9.8b\n1:\tyield\n\tldr "
			 "w9, %2\n\tcbz w9, 1b\n\tmovi d8, #0"
			 :
			 : "r"(secret), "m"(masked), "m"(stop)
			 : "v8", "v9", "x9", "memory");
#endif
	return NULL;
}

static void held(void *(*run)(void *))
{
	pthread_t thread;

	masked = ~make(64) ^ SECRET;
	CHECK_LEAKS(1);
	thread = start(run, NULL);
	CHECK_LEAKS(0);
	end(thread);
	CHECK_LEAKS(1);
}

static void registers(void)
{
	held(hold_in_register);
}

static void vectors(void)
{
	held(hold_in_vector);
}

/* --- stacks and storage --- */

static int pipe_ends[2];

static void *hold_on_stack(void *arg)
{
	void *volatile p = show((hidden)arg);
	char c;

	ready++;
	CHECK(read(pipe_ends[0], &c, 1) == 1);
	p = NULL;
	(void)p;
	wait_for_stop();
	return NULL;
}

static void stack(void)
{
	hidden h = make(64);
	pthread_t thread;

	CHECK(pipe(pipe_ends) == 0);
	thread = start(hold_on_stack, (void *)h);
	for (int i = 0; i < 10; i++)
		CHECK_LEAKS(0);
	CHECK(write(pipe_ends[1], "x", 1) == 1);
	while (ready != 2)
		(void)usleep(100);
	CHECK_LEAKS(1);
	end(thread);
}

/* Runs so deep that no later call has its object in a frame. */
__attribute__((noinline)) static void leave_on_stack(hidden h)
{
	void *volatile words[4096];

	for (int i = 0; i < 3000; i++)
		words[i] = show(h);
	__asm__ volatile("" : : "r"(words) : "memory");
}

static void *hold_below_stack(void *arg)
{
	leave_on_stack((hidden)arg);
	wait_for_stop();
	return NULL;
}

static void below_stack(void)
{
	hidden h = make(64);
	pthread_t thread = start(hold_below_stack, (void *)h);

	CHECK_LEAKS(1);
	/* Ended, its stack is kept for the next thread. */
	end(thread);
	CHECK_LEAKS(1);
}

static __thread void *volatile in_tls;
static pthread_key_t key;

static void *hold_in_tls(void *arg)
{
	in_tls = show((hidden)arg);
	wait_for_stop();
	in_tls = NULL;
	return NULL;
}

static void *hold_by_key(void *arg)
{
	CHECK(pthread_setspecific(key, show((hidden)arg)) == 0);
	wait_for_stop();
	CHECK(pthread_setspecific(key, NULL) == 0);
	return NULL;
}

static void *hold_in_plugin(void *arg)
{
	void *f = dlsym(RTLD_DEFAULT, "leaks_keep");
	void (*keep)(void *);

	CHECK(f != NULL);
	memcpy(&keep, &f, sizeof(f));
	keep(show((hidden)arg));
	wait_for_stop();
	keep(NULL);
	return NULL;
}

static void storage(void)
{
	void *(*const holders[])(void *) = { hold_in_tls, hold_by_key, hold_by_key,
					     hold_in_plugin };
	hidden h = make(64);

	CHECK(dlopen(getenv("LEAKS_LIB"), RTLD_NOW | RTLD_GLOBAL) != NULL);
	CHECK(pthread_key_create(&key, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_t thread = start(holders[i], (void *)h);

		CHECK_LEAKS(0);
		end(thread);
		CHECK_LEAKS(1);
		/* Beyond those that libc keeps in the thread's own record. */
		while (i == 1 && key < 100)
			CHECK(pthread_key_create(&key, NULL) == 0);
	}
}

/* --- wherever they are --- */

static void *in_stdio(void *arg)
{
	(void)arg;
	flockfile(stdout);
	flockfile(stderr);
	wait_for_stop();
	funlockfile(stderr);
	funlockfile(stdout);
	return NULL;
}

static void *in_malloc(void *arg)
{
	uint64_t rng = (uintptr_t)arg + 1;

	ready++;
	while (stop == 0) {
		void *p[16];

		for (int i = 0; i < 16; i++)
			p[i] = calloc(1, rng_mixed_size(&rng));
		for (int i = 0; i < 16; i++)
			free(p[i]);
	}
	return NULL;
}

static void *deaf(void *arg)
{
	sigset_t all;

	(void)arg;
	CHECK(sigfillset(&all) == 0 && pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	wait_for_stop();
	return NULL;
}

static void *short_life(void *arg)
{
	free(malloc(100));
	return arg;
}

static void *makes_threads(void *arg)
{
	ready++;
	while (stop == 0) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, short_life, arg) == 0);
		for (int i = 0; i < 4; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
	return NULL;
}

static void *loads(void *arg)
{
	ready++;
	while (stop == 0) {
		void *library = dlopen(getenv("LEAKS_LIB"), RTLD_NOW);

		CHECK(library != NULL && dlclose(library) == 0);
	}
	return arg;
}

static void *forks(void *arg)
{
	ready++;
	while (stop == 0) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(0);
		(void)child_wait(pid);
	}
	return arg;
}

static void *in_vfork(void *arg)
{
	pid_t pid;

	ready++;
	while (stop == 0) {
		pid = vfork();
		if (pid == 0) {
			(void)poll(NULL, 0, 20);
			_exit(0);
		}
		(void)child_wait(pid);
	}
	return arg;
}

/* Whoever runs is interrupted; a handler may not allocate. */
static volatile sig_atomic_t interruptions;

static void on_timer(int number)
{
	(void)number;
	interruptions++;
}

static volatile hidden keep_going;

static void busy(void)
{
	void *(*const runs[])(void *) = { in_malloc, in_malloc, deaf,     makes_threads,
					  loads,     forks,     in_vfork, in_stdio };
	enum { RUNS = sizeof(runs) / sizeof(runs[0]) };
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	pthread_t threads[RUNS];

	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < RUNS; i++)
		threads[i] = start(runs[i], NULL);
	keep_going = make(64);
	for (int i = 0; i < 200; i++) {
		long n = check();

		/* In the middle of anything, what a thread has just made or taken out may be known
		 * to nobody. */
		CHECK(n >= 0 && n < 200);
	}
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	stop = 1;
	for (int i = 0; i < RUNS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK_LEAKS(1);
}

struct link {
	struct link *next;
	char rest[56];
};

static struct link *cut(struct link *list, unsigned n)
{
	for (; n > 0 && list != NULL; n--) {
		struct link *l = list->next;

		free(list);
		list = l;
	}
	return list;
}

/* What threads that allocate all the time have in use is never a leak: of a list the first is in a
 * register or on a stack. */
static void *keeps_list(void *arg)
{
	struct link *list = NULL;
	uint64_t rng = (uintptr_t)arg + 1;

	ready++;
	for (unsigned n = 0; stop == 0; n++) {
		struct link *l = calloc(1, sizeof(*l));

		l->next = list;
		list = l;
		list = cut(list, (unsigned)(rng_next(&rng) % 3));
		if (n % 10000 == 0)
			list = cut(list, UINT_MAX);
	}
	(void)cut(list, UINT_MAX);
	return NULL;
}

static void moving(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = start(keeps_list, (void *)(uintptr_t)i);
	for (int i = 0; i < 150; i++)
		CHECK_LEAKS(0);
	stop = 1;
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Makes, moves and frees objects whose address is in the thread's registers alone. An object is
 * live before malloc returns and until free is nearly done, and is no leak in between either. */
static void *has_in_hand(void *arg)
{
	size_t n = (size_t)(uintptr_t)arg;

	ready++;
	while (stop == 0) {
		char *p = malloc(n);

		p = realloc(p, n + n / 2);
		p = realloc(p, 2 * n);
		free(p);
		p = aligned_alloc(64, n);
		free(p);
	}
	return NULL;
}

static void in_hand(void)
{
	static const size_t sizes[] = { 4, 64, 3000, 20000, 40000, 1500000 };
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
	pthread_t threads[SIZES];

	for (int i = 0; i < SIZES; i++)
		threads[i] = start(has_in_hand, (void *)(uintptr_t)sizes[i]);
	for (int i = 0; i < 150; i++)
		CHECK_LEAKS(0);
	stop = 1;
	for (int i = 0; i < SIZES; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static _Atomic int checked;

static void *checks(void *arg)
{
	ssize_t (*leak_check)(int fd);
	void *f = face_sym("goalloc_leak_check");

	memcpy(&leak_check, &f, sizeof(f));
	ready++;
	for (int i = 0; i < 25; i++)
		CHECK(leak_check(-1) >= 0);
	checked++;
	return arg;
}

/* Several threads ask at the same time, and children ask while their parent does. */
static void at_once(void)
{
	pthread_t threads[4];
	pid_t pid;

	for (int i = 0; i < 4; i++)
		threads[i] = start(checks, NULL);
	for (int i = 0; i < 5; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			(void)checks(NULL);
			_exit(0);
		}
		CHECK(child_wait(pid) == 0);
	}
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* --- what threads notice --- */

static sem_t semaphore;

static void *sleeps(void *arg)
{
	struct timespec ts = { 0, 500000000 };
	struct pollfd fd = { pipe_ends[0], POLLIN, 0 };
	char c;

	ready++;
	CHECK(nanosleep(&ts, NULL) == 0);
	CHECK(poll(&fd, 1, -1) == 1);
	CHECK(read(pipe_ends[0], &c, 1) == 1);
	CHECK(sem_wait(&semaphore) == 0);
	return arg;
}

static void undisturbed(void)
{
	pthread_t thread;

	CHECK(pipe(pipe_ends) == 0 && sem_init(&semaphore, 0, 0) == 0);
	thread = start(sleeps, NULL);
	for (int i = 0; i < 200; i++) {
		CHECK(check() == 0);
		(void)usleep(i < 100 ? 7000 : 0);
	}
	CHECK(write(pipe_ends[1], "x", 1) == 1);
	for (int i = 0; i < 50; i++)
		CHECK(check() == 0);
	CHECK(sem_post(&semaphore) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* Each signal that is sent arrives, though the thread is stopped at that moment. */
static _Atomic int signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static void *spins(void *arg)
{
	ready++;
	while (stop == 0)
		;
	return arg;
}

static void signalled(void)
{
	struct sigaction act = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	pthread_t target, thread;
	int sent = 0;

	CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
	target = start(spins, NULL);
	for (int round = 0; round < 8; round++) {
		thread = start(checks, NULL);
		while (checked <= round) {
			CHECK(pthread_kill(target, SIGUSR1) == 0);
			sent++;
			while (signals != sent)
				;
		}
		CHECK(pthread_join(thread, NULL) == 0);
	}
	end(target);
	CHECK(signals == sent);
}

/* --- when it is refused --- */

static void with_threads(long want, const char *said)
{
	pthread_t threads[3];

	(void)make(64);
	for (int i = 0; i < 3; i++)
		threads[i] = start(i == 0 ? deaf : in_malloc, NULL);
	for (int i = 0; i < 20; i++)
		CHECK(check() >= want);
	CHECK(said == NULL || strstr(report, said) != NULL);
	stop = 1;
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK_LEAKS(want);
}

static void no_ptrace(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	with_threads(1, "threads were not stopped, as tracing them is refused");
}

/* Another process traces this one already. */
static void traced(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(raise(SIGSTOP) == 0);
		with_threads(1, "threads were not stopped");
		_exit(0);
	}
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK) == 0);
	CHECK(kill(pid, SIGCONT) == 0);
	for (;;) {
		pid_t who = waitpid(-1, &status, __WALL);

		CHECK(who > 0);
		if (who == pid && !WIFSTOPPED(status))
			break;
		if (WIFSTOPPED(status))
			(void)ptrace(PTRACE_CONT, who, 0,
				     status >> 16 != 0 || WSTOPSIG(status) == SIGTRAP
					     ? 0
					     : WSTOPSIG(status));
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A process that forbids others to look at it is not copied, and is told why. */
static void not_dumpable(void)
{
	if (getuid() == 0)
		CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	(void)make(64);
	CHECK(check() == -1 && errno == EPERM);
	CHECK(strstr(report, "leak check failed: the program forbids looking at it") != NULL);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
}

/* The first thread has ended: /proc lists it, and shows nothing of it. */
static void *goes_on(void *arg)
{
	(void)arg;
	(void)usleep(20000);
	(void)make(64);
	CHECK_LEAKS(1);
	CHECK(strstr(report, "stopped") == NULL);
	exit(0);
}

/* The check may meet the first thread at any instruction of its end. */
static void *meets_the_end(void *delay)
{
	for (volatile uintptr_t i = 0; i < (uintptr_t)delay; i++)
		;
	CHECK(check() == 0);
	CHECK(strstr(report, "stopped") == NULL);
	_exit(0);
}

static void first_is_gone(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, goes_on, NULL) == 0);
	pthread_exit(NULL);
}

static void first_is_going(void)
{
	for (uintptr_t i = 0; i < 100; i++) {
		pid_t pid = fork();
		pthread_t thread;
		int status;

		CHECK(pid >= 0);
		if (pid == 0) {
			CHECK(pthread_create(&thread, NULL, meets_the_end, (void *)(i * 500)) == 0);
			pthread_exit(NULL);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

static void many(void)
{
	enum { N = 300 };
	static pthread_t threads[N];
	static hidden objects[N];

	for (int i = 0; i < N; i++) {
		objects[i] = make(64);
		threads[i] = start(hold_in_tls, (void *)objects[i]);
	}
	for (int i = 0; i < 5; i++)
		CHECK_LEAKS(0);
	stop = 1;
	for (int i = 0; i < N; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK_LEAKS(N);
}

static const struct face_case cases[] = {
	{ "registers", registers },
	{ "vectors", vectors },
	{ "stack", stack },
	{ "below_stack", below_stack },
	{ "storage", storage },
	{ "busy", busy },
	{ "moving", moving },
	{ "in_hand", in_hand },
	{ "at_once", at_once },
	{ "undisturbed", undisturbed },
	{ "signalled", signalled },
	{ "no_ptrace", no_ptrace },
	{ "traced", traced },
	{ "not_dumpable", not_dumpable },
	{ "first_is_gone", first_is_gone },
	{ "first_is_going", first_is_going },
	{ "many", many },
};

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	CHECK_LEAKS(0);
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
