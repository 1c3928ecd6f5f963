/* SPDX-License-Identifier: MIT */
/*
 * probe.h - places where bpftrace, perf, SystemTap and gdb can watch sampled allocations.
 *
 * A probe that nobody watches costs one nop. Only sampled objects pass one: see tools/sample.h.
 */
#ifndef GOALLOC_PROBE_H
#define GOALLOC_PROBE_H

#include <stdint.h>

/*
 * Marks a place that tracing tools find by name. It evaluates its arguments and puts a nop here. It
 * also makes an entry of SystemTap's form, version 3, in the section .note.stapsdt, which no
 * process has in memory. The entry holds:
 *
 *   - the nop's address, and that of .stapsdt.base, by which a tool sees that the file was moved;
 *   - 0 for the semaphore, which there is not;
 *   - provider and name, and where the three arguments of 8 bytes are.
 */
#define PROBE_3(provider, name, a, b, c) \
	__asm__ volatile("990:	nop\n" \
			 ".pushsection .note.stapsdt,\"?\",\"note\"\n" \
			 ".balign 4\n" \
			 ".4byte 992f - 991f, 994f - 993f, 3\n" \
			 "991: .asciz \"stapsdt\"\n" \
			 "992: .balign 4\n" \
			 "993: .8byte 990b, _.stapsdt.base, 0\n" \
			 ".asciz \"" provider "\"\n" \
			 ".asciz \"" name "\"\n" \
			 ".asciz \"8@%0 8@%1 8@%2\"\n" \
			 "994: .balign 4\n" \
			 ".popsection\n" \
			 ".ifndef _.stapsdt.base\n" \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n" \
			 ".hidden _.stapsdt.base\n" \
			 "_.stapsdt.base: .space 1\n" \
			 ".size _.stapsdt.base, 1\n" \
			 ".popsection\n" \
			 ".endif\n" \
			 : \
			 : "nr"((uint64_t)(a)), "nr"((uint64_t)(b)), "nr"((uint64_t)(c)))

/* Tell of an object at addr, of nbytes in a span of the class, that is sampled and was allocated
 * just now, or is about to be free. */
#define PROBE_SAMPLED_ALLOC(addr, nbytes, spanclass) \
	PROBE_3("goalloc", "sampled_alloc", addr, nbytes, spanclass)
#define PROBE_SAMPLED_FREE(addr, nbytes, spanclass) \
	PROBE_3("goalloc", "sampled_free", addr, nbytes, spanclass)

#endif
