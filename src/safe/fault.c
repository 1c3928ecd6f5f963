/* SPDX-License-Identifier: MIT */
/*
 * fault.c - reports of accesses to memory that belongs to no live object.
 *
 * A report has one line that says what happened, then up to three stacks: where the object was
 * used, where it was allocated, and where it was freed.
 *
 * Owns     the handler of SIGSEGV and SIGBUS, the handlers that were there before, and the report
 *          that is being written.
 * Locks    none. One report is written at a time. A second one waits for a while.
 * Holds    the handler puts back the handler that was there before. Then the instruction is
 *          executed once more, so the signal takes the course that it had without us. fault_watch()
 *          installs the handler again before the next guarded object. Everything is
 *          async-signal-safe and needs about 2 KiB of stack.
 */
#include "safe/fault.h"
#include "os/fatal.h"
#include "os/os.h"
#include "os/metakey.h"
#include "stack/symbol.h"
#include "stack/unwind.h"

#include <signal.h>
#include <stdlib.h>

/* How long one report waits for another, in milliseconds. */
#define PATIENCE_MS 2000

/* The program's or the system's handlers. fault_watch() writes them. Threads that write them at the
 * same time write the same values. */
static struct {
	int number;
	struct sigaction before;
} watched[] = { { .number = SIGSEGV }, { .number = SIGBUS } };

#define NUM_WATCHED (sizeof(watched) / sizeof(watched[0]))

/* The report that is being written. It is not on the stack, because a signal stack may be small. */
static struct {
	_Atomic uint64_t writer;      /* process and thread that write it; 0: none */
	struct out out;
	struct symbols symbols;
	struct guard_stack used;
	uint32_t last_thread;         /* of the last reported fault, which is not reported twice */
	uintptr_t last_addr;
} report;

/* --- the report --- */

/* Takes the report for the calling thread. Returns false if the thread is writing it already, or if
 * another thread takes too long. In a forked child the writer may be a thread of the parent, which
 * does not count. */
static bool report_begin(void)
{
	uint64_t self = (uint64_t)os_pid() << 32 | (uint32_t)os_thread();

	for (unsigned waited = 0; waited < PATIENCE_MS; waited++) {
		/* Relaxed: the exchange decides. */
		uint64_t writer = atomic_load_explicit(&report.writer, memory_order_relaxed);

		if (writer == self)
			return false;
		/* Acquire: the last report is whole. Pairs with the release in report_end(). */
		if (writer >> 32 != self >> 32 &&
		    atomic_compare_exchange_strong_explicit(&report.writer, &writer, self,
							    memory_order_acquire,
							    memory_order_relaxed)) {
			out_init(&report.out, 2);
			symbols_init(&report.symbols);
			return true;
		}
		os_sleep_ms(1);
	}
	return false;
}

static void report_end(void)
{
	(void)out_flush(&report.out);
	symbols_close(&report.symbols);
	/* Release: the report. Pairs with the acquire in report_begin(). */
	atomic_store_explicit(&report.writer, 0, memory_order_release);
}

/* Prints a stack. With exact, the first address is that of an instruction, not the one behind a
 * call. */
static void print_stack(const char *what, const struct guard_stack *stack, bool exact)
{
	struct out *out = &report.out;

	out_format(out, "  %s by thread %u:\n", what, stack->thread);
	for (uint32_t i = 0; i < stack->n; i++) {
		out_format(out, "    #%u ", i);
		symbols_print(&report.symbols, out, stack->pcs[i], !(exact && i == 0));
		out_str(out, "\n");
	}
	if (stack->n == 0)
		out_str(out, "    (unknown)\n");
}

/* Prints "4 bytes behind the end of an object of 100 bytes at 0x7f0123456f90". */
static void print_position(const struct guarded *g, uintptr_t addr)
{
	const char *where = "into";
	size_t distance = addr - g->addr;

	if (addr < g->addr) {
		distance = g->addr - addr;
		where = "before";
	} else if (addr >= g->addr + g->size) {
		distance = addr - (g->addr + g->size);
		where = "behind the end of";
	}
	out_format(&report.out, "%zu bytes %s an object of %zu bytes at %#zx", distance, where,
		   g->size, g->addr);
}

static bool is_forgotten(const struct guarded *g)
{
	return g == NULL ||
	       atomic_load_explicit(&g->state, memory_order_relaxed) == GUARDED_FORGOTTEN;
}

static bool is_live(const struct guarded *g)
{
	return atomic_load_explicit(&g->state, memory_order_relaxed) == GUARDED_LIVE;
}

/* Prints the stacks that the record has. */
static void print_history(const struct guarded *g)
{
	if (is_forgotten(g))
		return;
	print_stack("allocated", &g->allocated, false);
	if (g->freed.n != 0)
		print_stack("freed", &g->freed, false);
}

_Noreturn void fault_misuse(const char *func, const void *p, const struct guard_finding *finding)
{
	const struct guarded *g = finding->object;
	uintptr_t at = finding->at;
	struct out *out = &report.out;

	report_line(2, "%s(%#zx): %s", func, (uintptr_t)p, finding->fault);
	if (!report_begin())
		abort();
	if (!is_forgotten(g)) {
		out_str(out, at != 0 ? "  written to: " : "  it is ");
		print_position(g, at != 0 ? at : (uintptr_t)p);
		out_str(out, g->freed.n != 0 ? ", freed before\n" : "\n");
	}
	guard_stack_here(&report.used);
	print_stack(at != 0 ? "found" : "used", &report.used, false);
	print_history(g);
	report_end();
	abort();
}

void *fault_guarded_alloc(size_t size, size_t align, enum scan scan)
{
	fault_watch();
	return guard_alloc(size, align, scan);
}

void fault_guarded_free(void *p, const char *func)
{
	struct guard_finding finding = { .at = 0 };

	if (!guard_free(p, &finding))
		fault_misuse(func, p, &finding);
}

_Noreturn void fault_bad_pointer(const void *p, const char *func, const char *fault)
{
	struct guard_finding finding = guard_judge(p);

	if (fault != NULL)
		finding.fault = fault;
	fault_misuse(func, p, &finding);
}

/* --- faults --- */

static const char *fault_name(const struct guarded *g, uintptr_t addr)
{
	if (g == NULL)
		return "wild access";
	if (!is_live(g))
		return "use after free";
	return addr < g->addr ? "heap underflow" : "heap overflow";
}

static void report_fault(const struct guarded *g, uintptr_t addr, const void *context)
{
	const char *access = cpu_fault_access(context);
	struct out *out = &report.out;

	out_format(out, "goalloc: %s: %s at %#zx", fault_name(g, addr),
		   access != NULL ? access : "access", addr);
	if (!is_forgotten(g)) {
		out_str(out, ", ");
		print_position(g, addr);
	}
	out_str(out, "\n");
	report.used.thread = (uint32_t)os_thread();
	report.used.n = unwind_context(context, report.used.pcs, GUARD_FRAMES);
	print_stack("used", &report.used, true);
	print_history(g);
}

/* Reports, once, a fault at an address where guarded objects are. */
static void report_once(uintptr_t addr, const void *context)
{
	const struct guarded *g = guard_nearest(addr);

	/* The program itself made a live object inaccessible. */
	if (g != NULL && is_live(g) && addr - g->addr < g->size)
		return;
	if (!report_begin())
		return;
	if (report.last_thread != (uint32_t)os_thread() || report.last_addr != addr) {
		report.last_thread = (uint32_t)os_thread();
		report.last_addr = addr;
		report_fault(g, addr, context);
	}
	report_end();
}

static void handle(int number, siginfo_t *info, void *context)
{
	uint32_t rights = metakey_open();

	if (info->si_code > 0 && guard_owns((uintptr_t)info->si_addr))
		report_once((uintptr_t)info->si_addr, context);
	for (size_t i = 0; i < NUM_WATCHED; i++)
		if (watched[i].number == number)
			(void)sigaction(number, &watched[i].before, NULL);
	/* A signal that was sent does not come back by itself. It is sent again, and stays pending
	 * until this handler returns. */
	if (info->si_code <= 0)
		os_signal_again(number, info);
	metakey_close(rights);
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

void fault_watch(void)
{
	/* sigaction() may be a hook of the program that allocates. */
	THREAD_LOCAL bool watching;
	struct sigaction now, before, ours;

	if (watching)
		return;
	watching = true;
	for (size_t i = 0; i < NUM_WATCHED; i++) {
		if (sigaction(watched[i].number, NULL, &now) != 0 || is_ours(&now))
			continue;
		zero_bytes(&ours, sizeof(ours));
		ours.sa_sigaction = handle;
		ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
		/* It is stored first, so that the handler finds it, and corrected if the program
		 * has set another one meanwhile. */
		watched[i].before = now;
		if (sigaction(watched[i].number, &ours, &before) == 0 && !is_ours(&before))
			watched[i].before = before;
	}
	watching = false;
}
