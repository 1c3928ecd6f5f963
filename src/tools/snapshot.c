/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - stops the threads, copies the process, and lets the threads go.
 *
 * A thread cannot trace threads of its own process. So the caller makes a helper: a process that
 * shares its memory. The helper stops the other threads and keeps the values in their registers
 * that may be addresses. Then it makes a copy as fork(2) does, as a sister of its own, and ends.
 * When it ends, all threads go on. The caller waits for the helper and the copy with all signals
 * blocked. Both inherit the mask, so no handler of the program runs in any of the three. The helper
 * and the copy take no lock and do not call libc, because threads were stopped at arbitrary points.
 *
 * Where tracing is refused, by seccomp or because a debugger traces the process, the copy is made
 * while the other threads run. It still shows one moment, except for stores under way. The
 * registers of the threads are not known then.
 *
 * Owns     the helper and the copy, as long as they live.
 * Locks    taking, which holds the process id: there is one snapshot at a time. A forked child does
 *          not wait for its parent's.
 * Holds    whatever happens to the helper, the kernel lets its threads go when it ends. Neither
 *          process outlives the thread that made it. wait(2) in the program does not see them.
 */
#include "tools/snapshot.h"
#include "base/options.h"
#include "os/forked.h"
#include "heap/mheap.h"
#include "os/os.h"
#include "os/os_process.h"

#include <errno.h>

#define HELPER_STACK KiB(256)
#define MAX_THREADS 32768
#define MAX_WORDS (MiB(4) / sizeof(uintptr_t))

/* The most passes over the list of threads. A pass finds threads that running threads have made
 * since the last pass. */
#define MAX_PASSES 1000

/* How long to wait for a thread to stop, in microseconds. A thread that waits for a disk or for a
 * child of vfork(2) is not reached by signals, so it need not be waited for long: it stops when the
 * wait ends. */
#define UNREACHABLE_US 5000
#define GIVE_UP_US 2000000
#define POLL_US 50

enum { HELPER_DONE, HELPER_REFUSED };

static _Atomic int taking;

/* --- in the helper --- */

static struct snapshot_thread *thread_of(struct snapshot *sn, int tid)
{
	for (size_t i = 0; i < sn->nthreads; i++)
		if (sn->threads[i].tid == tid)
			return &sn->threads[i];
	return NULL;
}

/* Tells a thread to stop. Returns true if the thread was not known before. */
static bool begin_stop(struct snapshot *sn, int tid)
{
	struct snapshot_thread *t;
	int error;

	if (tid == sn->tid || thread_of(sn, tid) != NULL)
		return false;
	if (sn->nthreads == sn->max_threads) {
		sn->unsettled = true;
		return false;
	}
	t = &sn->threads[sn->nthreads++];
	*t = (struct snapshot_thread){ .tid = tid };
	error = os_trace_begin(tid);
	t->begun = error == 0;
	if (error == -ESRCH)
		sn->nthreads--;
	if (error == 0 || error == -ESRCH)
		return true;
	/* A thread that has ended is refused as well. */
	t->ended = os_thread_ended(sn->pid, tid);
	sn->refused |= !t->ended;
	return true;
}

/* Keeps the words that may be addresses of objects. */
static void keep_words(struct snapshot *sn, const uintptr_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (arena_of(words[i]) == NULL)
			continue;
		if (sn->nwords == sn->max_words)
			sn->unsettled = true;
		else
			sn->words[sn->nwords++] = words[i];
	}
}

static void read_registers(struct snapshot *sn, struct snapshot_thread *t)
{
	uintptr_t *words = sn->registers;
	size_t room = sizeof(sn->registers),
	       nbytes = os_trace_registers(t->tid, OS_GENERAL, words, room);

	if (nbytes / sizeof(words[0]) > CPU_STACK_WORD)
		t->stack = words[CPU_STACK_WORD];
	if (CPU_TLS_WORD != CPU_NO_TLS_WORD &&
	    nbytes / sizeof(words[0]) > min_size(CPU_TLS_WORD, 63))
		t->tls = words[min_size(CPU_TLS_WORD, 63)];
	keep_words(sn, words, nbytes / sizeof(words[0]));
	nbytes = os_trace_registers(t->tid, OS_VECTORS, words, room);
	keep_words(sn, words, nbytes / sizeof(words[0]));
	if (CPU_TLS_WORD == CPU_NO_TLS_WORD && os_trace_registers(t->tid, OS_TLS, words, room) != 0)
		t->tls = words[0];
}

static void await_stop(struct snapshot *sn, struct snapshot_thread *t)
{
	for (unsigned us = 0;; us += POLL_US) {
		enum os_trace state = os_trace_poll(t->tid, &t->signal);

		if (state == OS_TRACE_GONE) {
			/* A new thread may get its number soon. */
			*t = (struct snapshot_thread){ .tid = -1 };
			return;
		}
		if (state == OS_TRACE_STOPPED)
			break;
		/* The first thread was ending when the trace began. */
		if (us >= UNREACHABLE_US && os_thread_ended(sn->pid, t->tid)) {
			t->ended = true;
			return;
		}
		/* A child of vfork(2) uses the thread's stack, also below its stack pointer. */
		if (us >= UNREACHABLE_US && os_thread_state(sn->pid, t->tid) == 'D')
			return;
		if (us >= GIVE_UP_US) {
			sn->unsettled = true;
			return;
		}
		/* Most threads stop at once. */
		os_yield(us == 0 ? 0 : POLL_US);
	}
	t->stopped = true;
	read_registers(sn, t);
}

/* Stops all other threads, and the threads that they make meanwhile. */
static void stop_threads(struct snapshot *sn, int *tids)
{
	bool found = true;

	for (unsigned pass = 0; found && !sn->refused; pass++) {
		size_t before = sn->nthreads;
		long n = os_list_threads(sn->pid, tids, MAX_THREADS);

		if (n < 0 || n > MAX_THREADS || pass == MAX_PASSES) {
			sn->unsettled = true;
			return;
		}
		found = false;
		for (long i = 0; i < n && !sn->refused; i++)
			found |= begin_stop(sn, tids[i]);
		for (size_t i = before; i < sn->nthreads; i++)
			if (sn->threads[i].begun)
				await_stop(sn, &sn->threads[i]);
	}
}

/* Lets the stopped threads go. The kernel lets the others go when the helper ends. */
static void release_threads(struct snapshot *sn)
{
	for (size_t i = 0; i < sn->nthreads; i++)
		if (sn->threads[i].stopped)
			os_trace_end(sn->threads[i].tid, sn->threads[i].signal);
}

static _Noreturn void be_copy(struct snapshot *sn)
{
	/* The copy reads the heap as the fork found it. */
	forked_settle();
	if (!os_die_with(sn->pid))
		os_exit(1);
	os_no_core();
	/* Memory under the program's protection keys is read, too. */
	if (cpu_has_rights())
		cpu_write_rights(0);
	sn->look(sn, sn->arg);
	os_exit(0);
}

static int help(void *arg)
{
	struct snapshot *sn = arg;
	uint64_t began;

	if (!os_die_with(sn->pid))
		return HELPER_DONE;
	/* Acquire: pairs with the release in run_helper(). */
	while (atomic_load_explicit(&sn->go, memory_order_acquire) == 0)
		os_futex_wait(&sn->go, 0);
	began = os_now_us();
	/* The room for the list is behind the threads' records. */
	stop_threads(sn, (int *)(void *)(sn->threads + sn->max_threads));
	if (sn->refused && !sn->last_try) {
		release_threads(sn);
		return HELPER_REFUSED;
	}
	sn->copy = os_copy_process();
	if (sn->copy == 0)
		be_copy(sn);
	release_threads(sn);
	sn->stopped_us = os_now_us() - began;
	return HELPER_DONE;
}

size_t snapshot_missed(const struct snapshot *sn)
{
	size_t n = 0;

	for (size_t i = 0; i < sn->nthreads; i++)
		n += sn->threads[i].tid > 0 && !sn->threads[i].stopped && !sn->threads[i].ended;
	return n;
}

/* --- in the program --- */

/* Returns why a process could not be made. */
static struct snapshot_failure not_made(int error)
{
	const char *why =
		error == EAGAIN   ? "the process could not be copied: no more processes are allowed"
		: error == ENOMEM ? "the process could not be copied: there is no memory"
				  : "the process could not be copied: the system forbids it";

	return (struct snapshot_failure){ .error = error, .why = why };
}

/* Returns how our process ended. status is the result of os_wait_exit(). */
static struct snapshot_failure ended(int status)
{
	if (status == 0)
		return (struct snapshot_failure){ .error = 0 };
	if (status > 0 || status == OS_NO_PROCESS)
		return (struct snapshot_failure){ .error = EIO,
						  .why = "the copy of the process is gone" };
	return (struct snapshot_failure){ .error = EIO,
					  .signal = -status,
					  .why = "the copy of the process was killed by signal " };
}

/* Runs the helper and returns its status, as os_wait_exit() does. With allowed, the kernel's Yama
 * module is first asked to let the helper trace. If there is no helper, sn->copy is -errno. */
static int run_helper(struct snapshot *sn, bool allowed)
{
	bool yama = false;
	int pid, status;

	sn->last_try = allowed;
	sn->refused = false;
	sn->unsettled = false;
	sn->nthreads = 0;
	sn->nwords = 0;
	atomic_store_explicit(&sn->go, 0, memory_order_relaxed);
	pid = os_start_helper(help, (void *)(sn->memory + HELPER_STACK), sn);
	if (pid < 0) {
		sn->copy = pid;
		return HELPER_DONE;
	}
	if (allowed)
		yama = os_allow_tracer(pid);
	/* Release: pairs with the acquire in help(). */
	atomic_store_explicit(&sn->go, 1, memory_order_release);
	os_futex_wake(&sn->go);
	status = os_wait_exit(pid);
	if (yama)
		(void)os_allow_tracer(options.view ? OS_ANY_TRACER : 0);
	return status;
}

static struct snapshot_failure run(struct snapshot *sn)
{
	int status = run_helper(sn, false);

	if (status == HELPER_REFUSED)
		status = run_helper(sn, true);
	if (sn->copy < 0)
		return not_made(-sn->copy);
	if (sn->copy == 0)
		return ended(status < 0 ? status : OS_NO_PROCESS);
	return ended(os_wait_exit(sn->copy));
}

/* Makes the record, the helper's stack, and room for the threads. */
static struct snapshot *make_room(uintptr_t *memory, size_t *nbytes)
{
	size_t guard = os_page_size();
	size_t threads = MAX_THREADS * (sizeof(struct snapshot_thread) + sizeof(int));
	size_t need = align_up(HELPER_STACK + sizeof(struct snapshot) + threads +
				       MAX_WORDS * sizeof(uintptr_t),
			       guard);
	char *p = os_reserve(NULL, guard + need);
	struct snapshot *sn;

	if (p == NULL)
		return NULL;
	*memory = (uintptr_t)p;
	*nbytes = guard + need;
	if (!os_commit(p + guard, need)) {
		(void)os_unreserve(p, guard + need);
		return NULL;
	}
	sn = (struct snapshot *)(void *)(p + guard + HELPER_STACK);
	sn->threads = (struct snapshot_thread *)(void *)(sn + 1);
	sn->max_threads = MAX_THREADS;
	sn->words = (uintptr_t *)(void *)((char *)sn->threads + threads);
	sn->max_words = MAX_WORDS;
	sn->memory = (uintptr_t)p + guard;
	sn->nbytes = need;
	return sn;
}

/* Waits while another thread of this process takes a snapshot. */
static void begin_taking(int pid)
{
	int holder = 0;

	/* Acquire: pairs with the release at the end of snapshot_take(). A holder of another
	 * process is a thread of the parent, which is not in this process. */
	while (!atomic_compare_exchange_strong_explicit(&taking, &holder, pid, memory_order_acquire,
							memory_order_relaxed))
		if (holder == pid) {
			os_sleep_ms(1);
			holder = 0;
		}
}

struct snapshot_failure snapshot_take(void (*look)(struct snapshot *sn, void *arg), void *arg,
				      uintptr_t stack)
{
	struct snapshot_failure failure = not_made(ENOMEM);
	uint64_t signals = os_block_signals();
	int pid = os_pid();
	uintptr_t memory;
	struct snapshot *sn = NULL;
	size_t nbytes;

	begin_taking(pid);
	/* If others may look at the copy, it gives away what the program keeps from them. If they
	 * may not, the copy cannot read its own /proc. */
	if (os_get_dumpable() != 1)
		failure = (struct snapshot_failure){
			.error = EPERM, .why = "the program forbids looking at it (PR_SET_DUMPABLE)"
		};
	else
		sn = make_room(&memory, &nbytes);
	if (sn != NULL) {
		sn->look = look;
		sn->arg = arg;
		sn->pid = pid;
		sn->tid = os_thread();
		sn->stack = stack;
		failure = run(sn);
		(void)os_unreserve((void *)memory, nbytes);
	}
	/* Release: pairs with the acquire in begin_taking(). */
	atomic_store_explicit(&taking, 0, memory_order_release);
	os_restore_signals(signals);
	return failure;
}
