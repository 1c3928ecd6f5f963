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

#include "base/base.h"

/* Returns what the kernel told the process at exec about AT_..., or 0. It is read where the kernel put it: programs replace
 * getauxval(3). */
uintptr_t os_auxiliary(unsigned long type);

/* Returns true in a static program, where no name of this library is libc's. interpose_static.c,
 * which only such a program has, answers so. */
bool os_is_static(void);

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

/* in memory -> ready; the bytes are gone and read as zero. Memory that the program has locked is released, too, and stays locked. False:
 * state and bytes as before; kernels before 5.18 refuse locked memory. */
bool os_release(void *p, size_t nbytes);

/*
 * Does what os_release() does, for memory that was the program's: by libc's madvise(3). A library that keeps registrations of memory
 * for devices (UCX, libfabric, MPI) replaces that function, or patches it, and must learn that the pages are gone.
 * The caller holds no lock, because such a hook may allocate and wait for others.
 */
bool os_drop(void *p, size_t nbytes);

/*
 * What surrounds such a call: a hook may allocate while the thread is in the middle of an allocation. begin() returns false when the
 * thread must not call now; then the pages go by a system call. Set once, before the first object.
 */
void os_set_call_out(bool (*begin)(void), void (*end)(void));

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

/* Moves the pages of a ready range over another ready range, whose own pages are dropped. Both ranges go through os_drop().
 * The old range is ready (zero) afterwards. False: nothing moved. */
bool os_move_pages(void *from, void *to, size_t nbytes);

/* Makes a range that os_move_pages() touched one mapping with its neighbours again: ready, zero. */
bool os_remap(void *p, size_t nbytes);

/* Keeps a range out of cores of the process, or takes it into them; advice only. What is mapped anew is in them. */
void os_dump(void *p, size_t nbytes, bool dump);

/* Asks for huge pages in a committed range, or for none; advice only. */
void os_want_huge_pages(void *p, size_t nbytes, bool huge);

/* What is reserved or mapped from now on has a name in /proc/PID/maps: "goalloc: heap", our own records "goalloc: metadata". Kernels
 * before 5.17, and many later ones, know no names: then nothing happens. */
void os_name_mappings(void);

/* Returns zeroed memory for our own records, NULL when there is none. It lies between two pages that cannot be touched, and at a
 * random place, from which no address of libc's or of the heap's follows. */
void *os_alloc_metadata(size_t nbytes);

/* Returns memory as os_alloc_metadata() does, at a random place of its own, where os_extend_metadata() makes it longer. */
void *os_alloc_long_metadata(size_t nbytes);

/* Adds nbytes behind the end of memory from os_alloc_long_metadata(), and moves the page that cannot be touched to the new end.
 * Returns false, with nothing changed, when the system has no memory or somebody else is there. */
bool os_extend_metadata(void *end, size_t nbytes);

/* Makes [p, p + nbytes) ready, where nothing is mapped. False: something is there, or there is no
 * memory. */
bool os_map_at(void *p, size_t nbytes);

/* Zeroed memory for the time of a call, so that large records need no stack. It comes from the
 * system; where the system has none, one caller at a time gets up to OS_SCRATCH_RESERVE bytes that
 * are set aside. NULL: neither is to be had. The caller gives it back by os_free_scratch() with the
 * same length. */
#define OS_SCRATCH_RESERVE KiB(32)
void *os_alloc_scratch(size_t nbytes);
void os_free_scratch(void *p, size_t nbytes);

/* Calls visit for all memory for our own records. Takes no lock: what others take meanwhile may be missing. */
void os_each_metadata(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg);

/* nbytes that are zero and that processes made by fork share; NULL. Not promised: may be much more than is used. os_unreserve() gives
 * them back. */
void *os_alloc_shared(size_t nbytes);

/* Puts the records that are made from now on behind a protection key, which the calling thread has open: see rights.h. Returns
 * false where there are no keys. Called once, before the first object. */
bool os_make_key(void);

/* The key's bits in the rights register; 0 without a key. Constant once there are objects. */
extern _Atomic uint32_t os_key_rights;

/* Stores a word in a mapping that cannot be written to, and cannot again afterwards. executable: it has code, too. One thread at a time. */
void os_store_protected(uintptr_t *word, uintptr_t value, bool executable);

/* Copies memory of the calling process that may not be there. Returns how many bytes could be read,
 * from the first on. */
size_t os_try_read(void *to, uintptr_t from, size_t nbytes);

/* Copies bytes of this process, mapped or not; false when not all of them can be read, or the system does not tell. */
bool os_read_memory(uintptr_t addr, void *to, size_t nbytes);

/* The 8 bytes at an aligned address, and so all of its page, can be read now. */
bool os_can_read(uintptr_t addr);

/* The ELF header of the program, as it lies in memory; 0 when it is not there. */
uintptr_t os_program_header(void);

/* The word by which a forked child is known, set by os_watch_forks(). Use os_fork_mark(). */
extern _Atomic(_Atomic uint32_t *) os_mark;

/* Returns the address of a word of this process: OS_MARK_NEVER until it is stored to. The kernel
 * makes it 0 in a child that has memory of its own, where os_watch_forks() could arrange that.
 * Acquire: the word's first value. Pairs with the release in os_watch_forks(). */
static inline _Atomic uint32_t *os_fork_mark(void)
{
	return atomic_load_explicit(&os_mark, memory_order_acquire);
}

#define OS_MARK_NEVER ((uint32_t)INT32_MAX)

/* Asks the kernel to mark forked children from now on. Takes one page of memory. Call it once. */
void os_watch_forks(void);

/* Returns true in a forked child where the kernel could not wipe the mark (before Linux 4.14) and
 * there are other signs of the fork, until this was told once. Costs a system call there;
 * elsewhere it returns false at once. */
bool os_find_fork(void);

/* CLOCK_MONOTONIC, in milliseconds, from the coarse clock of os_clock.c: it advances every 1 to 10 ms, and costs some 3 ns. */
uint64_t os_now_ms(void);

/* CLOCK_REALTIME, in nanoseconds since 1970, from the coarse clock. */
uint64_t os_time_ns(void);

/* Asks the kernel for the secret that os_random() works with. Called once, before the first object: later a filter of system calls may
 * stand in the way. Where the kernel refuses, the secret is made of its seed for the process and of the time. */
void os_seed_random(void);

/* Returns bits that nobody can predict who does not know the secret. Makes no system call. */
uint64_t os_random(void);

/* Sleeps while *word == expected; may return early. */
void os_futex_wait(const _Atomic uint32_t *word, uint32_t expected);
/* The same, for at most ms milliseconds. */
void os_futex_wait_ms(const _Atomic uint32_t *word, uint32_t expected, uint32_t ms);
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
int os_open_read(const char *path);        /* -errno */
uint64_t os_file_id(int fd);               /* what the descriptor is open on, as a number; 0: it is not open */
void os_close(int fd);
long os_read(int fd, void *p, size_t nbytes);          /* bytes; 0 at the end, -errno */
long os_read_at(int fd, void *p, size_t nbytes, uint64_t offset);   /* the same, of a file */

/* Writes to a descriptor and returns how many bytes, or -errno. Goes on after interruptions; sends
 * no SIGPIPE or SIGXFSZ, which would end the program; a pipe that is full and does not block has 10
 * s to be read from, and is then EAGAIN. */
long os_write(int fd, const void *p, size_t nbytes);

bool os_directory(char *path, size_t nbytes);          /* the current one; false: none, or too long */

#endif
