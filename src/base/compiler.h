/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - what is asked of the compiler: attributes, hints, sanitizers, thread-local storage.
 *
 * Owns     every __attribute__ and every #if about the compiler in the tree.
 * Holds    gcc and clang understand every definition here.
 */
#ifndef GOALLOC_COMPILER_H
#define GOALLOC_COMPILER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

/* Is 1 in a build with a sanitizer that must see memory mappings through libc's own calls. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || \
	HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(address_sanitizer)
#define GOALLOC_SANITIZED 1
#else
#define GOALLOC_SANITIZED 0
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Lets the compiler rely on the condition. */
#define ASSUME(c) ((c) ? (void)0 : __builtin_unreachable())

/*
 * Forms the value of the variable addr before the stores that follow, and keeps it in a register or
 * on the stack up to its last use. A leak check stops a thread anywhere, and searches both. Without
 * this the compiler may form the address of a new object after the object's state says that it is
 * live; the check would report the object as a leak.
 */
#define HOLD_ADDRESS(addr) __asm__ volatile("" : "+r"(addr) : : "memory")

#define FAST_PATH static inline __attribute__((always_inline))
#define SLOW_PATH __attribute__((noinline))
#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))
#define WEAK __attribute__((weak))
#define CONSTRUCTOR __attribute__((constructor))
#define DESTRUCTOR __attribute__((destructor))
/* The function has a format of printf(3) as its argument f, and the values from argument v on. */
#define FORMATS(f, v) __attribute__((format(printf, f, v)))
/* The name that the linker sees, of a function whose C name is another. */
#define LINKER_NAME(name) __asm__(name)
#define ALIGNED(n) __attribute__((aligned(n)))
#define IN_SECTION(name) __attribute__((section(name)))

/*
 * HOT_ENTRY marks the functions that programs call most. They lie together, each at the start of a
 * cache line. HOT_START marks the first of them, which starts a block of 512 bytes. So a change of
 * other code does not move them within such a block. The reason is that a processor predicts a
 * branch by the low bits of the addresses of the branches before it. From some places in a block,
 * malloc's return made an EPYC 9005 mispredict the end of a loop in the program at each pass. From
 * the start of a cache line it never did.
 * Linkers gather sections of this name ahead of other code.
 */
#define HOT_SECTION ".text.hot.goalloc"
#define HOT_START IN_SECTION(HOT_SECTION) ALIGNED(512)
#define HOT_ENTRY IN_SECTION(HOT_SECTION) ALIGNED(64)

/* The function may be called while the stack is not aligned as the processor's ABI asks. */
#define ON_ANY_STACK
#if defined(__has_attribute)
#if __has_attribute(force_align_arg_pointer)
#undef ON_ANY_STACK
#define ON_ANY_STACK __attribute__((force_align_arg_pointer))
#endif
#endif

/* gcc wants the other name of a function to have the attributes that libc's header gives it. */
#if defined(__has_attribute) && !defined(__clang__)
#if __has_attribute(copy)
#define ATTRIBUTES_OF(of) __attribute__((copy(of)))
#endif
#endif
#ifndef ATTRIBUTES_OF
#define ATTRIBUTES_OF(of)
#endif

/* Declares another name for a function of the same file. No other library can replace the function
 * under that name. The compiler believes that the two names have different addresses, so a
 * comparison needs OPAQUE(). */
#define OWN_NAME(name, of) extern __typeof__(of) name \
	__attribute__((alias(#of), visibility("hidden"))) ATTRIBUTES_OF(of)

/* Evaluates to the value of v, a pointer or an integer, and hides from the compiler where it comes
 * from. */
#define OPAQUE(v) \
	({ \
		__typeof__(v) opaque_value = (v); \
		__asm__("" : "+r"(opaque_value)); \
		opaque_value; \
	})

/* Evaluates to the address at which the caller of this function goes on. */
#define RETURN_ADDRESS() ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))

/* Stores all registers that a caller may want kept into memory above cpu_stack_pointer(). */
#define SPILL_REGISTERS() __builtin_unwind_init()

/* Marks a function that reads, with PEEK(), plain fields while their owner may change them, and
 * takes any value that it finds. It is for figures only. ThreadSanitizer does not look at it. */
#define READS_OTHERS __attribute__((no_sanitize("thread")))
#define PEEK(field) (*(const volatile __typeof__(field) *)&(field))

/* Reads or writes eight bytes of an object of any type. */
typedef uint64_t any_word __attribute__((may_alias));

/* Thread-local variables are of the initial-exec model: an access is one load from the thread
 * pointer. Other models call __tls_get_addr(), which may call malloc. */
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))
#define THREAD_LOCAL_EXTERN extern __thread __attribute__((tls_model("initial-exec")))
#define THREAD_LOCAL_DEFINE __thread __attribute__((tls_model("initial-exec")))

/* Keeps the stores before it ahead of the stores after it, for a forked child or a signal handler,
 * which look at this thread's memory when the thread has stopped. It orders the compiler alone:
 * between threads that run it orders nothing. */
static inline void order_stores(void)
{
	atomic_signal_fence(memory_order_release);
}

/* Asks the processor to load the cache line at p, which is wanted soon. */
static inline void prefetch(const void *p)
{
	__builtin_prefetch(p);
}

#endif
