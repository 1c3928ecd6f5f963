/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - what differs between processors, one header for each.
 *
 * A header cpu_NAME.h defines the following.
 *
 * cpu_relax()
 *     Makes one turn of a spin loop cheap.
 *
 * cpu_syscall(number, a, b, c, d, e, f)
 *     Makes a system call and returns the kernel's result: a value, or -errno. errno stays as it
 *     is. libc's syscall() is not used, because programs replace it: torsocks and uid_wrapper do.
 *
 * cpu_start_process(clone_number, flags, stack, body, arg)
 *     Calls clone(2) with the flags. The child calls body(arg) on the stack that ends at `stack`,
 *     a multiple of 16, and exits with the result. The parent gets the child's number, or -errno.
 *
 * cpu_call_on_stack(end, body, arg)
 *     Calls body(arg) on the stack that ends at `end`, a multiple of 16, and preserves the caller's
 *     registers. Signals must be blocked, because a collector that stops threads by signals would
 *     search the wrong stack.
 *
 * cpu_stack_pointer()
 *     Returns the stack pointer.
 *
 * CPU_HAS_RIGHTS, cpu_has_rights(), cpu_read_rights(), cpu_write_rights()
 *     Protection keys (pkeys(7)). CPU_HAS_RIGHTS is 0 on a processor that has none.
 *     cpu_has_rights() returns true if the system has switched them on; if not, the other two are
 *     illegal instructions. Those read and set the calling thread's rights, two bits a key: no
 *     access, no write. They have a meaning only after os_make_key() made a key.
 *
 * CPU_HEAP_LOW, CPU_HEAP_HIGH
 *     The addresses between which the heap looks for room: see heap/arena.c.
 *
 * CPU_STACK_WORD, CPU_TLS_WORD, CPU_TLS_SELF_WORD, CPU_RED_ZONE
 *     The words of the kernel's record of a thread's general registers (NT_PRSTATUS) that hold the
 *     stack pointer and the thread pointer. CPU_TLS_WORD is CPU_NO_TLS_WORD where the kernel has
 *     another record for the thread pointer. It points to a record of which word 0 and word
 *     CPU_TLS_SELF_WORD are the record's own address; 0 means that there is no such record.
 *     CPU_RED_ZONE is the number of bytes below the stack pointer that a function may use.
 *
 * CPU_REGS, CPU_FP, CPU_SP, CPU_PC, CPU_KEPT_REGS, CPU_LINK_REG
 *     The number of registers in DWARF's numbering; frame pointer, stack pointer and pc; a mask of
 *     the registers that calls preserve, with sp and pc; the register with the return address. The
 *     pc is the return address's column on x86-64, and has a place of its own elsewhere.
 *
 * CPU_FRAME_RECORD
 *     In code with frame pointers, the two words so many bytes below the frame pointer are the
 *     caller's frame pointer and the return address.
 *
 * CPU_CAPTURE(reg)
 *     Stores the registers of CPU_KEPT_REGS into reg[], all as of one moment.
 *
 * cpu_strip_pc(pc)
 *     Returns a return address without its authentication code.
 *
 * CPU_CONTEXT_WORDS, CPU_SIGNAL_CONTEXT, CPU_SIGRETURN_CODE
 *     Word CPU_CONTEXT_WORDS[r] of the kernel's ucontext, of 8 bytes, is register r. The ucontext
 *     is CPU_SIGNAL_CONTEXT bytes above the sp with which a handler returns to CPU_SIGRETURN_CODE.
 *
 * cpu_fault_access(ucontext)
 *     Returns what a faulting access did, "read" or "write". NULL means that the processor does
 *     not tell.
 */
#ifndef GOALLOC_CPU_H
#define GOALLOC_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE 64
#define CPU_NO_TLS_WORD SIZE_MAX

#if defined(__x86_64__)
#include "base/cpu_x86_64.h"
#elif defined(__aarch64__)
#include "base/cpu_aarch64.h"
#elif defined(__riscv) && __riscv_xlen == 64
#include "base/cpu_riscv64.h"
#else
#error "goalloc runs on x86-64, arm64 and riscv64: write base/cpu_NAME.h for this processor"
#endif

#endif
