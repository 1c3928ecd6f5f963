/* SPDX-License-Identifier: MIT */
/*
 * test_unwind.c - unwind.h finds the frames that libgcc's unwinder finds, where that finds any, and
 * never faults.
 *
 * The oracle is _Unwind_Backtrace(). UNWIND_MODULE_A and _B are libraries made of unwind_module.c.
 */
#include "module.h"

#include "base/config.h"
#include "os/os.h"
#include "stack/unwind.h"
#include "rng.h"
#include "unwind_frames.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define MAX_FRAMES 128

void unwind_module_starts(void);

/* What look() saw last. */
static struct seen {
	unsigned n;                      /* ours */
	unsigned nwanted;                /* the oracle's */
	/* from the second address on: the first ones are in look() */
	bool same;
	bool again;                      /* with the cache warm as with it cold */
	uintptr_t pcs[MAX_FRAMES];
} seen;

struct wanted {
	unsigned n;
	uintptr_t pcs[MAX_FRAMES];
};

static _Unwind_Reason_Code want(struct _Unwind_Context *context, void *arg)
{
	struct wanted *w = arg;
	uintptr_t pc = _Unwind_GetIP(context);

	if (pc == 0 || w->n == MAX_FRAMES)
		return _URC_END_OF_STACK;
	w->pcs[w->n++] = pc;
	return _URC_NO_REASON;
}

static void look_into(struct seen *s)
{
	struct wanted wanted = { .n = 0 };
	uintptr_t pcs[MAX_FRAMES];

	s->n = unwind_stack(s->pcs, MAX_FRAMES, 0);
	_Unwind_Backtrace(want, &wanted);
	s->nwanted = wanted.n;
	s->again = unwind_stack(pcs, MAX_FRAMES, 0) == s->n &&
		   memcmp(pcs + 1, s->pcs + 1, (s->n - 1) * sizeof(*pcs)) == 0;
	/* libc for riscv64 has little call frame information, where the oracle gives up. */
	if (CPU_FRAME_RECORD != 0 && s->nwanted > 1 && s->nwanted < s->n)
		s->n = s->nwanted;
	s->same = s->n == s->nwanted && s->n > 1;
	for (unsigned i = 1; s->same && i < s->n; i++)
		s->same = s->pcs[i] == wanted.pcs[i];
	if (!s->same && getenv("UNWIND_SHOW") != NULL)
		for (unsigned i = 0; i < s->n || i < s->nwanted; i++)
			fprintf(stderr, "%2u %12lx %12lx\n", i, i < s->n ? s->pcs[i] : 0,
				i < s->nwanted ? wanted.pcs[i] : 0);
}

static SLOW_PATH void look(void)
{
	seen.n = 0;
	seen.same = false;
	look_into(&seen);
	order_stores();
}

static void assert_seen(unsigned at_least)
{
	assert_true(seen.n >= at_least);
	assert_int_equal(seen.n, seen.nwanted);
	assert_true(seen.same);
	assert_true(seen.again);
	seen.n = 0;
}

/* The outermost frames are those of the stack here, from the caller of the caller on, whatever is
 * inside. */
static SLOW_PATH bool ends_as_here(const uintptr_t *pcs, unsigned n)
{
	uintptr_t here[MAX_FRAMES];
	unsigned nhere = unwind_stack(here, MAX_FRAMES, 2);

	return nhere > 3 && n > nhere && memcmp(here, pcs + n - nhere, nhere * sizeof(*here)) == 0;
}

/* --- frames of compiled code --- */

static void frames_with_and_without_frame_pointers(void **state)
{
	const struct frames *const kinds[] = { &frames_with_fp, &frames_without_fp };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		kinds[i]->deep(20, look);
		assert_seen(22);
		kinds[i]->variable(5000, look);
		assert_seen(14);
		kinds[i]->aligned(9, look);
		assert_seen(11);
		kinds[i]->saving(9, look);
		assert_seen(11);
	}
}

static const struct frames *inner;

static void look_inside(void)
{
	inner->saving(3, look);
}

static void look_inside_variable(void)
{
	inner->variable(100, look_inside);
}

static void frames_of_both_kinds_in_turn(void **state)
{
	(void)state;
	inner = &frames_without_fp;
	frames_with_fp.aligned(3, look_inside_variable);
	assert_seen(15);
	inner = &frames_with_fp;
	frames_without_fp.aligned(3, look_inside_variable);
	assert_seen(15);
}

static uintptr_t some[MAX_FRAMES + 2];
static unsigned max_some, nsome, skip_some;

static SLOW_PATH void look_at_some(void)
{
	memset(some, 0x55, sizeof(some));
	nsome = unwind_stack(some, max_some, skip_some);
	order_stores();
}

static void no_more_than_max_and_without_skip(void **state)
{
	uintptr_t all[MAX_FRAMES];

	(void)state;
	max_some = MAX_FRAMES;
	skip_some = 0;
	/* One call of all, so that it is the same stack. */
	for (unsigned i = 0; i < 40; i++) {
		if (i != 0) {
			max_some = i;
			skip_some = i / 2;
		}
		frames_without_fp.deep(60, look_at_some);
		if (i == 0) {
			assert_true(nsome > 64);
			copy_bytes(all, some, sizeof(all));
			continue;
		}
		assert_int_equal(nsome, max_some);
		assert_memory_equal(some, all + skip_some, nsome * sizeof(*some));
		assert_int_equal(some[nsome], UINT64_C(0x5555555555555555));
	}
	assert_int_equal(unwind_stack(all, 0, 0), 0);
	assert_int_equal(unwind_stack(all, MAX_FRAMES, 10000), 0);
}

static void errno_stays(void **state)
{
	uintptr_t pcs[MAX_FRAMES];

	(void)state;
	errno = 4711;
	assert_true(unwind_stack(pcs, MAX_FRAMES, 0) > 2);
	assert_int_equal(errno, 4711);
}

/* --- frames of libc --- */

static int look_and_compare(const void *a, const void *b)
{
	(void)a;
	(void)b;
	look();
	return 0;
}

static void frames_of_libc(void **state)
{
	void *(*volatile search)(const void *, const void *, size_t, size_t,
				 int (*)(const void *, const void *)) = bsearch;
	int numbers[4] = { 1, 2, 3, 4 };

	(void)state;
	qsort(numbers, 4, sizeof(int), look_and_compare);
	assert_seen(7);
	(void)search(numbers, numbers, 4, sizeof(int), look_and_compare);
	assert_seen(6);
}

/* --- with the frames of the last walk --- */

static struct unwind_memo memo;
static unsigned compared;

static void look_with_memo(void)
{
	uintptr_t plain[64], again[64];
	unsigned n = unwind_callers(plain, 64);
	unsigned nagain = unwind_callers_again(&memo, again, 64);

	/* The innermost addresses are behind these two calls. */
	assert_int_equal(n, nagain);
	assert_true(n > 1);
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(plain[i], again[i]);
	compared++;
}

static int look_with_memo_and_compare(const void *a, const void *b)
{
	look_with_memo();
	return *(const int *)a - *(const int *)b;
}

static void the_last_walk_changes_nothing(void **state)
{
	const struct frames *const kinds[] = { &frames_with_fp, &frames_without_fp };
	uint64_t rng = 7;
	int numbers[4] = { 4, 3, 2, 1 };

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		const struct frames *f = kinds[rng_next(&rng) % 2];
		unsigned depth = (unsigned)(1 + rng_next(&rng) % 30);

		switch (rng_next(&rng) % 5) {
		case 0: f->deep(depth, look_with_memo); break;
		case 1: f->variable(depth * 100, look_with_memo); break;
		case 2: f->aligned(depth % 9 + 1, look_with_memo); break;
		case 3: f->saving(depth % 9 + 1, look_with_memo); break;
		default: qsort(numbers, 4, sizeof(int), look_with_memo_and_compare); break;
		}
	}
	assert_true(compared >= 3000);
}

/* --- beginnings of stacks --- */

static struct seen in_constructor;

static CONSTRUCTOR void look_in_constructor(void)
{
	look_into(&in_constructor);
}

static void a_constructor_is_called_by_the_loader(void **state)
{
	(void)state;
	assert_true(in_constructor.same);
	assert_true(in_constructor.n >= 3);
}

static struct seen in_main;

static void main_is_called_by_libc(void **state)
{
	(void)state;
	assert_true(in_main.same);
	assert_true(in_main.n >= 4);
}

static void *look_in_thread(void *call)
{
	(*(callback *)call)();
	return call;
}

static void a_thread_has_a_beginning(void **state)
{
	callback call = look;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, look_in_thread, &call), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_seen(4);
}

/* --- stacks of the program's own --- */

static ucontext_t coroutine, back;
static callback in_coroutine;

static void run_in_coroutine(void)
{
	in_coroutine();
}

/* Calls on a stack whose neighbours on both sides cannot be touched. Bytes of it that were
 * written. */
static size_t on_own_stack(size_t nbytes, callback call)
{
	size_t page = os_page_size();
	unsigned char *room =
		mmap(NULL, nbytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t untouched = 0;

	assert_true(room != MAP_FAILED);
	assert_int_equal(mprotect(room + page, nbytes, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(getcontext(&coroutine), 0);
	memset(room + page, 0xa5, nbytes);
	coroutine.uc_stack.ss_sp = room + page;
	coroutine.uc_stack.ss_size = nbytes;
	coroutine.uc_link = &back;
	in_coroutine = call;
	makecontext(&coroutine, run_in_coroutine, 0);
	assert_int_equal(swapcontext(&back, &coroutine), 0);
	while (untouched < nbytes && room[page + untouched] == 0xa5)
		untouched++;
	assert_int_equal(munmap(room, nbytes + 2 * page), 0);
	return nbytes - untouched;
}

static void a_coroutine_has_a_beginning(void **state)
{
	(void)state;
	(void)on_own_stack(KiB(256), look);
	assert_seen(3);
}

static SLOW_PATH void do_nothing(void)
{
	order_stores();
}

static uintptr_t few[8];

static SLOW_PATH void unwind_few(void)
{
	nsome = unwind_stack(few, 8, 0);
	order_stores();
}

static void little_stack_is_used(void **state)
{
	size_t before, cold, warm;

	(void)state;
	if (GOALLOC_SANITIZED)
		skip();
	/* Libraries are bound by now. */
	(void)on_own_stack(KiB(64), unwind_few);
	before = on_own_stack(KiB(64), do_nothing);
	cold = on_own_stack(KiB(64), unwind_few) - before;
	warm = on_own_stack(KiB(64), unwind_few) - before;
	/* A walk keeps the registers, of which x86-64 has the fewest. */
	assert_in_range(cold, 1, 1280 + CPU_REGS * 16);
	assert_in_range(warm, 1, 1280 + CPU_REGS * 16);
	assert_true(nsome >= 2);
}

/* --- signals --- */

static uintptr_t from_context[MAX_FRAMES];
static unsigned nfrom_context;
static sigjmp_buf after_fault;
static bool leave_by_jump;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	nfrom_context = unwind_context(context, from_context, MAX_FRAMES);
	look();
	if (leave_by_jump)
		siglongjmp(after_fault, 1);
}

static void handle(int number, int flags, struct sigaction *old)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	assert_int_equal(sigaction(number, &action, old), 0);
}

static void raise_signal(void)
{
	raise(SIGUSR1);
}

/* The frames in a handler are the handler's, libc's return from it, and those of the context. */
static void assert_context_seen(void)
{
	assert_true(nfrom_context > 8);
	assert_true(seen.n > nfrom_context);
	assert_memory_equal(from_context, seen.pcs + seen.n - nfrom_context,
			    nfrom_context * sizeof(*from_context));
	assert_seen(12);
}

static void frames_below_a_signal(void **state)
{
	size_t nbytes = KiB(128);
	stack_t stack = { .ss_size = nbytes }, none = { .ss_flags = SS_DISABLE };

	(void)state;
	leave_by_jump = false;
	handle(SIGUSR1, 0, NULL);
	frames_without_fp.saving(3, raise_signal);
	assert_context_seen();

	/* On a stack above, and on one below. */
	for (unsigned i = 0; i < 2; i++) {
		static unsigned char below[KiB(128)];

		stack.ss_sp = i == 0 ? below
				     : mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_int_equal(sigaltstack(&stack, NULL), 0);
		handle(SIGUSR1, SA_ONSTACK, NULL);
		frames_with_fp.aligned(3, raise_signal);
		assert_context_seen();
		assert_int_equal(sigaltstack(&none, NULL), 0);
		if (i == 1)
			assert_int_equal(munmap(stack.ss_sp, nbytes), 0);
	}
	signal(SIGUSR1, SIG_DFL);
}

static void call_nothing(void)
{
	callback volatile nothing = NULL;

	nothing();
	order_stores();
}

static volatile int *volatile nowhere = (volatile int *)8;

static SLOW_PATH void store_nowhere(void)
{
	*nowhere = 1;
	order_stores();
}

/* Runs call() inside frames, up to its fault. */
static SLOW_PATH bool faults(callback call)
{
	struct sigaction old;
	bool ends;

	handle(SIGSEGV, SA_NODEFER, &old);
	leave_by_jump = true;
	if (sigsetjmp(after_fault, 1) == 0) {
		frames_without_fp.saving(3, call);
		fail();
	}
	leave_by_jump = false;
	ends = ends_as_here(from_context, nfrom_context);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
	return ends;
}

static void frames_below_a_fault(void **state)
{
	Dl_info info;

	(void)state;
	if (GOALLOC_SANITIZED)
		skip();
	assert_true(faults(store_nowhere));
	assert_true(from_context[0] - (uintptr_t)store_nowhere < 64);
	assert_memory_equal(from_context, seen.pcs + seen.n - nfrom_context,
			    nfrom_context * sizeof(*from_context));
	assert_seen(9);

	/* The oracle finds nothing here. */
	assert_true(faults(call_nothing));
	assert_int_equal(from_context[0], 0);
	assert_true(from_context[1] - (uintptr_t)call_nothing < 64);
	assert_true(dladdr((void *)from_context[2], &info) != 0);
}

/* --- code that tells nothing of its frames --- */

typedef void (*machine_code)(callback call, uintptr_t fp);

static machine_code put_code(const void *bytes, size_t nbytes)
{
	void *page = mmap(NULL, os_page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	assert_true(page != MAP_FAILED);
	memcpy(page, bytes, nbytes);
	assert_int_equal(mprotect(page, os_page_size(), PROT_READ | PROT_EXEC), 0);
	__builtin___clear_cache(page, (char *)page + nbytes);
	return (machine_code)page;
}

#if defined(__x86_64__)
/* push %rbp; mov %rsp, %rbp  or  mov %rsi, %rbp; call *%rdi; pop %rbp; ret */
static const char with_fp[] = "\x55\x48\x89\xe5\xff\xd7\x5d\xc3";
static const char with_other_fp[] = "\x55\x48\x89\xf5\xff\xd7\x5d\xc3";
#define CODE_BEHIND_CALL 6
#elif defined(__riscv)
/* addi sp, sp, -16; sd ra, 8(sp); sd s0, 0(sp); addi s0, sp, 16  or  mv s0, a1; jalr a0;
 * ld s0, 0(sp); ld ra, 8(sp); addi sp, sp, 16; ret */
static const uint32_t with_fp[] = { 0xff010113, 0x00113423, 0x00813023, 0x01010413, 0x000500e7,
				    0x00013403, 0x00813083, 0x01010113, 0x00008067 };
static const uint32_t with_other_fp[] = { 0xff010113, 0x00113423, 0x00813023, 0x00058413,
					  0x000500e7, 0x00013403, 0x00813083, 0x01010113,
					  0x00008067 };
#define CODE_BEHIND_CALL 20
#else
/* stp x29, x30, [sp, #-16]!; mov x29, sp  or  mov x29, x1; blr x0; ldp x29, x30, [sp], #16; ret */
static const uint32_t with_fp[] = { 0xa9bf7bfd, 0x910003fd, 0xd63f0000, 0xa8c17bfd, 0xd65f03c0 };
static const uint32_t with_other_fp[] = { 0xa9bf7bfd, 0xaa0103fd, 0xd63f0000, 0xa8c17bfd,
					  0xd65f03c0 };
#define CODE_BEHIND_CALL 12
#endif

/* Returns the frame pointer of a frame whose two words are at p. */
static uintptr_t fp_of(const void *p)
{
	return (uintptr_t)p + CPU_FRAME_RECORD;
}

static uintptr_t sp_here;

static SLOW_PATH void look_alone(void)
{
	int marker;

	sp_here = (uintptr_t)OPAQUE(&marker);
	seen.n = unwind_stack(seen.pcs, MAX_FRAMES, 0);
	order_stores();
}

static SLOW_PATH bool through_code(machine_code code, uintptr_t fp)
{
	seen.n = 0;
	code(look_alone, fp);
	return ends_as_here(seen.pcs, seen.n);
}

static void frames_of_machine_code_by_frame_pointer(void **state)
{
	machine_code code = put_code(with_fp, sizeof(with_fp));

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(through_code(code, 0));
		assert_int_equal(seen.pcs[1] - (uintptr_t)code, CODE_BEHIND_CALL);
	}
	munmap((void *)code, os_page_size());
}

static machine_code garbage_code;
static uintptr_t garbage[16];

static void try_garbage(void)
{
	for (unsigned i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		garbage_code(look_alone, garbage[i]);
		CHECK(seen.n >= 2 && seen.n <= MAX_FRAMES);
		CHECK(seen.pcs[1] - (uintptr_t)garbage_code == CODE_BEHIND_CALL);
	}
	/* Around the stack's end, beyond which nothing can be read. */
	for (uintptr_t end = align_up(sp_here, KiB(4)) - 64; end < align_up(sp_here, KiB(4)) + 64;
	     end += 4)
		garbage_code(look_alone, end);
}

/* Builds two words that could be a frame but are too far away. */
static void try_far_frame(void)
{
	volatile unsigned char room[MiB(3)];
	volatile uintptr_t *frame = (volatile uintptr_t *)align_up((uintptr_t)room + MiB(2), 16);

	frame[0] = 0;
	frame[1] = (uintptr_t)garbage_code + 4;
	garbage_code(look_alone, (uintptr_t)frame + CPU_FRAME_RECORD);
	CHECK(seen.n == 2);
	CHECK(frame[0] == 0);
}

static void a_frame_pointer_that_is_none_is_not_followed(void **state)
{
	char *none = mmap(NULL, KiB(64), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t loop[4];

	(void)state;
	garbage_code = put_code(with_other_fp, sizeof(with_other_fp));
	garbage_code(look_alone, fp_of(none));
	assert_int_equal(seen.n, 2);
	/* A frame, and then one that is not above it. */
	loop[0] = fp_of(loop);
	loop[1] = (uintptr_t)garbage_code + 4;
	loop[2] = 0;
	garbage_code(look_alone, fp_of(loop));
	assert_int_equal(seen.n, 3);
	/* A frame that would return to where there is no code. */
	loop[1] = (uintptr_t)none + 16;
	garbage_code(look_alone, fp_of(loop));
	assert_int_equal(seen.n, 2);
	garbage[1] = 1;
	garbage[2] = UINTPTR_MAX;
	garbage[3] = UINTPTR_MAX - 7;
	garbage[4] = fp_of(none);
	garbage[5] = fp_of(none) - 8;
	garbage[6] = UINT64_C(1) << 63;
	garbage[7] = fp_of(loop);
	garbage[8] = fp_of(loop) + 4;
	garbage[9] = fp_of(garbage);
	garbage[10] = fp_of(loop) + MiB(2);
	garbage[11] = fp_of(loop) - KiB(4);
	garbage[12] = UINT64_C(0x0000800000000000);
	garbage[13] = UINT64_C(0x00007ffffffffff8);
	garbage[14] = KiB(4);
	try_garbage();
	(void)on_own_stack(KiB(32), try_garbage);
	(void)on_own_stack(MiB(4), try_far_frame);
	munmap(none, KiB(64));
	munmap((void *)garbage_code, os_page_size());
}

#if defined(__x86_64__)
/*
 * Frames described in every way there is. Each calls *%rdi once. The CFA of
 *   by_rbx           is %rbx + 16: a register that cached rules do not keep.
 *   by_expression    is in the word at %rsp + 8, as in PLT entries and on realigned stacks.
 *   by_values        is %rsp + 32, but %rbx and the pc are told by val_expression, val_offset and
 *   expression.
 *   by_states        is as remembered and restored around an epilogue in the middle.
 *   by_register      has the return address in %r12.
 *   by_restore       keeps %rbx in it again, after it was on the stack.
 * wrong_* do not describe their frames: the CFA is below sp when %rsi is; an expression does not
 * end, fills its stack, or reads what cannot be read.
 * silent() has no information at all, but a frame pointer; it lies between functions that have.
 */
__asm__(".text\n"
	"by_rbx: .cfi_startproc\n"
	"push %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n"
	"mov %rsp, %rbx\n.cfi_def_cfa_register %rbx\n"
	"sub $64, %rsp\nand $-64, %rsp\ncall *%rdi\n"
	"mov %rbx, %rsp\npop %rbx\n.cfi_def_cfa %rsp, 8\nret\n.cfi_endproc\n"

	"silent: push %rbp\nmov %rsp, %rbp\ncall *%rdi\npop %rbp\nret\nnop\n"

	"by_expression: .cfi_startproc\n"
	"lea 8(%rsp), %rax\nsub $24, %rsp\nmov %rax, 8(%rsp)\n"
	/* DW_CFA_def_cfa_expression: breg7 8; deref; lit3; lit1; swap; drop; lit1; minus; plus */
	".cfi_escape 0x0f, 10, 0x77, 8, 0x06, 0x33, 0x31, 0x16, 0x13, 0x31, 0x1c, 0x22\n"
	"call *%rdi\nadd $24, %rsp\n.cfi_def_cfa %rsp, 8\nret\n.cfi_endproc\n"

	"by_values: .cfi_startproc\n"
	"push %rbx\n.cfi_def_cfa_offset 16\npush %rbx\npush %rbx\n.cfi_def_cfa_offset 32\n"
	/* DW_CFA_val_expression rbx: lit16; minus; deref. DW_CFA_expression pc: const1s -8; plus.
	 * DW_CFA_val_offset rsp: 0 */
	".cfi_escape 0x16, 3, 3, 0x40, 0x1c, 0x06\n"
	".cfi_escape 0x10, 16, 3, 0x09, 0xf8, 0x22\n"
	".cfi_escape 0x14, 7, 0\n"
	".cfi_escape 0x2e, 16\n"
	"call *%rdi\npop %rbx\npop %rbx\n.cfi_def_cfa_offset 16\npop %rbx\n.cfi_def_cfa_offset "
	"8\nret\n.cfi_endproc\n"

	"by_states: .cfi_startproc\n"
	"push %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n.cfi_remember_state\n"
	"test %rdi, %rdi\njne 1f\npop %rbx\n.cfi_restore %rbx\n.cfi_def_cfa_offset 8\nret\n"
	"1: .cfi_restore_state\ncall *%rdi\npop %rbx\n.cfi_restore %rbx\n.cfi_def_cfa_offset "
	"8\nret\n.cfi_endproc\n"

	"by_register: .cfi_startproc\n"
	"push %r12\n.cfi_def_cfa_offset 16\n.cfi_offset %r12, -16\nmov 8(%rsp), "
	"%r12\n.cfi_register %rip, %r12\n"
	"movq $0, 8(%rsp)\ncall *%rdi\nmov %r12, 8(%rsp)\n.cfi_offset %rip, -8\n"
	"pop %r12\n.cfi_restore %r12\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n"

	"by_restore: .cfi_startproc\n"
	"push %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\npop %rbx\n.cfi_restore "
	"%rbx\n.cfi_def_cfa_offset 8\n"
	"sub $24, %rsp\n.cfi_def_cfa_offset 32\nmovq $0, 16(%rsp)\ncall *%rdi\n"
	"add $24, %rsp\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n"

	"wrong_cfa: .cfi_startproc\n"
	"push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\nmov %rsi, "
	"%rbp\n.cfi_def_cfa_register %rbp\n"
	"call *%rdi\npop %rbp\n.cfi_def_cfa %rsp, 8\nret\n.cfi_endproc\n"

	".macro wrong name, escape:vararg\n"
	"\\name: .cfi_startproc\nsub $8, %rsp\n.cfi_escape \\escape\ncall *%rdi\nadd $8, "
	"%rsp\n.cfi_def_cfa %rsp, 8\n"
	"ret\n.cfi_endproc\n"
	".endm\n"
	"wrong wrong_endless, 0x0f, 3, 0x2f, 0xfd, 0xff\n"          /* skip -3 */
	"wrong wrong_full, 0x0f, 5, 0x31, 0x12, 0x2f, 0xfc, 0xff\n" /* lit1; dup; skip -4 */
	"wrong wrong_empty, 0x0f, 3, 0x13, 0x13, 0x13\n"            /* drop; drop; drop */
	"wrong wrong_read, 0x0f, 2, 0x30, 0x06\n"                   /* lit0; deref */
	"wrong wrong_jump, 0x0f, 3, 0x2f, 0x00, 0x10\n"             /* skip 4096 */
	"wrong wrong_division, 0x0f, 3, 0x31, 0x30, 0x1b\n"         /* lit1; lit0; div */
	/* remember_state; restore_state; restore_state */
	"wrong wrong_states, 0x0a, 0x0b, 0x0b\n");

void by_rbx(callback call);
void silent(callback call);
void by_expression(callback call);
void by_values(callback call);
void by_states(callback call);
void by_register(callback call);
void by_restore(callback call);
void wrong_cfa(callback call, uintptr_t fp);
void wrong_endless(callback call);
void wrong_full(callback call);
void wrong_empty(callback call);
void wrong_read(callback call);
void wrong_jump(callback call);
void wrong_division(callback call);
void wrong_states(callback call);

static void (*way_inside)(callback);

static void look_by_way(void)
{
	way_inside(look);
}

static void look_by_rbx(void)
{
	by_rbx(look_inside);
}

static void look_by_all(void)
{
	by_states(look_by_rbx);
}

static void frames_described_in_other_ways(void **state)
{
	void (*const ways[])(callback) = { by_rbx,    by_expression, by_values,
					   by_states, by_register,   by_restore };

	(void)state;
	inner = &frames_without_fp;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ways[i](look);
		assert_seen(5);
		ways[i](look_inside);
		assert_seen(9);
		ways[i](look_by_all);
		assert_seen(13);
		way_inside = ways[i];
		by_rbx(look_by_way);
		assert_seen(7);
	}
}

static void what_is_described_wrongly_ends_the_walk(void **state)
{
	static uintptr_t below[2];
	void (*const ways[])(callback) = { wrong_endless, wrong_full,     wrong_empty, wrong_read,
					   wrong_jump,    wrong_division, wrong_states };

	(void)state;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ways[i](look_alone);
		assert_int_equal(seen.n, 2);
	}
	/* Cold, and by the cached rule. */
	below[1] = (uintptr_t)do_nothing + 1;
	for (unsigned i = 0; i < 2; i++) {
		wrong_cfa(look_alone, (uintptr_t)below);
		assert_int_equal(seen.n, 2);
	}
}

/* As other libraries than libc give to the kernel. */
__asm__(".text\nnop\nsilent_return: mov $15, %rax\nsyscall\n");
void silent_return(void);

static void a_handler_that_returns_to_silent_code(void **state)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { on_signal, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, silent_return, 0 };

	(void)state;
	assert_int_equal(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8), 0);
	frames_without_fp.saving(3, raise_signal);
	assert_true(nfrom_context > 8);
	assert_true(seen.n > nfrom_context);
	assert_memory_equal(from_context, seen.pcs + seen.n - nfrom_context,
			    nfrom_context * sizeof(*from_context));
	assert_true(ends_as_here(seen.pcs, seen.n));
	signal(SIGUSR1, SIG_DFL);
}

static SLOW_PATH bool through_silent(void)
{
	seen.n = 0;
	silent(look_alone);
	return ends_as_here(seen.pcs, seen.n);
}

static void code_without_information_between_others(void **state)
{
	(void)state;
	assert_true(through_silent());
	assert_true(seen.pcs[1] - (uintptr_t)silent < 16);
}
#endif

/* --- whatever a stack says --- */

static void no_context_makes_it_fault(void **state)
{
	static const uint8_t word_of[CPU_REGS] = CPU_CONTEXT_WORDS;
	static const uintptr_t odd[] = {
		0, 1, 8, UINTPTR_MAX, UINT64_C(0x00007ffffffff000), UINT64_C(0xffff800000000000)
	};
	uint64_t r = 20250101;
	size_t nbytes = KiB(16), page = os_page_size();
	uintptr_t *room =
		mmap(NULL, nbytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t *stack = room + page / 8;
	uintptr_t code[] = { (uintptr_t)dlsym(RTLD_DEFAULT, "qsort") - KiB(64),
			     (uintptr_t)dlsym(RTLD_DEFAULT, "_dl_find_object"),
			     (uintptr_t)unwind_stack - KiB(4), (uintptr_t)frames_with_fp.deep };
	uintptr_t words[128] = { 0 };
	uintptr_t pcs[32];
	uint64_t total = 0;

	(void)state;
	assert_true(room != MAP_FAILED);
	assert_int_equal(mprotect(stack, nbytes, PROT_READ | PROT_WRITE), 0);
	for (unsigned round = 0; round < 40000; round++) {
		unsigned n;

		if (round % 16 == 0)
			for (size_t i = 0; i < nbytes / 8; i++) {
				size_t kind = rng_below(&r, 8);

				stack[i] = kind < 4 ? code[kind] + rng_below(&r, KiB(8))
					   : kind < 7
						   ? (uintptr_t)stack + rng_below(&r, nbytes + 64)
						   : rng_next(&r);
			}
		for (unsigned i = 0; i < CPU_REGS; i++) {
			size_t kind = rng_below(&r, 10);

			words[word_of[i]] = kind < 9
						    ? (uintptr_t)(stack + rng_below(&r, nbytes / 8))
						    : rng_next(&r);
		}
		if (rng_below(&r, 8) == 0)
			words[word_of[CPU_SP]] = odd[rng_below(&r, 6)];
		if (rng_below(&r, 8) == 0)
			words[word_of[CPU_FP]] = odd[rng_below(&r, 6)];
		words[word_of[CPU_PC]] = rng_below(&r, 16) == 0 ? odd[rng_below(&r, 6)] :
					 code[rng_below(&r, 4)] + rng_below(&r, KiB(64));
		n = unwind_context(words, pcs, 32);
		assert_in_range(n, 1, 32);
		total += n;
	}
	/* It did go somewhere. */
	assert_true(total > 60000);
	munmap(room, nbytes + 2 * page);
}

/* --- libraries that come and go --- */

static void (*through_module)(void (*)(void));

static void *load(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	CHECK(module != NULL);
	through_module = (void (*)(void (*)(void)))dlsym(module, "through_module");
	CHECK(through_module != NULL);
	return module;
}

static void other_code_at_the_same_place(void **state)
{
	uintptr_t first = 0;
	unsigned same_place = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		void *module = load(i % 2 == 0 ? UNWIND_MODULE_A : UNWIND_MODULE_B);

		if (i == 0)
			first = (uintptr_t)through_module;
		same_place += first == (uintptr_t)through_module;
		through_module(look);
		assert_seen(5);
		through_module(look);
		assert_seen(5);
		dlclose(module);
	}
	if (same_place < 10)
		skip();      /* the system does not put them there */
}

static atomic_bool stop;
static sem_t please_look, has_looked;
static bool wait_in_constructor, looked_in_time;

void unwind_module_starts(void)
{
	struct timespec until;

	if (!wait_in_constructor)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	sem_post(&please_look);
	looked_in_time = sem_timedwait(&has_looked, &until) == 0;
}

static void *look_when_asked(void *arg)
{
	sem_wait(&please_look);
	frames_without_fp.saving(5, look_alone);
	sem_post(&has_looked);
	return arg;
}

static void the_loader_may_be_locked(void **state)
{
	pthread_t t;
	void *module;

	(void)state;
	sem_init(&please_look, 0, 0);
	sem_init(&has_looked, 0, 0);
	assert_int_equal(pthread_create(&t, NULL, look_when_asked, NULL), 0);
	wait_in_constructor = true;
	module = load(UNWIND_MODULE_A);
	wait_in_constructor = false;
	assert_true(looked_in_time);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(seen.n >= 8);
	dlclose(module);
}

static void *load_and_unload(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		void *module = dlopen(UNWIND_MODULE_B, RTLD_NOW | RTLD_LOCAL);

		CHECK(module != NULL);
		dlclose(module);
	}
	return arg;
}

static _Atomic unsigned long walks;

static THREAD_LOCAL_DEFINE struct { unsigned n, wrong; uintptr_t pcs[MAX_FRAMES]; } usual;

static SLOW_PATH void look_for_change(void)
{
	uintptr_t pcs[MAX_FRAMES];
	unsigned n = unwind_stack(pcs, MAX_FRAMES, 1);

	if (usual.n == 0) {
		usual.n = n;
		copy_bytes(usual.pcs, pcs, sizeof(pcs));
	}
	usual.wrong += n != usual.n || memcmp(pcs, usual.pcs, n * sizeof(*pcs)) != 0;
}

static SLOW_PATH void look_through_module(void)
{
	through_module(look_for_change);
}

static void *walk_for_a_while(void *arg)
{
	for (unsigned i = 0; i < 20000; i++)
		frames_without_fp.saving(4, look_through_module);
	atomic_fetch_add_explicit(&walks, 20000, memory_order_relaxed);
	return usual.wrong == 0 && usual.n > 7 ? NULL : arg;
}

static void threads_walk_while_libraries_come_and_go(void **state)
{
	pthread_t t[3];
	void *result;
	void *module = load(UNWIND_MODULE_A);

	(void)state;
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	assert_int_equal(pthread_create(&t[0], NULL, load_and_unload, NULL), 0);
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, walk_for_a_while, t), 0);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(pthread_join(t[i], &result), 0);
		assert_null(result);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	assert_int_equal(pthread_join(t[0], NULL), 0);
	dlclose(module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_with_and_without_frame_pointers),
		cmocka_unit_test(frames_of_both_kinds_in_turn),
		cmocka_unit_test(no_more_than_max_and_without_skip),
		cmocka_unit_test(errno_stays),
		cmocka_unit_test(frames_of_libc),
		cmocka_unit_test(the_last_walk_changes_nothing),
		cmocka_unit_test(a_constructor_is_called_by_the_loader),
		cmocka_unit_test(main_is_called_by_libc),
		cmocka_unit_test(a_thread_has_a_beginning),
		cmocka_unit_test(a_coroutine_has_a_beginning),
		cmocka_unit_test(little_stack_is_used),
		cmocka_unit_test(frames_below_a_signal),
		cmocka_unit_test(frames_below_a_fault),
		cmocka_unit_test(frames_of_machine_code_by_frame_pointer),
		cmocka_unit_test(a_frame_pointer_that_is_none_is_not_followed),
#if defined(__x86_64__)
		cmocka_unit_test(frames_described_in_other_ways),
		cmocka_unit_test(what_is_described_wrongly_ends_the_walk),
		cmocka_unit_test(a_handler_that_returns_to_silent_code),
		cmocka_unit_test(code_without_information_between_others),
#endif
		cmocka_unit_test(no_context_makes_it_fault),
		cmocka_unit_test(other_code_at_the_same_place),
		cmocka_unit_test(the_loader_may_be_locked),
		cmocka_unit_test(threads_walk_while_libraries_come_and_go),
	};

	look_into(&in_main);
	return cmocka_run_group_tests_name("unwind", tests, NULL, NULL);
}
