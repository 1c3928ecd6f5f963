/* SPDX-License-Identifier: MIT */
/*
 * fill.c - grows a heap to TOTAL bytes in objects of one size, writes each once and frees them all.
 *
 * The objects form a list through themselves, so that nothing else takes memory. One operation is
 * one malloc and one free.
 */
#include "object.h"
#include "stopwatch.h"
#include "workload.h"

struct node {
	struct node *next;
};

double fill_run(char **arg)
{
	size_t nbytes = arg_number(arg[0], sizeof(struct node), GIB);
	uint64_t count = arg_number(arg[1], nbytes, 64 * GIB) / nbytes;
	struct node *first = NULL;
	struct node **last = &first;
	struct stopwatch watch = { 0 };

	stopwatch_start(&watch);
	for (uint64_t i = 0; i < count; i++) {
		struct node *node = object_must(malloc(nbytes));

		*last = node;
		last = &node->next;
	}
	*last = NULL;
	while (first != NULL) {
		struct node *next = first->next;

		free(first);
		first = next;
	}
	stopwatch_stop(&watch, count);
	return watch.best_ns;
}
