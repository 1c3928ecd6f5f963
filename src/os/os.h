/* SPDX-License-Identifier: MIT */
/*
 * os.h - what is asked of the kernel: address space, pages, time, waiting, descriptors.
 *
 * A page of the heap's address space is in one of these states, with the call that leads there:
 *
 *   none                --os_reserve-->    reserved (PROT_NONE)
 *   reserved            --os_commit-->     ready (zero, no memory yet)
 *   ready               --touch-->         in memory
 *   in memory           --os_release-->    ready
 *   ready or in memory  --os_guard-->      reserved, the bytes gone
 *   ready or in memory  --os_fence-->      fenced, the bytes gone
 *   fenced              --os_unfence-->    ready
 *   any                 --os_uncommit-->   reserved, as never used
 *   any                 --os_unreserve-->  none
 *
 * A range is whole pages of the kernel, which would round up any other and reach bytes of
 * neighbours. Every call keeps errno and is thread safe. None allocates from our heap or takes a
 * lock of ours. A call that returns false has changed nothing, unless its comment says otherwise.
 * tests/support/os_fail.c stands in front of the memory calls in tests of failures.
 */
#ifndef GOALLOC_OS_H
#define GOALLOC_OS_H

#include "base/base.h"

/* --- what the kernel told the process at exec --- */

/* Returns the value of an entry AT_... of the auxiliary vector, or 0. */
uintptr_t os_auxiliary(unsigned long type);

/* Returns true in a static program, where no name of this library is libc's.
 * face/interpose_static.c, which only such a program has, answers so. */
bool os_is_static(void);

/* Returns the kernel's page size, a power of two. */
size_t os_page_size(void);

static inline bool os_is_whole_pages(const void *p, size_t nbytes)
{
	return (((uintptr_t)p | nbytes) & (os_page_size() - 1)) == 0;
}

/* Returns true if the program runs with rights that its user does not have (AT_SECURE): setuid and
 * the like. */
bool os_is_secure(void);

/* Returns the address of the program's ELF header in memory, or 0 if it is not there. */
uintptr_t os_program_header(void);

/* --- pages --- */

/* Reserves nbytes at the hint if that is free, else anywhere. Returns NULL when there are none. */
void *os_reserve(void *hint, size_t nbytes);

/* Gives address space back, whatever state it is in. Returns false when the process has as many
 * mappings as it may have, and one would have to be cut in two. */
bool os_unreserve(void *p, size_t nbytes);

/* Makes a reserved range ready. Returns false when the kernel does not promise the memory. */
bool os_commit(void *p, size_t nbytes);

/* Gives the memory of a range back: it is ready then, and reads as zero. Memory that the program
 * has locked is released, too, and stays locked. Returns false for locked memory before Linux
 * 5.18. */
bool os_release(void *p, size_t nbytes);

/*
 * Does what os_release() does, for memory that was the program's, by libc's madvise(3). A library
 * that registers memory with devices (UCX, libfabric, MPI) replaces that function, or patches it,
 * and must learn that the pages are gone. The caller holds no lock, because such a hook may
 * allocate and wait for other threads. Returns false when os_can_drop() does.
 */
bool os_drop(void *p, size_t nbytes);

/* Returns false where os_drop() leaves pages for later: in a hook, which is not called within
 * itself, and where the thread holds a lock that the hook may need. */
bool os_can_drop(void);

/*
 * Sets functions that surround such a call, because a hook may allocate while the thread is in the
 * middle of an allocation. is_later() returns true when the thread must not call now but can soon:
 * the pages stay as they are. begin() returns false when the thread can never call: a system call
 * drops the pages then. They are set once, before the first object.
 */
void os_set_call_out(bool (*is_later)(void), bool (*begin)(void), void (*end)(void));

/* Makes a range fault when it is touched: ready or in memory becomes reserved. After false the
 * bytes may be gone. */
bool os_guard(void *p, size_t nbytes);

/* Makes any range what os_reserve() gave, so that it is one mapping with reserved neighbours. */
bool os_uncommit(void *p, size_t nbytes);

/* Makes a range fault when it is touched, and keeps it one mapping with its neighbours. Returns
 * false when the kernel cannot (Linux before 6.13) or memory is locked; a part may be fenced. */
bool os_fence(void *p, size_t nbytes);

/* Makes a fenced range ready. */
bool os_unfence(void *p, size_t nbytes);

/* Makes any range readable and not writable. */
bool os_make_readable(void *p, size_t nbytes);

/* Tells for each of n kernel pages, by one byte, whether it has memory or is in a file's cache. For
 * shared mappings. */
bool os_which_resident(uintptr_t addr, size_t n, unsigned char *resident);

/* Moves the pages of a ready range over another ready range, whose own pages are dropped. Both
 * ranges go through os_drop(). The old range is ready (zero) afterwards. After false nothing is
 * moved, but the other range's pages may be gone. */
bool os_move_pages(void *from, void *to, size_t nbytes);

/* Makes a range that os_move_pages() touched one mapping with its neighbours again. It is ready
 * (zero) then. */
bool os_remap(void *p, size_t nbytes);

/* Keeps a range out of core files, or takes it into them. This is advice only. New mappings are in
 * core files. */
void os_dump(void *p, size_t nbytes, bool dump);

/* Asks for huge pages in a committed range, or for none. This is advice only. */
void os_want_huge_pages(void *p, size_t nbytes, bool huge);

/* Names later mappings in /proc/PID/maps: "goalloc: heap", and "goalloc: metadata" for records.
 * Kernels before 5.17, and many later ones, know no names and ignore this. */
void os_name_mappings(void);

/* Makes [p, p + nbytes) ready. Returns false if something is mapped there, or there is no
 * memory. */
bool os_map_at(void *p, size_t nbytes);

/* Returns nbytes that are zero and that processes made by fork share, or NULL. The kernel does not
 * promise the memory, so nbytes may be much more than is used. os_unreserve() gives it back. */
void *os_alloc_shared(size_t nbytes);

/* --- memory for records: see os_metadata.c --- */

/* Returns zeroed memory for records, or NULL when there is none. It lies between two pages that
 * cannot be accessed, and at a random place that no address of libc's or of the heap's tells. */
void *os_alloc_metadata(size_t nbytes);

/* Returns memory as os_alloc_metadata() does, at a random place of its own, where
 * os_extend_metadata() can make it longer. */
void *os_alloc_long_metadata(size_t nbytes);

/* Adds nbytes behind the end of memory from os_alloc_long_metadata(), and moves the page that
 * cannot be accessed to the new end. Returns false when the system has no memory or something else
 * is mapped there. */
bool os_extend_metadata(void *end, size_t nbytes);

/* Reserves memory for records as os_alloc_metadata() does, of which only the first bytes are ready
 * and zeroed, and the rest cannot be accessed. Both are whole kernel pages. */
void *os_reserve_metadata(size_t nbytes, size_t ready);

/* Makes a part of such memory ready. Returns false when there is no memory. */
bool os_commit_metadata(void *p, size_t nbytes);

/* Makes a part of such memory what os_reserve_metadata() gave. After false the bytes may be gone,
 * and may still be accessed. */
bool os_uncommit_metadata(void *p, size_t nbytes);

/* Calls visit for all memory of records. Takes no lock, so it may miss memory that other threads
 * take meanwhile. */
void os_each_metadata(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg);

/* Returns zeroed memory for the time of a call, so that large records need no stack, or NULL. Where
 * the system has no memory, one caller at a time gets up to OS_SCRATCH_RESERVE bytes that are set
 * aside. The caller gives it back by os_free_scratch() with the same length. */
#define OS_SCRATCH_RESERVE KiB(32)
void *os_alloc_scratch(size_t nbytes);
void os_free_scratch(void *p, size_t nbytes);

/* Puts the records that are made from now on behind a protection key, which the calling thread has
 * open: see metakey.h. Returns false where there are no keys. Called once, before the first
 * object. */
bool os_make_key(void);

/* The key's bits in the rights register, or 0 without a key. Constant once there are objects. */
extern _Atomic uint32_t os_key_rights;

/* --- memory that may not be there --- */

/* Stores a word in a mapping that is read-only before and afterwards. executable says that the
 * mapping has code, too. One thread at a time may call it. */
void os_store_protected(uintptr_t *word, uintptr_t value, bool executable);

/* Copies memory of this process that may not be mapped. Returns how many bytes could be read, from
 * the first on. */
size_t os_try_read(void *to, uintptr_t from, size_t nbytes);

/* Copies memory of this process. Returns false when not all of it can be read, or the system does
 * not tell. */
bool os_read_memory(uintptr_t addr, void *to, size_t nbytes);

/* Returns true if the 8 bytes at an aligned address, and so their whole page, can be read now. */
bool os_can_read(uintptr_t addr);

/* --- the mark by which a forked child is known --- */

/* The address of the mark, set by os_watch_forks(). Use os_fork_mark(). */
extern _Atomic(_Atomic uint32_t *) os_mark;

/* Returns the address of a word that is OS_MARK_NEVER until this process stores to it. The kernel
 * makes it 0 in a child that has memory of its own, where os_watch_forks() could arrange that.
 * Acquire: the word's first value. Pairs with the release in os_watch_forks(). */
static inline _Atomic uint32_t *os_fork_mark(void)
{
	return atomic_load_explicit(&os_mark, memory_order_acquire);
}

#define OS_MARK_NEVER ((uint32_t)INT32_MAX)

/* Asks the kernel to mark forked children from now on. Takes one page of memory. Call it once. */
void os_watch_forks(void);

/* Returns true, once, in a forked child where the kernel could not wipe the mark (before Linux
 * 4.14). It makes a system call there; elsewhere it returns false at once. */
bool os_find_fork(void);

/* --- time and random numbers --- */

/* Returns CLOCK_MONOTONIC in milliseconds, from the coarse clock: see os_clock.c. */
uint64_t os_now_ms(void);

/* Returns CLOCK_REALTIME in nanoseconds since 1970, from the coarse clock. */
uint64_t os_time_ns(void);

/* Asks the kernel for the secret of os_random(). Called once, before the first object: later a
 * filter of system calls may refuse it. If the kernel refuses, the secret is made of the process's
 * seed and of the time. */
void os_seed_random(void);

/* Returns 64 bits that nobody can predict without the secret. Makes no system call. */
uint64_t os_random(void);

/* --- waiting, threads --- */

/* Sleeps while *word == expected, and may return early. */
void os_futex_wait(const _Atomic uint32_t *word, uint32_t expected);

/* Sleeps while *word == expected, for at most ms milliseconds. */
void os_futex_wait_ms(const _Atomic uint32_t *word, uint32_t expected, uint32_t ms);
void os_futex_wake(const _Atomic uint32_t *word);
void os_futex_wake_all(const _Atomic uint32_t *word);

void os_sleep_ms(uint32_t ms);

int os_pid(void);

/* Returns the calling thread's number. That of the first thread is os_pid(). */
int os_thread(void);

/* Sends a signal that the calling thread has got to it once more. info is its siginfo_t. */
void os_signal_again(int number, void *info);

/* --- descriptors: what returns a number returns -errno for a failure --- */

/* Duplicates a descriptor to a high number, close-on-exec. */
int os_dup_cloexec(int fd);
int os_open_read(const char *path);

/* Returns a number for what the descriptor is open on, or 0 if it is not open. */
uint64_t os_file_id(int fd);
void os_close(int fd);

/* Returns the number of bytes read, 0 at the end. */
long os_read(int fd, void *p, size_t nbytes);

/* Reads a file of text, at most room - 1 bytes, and ends it with 0. Returns its length, or 0 if the
 * file cannot be read. */
size_t os_read_file(const char *path, char *text, size_t room);
long os_read_at(int fd, void *p, size_t nbytes, uint64_t offset);

/* A run of kernel pages. The kernel fills it in. */
struct os_page_run {
	uint64_t start, end, categories;
};

/* Looks in [*addr, end) for runs of pages with memory that is no file's, of the process whose
 * /proc/PID/pagemap is open. It passes over empty page tables, so a mapping of terabytes without
 * memory costs little. Stores at most n runs, moves *addr to where the search is to go on, and
 * returns the number of runs; or a negative errno, with *addr as it was. Linux before 6.7 cannot
 * do it. *addr must be the start of a page. */
long os_find_pages(int pagemap, uintptr_t *addr, uintptr_t end, struct os_page_run *runs, size_t n);

/* Writes to a descriptor and returns how many bytes. Goes on after interruptions. Sends no SIGPIPE
 * or SIGXFSZ, which would end the program. A full pipe that does not block has 10 s to be read
 * from; after that the result is -EAGAIN. */
long os_write(int fd, const void *p, size_t nbytes);

/* Stores the current directory. Returns false if there is none, or its name is too long. */
bool os_directory(char *path, size_t nbytes);

#endif
