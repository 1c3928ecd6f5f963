/* SPDX-License-Identifier: MIT */
/*
 * cpu_x86_64.h - x86-64's part of cpu.h, which describes every name.
 */
#ifndef GOALLOC_CPU_X86_64_H
#define GOALLOC_CPU_X86_64_H

#define CPU_HEAP_LOW UINT64_C(0x550000000000)
#define CPU_HEAP_HIGH UINT64_C(0x555540000000)

static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

static inline long cpu_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long cpu_start_process(long clone_number, long flags, void *stack,
				     int (*body)(void *arg), void *arg)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register int (*r9)(void *) __asm__("r9") = body;
	register void *r12 __asm__("r12") = arg;
	long result;

	/* The child has no frame above, calls body(arg), and calls exit(2), which is number 60. */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call *%%r9\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov $60, %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"(clone_number), "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8),
			   "r"(r9), "r"(r12)
			 : "rcx", "r11", "memory");
	return result;
}

static inline void cpu_call_on_stack(void *end, void (*body)(void *arg), void *arg)
{
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %0, %%rsp\n\t"
			 "call *%1\n\t"
			 "mov %%rbx, %%rsp"
			 : "+S"(end), "+a"(body), "+D"(arg)
			 :
			 : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1",
			   "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
			   "memory", "cc");
}

static inline uintptr_t cpu_stack_pointer(void)
{
	uintptr_t sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
}

#define CPU_HAS_RIGHTS 1

static inline uint32_t cpu_read_rights(void)
{
	uint32_t rights, zero;

	__asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
	return rights;
}

static inline void cpu_write_rights(uint32_t rights)
{
	__asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

static inline bool cpu_has_rights(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (c >> 4 & 1) != 0;
}

#define CPU_STACK_WORD 19
#define CPU_TLS_WORD 21
#define CPU_TLS_SELF_WORD 2
#define CPU_RED_ZONE 128

#define CPU_REGS 17
#define CPU_FP 6
#define CPU_SP 7
#define CPU_PC 16
#define CPU_KEPT_REGS (1 << 3 | 1 << CPU_FP | 1 << CPU_SP | 0xf << 12 | 1 << CPU_PC)
/* There is no such register: calls push the return address. */
#define CPU_LINK_REG CPU_REGS
#define CPU_FRAME_RECORD 0
#define CPU_CONTEXT_WORDS { 18, 17, 19, 16, 14, 13, 15, 20, 5, 6, 7, 8, 9, 10, 11, 12, 21 }
#define CPU_SIGNAL_CONTEXT 0
#define CPU_SIGRETURN_CODE "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"       /* mov $15, %rax; syscall */

#define CPU_CAPTURE(reg) \
	do { \
		uintptr_t capture_pc; \
		__asm__ volatile("leaq 0f(%%rip), %0\n0:\n\t" \
				 "movq %%rbx, 24(%1)\n\tmovq %%rbp, 48(%1)\n\t" \
				 "movq %%rsp, 56(%1)\n\tmovq %%r12, 96(%1)\n\t" \
				 "movq %%r13, 104(%1)\n\tmovq %%r14, 112(%1)\n\t" \
				 "movq %%r15, 120(%1)\n\tmovq %0, 128(%1)" \
				 : "=&r"(capture_pc) : "r"(reg) : "memory"); \
	} while (0)

static inline uintptr_t cpu_strip_pc(uintptr_t pc)
{
	return pc;
}

static inline const char *cpu_fault_access(const void *ucontext)
{
	return ((const uintptr_t *)ucontext)[24] & 2 ? "write" : "read";
}

#endif
