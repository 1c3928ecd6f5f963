/* SPDX-License-Identifier: MIT */
/*
 * os_clock.c - the time, without a system call.
 *
 * The kernel maps a small library into every process, the vDSO. Its clock_gettime(2) reads the time
 * from memory. The two coarse clocks advance with the kernel's timer, every 1 to 10 ms. They need
 * neither a system call nor a counter of the processor. A sandbox may forbid both, by seccomp(2)
 * and by PR_SET_TSC.
 *
 * The function is found in the vDSO's own ELF image, not through libc, so that no hook on
 * clock_gettime(3) sees the calls. Where the kernel gives no vDSO (vdso=0, valgrind, qemu-user),
 * the clock is read by a system call.
 *
 * Owns     the address of the vDSO's function.
 * Holds    errno is as the caller left it after every function.
 */
#include "os/loaded.h"
#include "os/os.h"
#include "os/os_call.h"

#include <time.h>

typedef long clock_function(long clock, struct timespec *ts);

static long ask_kernel(long clock, struct timespec *ts)
{
	return SYSCALL(SYS_clock_gettime, clock, ts);
}

/* Reads the vDSO's tables. Returns false if it is linked to another address than 0, as kernels
 * before 3.16 have it: its tables cannot be told from relocated ones. */
static bool read_vdso(struct loaded *vdso, uintptr_t base)
{
	const Elf64_Ehdr *header = (const void *)base;
	const Elf64_Phdr *ph = (const void *)(base + header->e_phoff);
	const Elf64_Dyn *dynamic = NULL;

	if (!is_elf64(header))
		return false;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset != ph[i].p_vaddr)
			return false;
		if (ph[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(base + ph[i].p_offset);
	}
	return loaded_read(vdso, base, dynamic);
}

static clock_function *find_clock(uintptr_t base)
{
	struct loaded vdso;
	void *f;

	if (base == 0 || !read_vdso(&vdso, base))
		return ask_kernel;
	f = loaded_function(&vdso, "__vdso_clock_gettime");
	if (f == NULL)
		f = loaded_function(&vdso, "__kernel_clock_gettime");
	return f != NULL ? (clock_function *)f : ask_kernel;
}

static void read_clock(long clock, struct timespec *ts)
{
	/* Relaxed: each thread finds the same function. */
	static _Atomic(clock_function *) cached;
	clock_function *f = atomic_load_explicit(&cached, memory_order_relaxed);

	if (UNLIKELY(f == NULL)) {
		f = find_clock(os_auxiliary(AT_SYSINFO_EHDR));
		atomic_store_explicit(&cached, f, memory_order_relaxed);
	}
	(void)f(clock, ts);
}

uint64_t os_now_ms(void)
{
	struct timespec ts = { 0, 0 };

	read_clock(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t os_time_ns(void)
{
	struct timespec ts = { 0, 0 };

	read_clock(CLOCK_REALTIME_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
