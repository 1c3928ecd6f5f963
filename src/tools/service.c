/* SPDX-License-Identifier: MIT */
/*
 * service.c - what is written at exit and on a signal: statistics, leaks, profile, heap map.
 *
 * Owns     the table of outputs, and the signal's handler.
 * Locks    service.lock (LOCK_SERVICE), the outermost of all, while something is written.
 * Holds    a thread that writes holds no other lock. The signal's handler writes at once, or, if
 *          the interrupted thread holds a lock, when that thread releases its last one. A writing
 *          begins after each signal, though one writing may answer several signals. After
 *          service_at_exit() nothing is written any more, so the end of the process cuts no file
 *          short.
 */
#include "tools/service.h"
#include "tools/heapmap.h"
#include "tools/leak.h"
#include "os/lock.h"
#include "base/format.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"
#include "os/os_process.h"
#include "os/out.h"
#include "tools/profile.h"
#include "os/metakey.h"
#include "tools/stat.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Access: [l] under lock  [a] atomic  [c] constant once the program has started */
static struct {
	struct lock lock;
	bool ended;                  /* [l] the process exits */
	uint64_t writings;           /* [l] how many have begun, for %n */
	struct leak_result leaks;    /* [l] of the last check; a stack would be searched */
	_Atomic uint32_t wanted;     /* [a] signals so far */
	_Atomic uint32_t at_fork;    /* [a] value of wanted when a fork began */
	uint32_t answered;           /* [l] value of wanted when the last answer began */
	uintptr_t stack;             /* [l] end of the program's stack in an answer; else 0 */
	int here;                    /* this process; in a child its parent, until it may write */
	uint64_t stats_id;           /* [c] the file that options.stats_fd was open on */
	uint64_t report_id;          /* [c] the file that options.report_fd was open on */
	int pid;                     /* [c] the process that the descriptors were opened for */
	bool peak_written;           /* [l] the profile of a peak was */
	_Atomic uint64_t peak;       /* [a] live bytes when a profile was written last */
	_Atomic uint64_t next_ms;    /* [a] when the next profile may be written */
	_Atomic int locker;          /* [a] process that may take the lock; negative: soon */
} service = { .lock = LOCK_INITIALIZER(LOCK_SERVICE) };

/* --- the outputs --- */

/* Something that an option can ask for. */
struct output {
	const char *option;                         /* its name */
	const char *file;                           /* the option's value; "" for no output */
	bool append;
	int (*write)(int fd, const char *file);     /* returns 0 or an errno */
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
	(void)file;
	return heapmap_write_or_errno(fd);
}

static const struct output outputs[] = {
	{ "stats", options.stats, true, write_stats },
	{ "leakreport", options.leakreport, true, write_leaks },
	{ "profile", options.profile, false, write_profile },
	{ "heapmap", options.heapmap, false, write_heapmap },
};

#define NUM_OUTPUTS (sizeof(outputs) / sizeof(outputs[0]))

/* Returns a descriptor from the start of the program, or the program's standard error if only that
 * is still open on the same file, else -1. A program that closes all descriptors may have another
 * file, or a connection, at the number. */
static int kept_fd(int fd, uint64_t id)
{
	if (fd < 0 || os_file_id(fd) == id)
		return fd;
	return os_file_id(2) == id ? 2 : -1;
}

/* Returns the descriptor that was opened for the output when the program started, or -1. */
static int find_kept(const struct output *output)
{
	if (option_file_is_stderr(output->file))
		return kept_fd(options.report_fd, service.report_id);
	/* In a child, the file may have another name. */
	if (output->file == options.stats && os_pid() == service.pid)
		return kept_fd(options.stats_fd, service.stats_id);
	return -1;
}

/* Returns the file's name for this process. A file that is replaced belongs to the process that
 * goalloc-run has started, or else to the one that was not forked. Other processes write beside it,
 * with their number before the ending: w.1234.pb.gz. */
static const char *name_of(const struct output *output, char *beside)
{
	const char *file = output->file, *end = file + string_length(file), *dot = end;

	if (output->append || option_file_is_stderr(file) || text_has(file, "%p") ||
	    text_after(file, "/dev/") != NULL || text_after(file, "/proc/") != NULL ||
	    (!options.beside && os_pid() == service.pid))
		return file;
	for (const char *at = end; at > file && at[-1] != '/'; at--)
		if (*at == '.' && (dot == end || text_is(at, ".pb.gz")))
			dot = at;
	/* A name that has no room for the number stays as it is. */
	if ((size_t)(end - file) + 16 > OPTION_PATH_MAX)
		return file;
	copy_bytes(beside, file, (size_t)(dot - file));
	(void)format_buffer(beside + (dot - file), OPTION_PATH_MAX - (size_t)(dot - file), ".%u%s",
			    (unsigned)os_pid(), dot);
	return beside;
}

static SLOW_PATH void write_output(const struct output *output)
{
	option_file beside;
	const char *file = name_of(output, beside);
	int kept = find_kept(output), error;

	/* If standard error is closed, the output is dropped. The exit status can still tell. */
	if (kept < 0 && option_file_is_stderr(output->file)) {
		if (output->write == write_leaks)
			service.leaks.write_error = EBADF;
		return;
	}
	if (kept >= 0)
		error = output->write(kept, output->file);
	else
		error = out_to_file(file, output->append, service.writings, output->write);
	if (error == 0)
		return;
	/* If its file could not be opened, there was no check. */
	if (output->write == write_leaks && service.leaks.write_error == 0)
		service.leaks.error = error;
	options_warn_file(output->option, file, out_reason(error));
}

/* Returns false for a profile of peaks at exit, if the file has a higher one. */
static bool is_wanted(const struct output *output)
{
	/* Relaxed: the last writing has the lock. */
	return output->write != write_profile || !service.ended || options.peak == 0 ||
	       !service.peak_written ||
	       profile_live_bytes() >
		       atomic_load_explicit(&service.peak, memory_order_relaxed);
}

static void write_all_locked(void)
{
	bool any = false;

	service.writings++;
	for (size_t i = 0; i < NUM_OUTPUTS; i++) {
		if (outputs[i].file[0] == '\0')
			continue;
		any = true;
		if (is_wanted(&outputs[i]))
			write_output(&outputs[i]);
	}
	/* A signal without an output means statistics. */
	if (!any && options.signal != 0 && !service.ended)
		write_output(&(struct output){ "stats", "-", true, write_stats });
}

/* Takes the lock. If the process was forked without handlers, a thread of the parent may hold it,
 * so it is reset first. */
static void lock_service(void)
{
	int pid = os_pid(), seen = 0;

	/* Acquire: the lock was reset. Pairs with the release at the end of the loop. */
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
	uint32_t rights = metakey_open();

	lock_service();
	if (!service.ended)
		write_all_locked();
	lock_release(&service.lock);
	metakey_close(rights);
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
	rights = metakey_open();
	lock_service();
	service.ended = true;
	write_all_locked();
	lock_release(&service.lock);
	metakey_close(rights);
	if ((service.leaks.nobjects != 0 || service.leaks.error != 0 ||
	     service.leaks.write_error != 0) &&
	    options.leakexit != 0)
		os_exit_again((int)options.leakexit);
}

/* --- the signal --- */

/* Size of the stack that a signal is answered on. The interrupted stack may be too small. */
#define ANSWER_STACK KiB(128)

/* Writes, unless another thread has answered all signals so far. stack is the end of the program's
 * stack. */
static void answer(void *stack)
{
	uint32_t rights = metakey_open(), wanted;

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
	metakey_close(rights);
}

/* Calls write(end of the program's stack) on a stack of our own. The calling thread holds no lock.
 * option is what wants it, for the message if there is no memory. */
static SLOW_PATH void write_on_own_stack(void (*write)(void *stack), const char *option)
{
	uint64_t signals = os_block_signals();
	char *stack = GOALLOC_SANITIZED ? NULL : os_alloc_scratch(ANSWER_STACK);

	SPILL_REGISTERS();
	if (stack != NULL)
		cpu_call_on_stack(stack + ANSWER_STACK, write, (void *)cpu_stack_pointer());
	else if (GOALLOC_SANITIZED)
		write((void *)cpu_stack_pointer());
	else
		options_warn_file(option, "-", out_reason(ENOMEM));
	if (stack != NULL)
		os_free_scratch(stack, ANSWER_STACK);
	os_restore_signals(signals);
}

static void answer_on_own_stack(void)
{
	write_on_own_stack(answer, "signal");
}

static void on_signal(int number)
{
	(void)number;
	/* Release: the thread that writes sees what the interrupted thread did until now. Pairs
	 * with the acquire in answer(). */
	atomic_fetch_add_explicit(&service.wanted, 1, memory_order_release);
	/* In a child that is being forked, locks may belong to threads of the parent, so
	 * begin_in_child() answers. A child of vfork(2) is not the program. */
	if (os_pid() != service.here || lock_defer())
		return;
	answer_on_own_stack();
}

/* --- the profile, while the program runs --- */

/* The least milliseconds from one profile to the next, unless the peak is this part higher. */
#define PEAK_PAUSE_MS 5000
#define PEAK_STEP 4

static void write_one_profile(void *stack)
{
	uint32_t rights = metakey_open();

	(void)stack;
	lock_service();
	for (size_t i = 0; !service.ended && i < NUM_OUTPUTS; i++) {
		if (outputs[i].write != write_profile)
			continue;
		service.writings++;
		service.peak_written = true;
		write_output(&outputs[i]);
	}
	lock_release(&service.lock);
	metakey_close(rights);
}

/* Returns whether live memory has a new peak that is to be written. Of a peak that grows on, each
 * quarter is written at once, and what is less after a pause. */
static bool is_peak(uint64_t live, uint64_t now_ms)
{
	/* Relaxed, all: several threads may come, and one goes on. */
	uint64_t peak = atomic_load_explicit(&service.peak, memory_order_relaxed);
	uint64_t next = atomic_load_explicit(&service.next_ms, memory_order_relaxed);

	return live > peak + peak / PEAK_STEP || (live > peak && now_ms >= next);
}

/* Returns whether this thread is to write the profile. */
static bool is_due(void)
{
	uint64_t next = atomic_load_explicit(&service.next_ms, memory_order_relaxed);
	uint64_t now_ms = os_now_ms(), live = profile_live_bytes();
	bool due = options.peak != 0 ? is_peak(live, now_ms) : now_ms >= next;
	uint64_t pause = options.every_s != 0 ? (uint64_t)options.every_s * 1000 : PEAK_PAUSE_MS;

	if (options.peak != 0 && options.every_s != 0)
		due = due || now_ms >= next;
	/* One thread goes on. */
	if (!due || !atomic_compare_exchange_strong_explicit(&service.next_ms, &next,
							     now_ms + pause, memory_order_relaxed,
							     memory_order_relaxed))
		return false;
	atomic_store_explicit(&service.peak, live, memory_order_relaxed);
	return true;
}

SLOW_PATH void service_write_profile(void)
{
	/* In a handler that interrupted a thread with a lock, the next sample decides. A child that
	 * is being forked, or of vfork(2), is not the program. */
	if (options.profile[0] == '\0' || os_pid() != service.here || lock_any_held() || !is_due())
		return;
	write_on_own_stack(write_one_profile, "profile");
}

static void before_fork(void)
{
	/* Relaxed: if several threads fork, the value of any one is right as the child's first
	 * count. */
	atomic_store_explicit(&service.at_fork,
			      atomic_load_explicit(&service.wanted, memory_order_relaxed),
			      memory_order_relaxed);
}

/* Begins a child's own count. Signals to the parent do not count; a signal to the child is
 * answered. */
static void begin_in_child(void)
{
	/* Relaxed: there is one thread. */
	service.answered = atomic_load_explicit(&service.at_fork, memory_order_relaxed);
	service.here = os_pid();
	order_stores();
	if (atomic_load_explicit(&service.wanted, memory_order_relaxed) != service.answered &&
	    !lock_defer())
		answer_on_own_stack();
}

void service_start(void)
{
	/* The alternative stack is used if there is one, because stacks of threads may be small.
	 * System calls of the program are restarted, as far as the kernel does that. A thread of
	 * ours that waits for the signal would interrupt none. But the signal would have to be
	 * blocked in all other threads, and programs that the process executes inherit that. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };

	if (!anything_is_asked_for())
		return;
	service.stats_id = os_file_id(options.stats_fd);
	service.report_id = os_file_id(options.report_fd);
	service.pid = os_pid();
	service.here = service.pid;
	atomic_store_explicit(&service.next_ms, os_now_ms() + (uint64_t)options.every_s * 1000,
			      memory_order_relaxed);
	lock_when_free = answer_on_own_stack;
	(void)pthread_atfork(before_fork, NULL, begin_in_child);
	if (options.signal == 0)
		return;
	(void)sigfillset(&action.sa_mask);
	(void)sigaction((int)options.signal, &action, NULL);
}
