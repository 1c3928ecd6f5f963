/* SPDX-License-Identifier: MIT */
/*
 * service.c - what is written at exit and on a signal: statistics, leaks, profile, heap map.
 * See malloc.c for the overview.
 *
 * Owns     the table of outputs; the signal's handler.
 * Callers  interpose.c at start and at exit, callers that offer a writing; the kernel, the
 *          handler. Calls the modules that write, out.h, options.h.
 * Locks    service.lock (LOCK_SERVICE), the outermost of all, while something is written.
 * Holds    a thread that writes holds no other lock: the handler of the signal writes at once,
 *          or, where it finds a lock held, when the interrupted thread releases its last one. A
 *          writing begins after each signal, though one writing may answer several. After
 *          service_at_exit() nothing is written any more: no file is cut short by the end of the
 *          process.
 */
#include "tools/service.h"
#include "tools/heapmap.h"
#include "tools/leak.h"
#include "os/lock.h"
#include "base/options.h"
#include "os/os.h"
#include "os/os_process.h"
#include "os/out.h"
#include "tools/profile.h"
#include "os/rights.h"
#include "tools/stat.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Access: [l] under lock  [a] atomic  [c] constant once the program has started */
static struct {
	struct lock lock;
	bool ended;                  /* [l] by the process that exits */
	uint64_t writings;           /* [l] begun; for %n */
	struct leak_result leaks;    /* [l] of the last check; not on a stack, which is searched */
	_Atomic uint32_t wanted;     /* [a] signals so far */
	_Atomic uint32_t at_fork;    /* [a] wanted, when a fork began */
	uint32_t answered;           /* [l] wanted, when the last writing for a signal began */
	uintptr_t stack;             /* [l] end of the program's stack during an answer; else 0 */
	int here;                    /* this process; a child has its parent's until it may write */
	uint64_t stats_id;           /* [c] what options.stats_fd was open on, and options.report_fd */
	uint64_t report_id;          /* [c] */
	int pid;                     /* [c] of the process that the descriptors were opened for */
	_Atomic int locker;          /* [a] the process that may take the lock; negative: soon */
} service = { .lock = LOCK_INITIALIZER(LOCK_SERVICE) };

/* --- the outputs --- */

/* One of the things that can be asked for. */
struct output {
	const char *option;                         /* its name */
	const char *file;                           /* in options: where to; "" for not at all */
	bool append;
	int (*write)(int fd, const char *file);     /* 0, or the errno of what failed */
};

static int write_stats(int fd, const char *file)
{
	(void)file;
	return stat_print(fd);
}

static int write_leaks(int fd, const char *file)
{
	(void)file;
	/* The report says why a check could not be done. */
	leak_check(fd, &service.leaks, service.stack);
	return service.leaks.write_error;
}

static int write_profile(int fd, const char *file)
{
	return profile_write_or_errno(fd, profile_is_text(file));
}

static int write_heapmap(int fd, const char *file)
{
	return heapmap_write_or_errno(fd, !heapmap_is_text(file) && !option_file_is_stderr(file));
}

static const struct output outputs[] = {
	{ "stats", options.stats, true, write_stats },
	{ "leakreport", options.leakreport, true, write_leaks },
	{ "profile", options.profile, false, write_profile },
	{ "heapmap", options.heapmap, false, write_heapmap },
};

#define NUM_OUTPUTS (sizeof(outputs) / sizeof(outputs[0]))

/* A descriptor from the start of the program, if it is still what it was: a program that closes all there are may have another
 * file, or a connection, at the number. */
static int kept_fd(int fd, uint64_t id)
{
	return fd >= 0 && os_file_id(fd) == id ? fd : -1;
}

/* The descriptor that was taken for it when the program started; -1. */
static int find_kept(const struct output *output)
{
	if (option_file_is_stderr(output->file))
		return kept_fd(options.report_fd, service.report_id);
	/* A child's file may have another name. */
	if (output->file == options.stats && os_pid() == service.pid)
		return kept_fd(options.stats_fd, service.stats_id);
	return -1;
}

static void write_output(const struct output *output)
{
	int kept = find_kept(output), error;

	/* When it is closed, there is nobody to tell. */
	if (kept < 0 && option_file_is_stderr(output->file))
		return;
	if (kept >= 0)
		error = output->write(kept, output->file);
	else
		error = out_to_file(output->file, output->append, service.writings, output->write);
	if (error == 0)
		return;
	/* The check was not made if its file could not be opened. */
	if (output->write == write_leaks && service.leaks.write_error == 0)
		service.leaks.error = error;
	options_warn_file(output->option, output->file, out_reason(error));
}

static void write_all_locked(void)
{
	bool any = false;

	service.writings++;
	for (size_t i = 0; i < NUM_OUTPUTS; i++) {
		if (outputs[i].file[0] == '\0')
			continue;
		any = true;
		write_output(&outputs[i]);
	}
	/* A signal, and nothing said of what it is for. */
	if (!any && options.signal != 0 && !service.ended)
		write_output(&(struct output){ "stats", "-", true, write_stats });
}

/* In a child that was forked without handlers a thread that is gone may hold the lock. */
static void lock_service(void)
{
	int pid = os_pid(), seen = 0;

	/* Acquire: the lock was reset. Pairs with the release below. */
	while ((seen = atomic_load_explicit(&service.locker, memory_order_acquire)) != pid) {
		if (seen == -pid) {
			os_sleep_ms(1);
		} else if (atomic_compare_exchange_strong_explicit(&service.locker, &seen, -pid,
								   memory_order_relaxed,
								   memory_order_relaxed)) {
			lock_init(&service.lock, LOCK_SERVICE);
			atomic_store_explicit(&service.locker, pid, memory_order_release);
		}
	}
	lock_acquire(&service.lock);
}

void service_write_all(void)
{
	uint32_t rights = rights_open();

	lock_service();
	if (!service.ended)
		write_all_locked();
	lock_release(&service.lock);
	rights_close(rights);
}

static bool anything_is_asked_for(void)
{
	bool any = options.signal != 0;

	for (size_t i = 0; i < NUM_OUTPUTS; i++)
		any |= outputs[i].file[0] != '\0';
	return any;
}

void service_at_exit(void)
{
	uint32_t rights;

	if (!anything_is_asked_for())
		return;
	rights = rights_open();
	lock_service();
	service.ended = true;
	write_all_locked();
	lock_release(&service.lock);
	rights_close(rights);
	/* Again: what is registered for exit and not yet called is called, streams are flushed, and the status is this one. */
	if ((service.leaks.nobjects != 0 || service.leaks.error != 0 || service.leaks.write_error != 0) && options.leakexit != 0)
		exit((int)options.leakexit);
}

/* --- the signal --- */

/* Of the stack that a signal is answered on: the interrupted one may be small, or for signals
 * only. */
#define ANSWER_STACK KiB(128)

/* Writes, unless another thread has answered all signals so far. stack is where the program's stack
 * ends. */
static void answer(void *stack)
{
	uint32_t rights = rights_open(), wanted;

	lock_service();
	/* Acquire: pairs with the release in on_signal(). */
	wanted = atomic_load_explicit(&service.wanted, memory_order_acquire);
	if (!service.ended && wanted != service.answered) {
		service.answered = wanted;
		service.stack = (uintptr_t)stack;
		write_all_locked();
		service.stack = 0;
	}
	lock_release(&service.lock);
	rights_close(rights);
}

/* The calling thread holds no lock. */
static SLOW_PATH void answer_on_own_stack(void)
{
	uint64_t signals = os_block_signals();
	char *stack = GOALLOC_SANITIZED ? NULL : os_alloc_scratch(ANSWER_STACK);

	SPILL_REGISTERS();
	if (stack != NULL)
		cpu_call_on_stack(stack + ANSWER_STACK, answer, (void *)cpu_stack_pointer());
	else if (GOALLOC_SANITIZED)
		answer((void *)cpu_stack_pointer());
	else
		options_warn_file("signal", "-", out_reason(ENOMEM));
	if (stack != NULL)
		os_free_scratch(stack, ANSWER_STACK);
	os_restore_signals(signals);
}

static void on_signal(int number)
{
	(void)number;
	/* Release: what the interrupted thread did until now is seen by the thread that writes.
	 * Pairs with the acquire in answer(). */
	atomic_fetch_add_explicit(&service.wanted, 1, memory_order_release);
	/* In a child that is being forked locks may be those of threads that are gone:
	 * begin_in_child() answers. A child of vfork(2) is not the program. */
	if (os_pid() != service.here || lock_defer())
		return;
	answer_on_own_stack();
}

static void before_fork(void)
{
	/* Relaxed: of several threads that fork any one's is right, a count that the child's begins with. */
	atomic_store_explicit(&service.at_fork, atomic_load_explicit(&service.wanted, memory_order_relaxed),
			      memory_order_relaxed);
}

/* The parent's signals are the parent's; one that is already the child's is not lost. */
static void begin_in_child(void)
{
	/* Relaxed: the only thread. */
	service.answered = atomic_load_explicit(&service.at_fork, memory_order_relaxed);
	service.here = os_pid();
	order_stores();
	if (atomic_load_explicit(&service.wanted, memory_order_relaxed) != service.answered &&
	    !lock_defer())
		answer_on_own_stack();
}

void service_start(void)
{
	/* On the alternative stack if the program has one: its threads' own may be small. Its calls are not disturbed. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };

	if (!anything_is_asked_for())
		return;
	service.stats_id = os_file_id(options.stats_fd);
	service.report_id = os_file_id(options.report_fd);
	service.pid = os_pid();
	service.here = service.pid;
	lock_when_free = answer_on_own_stack;
	(void)pthread_atfork(before_fork, NULL, begin_in_child);
	if (options.signal == 0)
		return;
	(void)sigfillset(&action.sa_mask);
	(void)sigaction((int)options.signal, &action, NULL);
}
