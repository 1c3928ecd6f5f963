/* SPDX-License-Identifier: MIT */
/*
 * base.h - what the compiler and the machine give: attributes, bit operations, asserts.
 * See malloc.c for the overview.
 *
 * Owns     every __attribute__ and every compiler #if of the tree.
 * Callers  all files.
 * Locks    none.
 * Holds    nothing here calls libc.
 */
#ifndef GOALLOC_BASE_H
#define GOALLOC_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

/* Built with a sanitizer that must see memory mappings through libc's own calls. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || \
	HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(address_sanitizer)
#define GOALLOC_SANITIZED 1
#else
#define GOALLOC_SANITIZED 0
#endif

#ifndef GOALLOC_DEBUG
#define GOALLOC_DEBUG 0
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FAST_PATH static inline __attribute__((always_inline))
#define SLOW_PATH __attribute__((noinline))
/* The compiler may rely on it. */
#define ASSUME(c) ((c) ? (void)0 : __builtin_unreachable())
/*
 * Forms the value of the variable addr before the stores that follow, and keeps it in a register or
 * on the stack up to its last use. A leak check stops a thread anywhere, and searches both. Without
 * this the compiler may form the address of a new object after the object's state says that it is
 * live; the check would report the object as a leak.
 */
#define HOLD_ADDRESS(addr) __asm__ volatile("" : "+r"(addr) : : "memory")
#define EXPORT __attribute__((visibility("default")))
#define WEAK __attribute__((weak))
#define HIDDEN __attribute__((visibility("hidden")))
/* Another name for a function of this file, which nobody outside can take over. A compiler that is asked whether the two are the
 * same function takes them for two: ask with OPAQUE(). */
#define OWN_NAME(name, of) extern __typeof__(of) name \
	__attribute__((alias(#of), visibility("hidden"))) ATTRIBUTES_OF(of)
/* gcc wants what libc's header says of a function to be said of its other name, too. */
#if defined(__has_attribute) && !defined(__clang__)
#if __has_attribute(copy)
#define ATTRIBUTES_OF(of) __attribute__((copy(of)))
#endif
#endif
#ifndef ATTRIBUTES_OF
#define ATTRIBUTES_OF(of)
#endif

/* The pointer p, of which the compiler knows nothing. */
#define OPAQUE(p) \
	({ \
		__typeof__(p) opaque_pointer = (p); \
		__asm__("" : "+r"(opaque_pointer)); \
		opaque_pointer; \
	})
/* Where the function that this stands in returns to. */
#define RETURN_ADDRESS() ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))
#define CONSTRUCTOR __attribute__((constructor))
#define DESTRUCTOR __attribute__((destructor))
#define ALIGNED(n) __attribute__((aligned(n)))

/* For figures only: a function that reads, with PEEK(), plain fields that their owner may be changing, and takes whatever value it
 * finds. ThreadSanitizer is not asked. */
#define READS_OTHERS __attribute__((no_sanitize("thread")))
#define PEEK(field) (*(const volatile __typeof__(field) *)&(field))

/* Eight bytes of whatever is there. */
typedef uint64_t any_word __attribute__((may_alias));
/* Initial-exec: one load from the thread pointer, never __tls_get_addr(), which may call malloc. */
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))
#define THREAD_LOCAL_EXTERN extern __thread __attribute__((tls_model("initial-exec")))
#define THREAD_LOCAL_DEFINE __thread __attribute__((tls_model("initial-exec")))

#define CACHE_LINE 64

#define KiB(n) ((size_t)(n) << 10)
#define MiB(n) ((size_t)(n) << 20)
#define GiB(n) ((size_t)(n) << 30)

_Static_assert(sizeof(void *) == 8, "the arena table and the packed words assume 64-bit pointers");

static inline size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static inline size_t align_down(size_t n, size_t align)
{
	return n & ~(align - 1);
}

static inline bool is_pow2(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Index of the lowest set bit; n is not 0. */
static inline unsigned ctz64(uint64_t n)
{
	return (unsigned)__builtin_ctzll(n);
}

/* Number of zero bits above the highest set bit; n is not 0. */
static inline unsigned clz64(uint64_t n)
{
	return (unsigned)__builtin_clzll(n);
}

static inline unsigned popcount64(uint64_t n)
{
	return (unsigned)__builtin_popcountll(n);
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The n lowest bits set, n in 0..64. */
static inline uint64_t low_mask64(unsigned n)
{
	return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

static inline bool add_overflow(size_t a, size_t b, size_t *out)
{
	return __builtin_add_overflow(a, b, out);
}

static inline bool mul_overflow(size_t a, size_t b, size_t *out)
{
	return __builtin_mul_overflow(a, b, out);
}

/* One turn of a spin loop. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* Keeps the stores before it before the stores after it, for a forked child or a signal handler,
 * which look at this thread's memory when the thread has stopped. It orders the compiler alone:
 * between threads that run it orders nothing. */
static inline void order_stores(void)
{
	atomic_signal_fence(memory_order_release);
}

/*
 * cpu_syscall() makes a system call and returns what the kernel returns: the result, or -errno. errno stays as it is.
 * libc's syscall() is not used, because programs replace it: torsocks and uid_wrapper do.
 *
 * cpu_start_process() calls clone(2) with the given flags. The child calls body(arg) on the stack that ends at `stack`,
 * which is a multiple of 16, and ends with what body returns. The parent gets the child's number, or -errno.
 */
#if defined(__x86_64__)
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

static inline long cpu_start_process(long clone_number, long flags, void *stack, int (*body)(void *arg), void *arg)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register int (*r9)(void *) __asm__("r9") = body;
	register void *r12 __asm__("r12") = arg;
	long result;

	/* In the child: no frame above, body(arg), and exit(2), which is number 60. */
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
			 : "0"(clone_number), "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8), "r"(r9), "r"(r12)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
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

static inline long cpu_start_process(long clone_number, long flags, void *stack, int (*body)(void *arg), void *arg)
{
	register long x8 __asm__("x8") = clone_number;
	register long x0 __asm__("x0") = flags;
	register void *x1 __asm__("x1") = stack;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0;
	register int (*x5)(void *) __asm__("x5") = body;
	register void *x6 __asm__("x6") = arg;

	/* In the child: no frame above, body(arg), and exit(2), which is number 93. */
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
#else
#error "system calls are made by instruction: write cpu_syscall() for this processor"
#endif

/* Where the heap looks for room: see arena.c. */
#if defined(__x86_64__)
#define CPU_HEAP_LOW UINT64_C(0x550000000000)
#define CPU_HEAP_HIGH UINT64_C(0x555540000000)
#elif defined(__aarch64__)
#define CPU_HEAP_LOW UINT64_C(0x800000000)
#define CPU_HEAP_HIGH UINT64_C(0x1000000000)
#endif

/* A place that tracing tools find by name: a nop here, and an entry of SystemTap's form, version 3, in the section .note.stapsdt that is no
 * part of the program in memory: the nop's address; that of .stapsdt.base, by which a tool sees that a file was moved; no semaphore;
 * provider and name; where the arguments are, 8 bytes each. They are evaluated. */
#if defined(__x86_64__) || defined(__aarch64__)
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
#else
#define PROBE_3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

/* The calling thread's rights to pages with a protection key, two bits a key: no access, no write (pkeys(7)). Only where
 * os_make_key() made a key. */
#if defined(__x86_64__)
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

/* The system has switched protection keys on: the two above are no illegal instructions. */
static inline bool cpu_has_rights(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (c >> 4 & 1) != 0;
}
#else
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
#endif

/* The line of memory at p is wanted soon. */
static inline void prefetch(const void *p)
{
	__builtin_prefetch(p);
}

/* In the kernel's record of a thread's general registers (NT_PRSTATUS), in words: the stack pointer, and what thread-local storage is
 * found by; CPU_NO_TLS_WORD where that has a record of its own. */
#define CPU_NO_TLS_WORD SIZE_MAX
#if defined(__x86_64__)
#define CPU_STACK_WORD 19
#define CPU_TLS_WORD 21
/* Thread-local storage is found by a record whose words 0 and this are its own address; 0: it has none. */
#define CPU_TLS_SELF_WORD 2
/* Bytes below the stack pointer that a function may use. */
#define CPU_RED_ZONE 128
#elif defined(__aarch64__)
#define CPU_STACK_WORD 31
#define CPU_TLS_WORD CPU_NO_TLS_WORD
#define CPU_TLS_SELF_WORD 0
#define CPU_RED_ZONE 0
#endif

/*
 * Calls body(arg) on the stack that ends at `end`, a multiple of 16. The caller's registers are
 * as before. Signals must be blocked: a collector that stops threads by signals would search the
 * wrong stack.
 */
#if defined(__x86_64__)
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
#elif defined(__aarch64__)
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
#endif

/* From here on all registers that a caller may want kept are in memory above cpu_stack_pointer(). */
#define SPILL_REGISTERS() __builtin_unwind_init()

static inline uintptr_t cpu_stack_pointer(void)
{
	uintptr_t sp;

#if defined(__x86_64__)
	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
	__asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
	return sp;
}

/*
 * What unwind.c must know of the machine. Registers have DWARF's numbers; the pc has a place of its own on arm64, and is the column
 * of the return address on x86-64.
 *
 * CPU_CAPTURE()  stores those that calls preserve, sp and pc: all of one and the same moment.
 * cpu_strip_pc() a return address without its authentication code.
 * The kernel's ucontext has register r at its 8-byte word CPU_CONTEXT_WORDS[r], and is CPU_SIGNAL_CONTEXT bytes above the sp that
 * a handler returns with, to CPU_SIGRETURN_CODE.
 */
#if defined(__x86_64__)
#define CPU_REGS 17
#define CPU_FP 6
#define CPU_SP 7
#define CPU_PC 16
#define CPU_KEPT_REGS (1 << 3 | 1 << CPU_FP | 1 << CPU_SP | 0xf << 12 | 1 << CPU_PC)
#define CPU_LINK_REG CPU_REGS       /* none: calls push the return address */
#define CPU_CONTEXT_WORDS { 18, 17, 19, 16, 14, 13, 15, 20, 5, 6, 7, 8, 9, 10, 11, 12, 21 }
#define CPU_SIGNAL_CONTEXT 0
#define CPU_SIGRETURN_CODE "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"       /* mov $15, %rax; syscall */
#define CPU_CAPTURE(reg) \
	do { \
		uintptr_t capture_pc; \
		__asm__ volatile("leaq 0f(%%rip), %0\n0:\n\t" \
				 "movq %%rbx, 24(%1)\n\tmovq %%rbp, 48(%1)\n\tmovq %%rsp, 56(%1)\n\t" \
				 "movq %%r12, 96(%1)\n\tmovq %%r13, 104(%1)\n\tmovq %%r14, 112(%1)\n\t" \
				 "movq %%r15, 120(%1)\n\tmovq %0, 128(%1)" \
				 : "=&r"(capture_pc) : "r"(reg) : "memory"); \
	} while (0)

static inline uintptr_t cpu_strip_pc(uintptr_t pc)
{
	return pc;
}

/* What the access did that a page fault's ucontext is of; NULL: it does not tell. */
static inline const char *cpu_fault_access(const void *ucontext)
{
	return ((const uintptr_t *)ucontext)[24] & 2 ? "write" : "read";
}
#elif defined(__aarch64__)
#define CPU_REGS 33
#define CPU_FP 29
#define CPU_SP 31
#define CPU_PC 32
#define CPU_KEPT_REGS (UINT64_C(0x1fff) << 19 | UINT64_C(1) << CPU_PC)       /* with x30, which its function has saved or not used */
#define CPU_LINK_REG 30
#define CPU_CONTEXT_WORDS { 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, \
			    48, 49, 50, 51, 52, 53, 54, 55 }
#define CPU_SIGNAL_CONTEXT 128
#define CPU_SIGRETURN_CODE "\x68\x11\x80\xd2\x01\x00\x00\xd4"       /* mov x8, #139; svc #0 */
#define CPU_CAPTURE(reg) \
	do { \
		uintptr_t capture_word; \
		__asm__ volatile("stp x19, x20, [%1, #152]\n\tstp x21, x22, [%1, #168]\n\tstp x23, x24, [%1, #184]\n\t" \
				 "stp x25, x26, [%1, #200]\n\tstp x27, x28, [%1, #216]\n\tstp x29, x30, [%1, #232]\n\t" \
				 "mov %0, sp\n\tstr %0, [%1, #248]\n\tadr %0, .\n\tstr %0, [%1, #256]" \
				 : "=&r"(capture_word) : "r"(reg) : "memory"); \
	} while (0)

static inline uintptr_t cpu_strip_pc(uintptr_t pc)
{
	register uintptr_t x30 __asm__("x30") = pc;

	__asm__("hint #7" : "+r"(x30));      /* xpaclri, which older processors pass over */
	return x30;
}

static inline const char *cpu_fault_access(const void *ucontext)
{
	(void)ucontext;
	return NULL;
}
#endif

/* memset and memcpy that the compiler may expand: the only calls into libc on allocation paths,
 * and neither allocates, locks nor sets errno. */
static inline void zero_bytes(void *p, size_t nbytes)
{
	__builtin_memset(p, 0, nbytes);
}

static inline void fill_bytes(void *p, int byte, size_t nbytes)
{
	__builtin_memset(p, byte, nbytes);
}

static inline void copy_bytes(void *restrict to, const void *restrict from, size_t nbytes)
{
	__builtin_memcpy(to, from, nbytes);
}

/* strlen(3); programs replace that one, too. */
static inline size_t string_length(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

/* fatal.c; reports file, line and condition, then aborts. */
_Noreturn void fatal_assert(const char *file, int line, const char *condition);

/* CHECK: always on, for what must stop the program. DCHECK: compiled always, run in debug builds. */
#define CHECK(c) ((c) ? (void)0 : fatal_assert(__FILE__, __LINE__, #c))
#define DCHECK(c) ((!GOALLOC_DEBUG || (c)) ? (void)0 : fatal_assert(__FILE__, __LINE__, #c))

#endif
