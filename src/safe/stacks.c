/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - call stacks on standard error, behind the line that says what happened.
 *
 * Owns     the report that is being written.
 * Locks    none. One report is written at a time. A second one waits for a while.
 * Holds    a report ends: a stack has GUARD_FRAMES frames at most, and names are looked up for
 *          NAMES_MS at most. The line of the report is written before stacks_begin(), so it is
 *          there whatever becomes of the stacks.
 */
#include "safe/stacks.h"
#include "os/os.h"
#include "stack/symbol.h"
#include "stack/unwind.h"

/* How long one report waits for another, in milliseconds. */
#define PATIENCE_MS 2000

/* After so many milliseconds frames are printed without names. A large program has some 10 MB of
 * symbols, which are read in 10 ms. */
#define NAMES_MS 3000

/* The report that is being written. It is not on the stack, because a signal stack may be small. */
static struct {
	_Atomic uint64_t writer;      /* process and thread that write it; 0: none */
	uint64_t names_until_ms;
	struct out out;
	struct symbols symbols;
	struct guard_stack used;
} report;

/* In a forked child the writer may be a thread of the parent, which does not count. */
struct out *stacks_begin(void)
{
	uint64_t self = (uint64_t)os_pid() << 32 | (uint32_t)os_thread();

	for (unsigned waited = 0; waited < PATIENCE_MS; waited++) {
		/* Relaxed: the exchange decides. */
		uint64_t writer = atomic_load_explicit(&report.writer, memory_order_relaxed);

		if (writer == self)
			return NULL;
		/* Acquire: the last report is whole. Pairs with the release in stacks_end(). */
		if (writer >> 32 != self >> 32 &&
		    atomic_compare_exchange_strong_explicit(&report.writer, &writer, self,
							    memory_order_acquire,
							    memory_order_relaxed)) {
			out_init(&report.out, 2);
			symbols_init(&report.symbols);
			report.names_until_ms = os_now_ms() + NAMES_MS;
			return &report.out;
		}
		os_sleep_ms(1);
	}
	return NULL;
}

void stacks_end(void)
{
	(void)out_flush(&report.out);
	symbols_close(&report.symbols);
	/* Release: the report. Pairs with the acquire in stacks_begin(). */
	atomic_store_explicit(&report.writer, 0, memory_order_release);
}

void stacks_print(const char *what, const struct guard_stack *stack, bool exact)
{
	struct out *out = &report.out;

	out_format(out, stack->thread != 0 ? "  %s by thread %u:\n" : "  %s:\n", what,
		   stack->thread);
	for (uint32_t i = 0; i < stack->n; i++) {
		out_format(out, "    #%u ", i);
		if (os_now_ms() < report.names_until_ms)
			symbols_print(&report.symbols, out, stack->pcs[i], !(exact && i == 0));
		else
			out_format(out, "%#zx", stack->pcs[i]);
		out_str(out, "\n");
	}
	if (stack->n == 0)
		out_str(out, "    (unknown)\n");
	/* What is known is written, should a later stack be damaged. */
	(void)out_flush(out);
}

void stacks_print_here(const char *what)
{
	guard_stack_here(&report.used);
	stacks_print(what, &report.used, false);
}

void stacks_print_context(const char *what, const void *context)
{
	report.used.thread = (uint32_t)os_thread();
	report.used.n = unwind_context(context, report.used.pcs, GUARD_FRAMES);
	stacks_print(what, &report.used, true);
}
