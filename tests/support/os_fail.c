/* SPDX-License-Identifier: MIT */
/*
 * os_fail.c - a layer in front of os.h's memory calls, put there by the linker's --wrap.
 *
 * A process has one plan of what fails. The counters are atomic. The plan is changed while one
 * thread runs; only os_fail_stop() may be called by any thread. A call that is made to fail leaves
 * everything as it was, as os.h promises. The layer also checks every call: a range must be whole
 * pages of the kernel, of the size that os_page_size() tells.
 */
#include "os_fail.h"
#include "os/os.h"

/* The linker's --wrap=NAME renames the definition of NAME to __real_NAME, and calls of NAME go
 * to __wrap_NAME. */
void *__real_os_reserve(void *hint, size_t nbytes);
bool __real_os_unreserve(void *p, size_t nbytes);
bool __real_os_commit(void *p, size_t nbytes);
bool __real_os_release(void *p, size_t nbytes);
bool __real_os_drop(void *p, size_t nbytes);
bool __real_os_move_pages(void *from, void *to, size_t nbytes);
bool __real_os_remap(void *p, size_t nbytes);
void *__real_os_alloc_metadata(size_t nbytes);
void *__real_os_alloc_long_metadata(size_t nbytes);
bool __real_os_extend_metadata(void *end, size_t nbytes);
void *__real_os_reserve_metadata(size_t nbytes, size_t ready);
bool __real_os_commit_metadata(void *p, size_t nbytes);
bool __real_os_uncommit_metadata(void *p, size_t nbytes);
bool __real_os_guard(void *p, size_t nbytes);
void __real_os_want_huge_pages(void *p, size_t nbytes, bool huge);
bool __real_os_fence(void *p, size_t nbytes);
bool __real_os_unfence(void *p, size_t nbytes);
bool __real_os_uncommit(void *p, size_t nbytes);

void *__wrap_os_reserve(void *hint, size_t nbytes);
bool __wrap_os_unreserve(void *p, size_t nbytes);
bool __wrap_os_commit(void *p, size_t nbytes);
bool __wrap_os_release(void *p, size_t nbytes);
bool __wrap_os_drop(void *p, size_t nbytes);
bool __wrap_os_move_pages(void *from, void *to, size_t nbytes);
bool __wrap_os_remap(void *p, size_t nbytes);
void *__wrap_os_alloc_metadata(size_t nbytes);
void *__wrap_os_alloc_long_metadata(size_t nbytes);
bool __wrap_os_extend_metadata(void *end, size_t nbytes);
void *__wrap_os_reserve_metadata(size_t nbytes, size_t ready);
bool __wrap_os_commit_metadata(void *p, size_t nbytes);
bool __wrap_os_uncommit_metadata(void *p, size_t nbytes);
bool __wrap_os_guard(void *p, size_t nbytes);
void __wrap_os_want_huge_pages(void *p, size_t nbytes, bool huge);
bool __wrap_os_fence(void *p, size_t nbytes);
bool __wrap_os_unfence(void *p, size_t nbytes);
bool __wrap_os_uncommit(void *p, size_t nbytes);

static struct {
	unsigned calls;         /* enum os_call, those that count */
	unsigned first;         /* number of the first call that fails */
	unsigned last;          /* number of the last one */
	unsigned one_in;        /* of those between; 1: all */
	uint64_t seed;
	_Atomic bool on;
	_Atomic unsigned seen;
	_Atomic unsigned failed;
	_Atomic size_t mapped;
	struct os_space_hooks hooks;
} plan;

static void set_plan(unsigned calls, unsigned first, unsigned last, unsigned one_in, uint64_t seed)
{
	plan.calls = calls;
	plan.first = first;
	plan.last = last;
	plan.one_in = one_in;
	plan.seed = seed;
	atomic_store_explicit(&plan.on, first != 0, memory_order_relaxed);
	atomic_store_explicit(&plan.seen, 0, memory_order_relaxed);
	atomic_store_explicit(&plan.failed, 0, memory_order_relaxed);
}

void os_fail_nth(unsigned calls, unsigned n)
{
	set_plan(calls, n, n, 1, 0);
}

void os_fail_from(unsigned calls, unsigned n)
{
	set_plan(calls, n, UINT32_MAX, 1, 0);
}

void os_fail_at_random(unsigned calls, unsigned one_in, uint64_t seed)
{
	set_plan(calls, 1, UINT32_MAX, one_in, seed);
}

void os_fail_stop(void)
{
	atomic_store_explicit(&plan.on, false, memory_order_relaxed);
}

unsigned os_fail_seen(void)
{
	return atomic_load_explicit(&plan.seen, memory_order_relaxed);
}

unsigned os_fail_failed(void)
{
	return atomic_load_explicit(&plan.failed, memory_order_relaxed);
}

size_t os_fail_mapped(void)
{
	return atomic_load_explicit(&plan.mapped, memory_order_relaxed);
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
	(void)__real_os_unreserve(p, nbytes);
}

static bool fails(enum os_call call, const void *p, size_t nbytes)
{
	uint64_t mixed;
	unsigned n;

	CHECK(os_is_whole_pages(p, nbytes));
	if ((plan.calls & call) == 0)
		return false;
	n = atomic_fetch_add_explicit(&plan.seen, 1, memory_order_relaxed) + 1;
	if (!atomic_load_explicit(&plan.on, memory_order_relaxed) || n < plan.first ||
	    n > plan.last)
		return false;
	mixed = (plan.seed + n) * UINT64_C(0x9e3779b97f4a7c15);
	if ((mixed >> 32) % plan.one_in != 0)
		return false;
	atomic_fetch_add_explicit(&plan.failed, 1, memory_order_relaxed);
	return true;
}

static void count_mapped(size_t nbytes)
{
	atomic_fetch_add_explicit(&plan.mapped, nbytes, memory_order_relaxed);
}

void *__wrap_os_reserve(void *hint, size_t nbytes)
{
	void *p;

	if (fails(OS_RESERVE, hint, nbytes))
		return NULL;
	p = plan.hooks.reserve != NULL ? plan.hooks.reserve(hint, nbytes)
				       : __real_os_reserve(hint, nbytes);
	count_mapped(p != NULL ? nbytes : 0);
	return p;
}

bool __wrap_os_unreserve(void *p, size_t nbytes)
{
	if (fails(OS_UNRESERVE, p, nbytes))
		return false;
	if (plan.hooks.unreserve != NULL)
		plan.hooks.unreserve(p, nbytes);
	else if (!__real_os_unreserve(p, nbytes))
		return false;
	count_mapped(0 - nbytes);
	return true;
}

bool __wrap_os_commit(void *p, size_t nbytes)
{
	return !fails(OS_COMMIT, p, nbytes) && __real_os_commit(p, nbytes);
}

bool __wrap_os_release(void *p, size_t nbytes)
{
	if (plan.hooks.before_release != NULL)
		plan.hooks.before_release();
	return !fails(OS_RELEASE, p, nbytes) && __real_os_release(p, nbytes);
}

/* It counts as a release. */
bool __wrap_os_drop(void *p, size_t nbytes)
{
	if (plan.hooks.before_release != NULL)
		plan.hooks.before_release();
	return !fails(OS_RELEASE, p, nbytes) && __real_os_drop(p, nbytes);
}

bool __wrap_os_move_pages(void *from, void *to, size_t nbytes)
{
	CHECK(os_is_whole_pages(to, nbytes));
	return !fails(OS_MOVE_PAGES, from, nbytes) && __real_os_move_pages(from, to, nbytes);
}

bool __wrap_os_remap(void *p, size_t nbytes)
{
	return !fails(OS_REMAP, p, nbytes) && __real_os_remap(p, nbytes);
}

void *__wrap_os_alloc_metadata(size_t nbytes)
{
	void *p = fails(OS_ALLOC_METADATA, NULL, nbytes) ? NULL : __real_os_alloc_metadata(nbytes);

	count_mapped(p != NULL ? nbytes : 0);
	return p;
}

void *__wrap_os_alloc_long_metadata(size_t nbytes)
{
	void *p = fails(OS_ALLOC_METADATA, NULL, nbytes) ? NULL
							 : __real_os_alloc_long_metadata(nbytes);

	count_mapped(p != NULL ? nbytes : 0);
	return p;
}

bool __wrap_os_extend_metadata(void *end, size_t nbytes)
{
	bool extended =
		!fails(OS_EXTEND_METADATA, NULL, nbytes) && __real_os_extend_metadata(end, nbytes);

	count_mapped(extended ? nbytes : 0);
	return extended;
}

/* It counts as one of the allocations of records. */
void *__wrap_os_reserve_metadata(size_t nbytes, size_t ready)
{
	void *p = NULL;

	CHECK(os_is_whole_pages(NULL, ready));
	if (!fails(OS_ALLOC_METADATA, NULL, nbytes))
		p = __real_os_reserve_metadata(nbytes, ready);
	count_mapped(p != NULL ? nbytes : 0);
	return p;
}

bool __wrap_os_commit_metadata(void *p, size_t nbytes)
{
	return !fails(OS_COMMIT_METADATA, p, nbytes) && __real_os_commit_metadata(p, nbytes);
}

bool __wrap_os_uncommit_metadata(void *p, size_t nbytes)
{
	return !fails(OS_UNCOMMIT_METADATA, p, nbytes) && __real_os_uncommit_metadata(p, nbytes);
}

bool __wrap_os_guard(void *p, size_t nbytes)
{
	return !fails(OS_GUARD, p, nbytes) && __real_os_guard(p, nbytes);
}

void __wrap_os_want_huge_pages(void *p, size_t nbytes, bool huge)
{
	if (!fails(OS_HUGE_PAGES, p, nbytes))
		__real_os_want_huge_pages(p, nbytes, huge);
}

bool __wrap_os_fence(void *p, size_t nbytes)
{
	return !fails(OS_FENCE, p, nbytes) && __real_os_fence(p, nbytes);
}

bool __wrap_os_unfence(void *p, size_t nbytes)
{
	return !fails(OS_UNFENCE, p, nbytes) && __real_os_unfence(p, nbytes);
}

bool __wrap_os_uncommit(void *p, size_t nbytes)
{
	return !fails(OS_UNCOMMIT, p, nbytes) && __real_os_uncommit(p, nbytes);
}
