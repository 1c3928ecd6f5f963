/* SPDX-License-Identifier: MIT */
/*
 * dwarf.c - reads call frame information: how to get from a frame to its caller's.
 *
 * The section .eh_frame_hdr has a sorted table that leads from a function to its FDE (frame
 * description entry), which names its CIE (common information entry). Both have a small program.
 * Executed up to a pc, the programs give the rules for the registers at that pc. A rule may be an
 * expression of a stack machine. The format is that of DWARF 5, section 6.4, and of the LSB.
 *
 * Holds    no byte outside of the object's call frame information is read here. Programs and
 *          expressions have bounds, so everything ends.
 */
#include "stack/dwarf.h"
#include "base/config.h"

/* --- bytes --- */

static bool has_bytes(struct dwarf_bytes *b, size_t n)
{
	if (LIKELY((size_t)(b->end - b->at) >= n))
		return true;
	b->bad = true;
	b->at = b->end;
	return false;
}

static inline uint8_t read_u8(struct dwarf_bytes *b)
{
	return has_bytes(b, 1) ? *b->at++ : 0;
}

/* Reads a little-endian number of 2, 4 or 8 bytes. */
static uint64_t read_fixed(struct dwarf_bytes *b, unsigned nbytes)
{
	uint64_t n = 0;

	if (!has_bytes(b, nbytes))
		return 0;
	copy_bytes(&n, b->at, nbytes);
	b->at += nbytes;
	return n;
}

static int64_t read_fixed_signed(struct dwarf_bytes *b, unsigned nbytes)
{
	uint64_t sign = UINT64_C(1) << (8 * nbytes - 1);

	return (int64_t)((read_fixed(b, nbytes) ^ sign) - sign);
}

static SLOW_PATH uint64_t read_leb(struct dwarf_bytes *b, bool is_signed)
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

static inline uint64_t read_uleb(struct dwarf_bytes *b)
{
	if (LIKELY(b->at < b->end && *b->at < 0x80))
		return *b->at++;
	return read_leb(b, false);
}

static int64_t read_sleb(struct dwarf_bytes *b)
{
	return (int64_t)read_leb(b, true);
}

/* Skips a block that begins with its length. */
static void skip_block(struct dwarf_bytes *b)
{
	uint64_t nbytes = read_uleb(b);

	if (has_bytes(b, nbytes))
		b->at += nbytes;
}

/* DW_EH_PE_*: the low 4 bits are the format, the next 3 what the value is relative to. */
enum {
	PE_ABSPTR = 0x00, PE_ULEB, PE_U2, PE_U4, PE_U8,
	PE_SLEB = 0x09, PE_S2, PE_S4, PE_S8, PE_FORMAT = 0x0f,
	PE_PCREL = 0x10, PE_DATAREL = 0x30, PE_BASE = 0x70, PE_INDIRECT = 0x80
};

static uintptr_t read_encoded(struct dwarf_bytes *b, unsigned encoding, uintptr_t data_base)
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

/* --- the table --- */

void dwarf_read_header(struct dwarf_object *o)
{
	/* Version 1, a count of 4 bytes, and rows like ours. All linkers write this, and code in a
	 * gap of the table has no call frame information. */
	if (o->hdr == NULL || o->hdr[0] != 1 || o->hdr[2] != PE_U4 ||
	    o->hdr[3] != (PE_DATAREL | PE_S4))
		return;
	o->info_start = o->start;
	o->info_end = o->start + o->size;
	if ((uintptr_t)o->hdr - o->start >= o->size) {
		/* It is in another segment, whose end is not known. Rows reach this far. */
		o->info_start = (uintptr_t)o->hdr - min_size((uintptr_t)o->hdr, GiB(2));
		o->info_end = (uintptr_t)o->hdr + GiB(2);
	}
	struct dwarf_bytes b = { o->hdr + 4, (const uint8_t *)o->info_end, false };
	(void)read_encoded(&b, o->hdr[1], (uintptr_t)o->hdr);
	o->len = (uint32_t)read_fixed(&b, 4);
	o->table = (const struct dwarf_index *)b.at;
	if (b.bad || (size_t)(b.end - b.at) / sizeof(struct dwarf_index) < o->len ||
	    (uintptr_t)b.at % sizeof(int32_t) != 0)
		o->len = 0;
}

bool dwarf_find_index(const struct dwarf_object *o, uintptr_t pc, uint32_t *index)
{
	int64_t distance = (int64_t)(pc - (uintptr_t)o->hdr);
	uint32_t low = 0, high = o->len;

	/* Rows below low begin at the pc or before it; rows from high on begin after it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (o->table[middle].pc <= distance)
			low = middle + 1;
		else
			high = middle;
	}
	*index = low - 1;
	return low != 0;
}

/* --- programs --- */

/* DW_CFA_*: the first three have an operand in their low 6 bits. */
enum {
	CFA_ADVANCE_LOC = 1, CFA_OFFSET, CFA_RESTORE,

	CFA_NOP = 0x00, CFA_SET_LOC, CFA_ADVANCE_LOC1, CFA_ADVANCE_LOC2, CFA_ADVANCE_LOC4,
	CFA_OFFSET_EXTENDED, CFA_RESTORE_EXTENDED, CFA_UNDEFINED, CFA_SAME_VALUE, CFA_REGISTER,
	CFA_REMEMBER_STATE, CFA_RESTORE_STATE, CFA_DEF_CFA, CFA_DEF_CFA_REGISTER,
	CFA_DEF_CFA_OFFSET, CFA_DEF_CFA_EXPRESSION, CFA_EXPRESSION, CFA_OFFSET_EXTENDED_SF,
	CFA_DEF_CFA_SF, CFA_DEF_CFA_OFFSET_SF, CFA_VAL_OFFSET, CFA_VAL_OFFSET_SF,
	CFA_VAL_EXPRESSION,
	CFA_AARCH64_RA_STATE_WITH_PC = 0x2c, CFA_AARCH64_RA_STATE, CFA_GNU_ARGS_SIZE,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED
};
_Static_assert(CFA_VAL_EXPRESSION == 0x16 && CFA_GNU_NEGATIVE_OFFSET_EXTENDED == 0x2f,
	       "the operations have the numbers of the standard");

/* A program that is being executed. */
struct program {
	struct dwarf_bytes *b;
	const struct dwarf_function *f;
	const uint8_t *hdr;
	unsigned encoding;                  /* of addresses */
	const struct dwarf_row *initial; /* the row after the CIE's program; NULL in that program */
	struct dwarf_row *row;
	uintptr_t at;                       /* the row is that of this address */
	struct dwarf_row remembered[UNWIND_MAX_REMEMBERED];
	unsigned nremembered;
};

static int32_t make_rule(struct dwarf_bytes *b, int kind, int64_t n)
{
	if (n < INT32_MIN >> RULE_SHIFT || n > INT32_MAX >> RULE_SHIFT)
		b->bad = true;
	return (int32_t)((uint32_t)n << RULE_SHIFT | (uint32_t)kind);
}

/* Reads an offset in units of the function's data alignment, and makes a rule of it. */
static int32_t read_offset(struct program *p, int kind)
{
	uint64_t n = read_uleb(p->b);

	return make_rule(p->b, kind, (int64_t)(n * (uint64_t)p->f->data_align));
}

static int32_t read_signed_offset(struct program *p, int kind)
{
	uint64_t n = (uint64_t)read_sleb(p->b);

	return make_rule(p->b, kind, (int64_t)(n * (uint64_t)p->f->data_align));
}

static int32_t read_expression(struct program *p, int kind)
{
	intptr_t distance = (intptr_t)((uintptr_t)p->b->at - (uintptr_t)p->hdr);

	skip_block(p->b);
	return make_rule(p->b, kind, distance);
}

static void set_rule(struct program *p, uint64_t reg, int32_t rule)
{
	/* Registers beyond, such as vectors and flags, are of no use here. */
	if (reg < CPU_REGS)
		p->row->reg[reg] = rule;
}

static int32_t initial_rule(const struct program *p, uint64_t reg)
{
	return p->initial == NULL || reg >= CPU_REGS ? RULE_SAME : p->initial->reg[reg];
}

static uint8_t read_cfa_reg(struct dwarf_bytes *b)
{
	uint64_t reg = read_uleb(b);

	if (reg >= CPU_REGS)
		b->bad = true;
	return (uint8_t)reg;
}

/* Executes an operation whose first operand is a register. */
static void set_register(struct program *p, uint8_t op)
{
	uint64_t reg = read_uleb(p->b), other;
	int32_t rule = RULE_SAME;

	switch (op) {
	case CFA_OFFSET_EXTENDED: rule = read_offset(p, RULE_AT); break;
	case CFA_OFFSET_EXTENDED_SF: rule = read_signed_offset(p, RULE_AT); break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		rule = make_rule(p->b, RULE_AT,
				 (int64_t)-(read_uleb(p->b) * (uint64_t)p->f->data_align));
		break;
	case CFA_RESTORE_EXTENDED: rule = initial_rule(p, reg); break;
	case CFA_UNDEFINED: rule = RULE_UNDEFINED; break;
	case CFA_SAME_VALUE: break;
	case CFA_REGISTER:
		other = read_uleb(p->b);
		rule = other < CPU_REGS ? make_rule(p->b, RULE_REGISTER, (int64_t)other) :
					  RULE_UNDEFINED;
		break;
	case CFA_EXPRESSION: rule = read_expression(p, RULE_AT_EXPRESSION); break;
	case CFA_VAL_EXPRESSION: rule = read_expression(p, RULE_IS_EXPRESSION); break;
	case CFA_VAL_OFFSET: rule = read_offset(p, RULE_IS); break;
	case CFA_VAL_OFFSET_SF: rule = read_signed_offset(p, RULE_IS); break;
	default: p->b->bad = true; break;
	}
	set_rule(p, reg, rule);
}

static void remember_row(struct program *p)
{
	if (p->nremembered == UNWIND_MAX_REMEMBERED)
		p->b->bad = true;
	else
		p->remembered[p->nremembered++] = *p->row;
}

static void restore_row(struct program *p)
{
	if (p->nremembered == 0)
		p->b->bad = true;
	else
		*p->row = p->remembered[--p->nremembered];
}

/* Executes an operation that has no operand in its own byte. */
static void execute_extended(struct program *p, uint8_t op)
{
	struct dwarf_bytes *b = p->b;
	struct dwarf_row *row = p->row;

	switch (op) {
	case CFA_NOP:
	/* Authentication codes are taken off all return addresses, so these have no effect. */
	case CFA_AARCH64_RA_STATE:
	case CFA_AARCH64_RA_STATE_WITH_PC: break;
	case CFA_SET_LOC: p->at = read_encoded(b, p->encoding, (uintptr_t)p->hdr); break;
	case CFA_ADVANCE_LOC1: p->at += read_u8(b) * p->f->code_align; break;
	case CFA_ADVANCE_LOC2: p->at += read_fixed(b, 2) * p->f->code_align; break;
	case CFA_ADVANCE_LOC4: p->at += read_fixed(b, 4) * p->f->code_align; break;
	case CFA_REMEMBER_STATE: remember_row(p); break;
	case CFA_RESTORE_STATE: restore_row(p); break;
	case CFA_DEF_CFA:
		row->cfa_reg = read_cfa_reg(b);
		row->cfa = make_rule(b, RULE_IS, (int64_t)read_uleb(b));
		break;
	case CFA_DEF_CFA_SF:
		row->cfa_reg = read_cfa_reg(b);
		row->cfa = read_signed_offset(p, RULE_IS);
		break;
	case CFA_DEF_CFA_REGISTER: row->cfa_reg = read_cfa_reg(b); break;
	case CFA_DEF_CFA_OFFSET: row->cfa = make_rule(b, RULE_IS, (int64_t)read_uleb(b)); break;
	case CFA_DEF_CFA_OFFSET_SF: row->cfa = read_signed_offset(p, RULE_IS); break;
	case CFA_DEF_CFA_EXPRESSION: row->cfa = read_expression(p, RULE_IS_EXPRESSION); break;
	case CFA_GNU_ARGS_SIZE: (void)read_uleb(b); break;       /* for landing pads */
	default: set_register(p, op); break;
	}
}

/* Executes a program up to the row that contains the pc. */
static SLOW_PATH void run_program(struct program *p, uintptr_t pc)
{
	p->at = p->f->start;
	p->nremembered = 0;
	while (p->b->at < p->b->end && !p->b->bad && p->at <= pc) {
		uint8_t op = read_u8(p->b), operand = op & 0x3f;

		switch (op >> 6) {
		case CFA_ADVANCE_LOC: p->at += operand * p->f->code_align; break;
		case CFA_OFFSET: set_rule(p, operand, read_offset(p, RULE_AT)); break;
		case CFA_RESTORE: set_rule(p, operand, initial_rule(p, operand)); break;
		default: execute_extended(p, op); break;
		}
	}
}

/* --- entries --- */

/* Reads what the letters of a CIE's augmentation announce. */
static bool read_augmentation(const char *letters, struct dwarf_bytes *cie,
			      struct dwarf_function *f, unsigned *encoding)
{
	struct dwarf_bytes data = *cie;
	uint64_t nbytes = read_uleb(&data);

	if (!has_bytes(&data, nbytes))
		return false;
	cie->at = data.at + nbytes;
	data.end = cie->at;
	for (const char *c = letters; *c != 0 && !data.bad; c++) {
		if (*c == 'R') {
			*encoding = read_u8(&data);
		} else if (*c == 'S') {
			f->is_signal = true;
		} else if (*c == 'L') {
			(void)read_u8(&data);
		} else if (*c == 'P') {
			unsigned format = read_u8(&data);

			(void)read_encoded(&data, format & PE_FORMAT, 0);
		} else if (*c != 'B' && *c != 'G') {       /* authentication keys, memory tags */
			break;
		}
	}
	return !data.bad;
}

/* Reads a CIE up to its program. *augmented tells whether its FDEs have augmentation data, too. */
static bool read_cie(struct dwarf_bytes *cie, struct dwarf_function *f, unsigned *encoding,
		     bool *augmented)
{
	const char *augmentation;
	uint64_t ra;
	uint8_t version;

	if (read_fixed(cie, 4) != 0)
		return false;
	version = read_u8(cie);
	augmentation = (const char *)cie->at;
	while (read_u8(cie) != 0)
		;
	if (version == 4 && read_fixed(cie, 2) != 8)      /* 8-byte addresses, no segments */
		return false;
	f->code_align = read_uleb(cie);
	f->data_align = read_sleb(cie);
	ra = version == 1 ? read_u8(cie) : read_uleb(cie);
	if (cie->bad || ra >= CPU_REGS || (augmentation[0] != 'z' && augmentation[0] != 0))
		return false;
	f->ra = (uint8_t)ra;
	f->is_signal = false;
	*augmented = augmentation[0] == 'z';
	return !*augmented || read_augmentation(augmentation + 1, cie, f, encoding);
}

SLOW_PATH enum dwarf_found dwarf_find_row(const struct dwarf_object *o, struct dwarf_bytes fde,
					  struct dwarf_bytes cie, uintptr_t pc,
					  struct dwarf_function *f, struct dwarf_row *row)
{
	struct program p = { .b = &cie, .f = f, .hdr = o->hdr, .encoding = PE_ABSPTR, .row = row };
	struct dwarf_row initial;
	uintptr_t nbytes;
	bool augmented;

	if (!read_cie(&cie, f, &p.encoding, &augmented))
		return DWARF_BAD;
	(void)read_fixed(&fde, 4);
	f->start = read_encoded(&fde, p.encoding, (uintptr_t)o->hdr);
	nbytes = read_encoded(&fde, p.encoding & PE_FORMAT, 0);
	if (fde.bad || (p.encoding & PE_INDIRECT))
		return DWARF_BAD;
	if (pc - f->start >= nbytes)
		return DWARF_NOT_THERE;
	if (augmented)
		skip_block(&fde);
	if (fde.bad)
		return DWARF_BAD;

	zero_bytes(row, sizeof(*row));
	row->cfa_reg = CPU_REGS;
	/* riscv64's programs name the register first and an offset only when it is not 0. */
	row->cfa = make_rule(&cie, RULE_IS, 0);
	run_program(&p, pc);
	initial = *row;
	p.b = &fde;
	p.initial = &initial;
	run_program(&p, pc);
	if (cie.bad || fde.bad ||
	    (row->cfa_reg == CPU_REGS && rule_kind(row->cfa) != RULE_IS_EXPRESSION))
		return DWARF_BAD;
	return DWARF_FOUND;
}

/* --- expressions --- */

/* DW_OP_* */
enum {
	OP_ADDR = 0x03, OP_DEREF = 0x06, OP_CONST1U = 0x08, OP_CONST1S, OP_CONST2U, OP_CONST2S,
	OP_CONST4U, OP_CONST4S, OP_CONST8U, OP_CONST8S, OP_CONSTU, OP_CONSTS,
	OP_DUP, OP_DROP, OP_OVER, OP_PICK, OP_SWAP, OP_ROT,
	OP_ABS = 0x19, OP_AND, OP_DIV, OP_MINUS, OP_MOD, OP_MUL, OP_NEG, OP_NOT, OP_OR, OP_PLUS,
	OP_PLUS_UCONST, OP_SHL, OP_SHR, OP_SHRA, OP_XOR,
	OP_BRA, OP_EQ, OP_GE, OP_GT, OP_LE, OP_LT, OP_NE, OP_SKIP,
	OP_LIT0 = 0x30, OP_REG0 = 0x50, OP_BREG0 = 0x70, OP_REGX = 0x90,
	OP_BREGX = 0x92, OP_DEREF_SIZE = 0x94, OP_NOP = 0x96
};
_Static_assert(OP_ROT == 0x17 && OP_SKIP == 0x2f, "the operations have the standard's numbers");

/* An expression that is being evaluated. */
struct evaluation {
	struct dwarf_bytes b;
	const uint8_t *start;
	const struct dwarf_frame *frame;
	uintptr_t stack[UNWIND_MAX_OPERANDS];
	unsigned n;                 /* operands on the stack */
};

/* Executes an operation that replaces the two operands on top by one. */
static bool combine(struct evaluation *e, uint8_t op)
{
	uintptr_t a, b, *result;
	intptr_t sa, sb;

	if (e->n < 2)
		return false;
	b = e->stack[--e->n];
	result = &e->stack[e->n - 1];
	a = *result;
	sa = (intptr_t)a;
	sb = (intptr_t)b;
	switch (op) {
	case OP_AND: *result = a & b; break;
	case OP_DIV:
		if (sb == 0 || (sa == INTPTR_MIN && sb == -1))
			return false;
		*result = (uintptr_t)(sa / sb);
		break;
	case OP_MINUS: *result = a - b; break;
	case OP_MOD:
		if (b == 0)
			return false;
		*result = a % b;
		break;
	case OP_MUL: *result = a * b; break;
	case OP_OR: *result = a | b; break;
	case OP_PLUS: *result = a + b; break;
	case OP_SHL: *result = b < 64 ? a << b : 0; break;
	case OP_SHR: *result = b < 64 ? a >> b : 0; break;
	case OP_SHRA: *result = (uintptr_t)(sa >> (b < 64 ? b : 63)); break;
	case OP_XOR: *result = a ^ b; break;
	case OP_EQ: *result = sa == sb; break;
	case OP_GE: *result = sa >= sb; break;
	case OP_GT: *result = sa > sb; break;
	case OP_LE: *result = sa <= sb; break;
	case OP_LT: *result = sa < sb; break;
	case OP_NE: *result = sa != sb; break;
	default: return false;
	}
	return true;
}

/* Executes an operation that moves operands. */
static bool shuffle(struct evaluation *e, uint8_t op)
{
	unsigned depth = op == OP_DROP ? 1 : op == OP_SWAP ? 2 : 3;
	uintptr_t *bottom = e->stack + e->n - depth, top;

	if (e->n < depth)
		return false;
	if (op == OP_DROP) {
		e->n--;
		return true;
	}
	top = bottom[depth - 1];
	for (unsigned i = depth - 1; i > 0; i--)
		bottom[i] = bottom[i - 1];
	bottom[0] = top;
	return true;
}

/* Replaces an address by what lies there, inside of one aligned word. */
static bool load(struct evaluation *e, unsigned nbytes, uintptr_t *value)
{
	uintptr_t offset = *value % 8;

	if (nbytes == 0 || offset + nbytes > 8 ||
	    !e->frame->read_word(e->frame->arg, *value - offset, value))
		return false;
	*value = *value >> 8 * offset & low_mask64(8 * nbytes);
	return true;
}

/* Executes an operation that changes the operand on top. */
static bool change_top(struct evaluation *e, uint8_t op)
{
	uintptr_t *top = &e->stack[e->n - 1];

	if (e->n == 0)
		return false;
	switch (op) {
	case OP_DEREF: return load(e, 8, top);
	case OP_DEREF_SIZE: return load(e, read_u8(&e->b), top);
	case OP_ABS: *top = (intptr_t)*top < 0 ? 0 - *top : *top; return true;
	case OP_NEG: *top = 0 - *top; return true;
	case OP_NOT: *top = ~*top; return true;
	default: *top += read_uleb(&e->b); return true;       /* OP_PLUS_UCONST */
	}
}

static bool jump(struct evaluation *e, uint8_t op)
{
	uintptr_t to = (uintptr_t)read_fixed_signed(&e->b, 2);

	if (op == OP_BRA) {
		if (e->n == 0)
			return false;
		if (e->stack[--e->n] == 0)
			return true;
	}
	to += (uintptr_t)e->b.at;
	if (e->b.bad || to < (uintptr_t)e->start || to > (uintptr_t)e->b.end)
		return false;
	e->b.at = (const uint8_t *)to;
	return true;
}

static bool get_reg(struct evaluation *e, uint64_t reg, bool with_offset, uintptr_t *value)
{
	if (!e->frame->get_reg(e->frame->arg, reg, value))
		return false;
	if (with_offset)
		*value += (uintptr_t)read_sleb(&e->b);
	return true;
}

static bool pick(const struct evaluation *e, unsigned depth, uintptr_t *value)
{
	if (depth >= e->n)
		return false;
	*value = e->stack[e->n - 1 - depth];
	return true;
}

/* Finds the value that an operation puts on the stack. */
static bool find_operand(struct evaluation *e, uint8_t op, uintptr_t *value)
{
	struct dwarf_bytes *b = &e->b;

	if (op >= OP_LIT0 && op < OP_LIT0 + 32) {
		*value = op - OP_LIT0;
		return true;
	}
	if (op >= OP_REG0 && op < OP_BREG0 + 32)
		return get_reg(e, (op - OP_REG0) % 32u, op >= OP_BREG0, value);
	switch (op) {
	case OP_ADDR:
	case OP_CONST8U:
	case OP_CONST8S: *value = read_fixed(b, 8); return true;
	case OP_CONST1U: *value = read_u8(b); return true;
	case OP_CONST1S: *value = (uintptr_t)read_fixed_signed(b, 1); return true;
	case OP_CONST2U: *value = read_fixed(b, 2); return true;
	case OP_CONST2S: *value = (uintptr_t)read_fixed_signed(b, 2); return true;
	case OP_CONST4U: *value = read_fixed(b, 4); return true;
	case OP_CONST4S: *value = (uintptr_t)read_fixed_signed(b, 4); return true;
	case OP_CONSTU: *value = read_uleb(b); return true;
	case OP_CONSTS: *value = (uintptr_t)read_sleb(b); return true;
	case OP_DUP: return pick(e, 0, value);
	case OP_OVER: return pick(e, 1, value);
	case OP_PICK: return pick(e, read_u8(b), value);
	case OP_REGX: return get_reg(e, read_uleb(b), false, value);
	case OP_BREGX: return get_reg(e, read_uleb(b), true, value);
	default: return false;
	}
}

static bool push_operand(struct evaluation *e, uint8_t op)
{
	uintptr_t value;

	if (!find_operand(e, op, &value) || e->n == UNWIND_MAX_OPERANDS)
		return false;
	e->stack[e->n++] = value;
	return true;
}

static bool execute(struct evaluation *e, uint8_t op)
{
	switch (op) {
	case OP_NOP: return true;
	case OP_DROP:
	case OP_SWAP:
	case OP_ROT: return shuffle(e, op);
	case OP_DEREF:
	case OP_DEREF_SIZE:
	case OP_ABS:
	case OP_NEG:
	case OP_NOT:
	case OP_PLUS_UCONST: return change_top(e, op);
	case OP_BRA:
	case OP_SKIP: return jump(e, op);
	default:
		return op >= OP_AND && op <= OP_NE ? combine(e, op) : push_operand(e, op);
	}
}

SLOW_PATH bool dwarf_evaluate(const struct dwarf_object *o, intptr_t distance, uintptr_t first,
			      const struct dwarf_frame *frame, uintptr_t *result)
{
	struct evaluation e = { .frame = frame, .n = 1 };
	uint64_t nbytes;

	e.b = (struct dwarf_bytes){ o->hdr + distance, (const uint8_t *)o->info_end, false };
	nbytes = read_uleb(&e.b);
	if (!has_bytes(&e.b, nbytes))
		return false;
	e.b.end = e.b.at + nbytes;
	e.start = e.b.at;
	e.stack[0] = first;
	for (unsigned count = 0; e.b.at < e.b.end; count++)
		if (count == UNWIND_MAX_OPERATIONS || !execute(&e, read_u8(&e.b)))
			return false;
	if (e.b.bad || e.n == 0)
		return false;
	*result = e.stack[e.n - 1];
	return true;
}
