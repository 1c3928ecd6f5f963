/* SPDX-License-Identifier: MIT */
/*
 * A library that test_unwind.c loads. Built with FRAME 72 and 88: all is at the same places but the stack that through_module()
 * takes, and what tells of it.
 */
#include <stddef.h>

void unwind_module_starts(void) __attribute__((weak));
void through_module(void (*call)(void));

#if defined(__x86_64__)
#define STRING(x) #x
#define NUMBER(x) STRING(x)
__asm__(".text\n.globl through_module\n.type through_module, @function\nthrough_module:\n"
	".cfi_startproc\n"
	"sub $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset " NUMBER(FRAME) "\n"
	"call *%rdi\n"
	"add $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset -" NUMBER(FRAME) "\n"
	"ret\n.cfi_endproc\n.size through_module, .-through_module\n");
#else
void through_module(void (*call)(void))
{
	volatile char bytes[FRAME];

	bytes[0] = 1;
	call();
	bytes[0] = 2;
}
#endif

static __attribute__((constructor)) void start(void)
{
	if (unwind_module_starts != NULL)
		unwind_module_starts();
}
