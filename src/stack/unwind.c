/* SPDX-License-Identifier: MIT */
/*
 * unwind.c - who called: the return addresses on a stack.
 * See malloc.c for the overview.
 *
 * Owns     the cache of unwind rules; whether libc can be asked.
 * Callers  the profile; reports of faults. Calls os.h, and of libc _dl_find_object() alone, which takes no lock and may be called
 *          in signal handlers. glibc has it since 2.35; elsewhere, and in a static program before main, only the program and
 *          this library are found.
 * Locks    none.
 * Holds    a frame is left by the call frame information of its code (DWARF, section .eh_frame). Where code has none, by its frame
 *          pointer. A word is read only in a page known to be readable, and sp never falls, but where a handler returns to the
 *          stack it came from: whatever a stack and its code say, a walk ends, and no read of a stack is a fault.
 *          A cached rule is used only if the bytes it was made from are those that are there now.
 *          Call frame information is trusted to be where the tables say. An object that is on no stack may be
 *          unloaded at any time: an address in it must not come from anywhere but a stack.
 */
#include "stack/unwind.h"
#include "base/config.h"
#include "os/os.h"

#include <dlfcn.h>
#include <elf.h>

#define BIT(r) (UINT64_C(1) << (r))

/* A row of the table at the beginning of .eh_frame_hdr, both as distances from it: first address of a function, its FDE. */
struct place {
	int32_t pc;
	int32_t fde;
};

/* A loaded object, or a segment of it with code. None: size is 0. */
struct object {
	uintptr_t start;
	uintptr_t size;
	uintptr_t info_start;        /* between these is its call frame information */
	uintptr_t info_end;
	const uint8_t *hdr;          /* .eh_frame_hdr; NULL when there is none that we can read */
	const struct place *table;   /* sorted by pc */
	uint32_t nplaces;
};

/*
 * struct walk - a frame on the way from the innermost to the outermost.
 * known is 0 for a register whose value is lost: by a cached rule, or for want of call frame information.
 */
struct walk {
	uintptr_t reg[CPU_REGS];    /* by DWARF number; as they are in this frame */
	uint64_t known;             /* bit r: reg[r] is right */
	uintptr_t good;             /* start and length of what of the stack can be read */
	uintptr_t good_nbytes;
	uintptr_t good_code;        /* a page of code that can be read; 1 for none */
	struct object object;       /* the one looked at last */
	bool exact;                 /* pc is the next instruction, not one after a call */
	bool use_cache;
	bool missed;                /* a register that is not known was asked for */
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

/* An aligned word of a stack. */
static inline bool read_word(struct walk *w, uintptr_t addr, uintptr_t *word)
{
	if (UNLIKELY(addr - w->good >= w->good_nbytes || addr % sizeof(uintptr_t) != 0) && !can_read_slow(w, addr))
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

/* --- bytes of call frame information --- */

struct bytes {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;              /* more was asked for than there is, or something that we do not know */
};

static inline uint32_t load32(const void *p)
{
	uint32_t n;

	copy_bytes(&n, p, sizeof(n));
	return n;
}

static inline uint64_t load64(const void *p)
{
	uint64_t n;

	copy_bytes(&n, p, sizeof(n));
	return n;
}

static bool has_bytes(struct bytes *b, size_t n)
{
	if (LIKELY((size_t)(b->end - b->at) >= n))
		return true;
	b->bad = true;
	b->at = b->end;
	return false;
}

static inline uint8_t read_u8(struct bytes *b)
{
	return has_bytes(b, 1) ? *b->at++ : 0;
}

/* A little-endian number of 2, 4 or 8 bytes. */
static uint64_t read_fixed(struct bytes *b, unsigned nbytes)
{
	uint64_t n = 0;

	if (!has_bytes(b, nbytes))
		return 0;
	copy_bytes(&n, b->at, nbytes);
	b->at += nbytes;
	return n;
}

static int64_t read_fixed_signed(struct bytes *b, unsigned nbytes)
{
	uint64_t sign = UINT64_C(1) << (8 * nbytes - 1);

	return (int64_t)((read_fixed(b, nbytes) ^ sign) - sign);
}

static SLOW_PATH uint64_t read_leb(struct bytes *b, bool is_signed)
{
	uint64_t n = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = read_u8(b);
		if (shift < 64)
			n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && (byte & 0x40) && shift < 64)
		n |= ~UINT64_C(0) << shift;
	return n;
}

static inline uint64_t read_uleb(struct bytes *b)
{
	if (LIKELY(b->at < b->end && *b->at < 0x80))
		return *b->at++;
	return read_leb(b, false);
}

static int64_t read_sleb(struct bytes *b)
{
	return (int64_t)read_leb(b, true);
}

/* DW_EH_PE_*: the low 4 bits are the format, the next 3 what it is relative to. */
enum {
	PE_ABSPTR = 0x00, PE_ULEB = 0x01, PE_U2 = 0x02, PE_U4 = 0x03, PE_U8 = 0x04,
	PE_SLEB = 0x09, PE_S2 = 0x0a, PE_S4 = 0x0b, PE_S8 = 0x0c,
	PE_FORMAT = 0x0f, PE_BASE = 0x70, PE_PCREL = 0x10, PE_DATAREL = 0x30, PE_INDIRECT = 0x80, PE_OMIT = 0xff
};

static uintptr_t read_encoded(struct bytes *b, unsigned encoding, uintptr_t data_base)
{
	uintptr_t at = (uintptr_t)b->at;
	uintptr_t n;

	switch (encoding & PE_FORMAT) {
	case PE_ULEB: n = read_uleb(b); break;
	case PE_SLEB: n = (uintptr_t)read_sleb(b); break;
	case PE_U2: n = read_fixed(b, 2); break;
	case PE_U4: n = read_fixed(b, 4); break;
	case PE_S2: n = (uintptr_t)read_fixed_signed(b, 2); break;
	case PE_S4: n = (uintptr_t)read_fixed_signed(b, 4); break;
	case PE_ABSPTR:
	case PE_U8:
	case PE_S8: n = read_fixed(b, 8); break;
	default: b->bad = true; return 0;
	}
	switch (encoding & PE_BASE) {
	case 0: break;
	case PE_PCREL: n += at; break;
	case PE_DATAREL: n += data_base; break;
	default: b->bad = true; break;
	}
	return n;
}

/* --- objects --- */

static inline bool is_in_object(const struct object *o, uintptr_t pc)
{
	return pc - o->start < o->size;
}

/* In a static program libc allocates before it has set up what _dl_find_object() reads, and a call is a fault then. In the shared
 * library ld.so is ready before it calls us. */
static _Atomic bool constructors_run;

/* Constructors run when libc is set up. */
CONSTRUCTOR static void note_start(void)
{
	/* Relaxed: there is one thread. */
	atomic_store_explicit(&constructors_run, true, memory_order_relaxed);
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE
extern __typeof__(_dl_find_object) _dl_find_object WEAK;

/* False: there is nobody to ask. */
static bool ask_loader(struct object *o, uintptr_t pc)
{
	struct dl_find_object found;

	/* Relaxed: pairs with the store in note_start(). */
	if (&_dl_find_object == NULL || (os_is_static() &&
					 !atomic_load_explicit(&constructors_run, memory_order_relaxed)))
		return false;
	if (_dl_find_object((void *)pc, &found) == 0) {
		o->start = (uintptr_t)found.dlfo_map_start;
		o->size = (uintptr_t)found.dlfo_map_end - o->start;
		o->hdr = found.dlfo_eh_frame;
	}
	return true;
}
#else
static bool ask_loader(struct object *o, uintptr_t pc)
{
	(void)o;
	(void)pc;
	return false;
}
#endif

/* The object that begins with this header, if it has the pc. */
static void ask_header(struct object *o, uintptr_t header, uintptr_t pc)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)header;
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(header + elf->e_phoff);
	uintptr_t base = header, end = 0, hdr = 0;

	for (unsigned i = 0; i < elf->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0)
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

/* The linker's name for what this code is part of. */
extern const char __ehdr_start[] WEAK HIDDEN;

static SLOW_PATH void find_object(struct object *o, uintptr_t pc)
{
	uintptr_t program;

	o->start = 0;
	o->size = 0;
	o->hdr = NULL;
	o->nplaces = 0;
	if (!ask_loader(o, pc)) {
		if (__ehdr_start != NULL)
			ask_header(o, (uintptr_t)__ehdr_start, pc);
		program = o->size == 0 ? os_program_header() : 0;
		if (program != 0)
			ask_header(o, program, pc);
	}
	/* Version 1; a count of 4 bytes; a table of rows like ours. All linkers write it so, and gaps in it are code without
	 * call frame information. */
	if (o->hdr == NULL || o->hdr[0] != 1 || o->hdr[2] != PE_U4 || o->hdr[3] != (PE_DATAREL | PE_S4))
		return;
	o->info_start = o->start;
	o->info_end = o->start + o->size;
	if (!is_in_object(o, (uintptr_t)o->hdr)) {
		/* It is in another segment, whose end nobody tells; rows reach so far. */
		o->info_start = (uintptr_t)o->hdr - min_size((uintptr_t)o->hdr, GiB(2));
		o->info_end = (uintptr_t)o->hdr + GiB(2);
	}
	struct bytes b = { o->hdr + 4, (const uint8_t *)o->info_end, false };
	(void)read_encoded(&b, o->hdr[1], (uintptr_t)o->hdr);
	o->nplaces = (uint32_t)read_fixed(&b, 4);
	o->table = (const struct place *)b.at;
	if (b.bad || (size_t)(b.end - b.at) / sizeof(struct place) < o->nplaces || (uintptr_t)b.at % sizeof(int32_t) != 0)
		o->nplaces = 0;
}

/* The row of the function with the pc, or of one before it. */
static bool find_place(const struct object *o, uintptr_t pc, uint32_t *place)
{
	int64_t distance = (int64_t)(pc - (uintptr_t)o->hdr);
	uint32_t low = 0, high = o->nplaces;

	/* Rows below low begin at the pc or before, rows from high on after it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (o->table[middle].pc <= distance)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low - 1;
	return low != 0;
}

/* The bytes of a CIE or FDE behind its length. */
static bool find_entry(const struct object *o, uintptr_t at, struct bytes *b)
{
	uintptr_t end = o->info_end;
	uint32_t nbytes;

	if (at < o->info_start || at > end - 8)
		return false;
	nbytes = load32((const void *)at);
	/* 0 is the end of the section; those above announce 64-bit lengths, which nobody writes. */
	if (nbytes < 8 || nbytes >= 0xfffffff0 || nbytes > end - at - 4)
		return false;
	b->at = (const uint8_t *)at + 4;
	b->end = b->at + nbytes;
	b->bad = false;
	return true;
}

static bool find_fde(const struct object *o, uint32_t place, struct bytes *fde, struct bytes *cie)
{
	return find_entry(o, (uintptr_t)o->hdr + (uintptr_t)(int64_t)o->table[place].fde, fde) &&
	       find_entry(o, (uintptr_t)fde->at - load32(fde->at), cie);
}

/* --- rules: how the caller's registers are found --- */

/* A rule is one of these in the low 3 bits, and a signed number above: a distance, in bytes, from the CFA; a register; the place
 * of an expression, as distance from hdr. */
enum {
	RULE_SAME,           /* as in this frame; what is not said */
	RULE_UNDEFINED,
	RULE_AT,             /* in memory, at CFA + n */
	RULE_IS,             /* CFA + n */
	RULE_REGISTER,
	RULE_AT_EXPRESSION,
	RULE_IS_EXPRESSION,
	RULE_KINDS
};
#define RULE_SHIFT 3
_Static_assert(RULE_KINDS <= 1 << RULE_SHIFT, "a kind has 3 bits");

/* The rules of one pc. cfa is RULE_IS: cfa_reg + n, or RULE_IS_EXPRESSION. */
struct row {
	int32_t reg[CPU_REGS];
	int32_t cfa;
	uint8_t cfa_reg;
};

/* What is not of one pc, but of its function. */
struct function {
	uintptr_t start;
	uint64_t code_align;
	int64_t data_align;
	uint8_t ra;               /* the column of the return address */
	bool is_signal;           /* what a handler returns to: the pc of the next frame is exact */
};

static int32_t make_rule(struct bytes *b, int kind, int64_t n)
{
	if (n < INT32_MIN >> RULE_SHIFT || n > INT32_MAX >> RULE_SHIFT)
		b->bad = true;
	return (int32_t)((uint32_t)n << RULE_SHIFT | (uint32_t)kind);
}

static inline int rule_kind(int32_t rule)
{
	return rule & ((1 << RULE_SHIFT) - 1);
}

static inline intptr_t rule_number(int32_t rule)
{
	return rule >> RULE_SHIFT;
}

static int32_t read_expression(struct bytes *b, int kind, const uint8_t *hdr)
{
	intptr_t distance = (intptr_t)((uintptr_t)b->at - (uintptr_t)hdr);
	uint64_t nbytes = read_uleb(b);

	if (has_bytes(b, nbytes))
		b->at += nbytes;
	return make_rule(b, kind, distance);
}

static void set_rule(struct row *row, uint64_t reg, int32_t rule)
{
	/* Others are of no use here: vectors, flags. */
	if (reg < CPU_REGS)
		row->reg[reg] = rule;
}

static uint8_t read_cfa_reg(struct bytes *b)
{
	uint64_t reg = read_uleb(b);

	if (reg >= CPU_REGS)
		b->bad = true;
	return (uint8_t)reg;
}

/* Executes a program up to the row that has the pc. initial is NULL for the program of a CIE, whose row is the initial one. */
static SLOW_PATH void run_program(struct bytes *b, const struct function *f, uintptr_t pc, const uint8_t *hdr, unsigned encoding,
				  const struct row *initial, struct row *row)
{
	struct row remembered[UNWIND_MAX_REMEMBERED];
	unsigned nremembered = 0;
	uintptr_t at = f->start;
	uint64_t reg, n;

	while (b->at < b->end && !b->bad && at <= pc) {
		uint8_t op = read_u8(b);

		switch (op >> 6) {
		case 1:      /* DW_CFA_advance_loc */
			at += (op & 0x3f) * f->code_align;
			continue;
		case 2:      /* DW_CFA_offset */
			set_rule(row, op & 0x3f, make_rule(b, RULE_AT, (int64_t)(read_uleb(b) * (uint64_t)f->data_align)));
			continue;
		case 3:      /* DW_CFA_restore */
			if ((op & 0x3f) < CPU_REGS)
				row->reg[op & 0x3f] = initial == NULL ? RULE_SAME : initial->reg[op & 0x3f];
			continue;
		default:
			break;
		}
		switch (op) {
		case 0x00:      /* DW_CFA_nop */
		case 0x2d:      /* DW_CFA_AARCH64_negate_ra_state: codes are taken off all return addresses */
		case 0x2c:      /* DW_CFA_AARCH64_negate_ra_state_with_pc */
			break;
		case 0x01:      /* DW_CFA_set_loc */
			at = read_encoded(b, encoding, (uintptr_t)hdr);
			break;
		case 0x02:      /* DW_CFA_advance_loc1, 2, 4 */
			at += read_u8(b) * f->code_align;
			break;
		case 0x03:
			at += read_fixed(b, 2) * f->code_align;
			break;
		case 0x04:
			at += read_fixed(b, 4) * f->code_align;
			break;
		case 0x05:      /* DW_CFA_offset_extended, and signed */
			reg = read_uleb(b);
			set_rule(row, reg, make_rule(b, RULE_AT, (int64_t)(read_uleb(b) * (uint64_t)f->data_align)));
			break;
		case 0x11:
			reg = read_uleb(b);
			set_rule(row, reg, make_rule(b, RULE_AT, (int64_t)((uint64_t)read_sleb(b) * (uint64_t)f->data_align)));
			break;
		case 0x2f:      /* DW_CFA_GNU_negative_offset_extended */
			reg = read_uleb(b);
			set_rule(row, reg, make_rule(b, RULE_AT, (int64_t)-(read_uleb(b) * (uint64_t)f->data_align)));
			break;
		case 0x06:      /* DW_CFA_restore_extended */
			reg = read_uleb(b);
			if (reg < CPU_REGS)
				row->reg[reg] = initial == NULL ? RULE_SAME : initial->reg[reg];
			break;
		case 0x07:      /* DW_CFA_undefined */
			set_rule(row, read_uleb(b), RULE_UNDEFINED);
			break;
		case 0x08:      /* DW_CFA_same_value */
			set_rule(row, read_uleb(b), RULE_SAME);
			break;
		case 0x09:      /* DW_CFA_register */
			reg = read_uleb(b);
			n = read_uleb(b);
			set_rule(row, reg, n < CPU_REGS ? make_rule(b, RULE_REGISTER, (int64_t)n) : RULE_UNDEFINED);
			break;
		case 0x0a:      /* DW_CFA_remember_state */
			if (nremembered == UNWIND_MAX_REMEMBERED)
				b->bad = true;
			else
				remembered[nremembered++] = *row;
			break;
		case 0x0b:      /* DW_CFA_restore_state */
			if (nremembered == 0)
				b->bad = true;
			else
				*row = remembered[--nremembered];
			break;
		case 0x0c:      /* DW_CFA_def_cfa, and signed */
			row->cfa_reg = read_cfa_reg(b);
			row->cfa = make_rule(b, RULE_IS, (int64_t)read_uleb(b));
			break;
		case 0x12:
			row->cfa_reg = read_cfa_reg(b);
			row->cfa = make_rule(b, RULE_IS, (int64_t)((uint64_t)read_sleb(b) * (uint64_t)f->data_align));
			break;
		case 0x0d:      /* DW_CFA_def_cfa_register */
			row->cfa_reg = read_cfa_reg(b);
			break;
		case 0x0e:      /* DW_CFA_def_cfa_offset, and signed */
			row->cfa = make_rule(b, RULE_IS, (int64_t)read_uleb(b));
			break;
		case 0x13:
			row->cfa = make_rule(b, RULE_IS, (int64_t)((uint64_t)read_sleb(b) * (uint64_t)f->data_align));
			break;
		case 0x0f:      /* DW_CFA_def_cfa_expression */
			row->cfa = read_expression(b, RULE_IS_EXPRESSION, hdr);
			break;
		case 0x10:      /* DW_CFA_expression */
			reg = read_uleb(b);
			set_rule(row, reg, read_expression(b, RULE_AT_EXPRESSION, hdr));
			break;
		case 0x16:      /* DW_CFA_val_expression */
			reg = read_uleb(b);
			set_rule(row, reg, read_expression(b, RULE_IS_EXPRESSION, hdr));
			break;
		case 0x14:      /* DW_CFA_val_offset, and signed */
			reg = read_uleb(b);
			set_rule(row, reg, make_rule(b, RULE_IS, (int64_t)(read_uleb(b) * (uint64_t)f->data_align)));
			break;
		case 0x15:
			reg = read_uleb(b);
			set_rule(row, reg, make_rule(b, RULE_IS, (int64_t)((uint64_t)read_sleb(b) * (uint64_t)f->data_align)));
			break;
		case 0x2e:      /* DW_CFA_GNU_args_size: for landing pads */
			(void)read_uleb(b);
			break;
		default:
			b->bad = true;
			break;
		}
	}
}

enum found { FOUND, NOT_THERE, BAD };

/* The row of the pc. NOT_THERE: the function with this FDE ends before it. */
static SLOW_PATH enum found find_row(const struct object *o, struct bytes fde, struct bytes cie, uintptr_t pc, struct function *f,
				     struct row *row)
{
	unsigned encoding = PE_ABSPTR;
	struct row initial;
	const char *augmentation;
	uintptr_t nbytes;
	uint8_t version;

	if (read_fixed(&cie, 4) != 0)
		return BAD;
	version = read_u8(&cie);
	augmentation = (const char *)cie.at;
	while (read_u8(&cie) != 0)
		;
	if (version == 4 && read_fixed(&cie, 2) != 8)      /* 8-byte addresses, no segments */
		return BAD;
	f->code_align = read_uleb(&cie);
	f->data_align = read_sleb(&cie);
	nbytes = version == 1 ? read_u8(&cie) : read_uleb(&cie);
	if (cie.bad || nbytes >= CPU_REGS || (augmentation[0] != 'z' && augmentation[0] != 0))
		return BAD;
	f->ra = (uint8_t)nbytes;
	f->is_signal = false;
	if (augmentation[0] == 'z') {
		struct bytes data = cie;

		nbytes = read_uleb(&data);
		if (!has_bytes(&data, nbytes))
			return BAD;
		cie.at = data.at + nbytes;
		data.end = cie.at;
		for (const char *c = augmentation + 1; *c != 0 && !data.bad; c++) {
			if (*c == 'R') {
				encoding = read_u8(&data);
			} else if (*c == 'S') {
				f->is_signal = true;
			} else if (*c == 'L') {
				(void)read_u8(&data);
			} else if (*c == 'P') {
				unsigned format = read_u8(&data);

				(void)read_encoded(&data, format & PE_FORMAT, 0);
			} else if (*c != 'B' && *c != 'G') {       /* keys of authentication, tags of memory */
				break;
			}
		}
		if (data.bad)
			return BAD;
	}

	(void)read_fixed(&fde, 4);
	f->start = read_encoded(&fde, encoding, (uintptr_t)o->hdr);
	nbytes = read_encoded(&fde, encoding & PE_FORMAT, 0);
	if (fde.bad || (encoding & PE_INDIRECT))
		return BAD;
	if (pc - f->start >= nbytes)
		return NOT_THERE;
	if (augmentation[0] == 'z') {
		nbytes = read_uleb(&fde);
		if (!has_bytes(&fde, nbytes))
			return BAD;
		fde.at += nbytes;
	}

	zero_bytes(row, sizeof(*row));
	row->cfa_reg = CPU_REGS;
	run_program(&cie, f, pc, o->hdr, encoding, NULL, row);
	initial = *row;
	run_program(&fde, f, pc, o->hdr, encoding, &initial, row);
	return cie.bad || fde.bad || (row->cfa_reg == CPU_REGS && rule_kind(row->cfa) != RULE_IS_EXPRESSION) ? BAD : FOUND;
}

/* --- expressions --- */

static bool get_reg(struct walk *w, uint64_t reg, uintptr_t *value)
{
	if (reg >= CPU_REGS)
		return false;
	if (!(w->known & BIT(reg))) {
		w->missed = true;
		return false;
	}
	*value = w->reg[reg];
	return true;
}

static bool two_operands(unsigned op, uintptr_t a, uintptr_t b, uintptr_t *result)
{
	intptr_t sa = (intptr_t)a, sb = (intptr_t)b;

	switch (op) {
	case 0x1a: *result = a & b; break;
	case 0x1b:
		if (sb == 0 || (sa == INTPTR_MIN && sb == -1))
			return false;
		*result = (uintptr_t)(sa / sb);
		break;
	case 0x1c: *result = a - b; break;
	case 0x1d:
		if (b == 0)
			return false;
		*result = a % b;
		break;
	case 0x1e: *result = a * b; break;
	case 0x21: *result = a | b; break;
	case 0x22: *result = a + b; break;
	case 0x24: *result = b < 64 ? a << b : 0; break;
	case 0x25: *result = b < 64 ? a >> b : 0; break;
	case 0x26: *result = (uintptr_t)(sa >> (b < 64 ? b : 63)); break;
	case 0x27: *result = a ^ b; break;
	case 0x29: *result = sa == sb; break;
	case 0x2a: *result = sa >= sb; break;
	case 0x2b: *result = sa > sb; break;
	case 0x2c: *result = sa <= sb; break;
	case 0x2d: *result = sa < sb; break;
	case 0x2e: *result = sa != sb; break;
	default: return false;
	}
	return true;
}

/* The value of the expression at hdr + distance; its stack begins with first. */
static SLOW_PATH bool evaluate(struct walk *w, intptr_t distance, uintptr_t first, uintptr_t *result)
{
	struct bytes b = { w->object.hdr + distance, (const uint8_t *)w->object.info_end, false };
	uintptr_t stack[UNWIND_MAX_OPERANDS];
	const uint8_t *start;
	uintptr_t value;
	unsigned n = 1;

	value = read_uleb(&b);
	if (!has_bytes(&b, value))
		return false;
	b.end = b.at + value;
	start = b.at;
	stack[0] = first;
	for (unsigned count = 0; b.at < b.end; count++) {
		uint8_t op = read_u8(&b);

		if (count == UNWIND_MAX_OPERATIONS)
			return false;
		/* What takes operands off the stack and leaves at most one. */
		if ((op >= 0x1a && op <= 0x1e) || op == 0x21 || op == 0x22 || (op >= 0x24 && op <= 0x27) ||
		    (op >= 0x29 && op <= 0x2e)) {
			if (n < 2 || !two_operands(op, stack[n - 2], stack[n - 1], &stack[n - 2]))
				return false;
			n--;
			continue;
		}
		switch (op) {
		case 0x96:      /* DW_OP_nop */
			continue;
		case 0x13:      /* DW_OP_drop */
			if (n == 0)
				return false;
			n--;
			continue;
		case 0x16:      /* DW_OP_swap */
			if (n < 2)
				return false;
			value = stack[n - 1];
			stack[n - 1] = stack[n - 2];
			stack[n - 2] = value;
			continue;
		case 0x17:      /* DW_OP_rot */
			if (n < 3)
				return false;
			value = stack[n - 1];
			stack[n - 1] = stack[n - 2];
			stack[n - 2] = stack[n - 3];
			stack[n - 3] = value;
			continue;
		case 0x06:      /* DW_OP_deref, deref_size, abs, neg, not, plus_uconst */
		case 0x94:
		case 0x19:
		case 0x1f:
		case 0x20:
		case 0x23:
			if (n == 0)
				return false;
			value = stack[n - 1];
			if (op == 0x06 || op == 0x94) {
				unsigned nbytes = op == 0x06 ? 8 : read_u8(&b);
				uintptr_t offset = value % 8;

				/* Inside one aligned word. */
				if (nbytes == 0 || offset + nbytes > 8 || !read_word(w, value - offset, &value))
					return false;
				value = value >> 8 * offset & low_mask64(8 * nbytes);
			} else if (op == 0x19) {
				value = (intptr_t)value < 0 ? 0 - value : value;
			} else if (op == 0x1f) {
				value = 0 - value;
			} else if (op == 0x20) {
				value = ~value;
			} else {
				value += read_uleb(&b);
			}
			stack[n - 1] = value;
			continue;
		case 0x28:      /* DW_OP_bra, skip */
			if (n == 0)
				return false;
			n--;
			value = (uintptr_t)read_fixed_signed(&b, 2);
			if (stack[n] == 0)
				continue;
			goto jump;
		case 0x2f:
			value = (uintptr_t)read_fixed_signed(&b, 2);
jump:
			value += (uintptr_t)b.at;
			if (b.bad || value < (uintptr_t)start || value > (uintptr_t)b.end)
				return false;
			b.at = (const uint8_t *)value;
			continue;
		case 0x03: case 0x0e: case 0x0f: value = read_fixed(&b, 8); break;      /* DW_OP_addr, const* */
		case 0x08: value = read_u8(&b); break;
		case 0x09: value = (uintptr_t)read_fixed_signed(&b, 1); break;
		case 0x0a: value = read_fixed(&b, 2); break;
		case 0x0b: value = (uintptr_t)read_fixed_signed(&b, 2); break;
		case 0x0c: value = read_fixed(&b, 4); break;
		case 0x0d: value = (uintptr_t)read_fixed_signed(&b, 4); break;
		case 0x10: value = read_uleb(&b); break;
		case 0x11: value = (uintptr_t)read_sleb(&b); break;
		case 0x12:      /* DW_OP_dup, over, pick */
		case 0x14:
		case 0x15:
			value = op == 0x12 ? 0 : op == 0x14 ? 1 : read_u8(&b);
			if (value >= n)
				return false;
			value = stack[n - 1 - value];
			break;
		case 0x92:      /* DW_OP_bregx */
		case 0x90: {    /* DW_OP_regx */
			uint64_t reg = read_uleb(&b);

			if (!get_reg(w, reg, &value))
				return false;
			if (op == 0x92)
				value += (uintptr_t)read_sleb(&b);
			break;
		}
		default:
			if (op >= 0x30 && op <= 0x4f) {      /* DW_OP_lit0..31 */
				value = op - 0x30u;
			} else if (op >= 0x50 && op <= 0x8f) {      /* DW_OP_reg0..31, breg0..31 */
				if (!get_reg(w, (op - 0x50u) % 32, &value))
					return false;
				if (op >= 0x70)
					value += (uintptr_t)read_sleb(&b);
			} else {
				return false;
			}
			break;
		}
		/* What leaves one more. */
		if (n == UNWIND_MAX_OPERANDS)
			return false;
		stack[n++] = value;
	}
	if (b.bad || n == 0)
		return false;
	*result = stack[n - 1];
	return true;
}

/* --- the cache of rules --- */

/*
 * What most frames need: CFA is sp or fp and a distance, the return address and fp are at the CFA less another, all in words.
 * 0 for fp: it is as it was; for the return address: there is none, the stack begins here.
 * Access: [a] relaxed. The words of an entry need no order among them, nor does anything else depend on them: each has a part of
 * the tag, which a reader has computed from what it found, so words that do not belong together are those of no entry. Pairs
 * with the loads in cached_rule() and the stores in remember_rule().
 */
struct entry {
	_Atomic uint64_t rule;      /* [a] bits 0: from fp, 1: not empty, 2..14: CFA, 15..27: return address, 28..40: fp; tag */
	_Atomic uint64_t place;     /* [a] the row of the object's table, 32 bits of tag above */
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

static inline uint64_t hash_bytes(uint64_t hash, const struct bytes *b)
{
	const uint8_t *at = b->at;

	/* A multiplication for each would be a chain as long as all the rest of a step. Entries are whole words of 4 bytes. */
	for (; b->end - at >= 8; at += 8)
		hash = (hash << 9 | hash >> 55) + load64(at);
	if (b->end - at >= 4)
		hash = (hash << 9 | hash >> 55) + load32(at);
	return hash;
}

/* All that a rule is made from. The FDE holds where its function begins, from its own place on, and how long it is: with the same hash it
 * is still that of the pc. The lower half and the upper bits are the tag. */
static inline uint64_t rule_hash(uintptr_t pc, const struct bytes *fde, const struct bytes *cie)
{
	uintptr_t at = (uintptr_t)fde->at;
	uint64_t hash = hash_bytes(hash_bytes(pc + (at << 32 | at >> 32), fde), cie);

	return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t rule_field(uint64_t rule, unsigned shift)
{
	return (rule >> shift & low_mask64(RULE_FIELD_BITS)) * sizeof(uintptr_t);
}

/* 0 when there is none. */
static inline uint64_t cached_rule(const struct object *o, uintptr_t pc)
{
	const struct entry *e = cache_entry(pc);
	/* Relaxed: see struct entry. */
	uint64_t rule = atomic_load_explicit(&e->rule, memory_order_relaxed);
	uint64_t place = atomic_load_explicit(&e->place, memory_order_relaxed);
	struct bytes fde, cie;
	uint64_t hash;

	if (rule == 0 || (uint32_t)place >= o->nplaces || !find_fde(o, (uint32_t)place, &fde, &cie))
		return 0;
	hash = rule_hash(pc, &fde, &cie);
	return rule >> RULE_TAG_SHIFT == hash >> RULE_TAG_SHIFT && place >> 32 == (uint32_t)hash ? rule : 0;
}

/* A distance that has a field, or the field's bits are more than it has. */
static uint64_t field_of(intptr_t distance)
{
	return distance % (intptr_t)sizeof(uintptr_t) != 0 ? UINT64_MAX : (uint64_t)(distance / (intptr_t)sizeof(uintptr_t));
}

static void remember_rule(uintptr_t pc, const struct function *f, const struct row *row, uint64_t hash, uint32_t place)
{
	struct entry *e = cache_entry(pc);
	uint64_t limit = UINT64_C(1) << RULE_FIELD_BITS;
	uint64_t rule = RULE_PRESENT;

	if (rule_kind(row->reg[f->ra]) != RULE_UNDEFINED) {
		uint64_t cfa = field_of(rule_number(row->cfa));
		uint64_t ra = field_of(-rule_number(row->reg[f->ra]));
		uint64_t fp = 0;

		if (f->is_signal || rule_kind(row->cfa) != RULE_IS || (row->cfa_reg != CPU_SP && row->cfa_reg != CPU_FP) ||
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
	atomic_store_explicit(&e->place, (uint64_t)(uint32_t)hash << 32 | place, memory_order_relaxed);
	atomic_store_explicit(&e->rule, hash >> RULE_TAG_SHIFT << RULE_TAG_SHIFT | rule, memory_order_relaxed);
}

/* --- steps: from a frame to that of its caller; false where it is the last --- */

static bool step_by_rule(struct walk *w, uint64_t rule)
{
	uintptr_t cfa = w->reg[rule & RULE_FROM_FP ? CPU_FP : CPU_SP] + rule_field(rule, RULE_CFA_SHIFT);
	uintptr_t ra = rule_field(rule, RULE_RA_SHIFT);
	uintptr_t fp = rule_field(rule, RULE_FP_SHIFT);
	uintptr_t pc;

	if (ra == 0 || cfa <= w->reg[CPU_SP] || !read_word(w, cfa - ra, &pc))
		return false;
	if (fp != 0 && !read_word(w, cfa - fp, &w->reg[CPU_FP]))
		return false;
	w->reg[CPU_SP] = cfa;
	w->reg[CPU_PC] = cpu_strip_pc(pc);
	w->known = BIT(CPU_SP) | BIT(CPU_FP) | BIT(CPU_PC);
	w->exact = false;
	return w->reg[CPU_PC] != 0;
}

/* The caller's value of one register. False: it cannot be had. *lost: it is not known. */
static bool apply_rule(struct walk *w, unsigned reg, int32_t rule, uintptr_t cfa, uintptr_t *value, bool *lost)
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

static SLOW_PATH bool step_by_row(struct walk *w, const struct function *f, const struct row *row)
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
	/* A function that a signal interrupted may have no frame yet, where calls do not push. */
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

/* The kernel's frame under that of a handler has all registers. False: pc is not where handlers return to. */
static bool step_from_handler(struct walk *w, bool *more)
{
	static const uint8_t word_of[CPU_REGS] = CPU_CONTEXT_WORDS;
	uintptr_t pc = w->reg[CPU_PC];
	uintptr_t context = w->reg[CPU_SP] + CPU_SIGNAL_CONTEXT;
	uintptr_t word;

	if (w->exact || !can_read_code(w, pc) || !can_read_code(w, pc + sizeof(CPU_SIGRETURN_CODE) - 2) ||
	    __builtin_memcmp((const void *)pc, CPU_SIGRETURN_CODE, sizeof(CPU_SIGRETURN_CODE) - 1) != 0)
		return false;
	*more = false;
	for (unsigned r = 0; r < CPU_REGS; r++)
		if (!read_word(w, context + word_of[r] * sizeof(word), &word))
			return true;
	start_in_context(w, (const uintptr_t *)context);
	*more = true;
	return true;
}

/* Code that tells nothing of its frames. */
static SLOW_PATH bool step_by_frame_pointer(struct walk *w)
{
	uintptr_t sp = w->reg[CPU_SP], fp = w->reg[CPU_FP];
	uintptr_t pc, outer_fp;
	bool more;

	if (step_from_handler(w, &more))
		return more;
	if (w->exact && !can_read_code(w, w->reg[CPU_PC])) {
		/* A call to where there is no code. */
		if (CPU_LINK_REG < CPU_REGS) {
			pc = w->reg[CPU_LINK_REG % CPU_REGS];
		} else {
			if (!read_word(w, sp, &pc))
				return false;
			w->reg[CPU_SP] = sp + sizeof(pc);
		}
		w->reg[CPU_PC] = cpu_strip_pc(pc);
	} else {
		if (!(w->known & BIT(CPU_FP)) || fp - sp > UNWIND_MAX_FRAME || !read_word(w, fp, &outer_fp) ||
		    !read_word(w, fp + sizeof(fp), &pc))
			return false;
		w->reg[CPU_FP] = outer_fp;
		w->reg[CPU_SP] = fp + 2 * sizeof(fp);
		w->reg[CPU_PC] = cpu_strip_pc(pc);
		w->known = BIT(CPU_SP) | BIT(CPU_FP) | BIT(CPU_PC);
	}
	w->exact = false;
	/* It may have been any two words. */
	pc = w->reg[CPU_PC];
	if (!is_in_object(&w->object, pc))
		find_object(&w->object, pc);
	return w->object.size != 0 || can_read_code(w, pc);
}

static SLOW_PATH bool step_slow(struct walk *w, uintptr_t pc)
{
	struct bytes fde, cie;
	struct function f;
	struct row row;
	uint32_t place;
	bool more;

	if (!find_place(&w->object, pc, &place))
		return step_by_frame_pointer(w);
	if (!find_fde(&w->object, place, &fde, &cie))
		return false;
	switch (find_row(&w->object, fde, cie, pc, &f, &row)) {
	case NOT_THERE:
		return step_by_frame_pointer(w);
	case BAD:
		return false;
	default:
		break;
	}
	if (f.is_signal && step_from_handler(w, &more))
		return more;
	remember_rule(pc, &f, &row, rule_hash(pc, &fde, &cie), place);
	return step_by_row(w, &f, &row);
}

static inline bool step(struct walk *w)
{
	uintptr_t pc = w->reg[CPU_PC] - !w->exact;

	if (UNLIKELY(!is_in_object(&w->object, pc)))
		find_object(&w->object, pc);
	if (LIKELY(w->use_cache)) {
		uint64_t rule = cached_rule(&w->object, pc);

		if (LIKELY(rule != 0))
			return step_by_rule(w, rule);
	}
	return step_slow(w, pc);
}

/* The frames from this one's caller on. */
static unsigned step_on(struct walk *w, uintptr_t *pcs, unsigned max, unsigned skip)
{
	unsigned n = 0;

	while (n < max && step(w)) {
		if (skip != 0)
			skip--;
		else
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
}

/* Its own frame is the first that is left: the registers are captured in it, so it must not end before the walk does. */
SLOW_PATH unsigned unwind_stack(uintptr_t *pcs, unsigned max, unsigned skip)
{
	struct walk w;
	unsigned n;

	start(&w, true);
	CPU_CAPTURE(w.reg);
	w.good = align_down(w.reg[CPU_SP], os_page_size());
	w.good_nbytes = os_page_size();
	n = step_on(&w, pcs, max, skip);
	if (UNLIKELY(w.missed)) {
		/* Cached rules keep the registers that most frames need. */
		start(&w, false);
		CPU_CAPTURE(w.reg);
		n = step_on(&w, pcs, max, skip);
	}
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
