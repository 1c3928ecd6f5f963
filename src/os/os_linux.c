/* SPDX-License-Identifier: MIT */
/*
 * os_linux.c - the kernel calls of the heap, and the only file that maps memory.
 * See malloc.c for the overview.
 *
 * Owns     the cached page size; the protection key of metadata; the list of where metadata is; whether mappings have names.
 * Callers  every layer. System calls are made by instruction, because programs and preloaded libraries replace libc's functions,
 *          syscall() among them, with ones that allocate or lock.
 * Locks    none.
 * Holds    errno is as the caller left it after every function. No mapping of the heap is MAP_NORESERVE: a request that the system has no memory
 *          for is refused, as it would be to glibc.
 */
#include "os/os.h"
#include "os/os_call.h"
#include "base/config.h"
#include "base/siphash.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

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

static void *map(void *hint, size_t nbytes, int prot, int flags)
{
	long r;

	/* Sanitizers keep shadow memory for what is mapped through libc. */
	if (GOALLOC_SANITIZED)
		return map_by_libc(hint, nbytes, prot, flags);
	r = SYSCALL(SYS_mmap, hint, nbytes, prot, flags, -1, 0L);
	return r < 0 ? NULL : (void *)r;
}

WEAK bool os_is_static(void)
{
	return false;
}

/* Set by ld.so: where the stack was when the process began, at argc. */
extern void *__libc_stack_end WEAK;

/* The kernel puts the vector behind the environment. NULL: it is not there. */
static const Elf64_auxv_t *find_auxiliary(void)
{
	const uintptr_t *word = os_is_static() || &__libc_stack_end == NULL ? NULL : __libc_stack_end;

	if (word == NULL)
		return NULL;
	word += 1 + *word + 1;
	while (*word != 0)
		word++;
	/* unsetenv(3) moves what follows down, and leaves more than one 0. */
	while (*word == 0)
		word++;
	for (const Elf64_auxv_t *a = (const void *)word; a->a_type != AT_NULL; a++)
		if (a->a_type == AT_PAGESZ && is_pow2(a->a_un.a_val))
			return (const void *)word;
	return NULL;
}

uintptr_t os_auxiliary(unsigned long type)
{
	/* Relaxed: any thread finds the same place. */
	static _Atomic(const Elf64_auxv_t *) cached;
	const Elf64_auxv_t *a = atomic_load_explicit(&cached, memory_order_relaxed);
	int saved_errno = errno;
	uintptr_t value;

	if (a == NULL) {
		a = find_auxiliary();
		atomic_store_explicit(&cached, a, memory_order_relaxed);
	}
	for (; a != NULL && a->a_type != AT_NULL; a++)
		if (a->a_type == type)
			return a->a_un.a_val;
	if (atomic_load_explicit(&cached, memory_order_relaxed) != NULL)
		return 0;
	value = getauxval(type);
	errno = saved_errno;
	return value;
}

size_t os_page_size(void)
{
	/* Relaxed: any thread computes the same value. */
	static _Atomic size_t cached;
	size_t n = atomic_load_explicit(&cached, memory_order_relaxed);

	if (n == 0) {
		n = (size_t)os_auxiliary(AT_PAGESZ);
		if (!is_pow2(n) || n < 4096)
			n = 4096;
		atomic_store_explicit(&cached, n, memory_order_relaxed);
	}
	return n;
}

static bool mappings_have_names;

void os_name_mappings(void)
{
	mappings_have_names = true;
}

/* p is NULL or a mapping, and is returned. */
static void *name_mapping(void *p, size_t nbytes, const char *name)
{
	if (mappings_have_names && p != NULL)
		(void)SYSCALL(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, nbytes, name);
	return p;
}

#define METADATA_NAME "goalloc: metadata"

/* Of the heap. A name goes with mprotect(2) and mremap(2), but what is mapped anew has none, and neighbours of two names are
 * two mappings. */
static void *map_heap(void *hint, size_t nbytes, int prot, int flags)
{
	return name_mapping(map(hint, nbytes, prot, flags), nbytes, "goalloc: heap");
}

void *os_reserve(void *hint, size_t nbytes)
{
	return map_heap(hint, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
}

bool os_unreserve(void *p, size_t nbytes)
{
	if (GOALLOC_SANITIZED)
		return unmap_by_libc(p, nbytes);
	return SYSCALL(SYS_munmap, p, nbytes) == 0;
}

bool os_commit(void *p, size_t nbytes)
{
	return SYSCALL(SYS_mprotect, p, nbytes, PROT_READ | PROT_WRITE) == 0;
}

/* Nothing but anonymous memory of this process alone is mapped there. Asked of pages without
 * memory it costs little and changes nothing: the kernel refuses to free the pages of files
 * lazily. */
static bool is_anonymous(void *p, size_t nbytes)
{
	return SYSCALL(SYS_madvise, p, nbytes, MADV_FREE) == 0;
}

/* The same for memory that the program has locked, of which the kernel answers that question with other advice: it wipes nothing but such
 * memory in a forked child. That is taken back at once. */
static bool locked_is_anonymous(void *p, size_t nbytes)
{
	return SYSCALL(SYS_madvise, p, nbytes, MADV_WIPEONFORK) == 0 && SYSCALL(SYS_madvise, p, nbytes, MADV_KEEPONFORK) == 0;
}

/* Maps new memory over a range. After mlockall(MCL_FUTURE) it is in memory at once, and leaves it. */
static bool replace_mapping(void *p, size_t nbytes)
{
	if (map_heap(p, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) != p)
		return false;
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) != 0)
		(void)SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED_LOCKED);
	return true;
}

/* A program may have mapped a file over an object that it freed later. Then the file's bytes would
 * come back, so the mapping is replaced. */
bool os_release(void *p, size_t nbytes)
{
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) == 0)
		return is_anonymous(p, nbytes) || replace_mapping(p, nbytes);
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED_LOCKED) != 0)
		return false;
	return locked_is_anonymous(p, nbytes) || replace_mapping(p, nbytes);
}

static struct {
	bool (*begin)(void);
	void (*end)(void);
} call_out;

void os_set_call_out(bool (*begin)(void), void (*end)(void))
{
	call_out.begin = begin;
	call_out.end = end;
}

/* The kernel, or the hook, drops the pages; what is mapped there afterwards is not looked at. */
static bool drop_by_libc(void *p, size_t nbytes)
{
	int saved_errno = errno, cancel_state;
	bool dropped;

	if (call_out.begin == NULL || !call_out.begin())
		return SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) == 0;
	/* A hook may come to a cancellation point, and the thread would leave the heap in the middle of a change. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	dropped = madvise(p, nbytes, MADV_DONTNEED) == 0 || os_release(p, nbytes);
	(void)pthread_setcancelstate(cancel_state, &cancel_state);
	call_out.end();
	errno = saved_errno;
	return dropped;
}

bool os_drop(void *p, size_t nbytes)
{
	return drop_by_libc(p, nbytes) && (is_anonymous(p, nbytes) || os_remap(p, nbytes));
}

bool os_guard(void *p, size_t nbytes)
{
	/* Kernels before 5.18 do not release memory that the program has locked. Parts of the range may be guarded already. */
	if (!os_release(p, nbytes)) {
		if (!os_commit(p, nbytes))
			return false;
		zero_bytes(p, nbytes);
	}
	if (SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0)
		return true;
	/* Of several mappings in the range the first may be protected already. */
	(void)os_commit(p, nbytes);
	return false;
}

bool os_uncommit(void *p, size_t nbytes)
{
	if (map(p, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == p)
		return true;
	/* Refused: see os_remap(). The range may have fences. */
	(void)os_unfence(p, nbytes);
	return os_release(p, nbytes) && SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0;
}

bool os_fence(void *p, size_t nbytes)
{
	return SYSCALL(SYS_madvise, p, nbytes, MADV_GUARD_INSTALL) == 0;
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

/* Makes a range that may be mapped no longer ready again; one that is mapped stays as it is. */
static void fill_hole(void *p, size_t nbytes)
{
	void *got = map_heap(p, nbytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);

	/* Kernels before 4.17 do not know the flag; they do not know DONTUNMAP either, and unmap nothing. */
	if (got != NULL && got != p)
		(void)os_unreserve(got, nbytes);
}

bool os_move_pages(void *from, void *to, size_t nbytes)
{
	/* Not by libc's mremap(3), to tell of the pages that go: hooks on it drop its fifth argument. Told are both ranges, one
	 * before it loses its pages, and the other, which has none left, afterwards. */
	(void)drop_by_libc(to, nbytes);
	/* DONTUNMAP keeps the old range mapped: there is no moment in which another mapping could
	 * take its place. Kernels before 5.7 refuse it, and the caller copies. */
	if (SYSCALL(SYS_mremap, from, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == (long)to) {
		(void)drop_by_libc(from, nbytes);
		return true;
	}
	/* Kernels before 6.17 refuse a range of several mappings after they have unmapped what was at the other place. */
	fill_hole(to, nbytes);
	return false;
}

bool os_remap(void *p, size_t nbytes)
{
	/* A new mapping counts anew in a limit on locked memory, and may be refused: then the range stays the mapping that it is. */
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

_Atomic uint32_t os_key_rights;
static int metadata_key = -1;       /* -1 says to pkey_mprotect(2): like mprotect(2) */


bool os_make_key(void)
{
	long key = CPU_HAS_RIGHTS ? SYSCALL(SYS_pkey_alloc, 0L, 0L) : -1;

	if (key <= 0)
		return false;
	metadata_key = (int)key;
	/* Relaxed: pairs with the load in rights_of_key(). */
	atomic_store_explicit(&os_key_rights, (uint32_t)3 << 2 * key, memory_order_relaxed);
	return true;
}

/* Opens the pages of a place for records, which are behind the key if there is one. */
static bool open_metadata(void *p, size_t nbytes)
{
	long protect = metadata_key < 0 ? SYS_mprotect : SYS_pkey_mprotect;

	return SYSCALL(protect, p, nbytes, PROT_READ | PROT_WRITE, metadata_key) == 0;
}

/* Maps memory for records at the hint, or elsewhere, between two pages without access. */
static void *map_guarded(uintptr_t hint, size_t nbytes)
{
	size_t guard = os_page_size();
	size_t whole = nbytes + 2 * guard;
	char *p;

	p = name_mapping(map((void *)hint, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS), whole, METADATA_NAME);
	if (p == NULL)
		return NULL;
	if (!open_metadata(p + guard, nbytes)) {
		(void)os_unreserve(p, whole);
		return NULL;
	}
	return p + guard;
}

/* Returns a random hint for records and the page before them: the records begin at a multiple of 64 KiB. */
static uintptr_t random_place(void)
{
	return CPU_HEAP_LOW + align_down(os_random() % METADATA_PLACE, KiB(64)) + KiB(64) - os_page_size();
}

/* Returns the hint for the next records of so many bytes, pages beside them included: they lie one behind the other. */
static uintptr_t next_place(size_t nbytes)
{
	/* 0 before the first. Relaxed: a hint, which the kernel checks. */
	static _Atomic uintptr_t next;
	uintptr_t none = 0;

	if (atomic_load_explicit(&next, memory_order_relaxed) == 0)
		(void)atomic_compare_exchange_strong_explicit(&next, &none, random_place(), memory_order_relaxed,
							      memory_order_relaxed);
	return atomic_fetch_add_explicit(&next, nbytes + 2 * os_page_size(), memory_order_relaxed);
}

#define PLACES 255

/*
 * Where metadata is.
 * Access: [a] atomic, any thread
 */
struct places {
	_Atomic uint32_t len;              /* [a] places taken */
	_Atomic(struct places *) next;     /* [a] NULL; set once */
	struct place {
		uintptr_t addr;            /* written by who took the place, before nbytes */
		_Atomic size_t nbytes;     /* [a] 0: not written yet */
	} at[PLACES];
};
_Static_assert(sizeof(struct places) == 4096, "a page of the kernel, and no more");

static struct places first_places;

/* The places behind these, made if need be; NULL when there is no memory. */
static struct places *more_places(struct places *places)
{
	/* Acquire: what lies there is zero. Pairs with the release of the exchange. */
	struct places *next = atomic_load_explicit(&places->next, memory_order_acquire);
	struct places *fresh;

	if (next != NULL)
		return next;
	fresh = map_guarded(next_place(os_page_size()), os_page_size());
	if (fresh == NULL)
		return NULL;
	/* Release: see the load. Acquire: if another thread was first, its places are zero. */
	if (atomic_compare_exchange_strong_explicit(&places->next, &next, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	(void)os_unreserve((char *)fresh - os_page_size(), 3 * os_page_size());
	return next;
}

/* Without memory to note it, it is not noted. */
static void note_metadata(uintptr_t addr, size_t nbytes)
{
	for (struct places *places = &first_places; places != NULL; places = more_places(places)) {
		/* Relaxed: a number that no other thread gets. The load keeps the count from running over. */
		uint32_t n = atomic_load_explicit(&places->len, memory_order_relaxed);

		if (n < PLACES)
			n = atomic_fetch_add_explicit(&places->len, 1, memory_order_relaxed);
		if (n >= PLACES)
			continue;
		places->at[n].addr = addr;
		/* Release: the address. Pairs with the acquire in os_each_metadata(). */
		atomic_store_explicit(&places->at[n].nbytes, nbytes, memory_order_release);
		return;
	}
}

void os_each_metadata(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg)
{
	/* Acquire: as in more_places(). */
	for (struct places *places = &first_places; places != NULL;
	     places = atomic_load_explicit(&places->next, memory_order_acquire)) {
		for (size_t i = 0; i < PLACES; i++) {
			/* Acquire: the address. Pairs with the release in note_metadata(). */
			size_t nbytes = atomic_load_explicit(&places->at[i].nbytes, memory_order_acquire);

			if (nbytes != 0)
				visit(places->at[i].addr, nbytes, arg);
		}
	}
}

void *os_alloc_shared(size_t nbytes)
{
	return map(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE);
}

static _Atomic uint32_t no_mark = OS_MARK_NEVER;
_Atomic(_Atomic uint32_t *) os_mark = &no_mark;

/* Where the kernel cannot wipe a page: one that a forked child does not have; NULL. */
static void *unforked_page;

static bool keep_from_children(void *page, size_t nbytes)
{
	if (SYSCALL(SYS_madvise, page, nbytes, MADV_DONTFORK) != 0)
		return false;
	unforked_page = page;
	return true;
}

/* The page lies between two that cannot be touched. */
void os_watch_forks(void)
{
	size_t nbytes = os_page_size();
	char *p = map(NULL, 3 * nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	_Atomic uint32_t *mark;

	if (p == NULL)
		return;
	(void)name_mapping(p, 3 * nbytes, METADATA_NAME);
	mark = (_Atomic uint32_t *)(void *)(p + nbytes);
	if (os_commit(p + nbytes, nbytes)) {
		if (SYSCALL(SYS_madvise, p + nbytes, nbytes, MADV_WIPEONFORK) == 0) {
			/* Relaxed: nobody else knows the word. */
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
	/* In a child: its own children are found by a page of its own. */
	unforked_page = NULL;
	page = map(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (page != NULL && !keep_from_children(page, nbytes))
		(void)os_unreserve(page, nbytes);
	return true;
}

/* Maps records and notes where they are. */
static void *map_metadata(uintptr_t hint, size_t nbytes)
{
	void *p = map_guarded(hint, nbytes);

	if (p != NULL)
		note_metadata((uintptr_t)p, nbytes);
	return p;
}

void *os_alloc_metadata(size_t nbytes)
{
	return map_metadata(next_place(nbytes), nbytes);
}

void *os_alloc_long_metadata(size_t nbytes)
{
	return map_metadata(random_place(), nbytes);
}

bool os_extend_metadata(void *end, size_t nbytes)
{
	size_t guard = os_page_size();
	char *behind = (char *)end + guard;
	char *p = name_mapping(map(behind, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS), nbytes, METADATA_NAME);

	if (p == NULL)
		return false;
	/* The page without access moves to the new end. */
	if (p == behind && open_metadata(end, nbytes)) {
		note_metadata((uintptr_t)end, nbytes);
		return true;
	}
	(void)os_unreserve(p, nbytes);
	return false;
}

bool os_map_at(void *p, size_t nbytes)
{
	void *got = map(p, nbytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE);

	if (got != NULL && got != p)
		(void)os_unreserve(got, nbytes);
	return got == p;
}

/* What os_alloc_scratch() gives when the system has no memory. */
static struct {
	_Atomic int
		user; /* [a] process id of its user; 0: nobody. A user in another process is gone. */
	_Alignas(CACHE_LINE) char bytes[OS_SCRATCH_RESERVE];
} reserve;

static void *take_reserve(size_t nbytes)
{
	int self = os_pid(), user = atomic_load_explicit(&reserve.user, memory_order_relaxed);

	if (nbytes > sizeof(reserve.bytes) || user == self)
		return NULL;
	/* Acquire: the last user is done with the bytes. Pairs with the release in
	 * os_free_scratch(). */
	if (!atomic_compare_exchange_strong_explicit(&reserve.user, &user, self,
						     memory_order_acquire, memory_order_relaxed))
		return NULL;
	zero_bytes(reserve.bytes, nbytes);
	return reserve.bytes;
}

void *os_alloc_scratch(size_t nbytes)
{
	size_t whole = align_up(nbytes, os_page_size());
	void *p =
		name_mapping(map(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
			     whole, METADATA_NAME);

	return p != NULL ? p : take_reserve(nbytes);
}

void os_free_scratch(void *p, size_t nbytes)
{
	/* Release: pairs with the acquire in take_reserve(). */
	if (p == reserve.bytes)
		atomic_store_explicit(&reserve.user, 0, memory_order_release);
	else
		(void)os_unreserve(p, align_up(nbytes, os_page_size()));
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

/* For systems that refuse process_vm_readv(2), as some sandboxes do. */
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
	struct iovec here = { to, nbytes }, there = { (void *)from, nbytes };
	long n = SYSCALL(SYS_process_vm_readv, os_pid(), &here, 1L, &there, 1L, 0L);

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

uintptr_t os_program_header(void)
{
	uintptr_t addr = os_auxiliary(AT_PHDR) - sizeof(Elf64_Ehdr);

	if (addr % os_page_size() != 0 || !os_can_read(addr) || __builtin_memcmp((const void *)addr, ELFMAG, SELFMAG) != 0)
		return 0;
	return addr;
}

/* The key of os_random(). Access: [c] constant once a thread has called os_seed_random() */
static struct siphash_key random_key;

void os_seed_random(void)
{
	const uint64_t *seed;

	if (SYSCALL(SYS_getrandom, &random_key, sizeof(random_key), GRND_NONBLOCK) == (long)sizeof(random_key))
		return;
	/* A filter refuses the call, or the kernel has no randomness yet. What remains are the 16 bytes that the kernel gives each
	 * process at exec, of which libc makes its stack guard and its pointer guard, the time, and the place of this function's frame. */
	seed = (const uint64_t *)os_auxiliary(AT_RANDOM);
	random_key = (struct siphash_key){ { os_time_ns(), (uintptr_t)&seed } };
	if (seed != NULL)
		random_key = (struct siphash_key){ { siphash(&random_key, seed[0], seed[1]), siphash(&random_key, seed[1], seed[0]) } };
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

bool os_is_secure(void)
{
	return os_auxiliary(AT_SECURE) != 0;
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

int os_dup_cloexec(int fd)
{
	int high = (int)SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100);

	/* With few descriptors allowed; 0 to 2 have a meaning. */
	return high >= 0 ? high : (int)SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
}

uint64_t os_file_id(int fd)
{
	struct stat st;

	if (SYSCALL(SYS_fstat, fd, &st) != 0)
		return 0;
	return (uint64_t)st.st_dev * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)st.st_ino + 1;
}

int os_open_read(const char *path)
{
	return (int)SYSCALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

void os_close(int fd)
{
	(void)SYSCALL(SYS_close, fd);
}

long os_read(int fd, void *p, size_t nbytes)
{
	return RESTARTED(SYSCALL(SYS_read, fd, p, nbytes));
}

long os_read_at(int fd, void *p, size_t nbytes, uint64_t offset)
{
	return RESTARTED(SYSCALL(SYS_pread64, fd, p, nbytes, offset));
}

/* How long a pipe that is full waits for its reader, in milliseconds. */
#define READER_MS 10000

/* True: the descriptor, which does not block, has room again. */
static bool await_reader(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLOUT };
	struct timespec patience = { READER_MS / 1000, 0 };

	return RESTARTED(SYSCALL(SYS_ppoll, &wanted, 1L, &patience, NULL, 8L)) > 0;
}

/* Takes back the signal that a failed write has just sent to the calling thread, which blocks it.
 * pending are the signals that waited before. */
static void take_back(int number, uint64_t pending)
{
	const struct timespec at_once = { 0, 0 };
	uint64_t set = (uint64_t)1 << (number - 1);

	if ((pending & set) == 0)
		(void)SYSCALL(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof(set));
}

long os_write(int fd, const void *p, size_t nbytes)
{
	const uint64_t quiet = (uint64_t)1 << (SIGPIPE - 1) | (uint64_t)1 << (SIGXFSZ - 1);
	uint64_t before = 0, pending = 0;
	bool blocked = SYSCALL(SYS_rt_sigprocmask, SIG_BLOCK, &quiet, &before, sizeof(quiet)) == 0;
	long n;

	if ((before & quiet) != 0)
		(void)SYSCALL(SYS_rt_sigpending, &pending, sizeof(pending));
	do {
		n = RESTARTED(SYSCALL(SYS_write, fd, p, nbytes));
	} while (n == -EAGAIN && await_reader(fd));
	if (blocked && (n == -EPIPE || n == -EFBIG))
		take_back(n == -EPIPE ? SIGPIPE : SIGXFSZ, pending);
	if (blocked)
		(void)SYSCALL(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	return n;
}

bool os_directory(char *path, size_t nbytes)
{
	return SYSCALL(SYS_getcwd, path, nbytes) > 0 && path[0] == '/';
}
