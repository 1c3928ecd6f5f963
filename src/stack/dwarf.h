/* SPDX-License-Identifier: MIT */
/*
 * dwarf.h - reads call frame information: how to get from a frame to its caller's. See dwarf.c.
 *
 * Async-signal-safe: no lock, no allocation, no system call.
 */
#ifndef GOALLOC_DWARF_H
#define GOALLOC_DWARF_H

#include "base/base.h"

/* A row of the table at the beginning of .eh_frame_hdr. Both are distances from it. */
struct dwarf_index {
	int32_t pc;                  /* first address of a function */
	int32_t fde;
};

/* A loaded object, or a segment of it with code. size is 0 if there is none. */
struct dwarf_object {
	uintptr_t start;
	uintptr_t size;
	uintptr_t info_start;        /* its call frame information lies between these */
	uintptr_t info_end;
	const uint8_t *hdr;          /* .eh_frame_hdr; NULL if there is none that can be read */
	const struct dwarf_index *table;   /* sorted by pc */
	uint32_t len;                /* rows of the table */
};

/* Bytes that are being read. */
struct dwarf_bytes {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;              /* there were too few, or they have an unknown meaning */
};

/*
 * A rule tells how one register of the caller is found. It is one of these in the low 3 bits, and a
 * signed number above: a distance in bytes from the CFA, a register, or the position of an
 * expression as a distance from hdr. The CFA (canonical frame address) is the caller's stack
 * pointer.
 */
enum {
	RULE_SAME,           /* as in this frame; the default */
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

static inline int rule_kind(int32_t rule)
{
	return rule & ((1 << RULE_SHIFT) - 1);
}

static inline intptr_t rule_number(int32_t rule)
{
	return rule >> RULE_SHIFT;
}

/* The rules of one pc. cfa is RULE_IS, for cfa_reg + n, or RULE_IS_EXPRESSION. */
struct dwarf_row {
	int32_t reg[CPU_REGS];
	int32_t cfa;
	uint8_t cfa_reg;
};

/* What holds for a whole function. */
struct dwarf_function {
	uintptr_t start;
	uint64_t code_align;
	int64_t data_align;
	uint8_t ra;               /* the column of the return address */
	bool is_signal;           /* handlers return to it: the pc of the next frame is exact */
};

/* How expressions read the frame. Both functions return false if there is no value. */
struct dwarf_frame {
	bool (*get_reg)(void *arg, uint64_t reg, uintptr_t *value);
	bool (*read_word)(void *arg, uintptr_t addr, uintptr_t *word);
	void *arg;
};

enum dwarf_found { DWARF_FOUND, DWARF_NOT_THERE, DWARF_BAD };

static inline uint32_t load32(const void *p)
{
	uint32_t n;

	copy_bytes(&n, p, sizeof(n));
	return n;
}

/* Finds the bytes of a CIE or FDE behind its length. */
static inline bool dwarf_find_entry(const struct dwarf_object *o, uintptr_t at,
				    struct dwarf_bytes *b)
{
	uintptr_t end = o->info_end;
	uint32_t nbytes;

	if (at < o->info_start || at > end - 8)
		return false;
	nbytes = load32((const void *)at);
	/* 0 ends the section. The highest values announce 64-bit lengths, which no compiler
	 * writes. */
	if (nbytes < 8 || nbytes >= 0xfffffff0 || nbytes > end - at - 4)
		return false;
	b->at = (const uint8_t *)at + 4;
	b->end = b->at + nbytes;
	b->bad = false;
	return true;
}

/* Finds the FDE of a row of the table, and its CIE. */
static inline bool dwarf_find_fde(const struct dwarf_object *o, uint32_t index,
				  struct dwarf_bytes *fde, struct dwarf_bytes *cie)
{
	return dwarf_find_entry(o, (uintptr_t)o->hdr + (uintptr_t)(int64_t)o->table[index].fde,
				fde) &&
	       dwarf_find_entry(o, (uintptr_t)fde->at - load32(fde->at), cie);
}

/* Sets the fields that depend on hdr. The table stays empty if its format is unknown. */
void dwarf_read_header(struct dwarf_object *o);

/* Finds the row of the table for the last function that begins at the pc or before it. */
bool dwarf_find_index(const struct dwarf_object *o, uintptr_t pc, uint32_t *index);

/* Sets *row to the rules of the pc. DWARF_NOT_THERE: the function of the FDE ends before the pc. */
enum dwarf_found dwarf_find_row(const struct dwarf_object *o, struct dwarf_bytes fde,
				struct dwarf_bytes cie, uintptr_t pc, struct dwarf_function *f,
				struct dwarf_row *row);

/* Evaluates the expression at hdr + distance. Its stack begins with the value first. */
bool dwarf_evaluate(const struct dwarf_object *o, intptr_t distance, uintptr_t first,
		    const struct dwarf_frame *frame, uintptr_t *result);

#endif
