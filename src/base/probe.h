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
 *   - the address of a semaphore of 2 bytes, which a tool raises while it watches;
 *   - provider and name, and where the arguments of 8 bytes are.
 */
#define PROBE(semaphore, provider, name, places, ...) \
	__asm__ volatile("990:	nop\n" \
			 ".pushsection .note.stapsdt,\"?\",\"note\"\n" \
			 ".balign 4\n" \
			 ".4byte 992f - 991f, 994f - 993f, 3\n" \
			 "991: .asciz \"stapsdt\"\n" \
			 "992: .balign 4\n" \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n" \
			 ".asciz \"" provider "\"\n" \
			 ".asciz \"" name "\"\n" \
			 ".asciz \"" places "\"\n" \
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
			 : __VA_ARGS__)
#define PROBE_VALUE(v) "nr"((uint64_t)(v))

/* The semaphores, in tools/tracer.c. While one is raised, allocations are sampled. */
#define ALLOC_WATCHERS "tracer"
#define FREE_WATCHERS "tracer + 2"

/* Tell of an object at addr, of nbytes in a span of the class, that is sampled and was allocated
 * just now, or is about to be free. */
#define PROBE_SAMPLED_ALLOC(addr, nbytes, spanclass) \
	PROBE(ALLOC_WATCHERS, "goalloc", "sampled_alloc", "8@%0 8@%1 8@%2", PROBE_VALUE(addr), \
	      PROBE_VALUE(nbytes), PROBE_VALUE(spanclass))
#define PROBE_SAMPLED_FREE(addr, nbytes, spanclass) \
	PROBE(FREE_WATCHERS, "goalloc", "sampled_free", "8@%0 8@%1 8@%2", PROBE_VALUE(addr), \
	      PROBE_VALUE(nbytes), PROBE_VALUE(spanclass))

/* Tell the same to profilers that know no allocator by name, as OpenTelemetry's contract for memory
 * has it. weight is the number of allocated bytes that the sample stands for. */
#define PROBE_OTEL_ALLOC(addr, nbytes, weight) \
	PROBE(ALLOC_WATCHERS, "otel_memory", "alloc", "8@%0 8@%1 8@%2", PROBE_VALUE(addr), \
	      PROBE_VALUE(nbytes), PROBE_VALUE(weight))
#define PROBE_OTEL_FREE(addr) \
	PROBE(FREE_WATCHERS, "otel_memory", "free", "8@%0", PROBE_VALUE(addr))

#endif
