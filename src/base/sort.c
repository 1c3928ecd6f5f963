/* SPDX-License-Identifier: MIT */
/*
 * sort.c - sorts an array by a number that each element has, in place and without memory.
 *
 * Heapsort: it needs no stack, and its worst case is n log n.
 */
#include "base/sort.h"

struct array {
	char *at;
	size_t size;
	uint64_t (*key)(const void *element);
};

static uint64_t key_of(const struct array *a, size_t i)
{
	return a->key(a->at + i * a->size);
}

static void swap(const struct array *a, size_t i, size_t k)
{
	char moved[SORT_ELEMENT_MAX];

	copy_bytes(moved, a->at + i * a->size, a->size);
	copy_bytes(a->at + i * a->size, a->at + k * a->size, a->size);
	copy_bytes(a->at + k * a->size, moved, a->size);
}

/* Moves element i down in a heap of n, whose largest element is first. */
static void sift_down(const struct array *a, size_t i, size_t n)
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && key_of(a, child) < key_of(a, child + 1))
			child++;
		if (key_of(a, i) >= key_of(a, child))
			return;
		swap(a, i, child);
	}
}

void sort_by_key(void *at, size_t n, size_t size, uint64_t (*key)(const void *element))
{
	struct array a = { at, size, key };

	DCHECK(size <= SORT_ELEMENT_MAX);
	for (size_t i = n / 2; i > 0; i--)
		sift_down(&a, i - 1, n);
	for (size_t end = n; end > 1; end--) {
		swap(&a, 0, end - 1);
		sift_down(&a, 0, end - 1);
	}
}
