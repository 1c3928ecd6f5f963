/* SPDX-License-Identifier: MIT */
/*
 * viewed.c - what goalloc-view finds in a process.
 *
 * Owns     the note in the library's or program's headers, and the record that it leads to.
 * Holds    no code runs for goalloc-view, and nothing is stored for it but the numbers of threads.
 */
#include "viewed.h"
#include "base/note.h"

const struct viewed_root viewed_root = {
	.magic = VIEWED_MAGIC,
	.layout =
#include "viewed_layout.inc"
		,
	.version = GOALLOC_VERSION,
	.mheap = &mheap,
	.page_map = &page_map,
	.dead = &mspan_dead,
	.threads = &thread_list,
	.shared = &thread_shared,
	.records = &fixalloc_memory,
	.limit = &limit,
	.options = &options,
	.sampling = &sampling,
	.totals = &sample_totals,
	.profile = &profiled,
	.profile_rate = &profile_rate,
	.tracer = &tracer,
	.table_bytes = sizeof(arena_table) + sizeof(mheap) + sizeof(mcentrals) +
		       sizeof(struct mcache),
	.metadata = &os_first_places,
	.records_in_data = { { &mheap, sizeof(mheap) },
			     { &page_map, sizeof(page_map) },
			     { arena_table, sizeof(arena_table) },
			     { &arena_window, sizeof(arena_window) },
			     { &thread_shared.cache, sizeof(thread_shared.cache) } },
};

NOTE_LEADING_TO(viewed_root, VIEWED_OWNER, 7);
