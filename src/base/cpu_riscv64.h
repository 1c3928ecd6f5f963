/* SPDX-License-Identifier: MIT */
/*
 * cpu_riscv64.h - riscv64's part of cpu.h, which describes every name.
 */
#ifndef GOALLOC_CPU_RISCV64_H
#define GOALLOC_CPU_RISCV64_H

/* Processors with Sv39 have addresses of 38 bits for a process: programs at two thirds of that,
 * mappings below its end. */
#define CPU_HEAP_LOW UINT64_C(0x800000000)
#define CPU_HEAP_HIGH UINT64_C(0x1000000000)

static inline void cpu_relax(void)
{
	/* pause, of Zihintpause. Older processors do nothing. */
	__asm__ volatile(".4byte 0x0100000f" ::: "memory");
}

static inline long cpu_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = number;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}

static inline long cpu_start_process(long clone_number, long flags, void *stack,
				     int (*body)(void *arg), void *arg)
{
	register long a7 __asm__("a7") = clone_number;
	register long a0 __asm__("a0") = flags;
	register void *a1 __asm__("a1") = stack;
	register long a2 __asm__("a2") = 0;
	register long a3 __asm__("a3") = 0;
	register long a4 __asm__("a4") = 0;
	register int (*a5)(void *) __asm__("a5") = body;
	register void *a6 __asm__("a6") = arg;

	/* The child has no frame above, calls body(arg), and calls exit(2), which is number 93. */
	__asm__ volatile("ecall\n\t"
			 "bnez a0, 1f\n\t"
			 "li s0, 0\n\t"
			 "mv a0, a6\n\t"
			 "jalr a5\n\t"
			 "li a7, 93\n\t"
			 "ecall\n\t"
			 "ebreak\n"
			 "1:"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a6)
			 : "memory");
	return a0;
}

static inline void cpu_call_on_stack(void *end, void (*body)(void *arg), void *arg)
{
	register void *a0 __asm__("a0") = arg;
	register void *a1 __asm__("a1") = end;
	register void (*a2)(void *) __asm__("a2") = body;

	__asm__ volatile("mv s1, sp\n\t"
			 "mv sp, a1\n\t"
			 "jalr a2\n\t"
			 "mv sp, s1"
			 : "+r"(a0), "+r"(a1), "+r"(a2)
			 :
			 : "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5",
			   "t6", "s1", "ra", "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6",
			   "ft7", "ft8", "ft9", "ft10", "ft11", "fa0", "fa1", "fa2", "fa3",
			   "fa4", "fa5", "fa6", "fa7", "memory");
}

static inline uintptr_t cpu_stack_pointer(void)
{
	uintptr_t sp;

	__asm__ volatile("mv %0, sp" : "=r"(sp));
	return sp;
}

#define CPU_HAS_RIGHTS 0

static inline bool cpu_has_rights(void)
{
	return false;
}

static inline uint32_t cpu_read_rights(void)
{
	return 0;
}

static inline void cpu_write_rights(uint32_t rights)
{
	(void)rights;
}

#define CPU_STACK_WORD 2
#define CPU_TLS_WORD 4
#define CPU_TLS_SELF_WORD 0
#define CPU_RED_ZONE 0

#define CPU_REGS 33
#define CPU_FP 8
#define CPU_SP 2
#define CPU_PC 32
/* x1, the return address, is among them: its function has saved it or not used it. */
#define CPU_KEPT_REGS \
	(UINT64_C(0x306) | UINT64_C(0x3ff) << 18 | UINT64_C(1) << CPU_PC)
#define CPU_LINK_REG 1
/* x0 is always zero; its word is one that the kernel leaves zero. */
#define CPU_FRAME_RECORD 16
#define CPU_CONTEXT_WORDS \
	{ 1, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, \
	  39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 22 }
#define CPU_SIGNAL_CONTEXT 128
#define CPU_SIGRETURN_CODE "\x93\x08\xb0\x08\x73\x00\x00\x00"       /* li a7, 139; ecall */

#define CPU_CAPTURE(reg) \
	do { \
		uintptr_t capture_pc; \
		__asm__ volatile("auipc %0, 0\n\tsd %0, 256(%1)\n\t" \
				 "sd ra, 8(%1)\n\tsd sp, 16(%1)\n\tsd s0, 64(%1)\n\t" \
				 "sd s1, 72(%1)\n\tsd s2, 144(%1)\n\tsd s3, 152(%1)\n\t" \
				 "sd s4, 160(%1)\n\tsd s5, 168(%1)\n\tsd s6, 176(%1)\n\t" \
				 "sd s7, 184(%1)\n\tsd s8, 192(%1)\n\tsd s9, 200(%1)\n\t" \
				 "sd s10, 208(%1)\n\tsd s11, 216(%1)" \
				 : "=&r"(capture_pc) : "r"(reg) : "memory"); \
	} while (0)

static inline uintptr_t cpu_strip_pc(uintptr_t pc)
{
	return pc;
}

static inline const char *cpu_fault_access(const void *ucontext)
{
	(void)ucontext;
	return NULL;
}

#endif
