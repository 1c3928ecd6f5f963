/* SPDX-License-Identifier: MIT */
/*
 * os_clock.c - the time, without a system call.
 * See malloc.c for the overview.
 *
 * The kernel maps a small library into every process, the vDSO, whose clock_gettime() reads the time from memory. The two coarse
 * clocks advance with the kernel's timer, every 1 to 10 ms. They need neither a system call nor a counter of the processor: a
 * sandbox may forbid both, by seccomp(2) and by PR_SET_TSC. A reading costs 3 ns, where rdtsc costs 14 in a virtual machine.
 *
 * The function is found in the vDSO's own ELF image, not through libc, so that no hook on clock_gettime(3) sees the calls. Where
 * the kernel gives no vDSO (vdso=0, valgrind, qemu-user), the clock is read by a system call.
 *
 * Owns     the address of the vDSO's function.
 * Callers  every layer.
 * Locks    none.
 * Holds    errno is as the caller left it after every function.
 */
#include "os/os.h"
#include "os/os_call.h"

#include <elf.h>
#include <time.h>

typedef long clock_function(long clock, struct timespec *ts);

/* What an ELF image in memory says about its symbols. */
struct image {
	uintptr_t bias;                  /* address in memory minus address in the image */
	const Elf64_Sym *symbols;
	const char *names;
	const uint32_t *hash;            /* DT_HASH: two numbers, buckets, and a chain entry for each symbol */
	const uint32_t *gnu_hash;        /* DT_GNU_HASH */
};

static void read_dynamic(struct image *image, const Elf64_Dyn *dynamic)
{
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		const void *at = (const void *)(image->bias + dynamic->d_un.d_ptr);

		switch (dynamic->d_tag) {
		case DT_SYMTAB:
			image->symbols = at;
			break;
		case DT_STRTAB:
			image->names = at;
			break;
		case DT_HASH:
			image->hash = at;
			break;
		case DT_GNU_HASH:
			image->gnu_hash = at;
			break;
		}
	}
}

static bool read_image(struct image *image, uintptr_t base)
{
	const Elf64_Ehdr *header = (const void *)base;
	const Elf64_Phdr *ph = (const void *)(base + header->e_phoff);
	const Elf64_Dyn *dynamic = NULL;
	bool loaded = false;

	if (__builtin_memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !loaded) {
			image->bias = base + ph[i].p_offset - ph[i].p_vaddr;
			loaded = true;
		} else if (ph[i].p_type == PT_DYNAMIC) {
			dynamic = (const void *)(base + ph[i].p_offset);
		}
	}
	if (!loaded || dynamic == NULL)
		return false;
	read_dynamic(image, dynamic);
	return image->symbols != NULL && image->names != NULL;
}

/* Returns how many symbols the image has, as far as its hash tables tell. */
static uint32_t count_symbols(const struct image *image)
{
	const uint32_t *buckets, *chains;
	uint32_t nbuckets, first, last = 0;

	if (image->hash != NULL)
		return image->hash[1];
	if (image->gnu_hash == NULL)
		return 0;
	nbuckets = image->gnu_hash[0];
	first = image->gnu_hash[1];
	/* Four numbers, and a filter of 64-bit words. */
	buckets = image->gnu_hash + 4 + (size_t)image->gnu_hash[2] * 2;
	chains = buckets + nbuckets;
	for (uint32_t i = 0; i < nbuckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	/* The lowest bit ends a chain. */
	while ((chains[last - first] & 1) == 0)
		last++;
	return last + 1;
}

static bool is_clock_gettime(const char *name)
{
	static const char *const names[] = { "__vdso_clock_gettime", "__kernel_clock_gettime" };

	for (unsigned i = 0; i < 2; i++) {
		size_t n = 0;

		while (name[n] == names[i][n] && name[n] != '\0')
			n++;
		if (name[n] == names[i][n])
			return true;
	}
	return false;
}

static long ask_kernel(long clock, struct timespec *ts)
{
	return SYSCALL(SYS_clock_gettime, clock, ts);
}

static clock_function *find_clock(uintptr_t base)
{
	struct image image = { 0 };
	uint32_t n;

	if (base == 0 || !read_image(&image, base))
		return ask_kernel;
	n = count_symbols(&image);
	for (uint32_t i = 0; i < n; i++) {
		const Elf64_Sym *s = &image.symbols[i];

		if (s->st_shndx != SHN_UNDEF && is_clock_gettime(image.names + s->st_name))
			return (clock_function *)(image.bias + s->st_value);
	}
	return ask_kernel;
}

static void read_clock(long clock, struct timespec *ts)
{
	/* Relaxed: any thread finds the same function. */
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
