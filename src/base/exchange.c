/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - the exchange of an atomic byte, for processors whose atomic instructions work on
 * words of 32 bits (riscv64).
 *
 * gcc before version 13 calls libatomic's function for it. The library needs libc only, so it has a
 * function of that name. It is compiled for those processors only: see CMakeLists.txt.
 */
#include "base/compiler.h"

HIDDEN uint8_t exchange_byte(volatile void *p, uint8_t value, int order)
	LINKER_NAME("__atomic_exchange_1");

uint8_t exchange_byte(volatile void *p, uint8_t value, int order)
{
	uintptr_t addr = (uintptr_t)p;
	unsigned shift = (unsigned)(addr % sizeof(uint32_t)) * 8;
	volatile _Atomic uint32_t *word = (volatile _Atomic uint32_t *)(addr - shift / 8);
	uint32_t mask = UINT32_C(0xff) << shift, old, new;

	(void)order;
	/* Relaxed: the exchange that follows fails if the word is another by then. */
	old = atomic_load_explicit(word, memory_order_relaxed);
	do
		new = (old & ~mask) | (uint32_t)value << shift;
	/* Acquire and release, the strongest order that a caller asks for. */
	while (!atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_acq_rel,
						      memory_order_relaxed));
	return (uint8_t)(old >> shift);
}
