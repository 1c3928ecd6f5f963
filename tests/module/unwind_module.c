/* SPDX-License-Identifier: MIT */
/*
 * unwind_module.c - a library that test_unwind.c loads. It is built with FRAME 72 and 88:
 * everything is at the same places in both, except the stack that through_module() takes, and the
 * tables that describe it.
 */
#include <stddef.h>

void unwind_module_starts(void) __attribute__((weak));
void through_module(void (*call)(void));

#define STRING(x) #x
#define NUMBER(x) STRING(x)
__asm__(".text\n.globl through_module\n.type through_module, %function\nthrough_module:\n"
	".cfi_startproc\n"
#if defined(__x86_64__)
	"sub $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset " NUMBER(FRAME) "\n"
	"call *%rdi\n"
	"add $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset -" NUMBER(FRAME) "\n"
#elif defined(__riscv)
	"addi sp, sp, -" NUMBER(FRAME) " - 8\n.cfi_adjust_cfa_offset " NUMBER(FRAME) " + 8\n"
	"sd ra, 0(sp)\n.cfi_rel_offset ra, 0\n"
	"jalr a0\n"
	"ld ra, 0(sp)\n.cfi_restore ra\n"
	"addi sp, sp, " NUMBER(FRAME) " + 8\n.cfi_adjust_cfa_offset -" NUMBER(FRAME) " - 8\n"
#else
	"sub sp, sp, #" NUMBER(FRAME) " + 8\n.cfi_adjust_cfa_offset " NUMBER(FRAME) " + 8\n"
	"str x30, [sp]\n.cfi_rel_offset x30, 0\n"
	"blr x0\n"
	"ldr x30, [sp]\n.cfi_restore x30\n"
	"add sp, sp, #" NUMBER(FRAME) " + 8\n.cfi_adjust_cfa_offset -" NUMBER(FRAME) " - 8\n"
#endif
	"ret\n.cfi_endproc\n.size through_module, .-through_module\n");

static __attribute__((constructor)) void start(void)
{
	if (unwind_module_starts != NULL)
		unwind_module_starts();
}
