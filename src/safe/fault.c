/* SPDX-License-Identifier: MIT */
/*
 * fault.c - what is said of an access to memory that is no object's, or no object's any more.
 * See malloc.c for the overview.
 *
 * A report has a line that says what it is, then three stacks: where the object was used, allocated, freed.
 *
 * Owns     the handler of SIGSEGV and SIGBUS, what was there before it, and the report being written.
 * Callers  guard.c; the kernel. Calls guard.h to ask whose address it is, unwind.h, symbol.h, out.h.
 * Locks    none. One report is written at a time; who comes second waits for a while.
 * Holds    after a report, and for every signal that is none of ours, the signal takes the course it had: what was there before is
 *          there again, and the instruction is executed once more. fault_watch() puts the handler back before the next guarded object.
 *          All is async-signal-safe and needs some 2 KiB of stack.
 */
#include "safe/fault.h"
#include "os/fatal.h"
#include "os/os.h"
#include "os/rights.h"
#include "stack/symbol.h"
#include "stack/unwind.h"

#include <signal.h>
#include <stdlib.h>

/* How long one report waits for another, in milliseconds. */
#define PATIENCE_MS 2000

/* What was the program's, or the system's. Written by fault_watch(); threads that write it at once write the same. */
static struct {
	int number;
	struct sigaction before;
} watched[] = { { .number = SIGSEGV }, { .number = SIGBUS } };

#define NUM_WATCHED (sizeof(watched) / sizeof(watched[0]))

/* The report being written: here and not on the stack, which may be a small one for signals. */
static struct {
	_Atomic uint32_t thread;      /* that writes it; 0 */
	struct out out;
	struct symbols symbols;
	struct guard_stack used;
	uint32_t last_thread;         /* of the last report of a fault: the same one is not reported again */
	uintptr_t last_addr;
} report;

/* --- the report --- */

static bool report_begin(void)
{
	uint32_t self = (uint32_t)os_thread();

	for (unsigned waited = 0; waited < PATIENCE_MS; waited++) {
		uint32_t nobody = 0;

		/* Acquire: the last report is whole. Pairs with the release in report_end(). */
		if (atomic_compare_exchange_strong_explicit(&report.thread, &nobody, self, memory_order_acquire,
							    memory_order_relaxed)) {
			out_init(&report.out, 2);
			symbols_init(&report.symbols);
			return true;
		}
		if (nobody == self)
			return false;
		os_sleep_ms(1);
	}
	return false;
}

static void report_end(void)
{
	(void)out_flush(&report.out);
	symbols_close(&report.symbols);
	/* Release: pairs with the acquire in report_begin(). */
	atomic_store_explicit(&report.thread, 0, memory_order_release);
}

void fault_after_fork(void)
{
	atomic_store_explicit(&report.thread, 0, memory_order_relaxed);
}

/* exact: the first address is that of an instruction, not one behind a call. */
static void print_stack(const char *what, const struct guard_stack *stack, bool exact)
{
	struct out *out = &report.out;

	out_str(out, "  ");
	out_str(out, what);
	out_str(out, " by thread ");
	out_dec(out, stack->thread);
	out_str(out, ":\n");
	for (uint32_t i = 0; i < stack->n; i++) {
		out_str(out, "    #");
		out_dec(out, i);
		out_str(out, " ");
		symbols_print(&report.symbols, out, stack->pcs[i], !(exact && i == 0));
		out_str(out, "\n");
	}
	if (stack->n == 0)
		out_str(out, "    (unknown)\n");
}

/* "4 bytes behind the end of an object of 100 bytes at 0x7f0123456f90" */
static void print_place(const struct guarded *g, uintptr_t addr)
{
	struct out *out = &report.out;
	const char *where = " bytes into ";
	size_t distance = addr - g->addr;

	if (addr < g->addr) {
		distance = g->addr - addr;
		where = " bytes before ";
	} else if (addr >= g->addr + g->size) {
		distance = addr - (g->addr + g->size);
		where = " bytes behind the end of ";
	}
	out_dec(out, distance);
	out_str(out, where);
	out_str(out, "an object of ");
	out_dec(out, g->size);
	out_str(out, " bytes at ");
	out_hex(out, g->addr);
}

static bool is_forgotten(const struct guarded *g)
{
	return g == NULL || atomic_load_explicit(&g->state, memory_order_relaxed) == GUARDED_FORGOTTEN;
}

static bool is_live(const struct guarded *g)
{
	return atomic_load_explicit(&g->state, memory_order_relaxed) == GUARDED_LIVE;
}

/* The two stacks that are on record. */
static void print_history(const struct guarded *g)
{
	if (is_forgotten(g))
		return;
	print_stack("allocated", &g->allocated, false);
	if (g->freed.n != 0)
		print_stack("freed", &g->freed, false);
}

_Noreturn void fault_misuse(const char *func, const void *p, const char *fault, const struct guarded *g, uintptr_t at)
{
	struct report line;
	struct out *out = &report.out;

	report_init(&line);
	report_str(&line, func);
	report_str(&line, "(");
	report_hex(&line, (uintptr_t)p);
	report_str(&line, "): ");
	report_str(&line, fault);
	report_write(&line, 2);
	if (!report_begin())
		abort();
	if (!is_forgotten(g)) {
		out_str(out, at != 0 ? "  written to: " : "  it is ");
		print_place(g, at != 0 ? at : (uintptr_t)p);
		out_str(out, g->freed.n != 0 ? ", freed before\n" : "\n");
	}
	guard_stack_here(&report.used);
	print_stack(at != 0 ? "found" : "used", &report.used, false);
	print_history(g);
	report_end();
	abort();
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

	out_str(out, "goalloc: ");
	out_str(out, fault_name(g, addr));
	out_str(out, ": ");
	out_str(out, access != NULL ? access : "access");
	out_str(out, " at ");
	out_hex(out, addr);
	if (!is_forgotten(g)) {
		out_str(out, ", ");
		print_place(g, addr);
	}
	out_str(out, "\n");
	report.used.thread = (uint32_t)os_thread();
	report.used.n = unwind_context(context, report.used.pcs, GUARD_FRAMES);
	print_stack("used", &report.used, true);
	print_history(g);
}

/* The fault at addr is one of ours: says so, once. */
static void consider(uintptr_t addr, const void *context)
{
	const struct guarded *g = guard_nearest(addr);

	/* Memory of an object that the program itself took the rights to. */
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
	uint32_t rights = rights_open();

	if (info->si_code > 0 && guard_owns((uintptr_t)info->si_addr))
		consider((uintptr_t)info->si_addr, context);
	for (size_t i = 0; i < NUM_WATCHED; i++)
		if (watched[i].number == number)
			(void)sigaction(number, &watched[i].before, NULL);
	/* No instruction brings back what was sent. It stays pending until this handler returns. */
	if (info->si_code <= 0)
		os_signal_again(number, info);
	rights_close(rights);
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

void fault_watch(void)
{
	/* sigaction(2) may be a hook that allocates. */
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
		/* First, so that the handler finds it; then what is right if the program has set another meanwhile. */
		watched[i].before = now;
		if (sigaction(watched[i].number, &ours, &before) == 0 && !is_ours(&before))
			watched[i].before = before;
	}
	watching = false;
}
