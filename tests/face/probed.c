/* SPDX-License-Identifier: MIT */
/*
 * probed.c - the program that probes.sh watches. It allocates, with every allocation sampled, and
 * writes to a file what a debugger should see.
 *
 * A line is "probe ADDRESS BYTES NOSCAN", and NOSCAN is 1 or 0. All lines are written at the end,
 * because stdio allocates.
 */
#include "face.h"

#include <malloc.h>

#define MOST 100

static const size_t sizes[] = {40, 100, 5000, 32768, 40000, 1000000};

static struct line {
	const char *probe;
	void *p;
	size_t nbytes;
	int noscan;
} lines[MOST];
static unsigned nlines;

static void expect(const char *probe, void *p, int noscan)
{
	lines[nlines++] = (struct line){probe, p, malloc_usable_size(p), noscan};
}

static void live(void *p, int noscan)
{
	expect("alloc", p, noscan);
	memset(p, 1, 1);
	expect("free", p, noscan);
	free(p);
}

int main(int argc, char **argv)
{
	void *(*malloc_noscan)(size_t);
	FILE *out;

	*(void **)&malloc_noscan = face_sym("goalloc_malloc_noscan");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		live(malloc(sizes[i]), 0);
		live(calloc(1, sizes[i]), 0);
		live(malloc_noscan(sizes[i]), 1);
	}
	out = argc == 2 ? fopen(argv[1], "w") : NULL;
	CHECK(out != NULL);
	for (unsigned i = 0; i < nlines; i++)
		fprintf(out, "%s %#lx %zu %d\n", lines[i].probe, (unsigned long)lines[i].p,
			lines[i].nbytes, lines[i].noscan);
	CHECK(fclose(out) == 0);
	return 0;
}
