/* SPDX-License-Identifier: MIT */
/*
 * os.h - what is asked of the kernel: address space, pages, time, waiting, words on a descriptor.
 *
 * A page of the heap's address space is in one of these states, with the call that leads there:
 *
 *   none  --os_reserve-->  reserved (PROT_NONE)  --os_commit-->  ready (zero, no memory yet)
 *   ready  --touch-->  in memory  --os_release-->  ready      any  --os_unreserve-->  none
 *   ready or in memory  --os_guard-->  reserved, the bytes gone        any  --os_uncommit-->  reserved, as never used
 *   ready or in memory  --os_fence-->  fenced, the bytes gone   fenced  --os_unfence-->  ready
 *
 * Ranges are whole pages of the kernel: it would round up what is not, and reach the neighbours' bytes.
 * Every call keeps errno. Thread safe. None allocates from our heap or takes a lock of ours.
 * tests/support/os_fail.c stands in front of this file's memory calls in the failure tests.
 */
#ifndef GOALLOC_OS_H
#define GOALLOC_OS_H

#include "base.h"

/* The kernel's page size, a power of two. */
size_t os_page_size(void);

static inline bool os_is_whole_pages(const void *p, size_t nbytes)
{
	return (((uintptr_t)p | nbytes) & (os_page_size() - 1)) == 0;
}

/* nbytes of address space at hint if that is free, else anywhere; NULL when there is none. */
void *os_reserve(void *hint, size_t nbytes);

/* Gives address space back, in whatever state it is. False: it is as before; a process with as many mappings as it may have
 * cannot cut one in two. */
bool os_unreserve(void *p, size_t nbytes);

/* reserved -> ready; false when the kernel does not promise the memory (state as before). */
bool os_commit(void *p, size_t nbytes);

/* in memory -> ready; the bytes are gone and read as zero. False: state and bytes as before. */
bool os_release(void *p, size_t nbytes);

/* ready or in memory -> reserved: touching it is a fault. False: what was in memory may be ready. */
bool os_guard(void *p, size_t nbytes);

/* The same for a range that is to be one mapping with reserved neighbours: whatever the range was, it is as os_reserve() gave it. */
bool os_uncommit(void *p, size_t nbytes);

/* ready or in memory -> fenced: touching it is a fault, and it stays one mapping with its neighbours. False, state as before or partly
 * fenced: the kernel cannot (Linux before 6.13), or memory is locked. */
bool os_fence(void *p, size_t nbytes);

/* fenced -> ready. */
bool os_unfence(void *p, size_t nbytes);

/* The range can be read, whatever it was before, and not written. False: as before. */
bool os_make_readable(void *p, size_t nbytes);

/* Which of n pages of the kernel have memory or are in a cache of the file, one byte each; for shared mappings. */
bool os_which_resident(uintptr_t addr, size_t n, unsigned char *resident);

/* Moves the pages of a ready range over another ready range, whose own pages are dropped.
 * The old range is ready (zero) afterwards. False: nothing moved. */
bool os_move_pages(void *from, void *to, size_t nbytes);

/* Makes a range that os_move_pages() touched one mapping with its neighbours again: ready, zero. */
bool os_remap(void *p, size_t nbytes);

/* Asks for huge pages in a committed range, or for none; advice only. */
void os_want_huge_pages(void *p, size_t nbytes, bool huge);

/* What is reserved or mapped from now on has a name in /proc/PID/maps: "goalloc: heap", our own records "goalloc: metadata". Kernels
 * before 5.17, and many later ones, know no names: then nothing happens. */
void os_name_mappings(void);

/* Zeroed memory for our own records; NULL when there is none. */
void *os_alloc_metadata(size_t nbytes);

/* Calls visit for all that os_alloc_metadata() gave. Takes no lock: what others take meanwhile may be missing. */
void os_each_metadata(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg);

/* nbytes that are zero and that processes made by fork share; NULL. Not promised: may be much more than is used. os_unreserve() gives
 * them back. */
void *os_alloc_shared(size_t nbytes);

/* What os_alloc_metadata() gives from now on lies between two pages that cannot be touched. */
void os_guard_metadata(void);

/* And is behind a protection key, which the calling thread has open: see rights.h. False: there are no keys here. Once, before the
 * first object. */
bool os_make_key(void);

/* As if there were none; nothing is behind it yet. */
void os_drop_key(void);

/* The key's bits in the rights register; 0 without a key. Constant once there are objects. */
extern _Atomic uint32_t os_key_rights;

/* Stores a word in a mapping that is read-only, and is again afterwards. */
void os_store_protected(uintptr_t *word, uintptr_t value);

/* Copies bytes of this process, mapped or not; false when not all of them can be read, or the system does not tell. */
bool os_read_memory(uintptr_t addr, void *to, size_t nbytes);

/* The 8 bytes at an aligned address, and so all of its page, can be read now. */
bool os_can_read(uintptr_t addr);

/* The ELF header of the program, as it lies in memory; 0 when it is not there. */
uintptr_t os_program_header(void);

/* The word by which a forked child is known, set by os_watch_forks(). Use os_fork_mark(). */
extern _Atomic(_Atomic uint32_t *) os_mark;

/* Returns the address of a word of this process: OS_MARK_NEVER until it is stored to. The kernel makes it 0 in a child that has memory
 * of its own, where os_watch_forks() could arrange that. Acquire: the word's first value. Pairs with the release in
 * os_watch_forks(). */
static inline _Atomic uint32_t *os_fork_mark(void)
{
	return atomic_load_explicit(&os_mark, memory_order_acquire);
}

#define OS_MARK_NEVER ((uint32_t)INT32_MAX)

/* Asks the kernel to mark forked children from now on. Takes one page of memory. Call it once. */
void os_watch_forks(void);

/* Returns true in a forked child where the kernel could not wipe the mark (before Linux 4.14) and there are other signs of the fork,
 * until this was told once. Costs a system call there; elsewhere it returns false at once. */
bool os_find_fork(void);

/* CLOCK_MONOTONIC, in milliseconds, from a coarse clock. */
uint64_t os_now_ms(void);

/* CLOCK_REALTIME, in nanoseconds since 1970. */
uint64_t os_time_ns(void);

/* Bits for address randomisation; not for secrets. */
uint64_t os_random(void);

/* Sleeps while *word == expected; may return early. */
void os_futex_wait(const _Atomic uint32_t *word, uint32_t expected);
void os_futex_wait_ms(const _Atomic uint32_t *word, uint32_t expected, uint32_t ms);   /* at most so long */
void os_futex_wake(const _Atomic uint32_t *word);
void os_futex_wake_all(const _Atomic uint32_t *word);

void os_sleep_ms(uint32_t ms);

/* The calling thread is the only one of the process, as libc counts (glibc 2.32 and later; with others nobody knows). */
extern char __libc_single_threaded WEAK;

static inline bool os_single_threaded(void)
{
	return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

bool os_is_secure(void);            /* AT_SECURE: setuid and the like */
int os_pid(void);
int os_thread(void);                /* the calling one's number; that of the first is os_pid() */

/* Sends a signal that the calling thread has got to it once more. info is its siginfo_t. */
void os_signal_again(int number, void *info);

int os_dup_cloexec(int fd);         /* on a high number; -errno */
int os_open_write(const char *path, bool append);   /* made if need be, emptied unless append; on a high number, too; -errno */
int os_check_write(const char *path);      /* 0, or -errno as os_open_write(), as far as is seen without opening */
int os_open_read(const char *path);        /* -errno */
uint64_t os_file_id(int fd);               /* what the descriptor is open on, as a number; 0: it is not open */
void os_close(int fd);
long os_read(int fd, void *p, size_t nbytes);          /* bytes; 0 at the end, -errno */
long os_read_at(int fd, void *p, size_t nbytes, uint64_t offset);   /* the same, of a file */
long os_write(int fd, const void *p, size_t nbytes);   /* bytes, after interruptions; -errno */
bool os_directory(char *path, size_t nbytes);          /* the current one; false: none, or too long */

#endif
