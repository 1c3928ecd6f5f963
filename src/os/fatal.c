/* SPDX-License-Identifier: MIT */
/*
 * fatal.c - one line on stderr, then abort.
 *
 * Owns     the report line, on the caller's stack.
 * Locks    none. Every function may be called with any lock held.
 * Holds    nothing here allocates. A line is one write(2) by os_write(), because libc's write(2) is
 *          a cancellation point: a thread would end instead of the process. errno is kept.
 */
#include "os/fatal.h"
#include "os/os.h"
#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

void report_init(struct report *r)
{
	r->len = 0;
	report_str(r, "goalloc: ");
}

void report_chars(struct report *r, const char *s, size_t n)
{
	/* One byte stays free for the newline. */
	while (n-- != 0 && r->len < REPORT_MAX - 1)
		r->text[r->len++] = *s++;
}

void report_str(struct report *r, const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	report_chars(r, s, n);
}

void report_text(struct report *r, const char *s, size_t n)
{
	while (n != 0) {
		size_t shown = text_shown(s, n), taken = max_size(shown, 1);

		report_chars(r, shown != 0 ? s : TEXT_HIDDEN, taken);
		s += taken;
		n -= taken;
	}
}

static void report_number(struct report *r, uint64_t v, unsigned radix)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = "0123456789abcdef"[v % radix];
		v /= radix;
	} while (v != 0);
	report_chars(r, digits + n, sizeof(digits) - n);
}

void report_hex(struct report *r, uintptr_t v)
{
	report_str(r, "0x");
	report_number(r, v, 16);
}

void report_dec(struct report *r, uint64_t v)
{
	report_number(r, v, 10);
}

int report_write(struct report *r, int fd)
{
	size_t done = 0;

	r->text[r->len++] = '\n';
	while (done < r->len) {
		long n = os_write(fd, r->text + done, r->len - done);

		if (n <= 0)
			return n < 0 ? (int)-n : EIO;
		done += (size_t)n;
	}
	return 0;
}

static void report_pointer(struct report *r, const char *func, const void *p, const char *fault)
{
	report_init(r);
	report_str(r, func);
	report_str(r, "(");
	report_hex(r, (uintptr_t)p);
	report_str(r, "): ");
	report_str(r, fault);
}

_Noreturn void fatal_pointer(const char *func, const void *p, const char *fault)
{
	struct report r;

	report_pointer(&r, func, p, fault);
	report_write(&r, 2);
	abort();
}

static void report_size(struct report *r, const char *func, const void *p, size_t given,
			size_t slot)
{
	report_pointer(r, func, p, "size mismatch: given ");
	report_dec(r, given);
	report_str(r, ", slot ");
	report_dec(r, slot);
}

_Noreturn void fatal_size(const char *func, const void *p, size_t given, size_t slot)
{
	struct report r;

	report_size(&r, func, p, given, slot);
	report_write(&r, 2);
	abort();
}

void warn_size(const char *func, const void *p, size_t given, size_t slot, uint64_t now_ms)
{
	/* Relaxed: the thread whose exchange succeeds writes the line. Nothing else depends on
	 * these words. */
	static _Atomic uint64_t next_ms, unreported;
	uint64_t due = atomic_load_explicit(&next_ms, memory_order_relaxed), others;
	struct report r;

	if (now_ms < due || !atomic_compare_exchange_strong_explicit(
				    &next_ms, &due, now_ms + WARN_SIZE_EVERY_MS,
				    memory_order_relaxed, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&unreported, 1, memory_order_relaxed);
		return;
	}
	others = atomic_exchange_explicit(&unreported, 0, memory_order_relaxed);
	report_size(&r, func, p, given, slot);
	if (others != 0) {
		report_str(&r, "; others since the last line: ");
		report_dec(&r, others);
	}
	report_write(&r, 2);
}

_Noreturn void fatal_error(const char *what)
{
	struct report r;

	report_init(&r);
	report_str(&r, what);
	report_write(&r, 2);
	abort();
}

/* Lets the handler of SIGABRT run once only. The caller may hold locks, and the handler may call
 * malloc and come here again. */
static void call_no_handler_twice(void)
{
	static _Atomic bool before;

	/* Relaxed: a thread sees its own store. */
	if (atomic_exchange_explicit(&before, true, memory_order_relaxed))
		(void)signal(SIGABRT, SIG_DFL);
}

_Noreturn void fatal_reentered(void)
{
	call_no_handler_twice();
	fatal_error("malloc called by the handler of a signal that came inside of malloc or free");
}

_Noreturn void fatal_assert(const char *file, int line, const char *condition)
{
	struct report r;

	report_init(&r);
	report_str(&r, file);
	report_str(&r, ":");
	report_dec(&r, (uint64_t)line);
	report_str(&r, ": broken: ");
	report_str(&r, condition);
	report_write(&r, 2);
	call_no_handler_twice();
	abort();
}
