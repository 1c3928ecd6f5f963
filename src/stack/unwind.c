/* SPDX-License-Identifier: MIT */
/*
 * unwind.c - finds the return addresses on a stack.
 *
 * A frame is left by the call frame information of its code (dwarf.h). Where code has none, it is
 * left by its frame pointer. Most rules are simple and are kept in a cache.
 *
 * Of libc only _dl_find_object() is called, which takes no lock and may be called in signal
 * handlers. glibc has it since 2.35. Elsewhere the loader's list of objects is read. In a static
 * program before main, only the program is found.
 *
 * Owns     the cache of unwind rules, and the note whether libc can be asked.
 * Holds    a word is read only in a page known to be readable. The stack pointer never falls,
 *          except where a handler returns to the stack it came from. So whatever a stack and its
 *          code contain, a walk ends, and no read of a stack is a fault. A cached rule is used only
 *          if the bytes that it was made from are the bytes there now. Call frame information is
 *          trusted to be where the tables say. An object that is on no stack may be unloaded at any
 *          time, so an address in it must come from a stack.
 */
#include "stack/unwind.h"
#include "base/config.h"
#include "os/libc.h"
#include "os/os.h"
#include "stack/dwarf.h"

#include <elf.h>

#define BIT(r) (UINT64_C(1) << (r))

struct code_range {
	uintptr_t start;
	uintptr_t nbytes;
};

/*
 * struct walk - a frame on the way from the innermost to the outermost.
 * The bit of a register in known is 0 if its value is lost: through a cached rule, or because call
 * frame information does not give it.
 */
struct walk {
	uintptr_t reg[CPU_REGS];    /* by DWARF number; as they are in this frame */
	uint64_t known;             /* bit r: reg[r] is right */
	uintptr_t good;             /* start and length of the part of the stack that can be read */
	uintptr_t good_nbytes;
	uintptr_t good_code;        /* a page of code that can be read; 1 for none */
	struct dwarf_object object; /* the object looked at last */
	bool exact;                 /* pc is the next instruction, not the one behind a call */
	bool use_cache;
	struct code_range own;      /* leading frames in this code are left out */
	struct recollection *past;  /* frames of the last walk and of this one; NULL */
	bool missed;                /* a lost register was asked for */
};

/* --- what can be read --- */

static SLOW_PATH bool can_read_slow(struct walk *w, uintptr_t addr)
{
	uintptr_t nbytes = os_page_size();
	uintptr_t page = align_down(addr, nbytes);

	if (addr % sizeof(uintptr_t) != 0 || page == 0 || !os_can_read(addr))
		return false;
	if (w->good_nbytes != 0 && page == w->good + w->good_nbytes) {
		w->good_nbytes += nbytes;
	} else {
		w->good = page;
		w->good_nbytes = nbytes;
	}
	return true;
}

/* Reads an aligned word of a stack. */
static inline bool read_word(struct walk *w, uintptr_t addr, uintptr_t *word)
{
	if (UNLIKELY(addr - w->good >= w->good_nbytes || addr % sizeof(uintptr_t) != 0) &&
	    !can_read_slow(w, addr))
		return false;
	*word = *(const uintptr_t *)addr;
	return true;
}

static bool can_read_code(struct walk *w, uintptr_t pc)
{
	uintptr_t page = align_down(pc, os_page_size());

	if (page == w->good_code)
		return true;
	if (page == 0 || !os_can_read(page))
		return false;
	w->good_code = page;
	return true;
}

/* --- objects --- */

static inline bool is_in_object(const struct dwarf_object *o, uintptr_t pc)
{
	return pc - o->start < o->size;
}

/* In a static program libc allocates before it has set up the data of _dl_find_object(), which
 * would fault then. The shared library is called only when ld.so is ready. Volatile, because clang
 * carries a constructor out when it compiles, and the program would start with true. */
static volatile _Atomic bool constructors_run;

/* Notes that libc is set up, because constructors run then. */
CONSTRUCTOR static void note_start(void)
{
	/* Relaxed: there is one thread. */
	atomic_store_explicit(&constructors_run, true, memory_order_relaxed);
}

/* Looks the pc up in the loader's list. Returns false if the loader cannot be asked. */
static bool ask_loader(struct dwarf_object *o, uintptr_t pc)
{
	struct libc_object found;
	int error;

	/* Relaxed: pairs with the store in note_start(). */
	if (os_is_static() && !atomic_load_explicit(&constructors_run, memory_order_relaxed))
		return false;
	error = libc_find_object(pc, &found);
	if (error == 0) {
		o->start = (uintptr_t)found.start;
		o->size = (uintptr_t)found.end - o->start;
		o->hdr = found.eh_frame;
	}
	return error != LIBC_CANNOT_FIND;
}

/* Sets *o to the object that begins with this header, if it contains the pc. */
static void ask_header(struct dwarf_object *o, uintptr_t header, uintptr_t pc)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)header;
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(header + elf->e_phoff);
	uintptr_t base = header, end = 0, hdr = 0;

	for (unsigned i = 0; i < elf->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0 &&
		    segments[i].p_filesz != 0)
			base = header - segments[i].p_vaddr;
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD)
			end = max_size(end, base + segments[i].p_vaddr + segments[i].p_memsz);
		else if (segments[i].p_type == PT_GNU_EH_FRAME)
			hdr = base + segments[i].p_vaddr;
	}
	if (pc - header >= end - header)
		return;
	o->start = header;
	o->size = end - header;
	o->hdr = (const uint8_t *)hdr;
}

/* The linker's name for the start of the object that this code is part of. */
extern const char __ehdr_start[] WEAK HIDDEN;

static SLOW_PATH void find_object(struct dwarf_object *o, uintptr_t pc)
{
	uintptr_t header;

	o->start = 0;
	o->size = 0;
	o->hdr = NULL;
	o->len = 0;
	if (!ask_loader(o, pc)) {
		if (__ehdr_start != NULL)
			ask_header(o, (uintptr_t)__ehdr_start, pc);
		header = o->size == 0 ? libc_header_of(pc) : 0;
		if (header != 0)
			ask_header(o, header, pc);
	}
	dwarf_read_header(o);
}

/* --- expressions --- */

static bool get_reg(void *arg, uint64_t reg, uintptr_t *value)
{
	struct walk *w = arg;

	if (reg >= CPU_REGS)
		return false;
	if (!(w->known & BIT(reg))) {
		w->missed = true;
		return false;
	}
	*value = w->reg[reg];
	return true;
}

static bool read_operand(void *arg, uintptr_t addr, uintptr_t *word)
{
	return read_word(arg, addr, word);
}

static bool evaluate(struct walk *w, intptr_t distance, uintptr_t first, uintptr_t *result)
{
	struct dwarf_frame frame = { get_reg, read_operand, w };

	return dwarf_evaluate(&w->object, distance, first, &frame, result);
}

/* --- the cache of rules --- */

/*
 * The simple rule that most frames have. The CFA is sp or fp plus a distance. The return address
 * and fp lie at the CFA minus a distance. All distances are in words. Distance 0 of fp means that
 * fp has not changed, and distance 0 of the return address that the stack begins here.
 * Access: [a] relaxed. The words of an entry need no order, and nothing else depends on them: each
 *          has a part of the tag. A reader computes the tag from the bytes that it found, so two
 *          words that do not belong together match no tag. Pairs with the loads in cached_rule()
 *          and the stores in remember_rule().
 */
struct entry {
	_Atomic uint64_t rule;      /* [a] the fields below, then the tag */
	_Atomic uint64_t index;     /* [a] row of the object's table; 32 bits of tag above */
};

#define RULE_FROM_FP UINT64_C(1)
#define RULE_PRESENT UINT64_C(2)
#define RULE_FIELD_BITS 13
#define RULE_CFA_SHIFT 2
#define RULE_RA_SHIFT (RULE_CFA_SHIFT + RULE_FIELD_BITS)
#define RULE_FP_SHIFT (RULE_RA_SHIFT + RULE_FIELD_BITS)
#define RULE_TAG_SHIFT (RULE_FP_SHIFT + RULE_FIELD_BITS)

static struct entry cache[UNWIND_CACHE_ENTRIES];

static inline struct entry *cache_entry(uintptr_t pc)
{
	return &cache[(pc * UINT64_C(0x9e3779b97f4a7c15) >> 32) % UNWIND_CACHE_ENTRIES];
}

static inline uint64_t load64(const void *p)
{
	uint64_t n;

	copy_bytes(&n, p, sizeof(n));
	return n;
}

static inline uint64_t hash_bytes(uint64_t hash, const struct dwarf_bytes *b)
{
	const uint8_t *at = b->at;

	/* A multiplication for each word would take as long as the rest of a step. Entries are
	 * whole words of 4 bytes. */
	for (; b->end - at >= 8; at += 8)
		hash = (hash << 9 | hash >> 55) + load64(at);
	if (b->end - at >= 4)
		hash = (hash << 9 | hash >> 55) + load32(at);
	return hash;
}

/* Hashes everything that a rule is made from. The FDE contains the distance to its function and the
 * function's length. So if the hash is equal, the FDE still is that of the pc. The lower half and
 * the upper bits of the hash are the tag. */
static inline uint64_t rule_hash(uintptr_t pc, const struct dwarf_bytes *fde,
				 const struct dwarf_bytes *cie)
{
	uintptr_t at = (uintptr_t)fde->at;
	uint64_t hash = hash_bytes(hash_bytes(pc + (at << 32 | at >> 32), fde), cie);

	return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t rule_field(uint64_t rule, unsigned shift)
{
	return (rule >> shift & low_mask64(RULE_FIELD_BITS)) * sizeof(uintptr_t);
}

/* Returns the rule of a pc, or 0 if the cache has none. */
static inline uint64_t cached_rule(const struct dwarf_object *o, uintptr_t pc)
{
	const struct entry *e = cache_entry(pc);
	/* Relaxed: see struct entry. */
	uint64_t rule = atomic_load_explicit(&e->rule, memory_order_relaxed);
	uint64_t index = atomic_load_explicit(&e->index, memory_order_relaxed);
	struct dwarf_bytes fde, cie;
	uint64_t hash;

	if (rule == 0 || (uint32_t)index >= o->len ||
	    !dwarf_find_fde(o, (uint32_t)index, &fde, &cie))
		return 0;
	hash = rule_hash(pc, &fde, &cie);
	if (rule >> RULE_TAG_SHIFT != hash >> RULE_TAG_SHIFT || index >> 32 != (uint32_t)hash)
		return 0;
	return rule;
}

/* Returns the field of a distance, or more than any field can hold. */
static uint64_t field_of(intptr_t distance)
{
	intptr_t word = sizeof(uintptr_t);

	return distance % word != 0 ? UINT64_MAX : (uint64_t)(distance / word);
}

static void remember_rule(uintptr_t pc, const struct dwarf_function *f, const struct dwarf_row *row,
			  uint64_t hash, uint32_t index)
{
	struct entry *e = cache_entry(pc);
	uint64_t limit = UINT64_C(1) << RULE_FIELD_BITS;
	uint64_t rule = RULE_PRESENT;

	if (rule_kind(row->reg[f->ra]) != RULE_UNDEFINED) {
		uint64_t cfa = field_of(rule_number(row->cfa));
		uint64_t ra = field_of(-rule_number(row->reg[f->ra]));
		uint64_t fp = 0;

		if (f->is_signal || rule_kind(row->cfa) != RULE_IS ||
		    (row->cfa_reg != CPU_SP && row->cfa_reg != CPU_FP) ||
		    row->reg[CPU_SP] != RULE_SAME || rule_kind(row->reg[f->ra]) != RULE_AT)
			return;
		if (row->reg[CPU_FP] != RULE_SAME) {
			fp = field_of(-rule_number(row->reg[CPU_FP]));
			if (rule_kind(row->reg[CPU_FP]) != RULE_AT || fp == 0)
				return;
		}
		if (cfa >= limit || ra >= limit || ra == 0 || fp >= limit)
			return;
		rule |= fp << RULE_FP_SHIFT | ra << RULE_RA_SHIFT | cfa << RULE_CFA_SHIFT;
		if (row->cfa_reg == CPU_FP)
			rule |= RULE_FROM_FP;
	}
	/* Relaxed: see struct entry. */
	atomic_store_explicit(&e->index, (uint64_t)(uint32_t)hash << 32 | index,
			      memory_order_relaxed);
	atomic_store_explicit(&e->rule, hash >> RULE_TAG_SHIFT << RULE_TAG_SHIFT | rule,
			      memory_order_relaxed);
}

/* --- frames of the last walk --- */

/* Frames of a memo: those of the last walk, and those of this one. */
struct recollection {
	const struct unwind_frame *old;
	uint32_t nold, at;         /* at: the first old frame that the walk has not passed */
	struct unwind_frame *now;
	uint32_t nnow;
};

/* Notes the frame that the walk is about to leave. */
static inline void note_frame(struct walk *w, const struct unwind_frame *f)
{
	struct recollection *r = w->past;

	if (UNLIKELY(r != NULL) && r->nnow != UNWIND_REMEMBERED)
		r->now[r->nnow++] = *f;
}

/* Returns the frame of the last walk with this frame's sp and pc, or NULL. */
static inline const struct unwind_frame *recall(struct walk *w, struct recollection *r)
{
	const struct unwind_frame *f;

	while (r->at < r->nold && r->old[r->at].sp < w->reg[CPU_SP])
		r->at++;
	f = &r->old[r->at];
	if (r->at == r->nold || f->sp != w->reg[CPU_SP] || f->pc != w->reg[CPU_PC] ||
	    (f->fp != 0 && f->fp != w->reg[CPU_FP]))
		return NULL;
	r->at++;
	return f;
}

/* Leaves a frame as the last walk has left it. The kernel is not asked whether its words can be
 * read: the function that runs in the frame has pushed them. */
static inline bool step_by_memo(struct walk *w, const struct unwind_frame *f)
{
	note_frame(w, f);
	if (f->cfa == 0)
		return false;
	w->reg[CPU_SP] = f->cfa;
	w->reg[CPU_PC] = cpu_strip_pc(*(const uintptr_t *)f->ra_at);
	if (f->fp_at != 0)
		w->reg[CPU_FP] = *(const uintptr_t *)f->fp_at;
	w->known = BIT(CPU_SP) | BIT(CPU_FP) | BIT(CPU_PC);
	w->exact = false;
	return w->reg[CPU_PC] != 0;
}

/* --- steps: from a frame to its caller's; they return false at the last frame --- */

static bool step_by_rule(struct walk *w, uint64_t rule)
{
	uintptr_t cfa =
		w->reg[rule & RULE_FROM_FP ? CPU_FP : CPU_SP] + rule_field(rule, RULE_CFA_SHIFT);
	uintptr_t ra = rule_field(rule, RULE_RA_SHIFT);
	uintptr_t fp = rule_field(rule, RULE_FP_SHIFT);
	uintptr_t pc;

	struct unwind_frame f = { .sp = w->reg[CPU_SP], .pc = w->reg[CPU_PC] };

	if (ra == 0) {
		note_frame(w, &f);
		return false;
	}
	if (cfa <= w->reg[CPU_SP] || !read_word(w, cfa - ra, &pc))
		return false;
	f.fp = rule & RULE_FROM_FP ? w->reg[CPU_FP] : 0;
	if (fp != 0 && !read_word(w, cfa - fp, &w->reg[CPU_FP]))
		return false;
	f.cfa = cfa;
	f.ra_at = cfa - ra;
	f.fp_at = fp != 0 ? cfa - fp : 0;
	note_frame(w, &f);
	w->reg[CPU_SP] = cfa;
	w->reg[CPU_PC] = cpu_strip_pc(pc);
	w->known = BIT(CPU_SP) | BIT(CPU_FP) | BIT(CPU_PC);
	w->exact = false;
	return w->reg[CPU_PC] != 0;
}

/* Finds the caller's value of one register. Sets *lost if the value is not known. Returns false if
 * the rule cannot be applied. */
static bool apply_rule(struct walk *w, unsigned reg, int32_t rule, uintptr_t cfa, uintptr_t *value,
		       bool *lost)
{
	intptr_t n = rule_number(rule);

	switch (rule_kind(rule)) {
	case RULE_SAME:
	case RULE_REGISTER:
		if (rule_kind(rule) == RULE_SAME)
			n = (intptr_t)reg;
		*value = w->reg[n];
		*lost = !(w->known & BIT(n));
		return true;
	case RULE_AT:
		return read_word(w, cfa + (uintptr_t)n, value);
	case RULE_IS:
		*value = cfa + (uintptr_t)n;
		return true;
	case RULE_AT_EXPRESSION:
		return evaluate(w, n, cfa, value) && read_word(w, *value, value);
	case RULE_IS_EXPRESSION:
		return evaluate(w, n, cfa, value);
	default:
		*lost = true;
		return true;
	}
}

static SLOW_PATH bool step_by_row(struct walk *w, const struct dwarf_function *f,
				  const struct dwarf_row *row)
{
	uintptr_t next[CPU_REGS];
	uint64_t known = 0;
	uintptr_t cfa;

	if (rule_kind(row->cfa) == RULE_IS_EXPRESSION) {
		if (!evaluate(w, rule_number(row->cfa), 0, &cfa))
			return false;
	} else {
		if (!get_reg(w, row->cfa_reg, &cfa))
			return false;
		cfa += (uintptr_t)rule_number(row->cfa);
	}
	/* Where calls do not push, an interrupted function may have no frame yet. */
	if (!f->is_signal && (cfa < w->reg[CPU_SP] || (cfa == w->reg[CPU_SP] && !w->exact)))
		return false;
	for (unsigned r = 0; r < CPU_REGS; r++) {
		bool lost = false;

		if (r == CPU_SP && row->reg[r] == RULE_SAME)
			next[r] = cfa;
		else if (!apply_rule(w, r, row->reg[r], cfa, &next[r], &lost))
			return false;
		if (!lost)
			known |= BIT(r);
	}
	if (!(known & BIT(f->ra))) {
		w->missed |= rule_kind(row->reg[f->ra]) != RULE_UNDEFINED;
		return false;
	}
	copy_bytes(w->reg, next, sizeof(next));
	w->reg[CPU_PC] = cpu_strip_pc(next[f->ra]);
	w->known = known | BIT(CPU_PC);
	w->exact = f->is_signal;
	return w->reg[CPU_PC] != 0 || w->exact;
}

static void start_in_context(struct walk *w, const uintptr_t *words)
{
	static const uint8_t word_of[CPU_REGS] = CPU_CONTEXT_WORDS;

	for (unsigned r = 0; r < CPU_REGS; r++)
		w->reg[r] = words[word_of[r]];
	w->known = low_mask64(CPU_REGS);
	w->exact = true;
}

/* Leaves the kernel's frame under a handler, which has all registers. Returns false if the pc is
 * not the code that handlers return to. */
static bool step_from_handler(struct walk *w, bool *more)
{
	static const uint8_t word_of[CPU_REGS] = CPU_CONTEXT_WORDS;
	uintptr_t pc = w->reg[CPU_PC];
	uintptr_t context = w->reg[CPU_SP] + CPU_SIGNAL_CONTEXT;
	uintptr_t word;

	if (w->exact || !can_read_code(w, pc) ||
	    !can_read_code(w, pc + sizeof(CPU_SIGRETURN_CODE) - 2) ||
	    __builtin_memcmp((const void *)pc, CPU_SIGRETURN_CODE,
			     sizeof(CPU_SIGRETURN_CODE) - 1) != 0)
		return false;
	*more = false;
	for (unsigned r = 0; r < CPU_REGS; r++)
		if (!read_word(w, context + word_of[r] * sizeof(word), &word))
			return true;
	start_in_context(w, (const uintptr_t *)context);
	*more = true;
	return true;
}

/* Leaves a frame whose code has no call frame information. */
static SLOW_PATH bool step_by_frame_pointer(struct walk *w)
{
	uintptr_t sp = w->reg[CPU_SP], fp = w->reg[CPU_FP];
	uintptr_t pc, outer_fp;
	bool more;

	if (step_from_handler(w, &more))
		return more;
	if (w->exact && !can_read_code(w, w->reg[CPU_PC])) {
		/* The program called an address without code. */
		if (CPU_LINK_REG < CPU_REGS) {
			pc = w->reg[CPU_LINK_REG % CPU_REGS];
		} else {
			if (!read_word(w, sp, &pc))
				return false;
			w->reg[CPU_SP] = sp + sizeof(pc);
		}
		w->reg[CPU_PC] = cpu_strip_pc(pc);
	} else {
		uintptr_t record = fp - CPU_FRAME_RECORD;

		if (!(w->known & BIT(CPU_FP)) || record - sp > UNWIND_MAX_FRAME ||
		    !read_word(w, record, &outer_fp) || !read_word(w, record + sizeof(pc), &pc))
			return false;
		w->reg[CPU_FP] = outer_fp;
		w->reg[CPU_SP] = record + 2 * sizeof(pc);
		w->reg[CPU_PC] = cpu_strip_pc(pc);
		w->known = BIT(CPU_SP) | BIT(CPU_FP) | BIT(CPU_PC);
	}
	w->exact = false;
	/* The two words may not have been a frame's. */
	pc = w->reg[CPU_PC];
	if (!is_in_object(&w->object, pc))
		find_object(&w->object, pc);
	return w->object.size != 0 || can_read_code(w, pc);
}

static SLOW_PATH bool step_slow(struct walk *w, uintptr_t pc)
{
	struct dwarf_bytes fde, cie;
	struct dwarf_function f;
	struct dwarf_row row;
	uint32_t index;
	bool more;

	if (!dwarf_find_index(&w->object, pc, &index))
		return step_by_frame_pointer(w);
	if (!dwarf_find_fde(&w->object, index, &fde, &cie))
		return false;
	switch (dwarf_find_row(&w->object, fde, cie, pc, &f, &row)) {
	case DWARF_NOT_THERE:
		return step_by_frame_pointer(w);
	case DWARF_BAD:
		return false;
	default:
		break;
	}
	if (f.is_signal && step_from_handler(w, &more))
		return more;
	remember_rule(pc, &f, &row, rule_hash(pc, &fde, &cie), index);
	return step_by_row(w, &f, &row);
}

static inline bool step(struct walk *w)
{
	uintptr_t pc = w->reg[CPU_PC] - !w->exact;

	if (UNLIKELY(w->past != NULL)) {
		const struct unwind_frame *f = recall(w, w->past);

		if (f != NULL)
			return step_by_memo(w, f);
	}
	if (UNLIKELY(!is_in_object(&w->object, pc)))
		find_object(&w->object, pc);
	if (LIKELY(w->use_cache)) {
		uint64_t rule = cached_rule(&w->object, pc);

		if (LIKELY(rule != 0))
			return step_by_rule(w, rule);
	}
	return step_slow(w, pc);
}

/* Stores the return addresses from this frame's caller on, without the first skip of them. */
static unsigned step_on(struct walk *w, uintptr_t *pcs, unsigned max, unsigned skip)
{
	unsigned n = 0;

	while (n < max && step(w)) {
		if (skip != 0)
			skip--;
		else if (n != 0 || w->reg[CPU_PC] - w->own.start >= w->own.nbytes)
			pcs[n++] = w->reg[CPU_PC];
	}
	return n;
}

static void start(struct walk *w, bool use_cache)
{
	w->known = CPU_KEPT_REGS;
	w->good = 0;
	w->good_nbytes = 0;
	w->good_code = 1;
	w->object.start = 0;
	w->object.size = 0;
	w->exact = true;
	w->use_cache = use_cache;
	w->missed = false;
	w->own = (struct code_range){ 0, 0 };
	w->past = NULL;
}

/* Walks up the calling thread's stack. The registers are captured in the function that this one is
 * inlined into, whose frame lasts until the walk ends. It is the first frame that the walk
 * leaves. */
FAST_PATH unsigned walk_here(struct code_range own, struct recollection *past, uintptr_t *pcs,
			     unsigned max, unsigned skip)
{
	struct walk w;
	unsigned n = 0;

	for (unsigned use_cache = 1; use_cache < 2; use_cache--) {
		start(&w, use_cache != 0);
		w.own = own;
		w.past = use_cache != 0 ? past : NULL;
		CPU_CAPTURE(w.reg);
		w.good = align_down(w.reg[CPU_SP], os_page_size());
		w.good_nbytes = os_page_size();
		n = step_on(&w, pcs, max, skip);
		/* Cached rules keep only the registers that most frames need. */
		if (LIKELY(!w.missed))
			break;
	}
	return n;
}

SLOW_PATH unsigned unwind_stack(uintptr_t *pcs, unsigned max, unsigned skip)
{
	return walk_here((struct code_range){ 0, 0 }, NULL, pcs, max, skip);
}

/* The ends of the library's code in a program that it is part of; see goalloc_object.ld. */
extern const char goalloc_text[] WEAK HIDDEN;
extern const char goalloc_text_end[] WEAK HIDDEN;

/* The linker's name for the end of the code of the object that this code is part of. */
extern const char etext[] WEAK HIDDEN;

/* Returns where this library's code is. In a program that was linked with our objects one by one,
 * our code cannot be told from the program's, and the range is empty. */
static struct code_range find_own_code(void)
{
	uintptr_t start = (uintptr_t)goalloc_text, end = (uintptr_t)goalloc_text_end;

	if (start == 0) {
		start = (uintptr_t)__ehdr_start;
		end = (uintptr_t)etext;
		if (start == 0 || start == os_program_header())
			return (struct code_range){ 0, 0 };
	}
	return (struct code_range){ start, end - start };
}

/* Returns the range of find_own_code(), which asks the kernel, and so is called once. */
static struct code_range own_code(void)
{
	/* Relaxed: every thread finds the same range. A length of 1 stands for an empty one. */
	static _Atomic uintptr_t start, nbytes;
	struct code_range own;

	/* Acquire: the start. Pairs with the release below. */
	own.nbytes = atomic_load_explicit(&nbytes, memory_order_acquire);
	own.start = atomic_load_explicit(&start, memory_order_relaxed);
	if (own.nbytes == 0) {
		own = find_own_code();
		own.nbytes = max_size(own.nbytes, 1);
		/* Release: the start. Pairs with the acquire above. */
		atomic_store_explicit(&start, own.start, memory_order_relaxed);
		atomic_store_explicit(&nbytes, own.nbytes, memory_order_release);
	}
	return own;
}

SLOW_PATH unsigned unwind_callers(uintptr_t *pcs, unsigned max)
{
	return walk_here(own_code(), NULL, pcs, max, 0);
}

SLOW_PATH unsigned unwind_callers_again(struct unwind_memo *memo, uintptr_t *pcs, unsigned max)
{
	uint32_t old = memo->current, now = 1 - old;
	struct recollection past = { memo->frames[old], memo->n[old], 0, memo->frames[now], 0 };
	unsigned n = walk_here(own_code(), &past, pcs, max, 0);

	memo->n[now] = past.nnow;
	memo->current = now;
	return n;
}

unsigned unwind_context(const void *ucontext, uintptr_t *pcs, unsigned max)
{
	struct walk w;
	unsigned n = 0;

	if (max == 0)
		return 0;
	for (unsigned use_cache = 1; use_cache < 2; use_cache--) {
		start(&w, use_cache != 0);
		start_in_context(&w, ucontext);
		pcs[0] = w.reg[CPU_PC];
		n = 1 + step_on(&w, pcs + 1, max - 1, 0);
		if (!w.missed)
			break;
	}
	return n;
}
