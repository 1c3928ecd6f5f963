/* SPDX-License-Identifier: MIT */
/*
 * os_linux.c - the heap's memory, and other system calls: waiting, threads, random numbers.
 *
 * System calls are made by instruction. Programs and preloaded libraries replace libc's functions,
 * syscall() among them, with functions that allocate or lock.
 *
 * Owns     whether mappings have names, the mark of forks, and the secret of os_random().
 * Holds    errno is as the caller left it after every function. No mapping of the heap is
 *          MAP_NORESERVE, so the system refuses a request that it has no memory for, as it does
 *          with glibc.
 */
#include "os/os.h"
#include "os/os_call.h"
#include "os/os_process.h"
#include "base/siphash.h"

#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
/* No kernel knows it. */
#define MADV_UNKNOWN 9999
#ifndef MADV_FREE
#define MADV_FREE 8
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static void *map_by_libc(void *hint, size_t nbytes, int prot, int flags)
{
	int saved_errno = errno;
	void *p = mmap(hint, nbytes, prot, flags, -1, 0);

	errno = saved_errno;
	return p == MAP_FAILED ? NULL : p;
}

static bool unmap_by_libc(void *p, size_t nbytes)
{
	int saved_errno = errno;
	bool unmapped = munmap(p, nbytes) == 0;

	errno = saved_errno;
	return unmapped;
}

static bool mappings_have_names;

void os_name_mappings(void)
{
	mappings_have_names = true;
}

void *os_map(void *hint, size_t nbytes, int prot, int flags, const char *name)
{
	long r;

	/* Sanitizers keep shadow memory for mappings that are made through libc. */
	if (GOALLOC_SANITIZED) {
		void *p = map_by_libc(hint, nbytes, prot, flags);

		r = p == NULL ? -ENOMEM : (long)p;
	} else {
		r = SYSCALL(SYS_mmap, hint, nbytes, prot, flags, -1, 0L);
	}
	if (r < 0)
		return NULL;
	if (mappings_have_names && name != NULL)
		(void)SYSCALL(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, r, nbytes, name);
	return (void *)r;
}

bool os_unmap(void *p, size_t nbytes)
{
	if (GOALLOC_SANITIZED)
		return unmap_by_libc(p, nbytes);
	return SYSCALL(SYS_munmap, p, nbytes) == 0;
}

/* Maps memory for the heap. A name moves along with mprotect(2) and mremap(2), but a new mapping
 * has none. Neighbours with different names are two mappings. */
static void *map_heap(void *hint, size_t nbytes, int prot, int flags)
{
	return os_map(hint, nbytes, prot, flags, "goalloc: heap");
}

void *os_reserve(void *hint, size_t nbytes)
{
	return map_heap(hint, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
}

bool os_unreserve(void *p, size_t nbytes)
{
	return os_unmap(p, nbytes);
}

bool os_commit(void *p, size_t nbytes)
{
	return SYSCALL(SYS_mprotect, p, nbytes, PROT_READ | PROT_WRITE) == 0;
}

/* Returns true under an emulator of system calls such as qemu-user. It takes advice that it does
 * not know and does nothing. A kernel refuses such advice. */
static bool is_emulated(void *p, size_t nbytes)
{
	enum { NOT_ASKED, KERNEL, EMULATOR };
	/* Relaxed: every thread gets the same answer. */
	static _Atomic int answer;
	int known = atomic_load_explicit(&answer, memory_order_relaxed);

	if (known == NOT_ASKED) {
		known = SYSCALL(SYS_madvise, p, nbytes, MADV_UNKNOWN) == 0 ? EMULATOR : KERNEL;
		atomic_store_explicit(&answer, known, memory_order_relaxed);
	}
	return known == EMULATOR;
}

/* Returns true if the range is anonymous private memory, because the kernel frees no other lazily.
 * On pages without memory the question costs little and changes nothing. */
static bool is_anonymous(void *p, size_t nbytes)
{
	return !is_emulated(p, nbytes) && SYSCALL(SYS_madvise, p, nbytes, MADV_FREE) == 0;
}

/* Returns true if a range that the program has locked is anonymous private memory. The kernel wipes
 * no other memory in a forked child. The advice is taken back at once. */
static bool locked_is_anonymous(void *p, size_t nbytes)
{
	return !is_emulated(p, nbytes) &&
	       SYSCALL(SYS_madvise, p, nbytes, MADV_WIPEONFORK) == 0 &&
	       SYSCALL(SYS_madvise, p, nbytes, MADV_KEEPONFORK) == 0;
}

/* Maps new memory over a range. After mlockall(MCL_FUTURE) the kernel fills it at once, so its
 * pages are released again. */
static bool replace_mapping(void *p, size_t nbytes)
{
	if (map_heap(p, nbytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) != p)
		return false;
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) != 0)
		(void)SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED_LOCKED);
	return true;
}

/* A program may have mapped a file over an object that it freed later. The file's bytes would come
 * back, so that mapping is replaced. */
bool os_release(void *p, size_t nbytes)
{
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) == 0)
		return is_anonymous(p, nbytes) || replace_mapping(p, nbytes);
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED_LOCKED) != 0)
		return false;
	return locked_is_anonymous(p, nbytes) || replace_mapping(p, nbytes);
}

/* Set by os_set_call_out(). */
static struct {
	bool (*is_later)(void);
	bool (*begin)(void);
	void (*end)(void);
} call_out;

void os_set_call_out(bool (*is_later)(void), bool (*begin)(void), void (*end)(void))
{
	call_out.is_later = is_later;
	call_out.begin = begin;
	call_out.end = end;
}

bool os_can_drop(void)
{
	return call_out.is_later == NULL || !call_out.is_later();
}

/* Has the kernel, or a hook on madvise(3), drop the pages. Does not look at what is mapped there
 * afterwards. */
static bool drop_by_libc(void *p, size_t nbytes)
{
	int saved_errno = errno, cancel_state;
	bool dropped;

	if (call_out.begin == NULL || !call_out.begin())
		return SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) == 0;
	/* A hook may have a cancellation point, at which the thread would leave the heap in the
	 * middle of a change. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	dropped = madvise(p, nbytes, MADV_DONTNEED) == 0 || os_release(p, nbytes);
	(void)pthread_setcancelstate(cancel_state, &cancel_state);
	call_out.end();
	errno = saved_errno;
	return dropped;
}

bool os_drop(void *p, size_t nbytes)
{
	return os_can_drop() && drop_by_libc(p, nbytes) &&
	       (is_anonymous(p, nbytes) || locked_is_anonymous(p, nbytes) || os_remap(p, nbytes));
}

bool os_guard(void *p, size_t nbytes)
{
	/* Kernels before 5.18 do not release memory that the program has locked. Parts of the range
	 * may be guarded already. */
	if (!os_release(p, nbytes)) {
		if (!os_commit(p, nbytes))
			return false;
		zero_bytes(p, nbytes);
	}
	if (SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0)
		return true;
	/* If the range has several mappings, the first may be protected already. */
	(void)os_commit(p, nbytes);
	return false;
}

bool os_uncommit(void *p, size_t nbytes)
{
	if (os_map(p, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL) == p)
		return true;
	/* The kernel may refuse: see os_remap(). The range may have fences. */
	(void)os_unfence(p, nbytes);
	return os_release(p, nbytes) && SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0;
}

bool os_fence(void *p, size_t nbytes)
{
	return !is_emulated(p, nbytes) &&
	       SYSCALL(SYS_madvise, p, nbytes, MADV_GUARD_INSTALL) == 0;
}

bool os_unfence(void *p, size_t nbytes)
{
	return SYSCALL(SYS_madvise, p, nbytes, MADV_GUARD_REMOVE) == 0;
}

bool os_make_readable(void *p, size_t nbytes)
{
	return SYSCALL(SYS_mprotect, p, nbytes, PROT_READ) == 0;
}

bool os_which_resident(uintptr_t addr, size_t n, unsigned char *resident)
{
	return SYSCALL(SYS_mincore, addr, n * os_page_size(), resident) == 0;
}

/* Makes a range ready again if nothing is mapped there. Changes nothing if something is. */
static void fill_hole(void *p, size_t nbytes)
{
	void *got = map_heap(p, nbytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);

	/* Kernels before 4.17 do not know the flag. They do not know DONTUNMAP either, and have
	 * unmapped nothing. */
	if (got != NULL && got != p)
		(void)os_unreserve(got, nbytes);
}

bool os_move_pages(void *from, void *to, size_t nbytes)
{
	/* qemu-user takes the old range for unmapped, and its pages cannot be released any more. */
	if (is_emulated(from, nbytes))
		return false;
	/* A hook must learn that both ranges lose their pages. It learns that by madvise(3),
	 * because hooks on mremap(3) drop the fifth argument. */
	(void)drop_by_libc(to, nbytes);
	/* DONTUNMAP keeps the old range mapped, so that no other mapping can take its place.
	 * Kernels before 5.7 refuse it, and the caller copies. */
	if (SYSCALL(SYS_mremap, from, nbytes, nbytes,
		    MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == (long)to) {
		(void)drop_by_libc(from, nbytes);
		return true;
	}
	/* Kernels before 6.17 refuse a range of several mappings after they have unmapped the
	 * range at the other place. */
	fill_hole(to, nbytes);
	return false;
}

bool os_remap(void *p, size_t nbytes)
{
	/* A new mapping counts anew in a limit on locked memory, and may be refused. The range
	 * stays the mapping that it is then. */
	return replace_mapping(p, nbytes) || (os_release(p, nbytes) && os_commit(p, nbytes));
}

void os_dump(void *p, size_t nbytes, bool dump)
{
	(void)SYSCALL(SYS_madvise, p, nbytes, dump ? MADV_DODUMP : MADV_DONTDUMP);
}

void os_want_huge_pages(void *p, size_t nbytes, bool huge)
{
	(void)SYSCALL(SYS_madvise, p, nbytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void *os_alloc_shared(size_t nbytes)
{
	return os_map(NULL, nbytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, NULL);
}

static _Atomic uint32_t no_mark = OS_MARK_NEVER;
_Atomic(_Atomic uint32_t *) os_mark = &no_mark;

/* A page that forked children do not have, where the kernel cannot wipe pages; else NULL. */
static void *unforked_page;

static bool keep_from_children(void *page, size_t nbytes)
{
	if (SYSCALL(SYS_madvise, page, nbytes, MADV_DONTFORK) != 0)
		return false;
	unforked_page = page;
	return true;
}

/* Puts the mark into a page between two pages that cannot be accessed. */
void os_watch_forks(void)
{
	size_t nbytes = os_page_size();
	char *p = os_map(NULL, 3 * nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, METADATA_NAME);
	_Atomic uint32_t *mark;

	if (p == NULL)
		return;
	mark = (_Atomic uint32_t *)(void *)(p + nbytes);
	if (os_commit(p + nbytes, nbytes)) {
		if (SYSCALL(SYS_madvise, p + nbytes, nbytes, MADV_WIPEONFORK) == 0) {
			/* Relaxed: no other thread knows the word. */
			atomic_store_explicit(mark, OS_MARK_NEVER, memory_order_relaxed);
			/* Release: the word's value. Pairs with the acquire in os_fork_mark(). */
			atomic_store_explicit(&os_mark, mark, memory_order_release);
			return;
		}
		if (keep_from_children(p + nbytes, nbytes))
			return;
	}
	(void)os_unreserve(p, 3 * nbytes);
}

bool os_find_fork(void)
{
	void *page = unforked_page;
	size_t nbytes = os_page_size();

	if (page == NULL || os_can_read((uintptr_t)page))
		return false;
	/* This is a child. It finds its own children by a page of its own. */
	unforked_page = NULL;
	page = os_map(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	if (page != NULL && !keep_from_children(page, nbytes))
		(void)os_unreserve(page, nbytes);
	return true;
}

bool os_map_at(void *p, size_t nbytes)
{
	void *got = os_map(p, nbytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, NULL);

	if (got != NULL && got != p)
		(void)os_unreserve(got, nbytes);
	return got == p;
}

void os_store_protected(uintptr_t *word, uintptr_t value, bool executable)
{
	uintptr_t page = align_down((uintptr_t)word, os_page_size());
	size_t nbytes = os_page_size();

	if (SYSCALL(SYS_mprotect, page, nbytes, PROT_READ | PROT_WRITE) != 0)
		return;
	*word = value;
	(void)SYSCALL(SYS_mprotect, page, nbytes, executable ? PROT_READ | PROT_EXEC : PROT_READ);
}

/* Reads by /proc/self/mem, for sandboxes that refuse process_vm_readv(2). */
static long read_own_file(uintptr_t addr, void *to, size_t nbytes)
{
	int fd = os_open_read("/proc/self/mem");
	long n;

	if (fd < 0)
		return fd;
	n = os_read_at(fd, to, nbytes, addr);
	os_close(fd);
	return n;
}

size_t os_try_read(void *to, uintptr_t from, size_t nbytes)
{
	long n = os_read_process(os_pid(), to, from, nbytes);

	if (n == -EPERM || n == -ENOSYS || n == -EACCES)
		n = read_own_file(from, to, nbytes);
	return n > 0 ? (size_t)n : 0;
}

bool os_read_memory(uintptr_t addr, void *to, size_t nbytes)
{
	return os_try_read(to, addr, nbytes) == nbytes;
}

bool os_can_read(uintptr_t addr)
{
	/* The kernel reads the signal set before it finds that there is no such operation. */
	return SYSCALL(SYS_rt_sigprocmask, -1L, addr, NULL, 8L) == -EINVAL;
}

/* The secret of os_random(). Access: [c] constant once a thread has called os_seed_random() */
static struct siphash_key random_key;

void os_seed_random(void)
{
	const uint64_t *seed;

	if (SYSCALL(SYS_getrandom, &random_key, sizeof(random_key), GRND_NONBLOCK) ==
	    (long)sizeof(random_key))
		return;
	/* A filter refuses the call, or the kernel has no randomness yet. The secret is made of
	 * the time, of the address of this function's frame, and of the 16 random bytes that the
	 * kernel gives each process at exec. libc makes its stack guard of the same bytes. */
	seed = (const uint64_t *)os_auxiliary(AT_RANDOM);
	random_key = (struct siphash_key){ { os_time_ns(), (uintptr_t)&seed } };
	if (seed != NULL)
		random_key = (struct siphash_key){ { siphash(&random_key, seed[0], seed[1]),
						     siphash(&random_key, seed[1], seed[0]) } };
}

uint64_t os_random(void)
{
	/* Relaxed: each call gets another number. */
	static _Atomic uint64_t calls;

	return siphash(&random_key, atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed), 0);
}

void os_futex_wait(const _Atomic uint32_t *word, uint32_t expected)
{
	(void)SYSCALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void os_futex_wait_ms(const _Atomic uint32_t *word, uint32_t expected, uint32_t ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)SYSCALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &ts, NULL, 0);
}

void os_futex_wake(const _Atomic uint32_t *word)
{
	(void)SYSCALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void os_futex_wake_all(const _Atomic uint32_t *word)
{
	(void)SYSCALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

void os_sleep_ms(uint32_t ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)SYSCALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

int os_pid(void)
{
	return (int)SYSCALL(SYS_getpid);
}

int os_thread(void)
{
	return (int)SYSCALL(SYS_gettid);
}

void os_signal_again(int number, void *info)
{
	(void)SYSCALL(SYS_rt_tgsigqueueinfo, os_pid(), os_thread(), number, info);
}
