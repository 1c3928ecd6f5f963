/* SPDX-License-Identifier: MIT */
/*
 * os_fail.c - a layer in front of os.h's memory calls, put there by the linker's --wrap.
 *
 * Owns     the plan of what fails; one for the process.
 * Callers  the code under test through os.h; the tests through os_fail.h.
 * Locks    none; the counters are atomic, the plan is changed while one thread runs.
 * Holds    a call that is made to fail leaves everything as it was, as os.h promises.
 */
#include "os_fail.h"
#include "os.h"

/* What --wrap=NAME makes of the definition of NAME and of the calls of it. */
void *__real_os_reserve(void *hint, size_t nbytes);
void __real_os_unreserve(void *p, size_t nbytes);
bool __real_os_commit(void *p, size_t nbytes);
bool __real_os_release(void *p, size_t nbytes);
bool __real_os_move_pages(void *from, void *to, size_t nbytes);
bool __real_os_remap(void *p, size_t nbytes);
void *__real_os_alloc_metadata(size_t nbytes);
bool __real_os_guard(void *p, size_t nbytes);

void *__wrap_os_reserve(void *hint, size_t nbytes);
void __wrap_os_unreserve(void *p, size_t nbytes);
bool __wrap_os_commit(void *p, size_t nbytes);
bool __wrap_os_release(void *p, size_t nbytes);
bool __wrap_os_move_pages(void *from, void *to, size_t nbytes);
bool __wrap_os_remap(void *p, size_t nbytes);
void *__wrap_os_alloc_metadata(size_t nbytes);
bool __wrap_os_guard(void *p, size_t nbytes);

static struct {
	unsigned calls;         /* enum os_call, those that count */
	unsigned first;         /* number of the first call that fails; 0: none */
	unsigned last;          /* number of the last one */
	_Atomic unsigned seen;
	_Atomic unsigned failed;
	struct os_space_hooks hooks;
} plan;

static void set_plan(unsigned calls, unsigned first, unsigned last)
{
	plan.calls = calls;
	plan.first = first;
	plan.last = last;
	atomic_store_explicit(&plan.seen, 0, memory_order_relaxed);
	atomic_store_explicit(&plan.failed, 0, memory_order_relaxed);
}

void os_fail_nth(unsigned calls, unsigned n)
{
	set_plan(calls, n, n);
}

void os_fail_from(unsigned calls, unsigned n)
{
	set_plan(calls, n, UINT32_MAX);
}

void os_fail_stop(void)
{
	plan.first = 0;
	plan.last = 0;
}

unsigned os_fail_seen(void)
{
	return atomic_load_explicit(&plan.seen, memory_order_relaxed);
}

unsigned os_fail_failed(void)
{
	return atomic_load_explicit(&plan.failed, memory_order_relaxed);
}

void os_fail_set_hooks(const struct os_space_hooks *hooks)
{
	static const struct os_space_hooks none;

	plan.hooks = hooks != NULL ? *hooks : none;
}

void *os_fail_real_reserve(void *hint, size_t nbytes)
{
	return __real_os_reserve(hint, nbytes);
}

void os_fail_real_unreserve(void *p, size_t nbytes)
{
	__real_os_unreserve(p, nbytes);
}

static bool fails(enum os_call call)
{
	unsigned n;

	if ((plan.calls & call) == 0)
		return false;
	n = atomic_fetch_add_explicit(&plan.seen, 1, memory_order_relaxed) + 1;
	if (plan.first == 0 || n < plan.first || n > plan.last)
		return false;
	atomic_fetch_add_explicit(&plan.failed, 1, memory_order_relaxed);
	return true;
}

void *__wrap_os_reserve(void *hint, size_t nbytes)
{
	if (fails(OS_RESERVE))
		return NULL;
	return plan.hooks.reserve != NULL ? plan.hooks.reserve(hint, nbytes) :
					    __real_os_reserve(hint, nbytes);
}

void __wrap_os_unreserve(void *p, size_t nbytes)
{
	if (plan.hooks.unreserve != NULL)
		plan.hooks.unreserve(p, nbytes);
	else
		__real_os_unreserve(p, nbytes);
}

bool __wrap_os_commit(void *p, size_t nbytes)
{
	return !fails(OS_COMMIT) && __real_os_commit(p, nbytes);
}

bool __wrap_os_release(void *p, size_t nbytes)
{
	return !fails(OS_RELEASE) && __real_os_release(p, nbytes);
}

bool __wrap_os_move_pages(void *from, void *to, size_t nbytes)
{
	return !fails(OS_MOVE_PAGES) && __real_os_move_pages(from, to, nbytes);
}

bool __wrap_os_remap(void *p, size_t nbytes)
{
	return !fails(OS_REMAP) && __real_os_remap(p, nbytes);
}

void *__wrap_os_alloc_metadata(size_t nbytes)
{
	return fails(OS_ALLOC_METADATA) ? NULL : __real_os_alloc_metadata(nbytes);
}

bool __wrap_os_guard(void *p, size_t nbytes)
{
	return !fails(OS_GUARD) && __real_os_guard(p, nbytes);
}
