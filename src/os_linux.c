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
#include "os.h"
#include "os_call.h"
#include "config.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
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

size_t os_page_size(void)
{
	/* Relaxed: any thread computes the same value. */
	static _Atomic size_t cached;
	size_t n = atomic_load_explicit(&cached, memory_order_relaxed);

	if (n == 0) {
		n = (size_t)getauxval(AT_PAGESZ);
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

/* Nothing but anonymous memory of this process alone is mapped there. Asked of pages without memory it costs little and changes nothing:
 * the kernel refuses to free the pages of files lazily. */
static bool is_anonymous(void *p, size_t nbytes)
{
	return SYSCALL(SYS_madvise, p, nbytes, MADV_FREE) == 0;
}

/* A program may have mapped a file over an object that it freed later. Then the file's bytes would come back, so the mapping is
 * replaced. */
bool os_release(void *p, size_t nbytes)
{
	if (SYSCALL(SYS_madvise, p, nbytes, MADV_DONTNEED) != 0)
		return false;
	return is_anonymous(p, nbytes) || os_remap(p, nbytes);
}

bool os_guard(void *p, size_t nbytes)
{
	if (!os_release(p, nbytes))
		return false;
	if (SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0)
		return true;
	/* Of several mappings in the range the first may be protected already. */
	(void)os_commit(p, nbytes);
	return false;
}

bool os_uncommit(void *p, size_t nbytes)
{
	return map(p, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == p;
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
	/* DONTUNMAP keeps the old range mapped: there is no moment in which another mapping could
	 * take its place. Kernels before 5.7 refuse it, and the caller copies. */
	if (SYSCALL(SYS_mremap, from, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == (long)to)
		return true;
	/* Kernels before 6.17 refuse a range of several mappings after they have unmapped what was at the other place. */
	fill_hole(to, nbytes);
	return false;
}

bool os_remap(void *p, size_t nbytes)
{
	return map_heap(p, nbytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == p;
}

void os_want_huge_pages(void *p, size_t nbytes, bool huge)
{
	(void)SYSCALL(SYS_madvise, p, nbytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

_Atomic uint32_t os_key_rights;
static int metadata_key = -1;       /* -1 says to pkey_mprotect(2): like mprotect(2) */
static bool metadata_is_guarded;

void os_guard_metadata(void)
{
	metadata_is_guarded = true;
}

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

void os_drop_key(void)
{
	(void)SYSCALL(SYS_pkey_free, (long)metadata_key);
	metadata_key = -1;
	atomic_store_explicit(&os_key_rights, 0, memory_order_relaxed);
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
	fresh = map(NULL, sizeof(*fresh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (fresh == NULL)
		return NULL;
	/* Release: see the load. Acquire: if another thread was first, its places are zero. */
	if (atomic_compare_exchange_strong_explicit(&places->next, &next, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	(void)os_unreserve(fresh, sizeof(*fresh));
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

static void *alloc_guarded_metadata(size_t nbytes)
{
	long protect = metadata_key < 0 ? SYS_mprotect : SYS_pkey_mprotect;
	size_t guard = os_page_size();
	char *p;

	p = name_mapping(map(NULL, nbytes + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS), nbytes + 2 * guard, METADATA_NAME);
	if (p == NULL)
		return NULL;
	if (SYSCALL(protect, p + guard, nbytes, PROT_READ | PROT_WRITE, metadata_key) != 0) {
		(void)os_unreserve(p, nbytes + 2 * guard);
		return NULL;
	}
	return p + guard;
}

void *os_alloc_metadata(size_t nbytes)
{
	void *p = metadata_is_guarded ? alloc_guarded_metadata(nbytes) :
					name_mapping(map(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS), nbytes,
						     METADATA_NAME);

	if (p != NULL)
		note_metadata((uintptr_t)p, nbytes);
	return p;
}

void os_store_protected(uintptr_t *word, uintptr_t value)
{
	uintptr_t page = align_down((uintptr_t)word, os_page_size());
	size_t nbytes = os_page_size();

	if (SYSCALL(SYS_mprotect, page, nbytes, PROT_READ | PROT_WRITE) != 0)
		return;
	*word = value;
	(void)SYSCALL(SYS_mprotect, page, nbytes, PROT_READ);
}

bool os_read_memory(uintptr_t addr, void *to, size_t nbytes)
{
	struct iovec here = { to, nbytes }, there = { (void *)addr, nbytes };

	return SYSCALL(SYS_process_vm_readv, os_pid(), &here, 1L, &there, 1L, 0L) == (long)nbytes;
}

bool os_can_read(uintptr_t addr)
{
	/* The kernel reads the signal set before it finds that there is no such operation. */
	return SYSCALL(SYS_rt_sigprocmask, -1L, addr, NULL, 8L) == -EINVAL;
}

uintptr_t os_program_header(void)
{
	int saved_errno = errno;
	uintptr_t addr = (uintptr_t)getauxval(AT_PHDR) - sizeof(Elf64_Ehdr);

	errno = saved_errno;
	if (addr % os_page_size() != 0 || !os_can_read(addr) || __builtin_memcmp((const void *)addr, ELFMAG, SELFMAG) != 0)
		return 0;
	return addr;
}

uint64_t os_now_ms(void)
{
	struct timespec ts = { 0, 0 };

	(void)SYSCALL(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t os_time_ns(void)
{
	struct timespec ts = { 0, 0 };

	(void)SYSCALL(SYS_clock_gettime, CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t os_random(void)
{
	const unsigned char *seed = (const unsigned char *)getauxval(AT_RANDOM);
	uint64_t r = 0;

	/* The 16 bytes the kernel gives each process at exec. libc has taken its stack guard
	 * from the first 8 and its pointer guard from the last, so mix rather than reveal. */
	for (size_t i = 0; seed != NULL && i < 16; i++)
		r = (r ^ seed[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return r ^ (r >> 29);
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
	return getauxval(AT_SECURE) != 0;
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

int os_open_write(const char *path, bool append)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC);
	int fd = (int)RESTARTED(SYSCALL(SYS_openat, AT_FDCWD, path, flags, 0666));
	int high;

	if (fd < 0)
		return fd;
	/* Programs count on the low numbers. */
	high = os_dup_cloexec(fd);
	os_close(fd);
	return high < 0 ? -EMFILE : high;
}

/* A file can be made in the directory that path is in: 0, or -errno. */
static int check_directory(const char *path)
{
	char directory[1024] = ".";
	size_t slash = 0, len = string_length(path);

	if (len >= sizeof(directory))
		return -ENAMETOOLONG;
	for (size_t i = 0; i < len; i++)
		if (path[i] == '/')
			slash = i + 1;
	if (slash == len)
		return -EISDIR;
	copy_bytes(directory, path, slash);
	/* "/" is its own. */
	if (slash > 0)
		directory[slash > 1 ? slash - 1 : 1] = '\0';
	return (int)RESTARTED(SYSCALL(SYS_faccessat, AT_FDCWD, directory, W_OK | X_OK));
}

int os_check_write(const char *path)
{
	struct stat st;
	int found = (int)RESTARTED(SYSCALL(SYS_newfstatat, AT_FDCWD, path, &st, 0));

	if (found == -ENOENT)
		return check_directory(path);
	if (found < 0)
		return found;
	return S_ISDIR(st.st_mode) ? -EISDIR : (int)RESTARTED(SYSCALL(SYS_faccessat, AT_FDCWD, path, W_OK));
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

long os_write(int fd, const void *p, size_t nbytes)
{
	return RESTARTED(SYSCALL(SYS_write, fd, p, nbytes));
}

bool os_directory(char *path, size_t nbytes)
{
	return SYSCALL(SYS_getcwd, path, nbytes) > 0 && path[0] == '/';
}
