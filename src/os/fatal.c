/* SPDX-License-Identifier: MIT */
/*
 * fatal.c - one line on stderr, stacks below it, then abort.
 *
 * Owns     the report line, on the caller's stack.
 * Locks    none. Every function may be called with any lock held.
 * Holds    nothing here allocates. A line is one write(2) by os_write(), because libc's write(2) is
 *          a cancellation point: a thread would end instead of the process. errno is kept. The
 *          line is written before anything looks at the stack, which may be damaged.
 */
#include "os/fatal.h"
#include "os/os.h"
#include "os/os_process.h"
#include "base/format.h"

#include <errno.h>
#include <signal.h>

/* Appends what the line has room for. One byte stays free for the newline. */
static void put(void *to, const char *s, size_t n)
{
	struct report *r = to;

	n = min_size(n, REPORT_MAX - 1 - r->len);
	copy_bytes(r->text + r->len, s, n);
	r->len += n;
}

static void append(struct report *r, const char *format, va_list values)
{
	struct format_sink sink = { put, r };

	format_text(&sink, format, values);
}

static void begin(struct report *r)
{
	r->len = 0;
	report_add(r, "goalloc: ");
}

void report_init(struct report *r, const char *format, ...)
{
	va_list values;

	begin(r);
	va_start(values, format);
	append(r, format, values);
	va_end(values);
}

void report_add(struct report *r, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	append(r, format, values);
	va_end(values);
}

int report_line(int fd, const char *format, ...)
{
	struct report r;
	va_list values;

	begin(&r);
	va_start(values, format);
	append(&r, format, values);
	va_end(values);
	return report_write(&r, fd);
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

static SLOW_PATH void write_stacks(const void *p)
{
	if (fatal_stacks != NULL)
		fatal_stacks(p);
}

static _Noreturn SLOW_PATH void end(const void *p)
{
	write_stacks(p);
	os_abort();
}

_Noreturn void fatal_pointer(const char *func, const void *p, const char *fault)
{
	(void)report_line(2, "%s(%#zx): %s", func, (uintptr_t)p, fault);
	end(p);
}

static void report_size(struct report *r, const char *func, const void *p, size_t given,
			size_t slot)
{
	report_init(r, "%s(%#zx): size mismatch: given %zu, slot %zu", func, (uintptr_t)p, given,
		     slot);
}

_Noreturn void fatal_size(const char *func, const void *p, size_t given, size_t slot)
{
	struct report r;

	report_size(&r, func, p, given, slot);
	report_write(&r, 2);
	write_stacks(p);
	/* Some programs do so all the time, and other mallocs do not look at the size. */
	(void)report_line(2, "GOALLOC=sizemismatch=warn lets the program continue");
	os_abort();
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
	if (others != 0)
		report_add(&r, "; others since the last line: %zu", others);
	report_write(&r, 2);
}

_Noreturn void fatal_error(const char *what)
{
	(void)report_line(2, "%s", what);
	end(NULL);
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
	(void)report_line(2, "%s:%u: broken: %s", file, (unsigned)line, condition);
	call_no_handler_twice();
	end(NULL);
}
