/* SPDX-License-Identifier: MIT */
/*
 * user.c - a list of nodes, its text and numbers: what allocation tokens tell apart.
 *
 * user TOKENS: exit status 0 when the objects are goalloc's and, with TOKENS 1, those without
 * pointers are noscan memory; with TOKENS 0, none is. Two objects on one page of 8 KiB are in one
 * span, and goalloc_malloc_noscan() shows a page of the kind.
 */
#include <goalloc.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
	struct node *next;
	char *text;
	double numbers[10];
};

struct matrix {
	double rows[12][1];
};

/* The compiler may leave out an object that nobody sees. */
static void *volatile seen;

static void *show(void *p)
{
	seen = p;
	return seen;
}

static int same_page(const void *a, const void *b)
{
	return (uintptr_t)a / 8192 == (uintptr_t)b / 8192;
}

int main(int argc, char **argv)
{
	int tokens = argc > 1 && strcmp(argv[1], "1") == 0;
	size_t unknown_size = (size_t)argc * 48;
	/* All of the class of 96 bytes, one after the other in their spans. */
	void *noscan = show(goalloc_malloc_noscan(96));
	struct node *node = show(malloc(sizeof(struct node)));
	struct matrix *matrix = show(malloc(sizeof(struct matrix)));
	double *numbers = show(calloc(12, sizeof(double)));
	void *unknown = show(malloc(unknown_size));

	if (goalloc_version() < 10000 || sizeof(struct node) != 96 || sizeof(struct matrix) != 96 ||
	    unknown_size != 96)
		return 2;
	printf("node %p, unknown %p; matrix %p, numbers %p, noscan %p\n", (void *)node, unknown,
	       (void *)matrix, (void *)numbers, noscan);
	if (!same_page(node, unknown) || same_page(node, noscan))
		return 3;
	if (same_page(matrix, noscan) != tokens || same_page(numbers, noscan) != tokens)
		return 4;
	free(numbers);
	free(matrix);
	free(node);
	free(unknown);
	free(noscan);
	return 0;
}
