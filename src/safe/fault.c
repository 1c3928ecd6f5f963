/* SPDX-License-Identifier: MIT */
/*
 * fault.c - reports of accesses to memory that belongs to no live object.
 *
 * A report has one line that says what happened, then up to three stacks: where the object was
 * used, where it was allocated, and where it was freed.
 *
 * Owns     the handler of SIGSEGV and SIGBUS, the handlers that were there before, and the note of
 *          the last reported fault.
 * Locks    none. One report is written at a time; see stacks.c.
 * Holds    the handler puts back the handler that was there before. Then the instruction is
 *          executed once more, so the signal takes the course that it had without us. fault_watch()
 *          installs the handler again before the next guarded object. Everything is
 *          async-signal-safe and needs about 2 KiB of stack.
 */
#include "safe/fault.h"
#include "os/fatal.h"
#include "os/os.h"
#include "os/os_process.h"
#include "os/metakey.h"
#include "safe/stacks.h"

#include <signal.h>

/* The program's or the system's handlers. fault_watch() writes them. Threads that write them at the
 * same time write the same values. */
static struct {
	int number;
	struct sigaction before;
} watched[] = { { .number = SIGSEGV }, { .number = SIGBUS } };

#define NUM_WATCHED (sizeof(watched) / sizeof(watched[0]))

/* The last reported fault, which is not reported twice. It belongs to the writer of the report. */
static struct {
	uint32_t thread;
	uintptr_t addr;
} last;

/* --- the report --- */

/* Prints "4 bytes behind the end of an object of 100 bytes at 0x7f0123456f90". */
static void print_position(struct out *out, const struct guarded *g, uintptr_t addr)
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
	out_format(out, "%zu bytes %s an object of %zu bytes at %#zx", distance, where, g->size,
		   g->addr);
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
	stacks_print("allocated", &g->allocated, false);
	if (g->freed.n != 0)
		stacks_print("freed", &g->freed, false);
}

_Noreturn void fault_misuse(const char *func, const void *p, const struct guard_finding *finding)
{
	const struct guarded *g = finding->object;
	uintptr_t at = finding->at;
	struct out *out;

	report_line(2, "%s(%#zx): %s", func, (uintptr_t)p, finding->fault);
	out = stacks_begin();
	if (out == NULL)
		os_abort();
	if (!is_forgotten(g)) {
		out_str(out, at != 0 ? "  written to: " : "  it is ");
		print_position(out, g, at != 0 ? at : (uintptr_t)p);
		out_str(out, g->freed.n != 0 ? ", freed before\n" : "\n");
	}
	stacks_print_here(at != 0 ? "found" : "used");
	print_history(g);
	stacks_end();
	os_abort();
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

static void report_fault(struct out *out, const struct guarded *g, uintptr_t addr,
			 const void *context)
{
	const char *access = cpu_fault_access(context);

	out_format(out, "goalloc: %s: %s at %#zx", fault_name(g, addr),
		   access != NULL ? access : "access", addr);
	if (!is_forgotten(g)) {
		out_str(out, ", ");
		print_position(out, g, addr);
	}
	out_str(out, "\n");
	stacks_print_context("used", context);
	print_history(g);
}

/* Reports, once, a fault at an address where guarded objects are. */
static void report_once(uintptr_t addr, const void *context)
{
	const struct guarded *g = guard_nearest(addr);
	struct out *out;

	/* The program itself made a live object inaccessible. */
	if (g != NULL && is_live(g) && addr - g->addr < g->size)
		return;
	out = stacks_begin();
	if (out == NULL)
		return;
	if (last.thread != (uint32_t)os_thread() || last.addr != addr) {
		last.thread = (uint32_t)os_thread();
		last.addr = addr;
		report_fault(out, g, addr, context);
	}
	stacks_end();
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
