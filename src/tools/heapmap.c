/* SPDX-License-Identifier: MIT */
/*
 * heapmap.c - a map of the heap of this process, with every page by its use, as text.
 *
 * Locks    those of heapwalk.h; none while anything is written.
 * Holds    every page is in one run of the walk, also while other threads allocate. One arena at a
 *          time is in memory that is mapped for the call, because the caller may have a small
 *          stack.
 */
#include "tools/heapmap.h"
#include "os/os.h"
#include "os/metakey.h"
#include "tools/heading.h"
#include "tools/heapwalk.h"
#include "tools/textmap.h"

#include <errno.h>

/* The memory that the map needs while it is written. */
struct work {
	struct textmap map;
	struct heapwalk walk;
	char heading[HEADING_MAX];
};

static int write_map(int fd)
{
	size_t nbytes = growth_bytes(&mheap.growth);
	struct work *work = os_alloc_scratch(sizeof(*work));
	struct heap_run r;
	int error;

	if (work == NULL)
		return ENOMEM;
	heading_of_self(work->heading, os_pid());
	textmap_begin(&work->map, fd, work->heading, nbytes);
	heapwalk_init(&work->walk);
	while (heapwalk_arena(&work->walk)) {
		textmap_begin_arena(&work->map, work->walk.ha->base);
		while (heapwalk_run(&work->walk, &r))
			textmap_add(&work->map, &r);
		textmap_end_arena(&work->map);
	}
	error = textmap_end_or_errno(&work->map);
	os_free_scratch(work, sizeof(*work));
	return error;
}

int heapmap_write_or_errno(int fd)
{
	uint32_t rights = metakey_open();
	int error = write_map(fd);

	metakey_close(rights);
	return error;
}
