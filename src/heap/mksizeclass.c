/* SPDX-License-Identifier: MIT */
/*
 * mksizeclass.c - host program: prints sizeclass_table.inc and proves what the allocator relies on.
 * See malloc.c for the overview.
 *
 * Owns     the rule that turns the 68 sizes into lengths of spans, division magic and stack bounds.
 * Holds    exits with 1 when a proof fails. The test sizeclass_table compares the table in the
 *          tree with what this program prints.
 */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>

/* Go's sizes and the pages of its spans (runtime/sizeclasses.go). The longest spans here have at
 * least as many. */
static const struct {
	unsigned size, go_npages;
} go_classes[NUM_SIZE_CLASSES] = {
	{ 0, 0 },      { 8, 1 },      { 16, 1 },     { 24, 1 },     { 32, 1 },     { 48, 1 },
	{ 64, 1 },     { 80, 1 },     { 96, 1 },     { 112, 1 },    { 128, 1 },    { 144, 1 },
	{ 160, 1 },    { 176, 1 },    { 192, 1 },    { 208, 1 },    { 224, 1 },    { 240, 1 },
	{ 256, 1 },    { 288, 1 },    { 320, 1 },    { 352, 1 },    { 384, 1 },    { 416, 1 },
	{ 448, 1 },    { 480, 1 },    { 512, 1 },    { 576, 1 },    { 640, 1 },    { 704, 1 },
	{ 768, 1 },    { 896, 1 },    { 1024, 1 },   { 1152, 1 },   { 1280, 1 },   { 1408, 2 },
	{ 1536, 1 },   { 1792, 2 },   { 2048, 1 },   { 2304, 2 },   { 2688, 1 },   { 3072, 3 },
	{ 3200, 2 },   { 3456, 3 },   { 4096, 1 },   { 4864, 3 },   { 5376, 2 },   { 6144, 3 },
	{ 6528, 4 },   { 6784, 5 },   { 6912, 6 },   { 8192, 1 },   { 9472, 7 },   { 9728, 6 },
	{ 10240, 5 },  { 10880, 4 },  { 12288, 3 },  { 13568, 5 },  { 14336, 7 },  { 16384, 2 },
	{ 18432, 9 },  { 19072, 7 },  { 20480, 5 },  { 21760, 8 },  { 24576, 3 },  { 27264, 10 },
	{ 28672, 7 },  { 32768, 4 },
};

/* The longest spans of a class have MANY_SLOTS if that takes at most MANY_BYTES, else SOME_SLOTS if
 * that takes at most SOME_BYTES. They may have 1/FEWER_SLOTS_PART fewer slots if a smaller part is
 * lost behind the last one then. The shortest spans have FIRST_SLOTS. */
#define MANY_SLOTS 64
#define MANY_BYTES KiB(32)
#define SOME_SLOTS 16
#define SOME_BYTES KiB(128)
#define FIRST_SLOTS 1
#define FEWER_SLOTS_PART 8

static bool span_is_long_enough(size_t size, size_t nbytes)
{
	size_t nelems = nbytes / size;

	return nelems >= MANY_SLOTS || (nelems >= SOME_SLOTS && nbytes >= MANY_BYTES) ||
	       nbytes >= SOME_BYTES;
}

static void fail(size_t size, const char *what)
{
	fprintf(stderr, "mksizeclass: class of %zu bytes: %s\n", size, what);
	exit(1);
}

/* Returns true when for every offset up to the span's end the product's upper half is the slot
 * index, and its lower half is below the magic exactly at the start of a slot. The magic is rounded
 * up, so the error grows with the index, and a long span of a large class may not satisfy this. */
static bool division_holds(size_t size, uint64_t divmul, size_t nbytes)
{
	for (uint64_t offset = 0; offset <= nbytes; offset++) {
		uint64_t product = offset * divmul;

		if (product >> 32 != offset / size)
			return false;
		if (((uint32_t)product < divmul) != (offset % size == 0))
			return false;
	}
	return true;
}

/* Returns true when at most an eighth of the span is lost behind its last slot, as in Go. */
static bool waste_is_small(size_t size, size_t nbytes)
{
	return nbytes % size <= nbytes / 8;
}

/* Returns true when a smaller part of a span of a pages is lost behind its last slot than of one of
 * b pages. */
static bool wastes_less(size_t size, size_t a, size_t b)
{
	return a * PAGE_SIZE % size * b < b * PAGE_SIZE % size * a;
}

/* Returns the pages of the longest spans. */
static size_t choose_npages(size_t size, size_t go_npages, uint64_t divmul)
{
	size_t npages = go_npages, best, least;

	while (!span_is_long_enough(size, npages * PAGE_SIZE))
		npages++;
	while (npages > go_npages && (!waste_is_small(size, npages * PAGE_SIZE) ||
				      !division_holds(size, divmul, npages * PAGE_SIZE)))
		npages--;
	best = npages;
	least = npages * PAGE_SIZE / size;
	least -= least / FEWER_SLOTS_PART;
	while (--npages >= go_npages && npages * PAGE_SIZE / size >= least)
		if (wastes_less(size, npages, best))
			best = npages;
	return best;
}

/* Chooses the lengths that the spans of a class may have: the shortest, then each at least twice
 * the one before, up to the longest, which fills the rest. */
static void choose_lengths(size_t size, size_t longest, size_t lengths[SPAN_LENGTHS])
{
	size_t npages = 1;

	for (unsigned i = 0; i < SPAN_LENGTHS; i++) {
		while (npages < longest && (npages * PAGE_SIZE / size < FIRST_SLOTS ||
					    !waste_is_small(size, npages * PAGE_SIZE)))
			npages++;
		if (npages > longest || i == SPAN_LENGTHS - 1)
			npages = longest;
		lengths[i] = npages;
		npages *= 2;
	}
}

static uint64_t magic_of(size_t size)
{
	return ((UINT64_C(1) << 32) + size - 1) / size;
}

static size_t choose_entries(size_t size)
{
	size_t entries = STACK_BYTES / size;

	if (entries > STACK_MAX_ENTRIES || size <= STACK_SMALL_SIZE)
		return STACK_MAX_ENTRIES;
	return entries < STACK_MIN_ENTRIES ? STACK_MIN_ENTRIES : entries;
}

/* Returns the entries of a counted bin; see counted.c, which checks their total. */
static size_t choose_counted(size_t size)
{
	size_t n = size == 0 ? COUNTED_MOST : COUNTED_BYTES / size;

	return n < COUNTED_LEAST ? COUNTED_LEAST : n > COUNTED_MOST ? COUNTED_MOST : n;
}

/* Returns the class of exactly this size. */
static unsigned class_of(size_t size)
{
	unsigned c = 0;

	while (c < NUM_SIZE_CLASSES && go_classes[c].size != size)
		c++;
	if (c == NUM_SIZE_CLASSES)
		fail(size, "there is no such class");
	return c;
}

static void prove(unsigned c, size_t size, size_t npages)
{
	size_t nbytes = npages * PAGE_SIZE;

	if (size <= go_classes[c - 1].size || size % 8 != 0)
		fail(size, "sizes rise in multiples of 8");
	if (size > 16 && size != 24 && size % 16 != 0)
		fail(size, "only class 24 may break 16-byte alignment");
	if (npages > 255)
		fail(size, "a page of the span is one byte in the page map");
	if (nbytes < size || nbytes / size > SPAN_MAX_SLOTS)
		fail(size, "slot count out of range");
	if (magic_of(size) > UINT32_MAX)
		fail(size, "magic out of range");
	if (!waste_is_small(size, nbytes))
		fail(size, "too much is lost behind the last slot");
	if (!division_holds(size, magic_of(size), nbytes))
		fail(size, "the multiply does not divide");
}

static void print_rows(void)
{
	printf("#ifdef SIZECLASS_ROWS\n"
	       "/* elemsize, divmul, npages, stack_entries */\n"
	       "{ 0, 0, { 0 }, 0 },\n");
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		size_t size = go_classes[c].size;
		size_t npages = choose_npages(size, go_classes[c].go_npages, magic_of(size));
		size_t lengths[SPAN_LENGTHS];

		choose_lengths(size, npages, lengths);
		printf("{ %zu, %lluu, {", size, (unsigned long long)magic_of(size));
		for (unsigned i = 0; i < SPAN_LENGTHS; i++) {
			prove(c, size, lengths[i]);
			printf("%s %zu", i == 0 ? "" : ",", lengths[i]);
		}
		printf(" }, %zu },\n", choose_entries(size));
	}
}

static void print_lookup(void)
{
	printf("#endif\n#ifdef SIZECLASS_LOOKUP\n"
	       "/* (size + 7) / 8 -> span class (scan) of malloc(size);"
	       " 0 has none here, 17..24 take 32. */\n");
	for (size_t i = 0; i <= MAX_SMALL_SIZE / 8; i++) {
		unsigned c = 0;

		while (go_classes[c].size < i * 8)
			c++;
		printf("%u,%s", (c == 3 ? 4 : c) * 2, i % 24 == 23 ? "\n" : "");
	}
}

static void print_divmul(void)
{
	printf("\n#endif\n#ifdef SIZECLASS_DIVMUL\n"
	       "/* divmul by span class; 0 for tiny blocks. */\n0u, 0u,\n");
	for (unsigned c = 1; c < NUM_SIZE_CLASSES; c++) {
		size_t size = go_classes[c].size;
		unsigned divmul = (unsigned)magic_of(size);

		printf("%uu, %uu,%s", divmul, size == TINY_SIZE ? 0 : divmul,
		       c % 4 == 3 ? "\n" : " ");
	}
}

/* Prints what follows from all classes together. Each bin's entries are behind an empty one. */
static void print_totals(void)
{
	size_t counted = 0;

	for (unsigned c = 0; c < NUM_SIZE_CLASSES; c++)
		counted += 1 + choose_counted(go_classes[c].size);
	printf("\n#endif\n#ifdef SIZECLASS_TOTALS\n"
	       "#define COUNTED_TOTAL %zu\n"
	       "#define SPANCLASS_TINY %u\n#define SPANCLASS_ZERO %u\n#endif\n",
	       counted, 2 * class_of(TINY_SIZE) + 1, 2 * class_of(8) + 1);
}

int main(void)
{
	printf("/* Printed by mksizeclass.c; do not edit.\n"
	       " * elemsize: bytes of a slot; npages: heap pages of a span, from the shortest to"
	       " the longest;\n"
	       " * divmul: ceil(2^32 / elemsize);"
	       " stack_entries: most entries of a free stack. */\n");
	print_rows();
	if (go_classes[NUM_SIZE_CLASSES - 1].size != MAX_SMALL_SIZE)
		fail(MAX_SMALL_SIZE, "the last class is the largest small size");
	print_lookup();
	print_divmul();
	print_totals();
	return 0;
}
