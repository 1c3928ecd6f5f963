/* SPDX-License-Identifier: MIT */
/*
 * cpu_aarch64.h - arm64's part of cpu.h, which describes every name.
 */
#ifndef GOALLOC_CPU_AARCH64_H
#define GOALLOC_CPU_AARCH64_H

#define CPU_HEAP_LOW UINT64_C(0x800000000)
#define CPU_HEAP_HIGH UINT64_C(0x1000000000)

static inline void cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

static inline long cpu_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static inline long cpu_start_process(long clone_number, long flags, void *stack,
				     int (*body)(void *arg), void *arg)
{
	register long x8 __asm__("x8") = clone_number;
	register long x0 __asm__("x0") = flags;
	register void *x1 __asm__("x1") = stack;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0;
	register int (*x5)(void *) __asm__("x5") = body;
	register void *x6 __asm__("x6") = arg;

	/* The child has no frame above, calls body(arg), and calls exit(2), which is number 93. */
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x30, #0\n\t"
			 "mov x0, x6\n\t"
			 "blr x5\n\t"
			 "mov x8, #93\n\t"
			 "svc #0\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x6)
			 : "memory");
	return x0;
}

static inline void cpu_call_on_stack(void *end, void (*body)(void *arg), void *arg)
{
	register void *x0 __asm__("x0") = arg;
	register void *x1 __asm__("x1") = end;
	register void (*x2)(void *) __asm__("x2") = body;

	__asm__ volatile("mov x19, sp\n\t"
			 "mov sp, x1\n\t"
			 "blr x2\n\t"
			 "mov sp, x19"
			 : "+r"(x0), "+r"(x1), "+r"(x2)
			 :
			 : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			   "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x30", "v0",
			   "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
			   "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19",
			   "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
			   "v29", "v30", "v31", "memory", "cc");
}

static inline uintptr_t cpu_stack_pointer(void)
{
	uintptr_t sp;

	__asm__ volatile("mov %0, sp" : "=r"(sp));
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

#define CPU_STACK_WORD 31
#define CPU_TLS_WORD CPU_NO_TLS_WORD
#define CPU_TLS_SELF_WORD 0
#define CPU_RED_ZONE 0

#define CPU_REGS 33
#define CPU_FP 29
#define CPU_SP 31
#define CPU_PC 32
/* x30 is among them: its function has saved it or not used it. */
#define CPU_KEPT_REGS (UINT64_C(0x1fff) << 19 | UINT64_C(1) << CPU_PC)
#define CPU_LINK_REG 30
#define CPU_FRAME_RECORD 0
#define CPU_CONTEXT_WORDS \
	{ 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, \
	  40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55 }
#define CPU_SIGNAL_CONTEXT 128
#define CPU_SIGRETURN_CODE "\x68\x11\x80\xd2\x01\x00\x00\xd4"       /* mov x8, #139; svc #0 */

#define CPU_CAPTURE(reg) \
	do { \
		uintptr_t capture_word; \
		__asm__ volatile("stp x19, x20, [%1, #152]\n\tstp x21, x22, [%1, #168]\n\t" \
				 "stp x23, x24, [%1, #184]\n\tstp x25, x26, [%1, #200]\n\t" \
				 "stp x27, x28, [%1, #216]\n\tstp x29, x30, [%1, #232]\n\t" \
				 "mov %0, sp\n\tstr %0, [%1, #248]\n\t" \
				 "adr %0, .\n\tstr %0, [%1, #256]" \
				 : "=&r"(capture_word) : "r"(reg) : "memory"); \
	} while (0)

static inline uintptr_t cpu_strip_pc(uintptr_t pc)
{
	register uintptr_t x30 __asm__("x30") = pc;

	__asm__("hint #7" : "+r"(x30));      /* xpaclri; older processors do nothing */
	return x30;
}

static inline const char *cpu_fault_access(const void *ucontext)
{
	(void)ucontext;
	return NULL;
}

#endif
