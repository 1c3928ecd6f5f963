/* SPDX-License-Identifier: MIT */
/*
 * viewed.h - what goalloc-view finds in a process: a note that leads to one record, and by that to
 * all others.
 *
 * The program and the library are built from the same headers. Both compute the layout word from
 * the sizes and offsets in viewed_layout.inc. Where the two words differ, nothing is read.
 */
#ifndef GOALLOC_VIEWED_H
#define GOALLOC_VIEWED_H

#include "heap/mcentral.h"
#include "heap/thread.h"
#include "os/places.h"
#include "heap/limit.h"
#include "tools/profile_table.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/tracer.h"

/* The note's owner and type. */
#define VIEWED_OWNER "goalloc"
#define VIEWED_TYPE 7

#define VIEWED_MAGIC UINT64_C(0x77656976636f6c67) /* "glocview" */

/*
 * The record that the note leads to. Every field is constant. The first three are the same in all
 * versions.
 */
struct viewed_root {
	uint64_t magic;                           /* VIEWED_MAGIC */
	uint64_t layout;                          /* see above */
	char version[16];                         /* of the library */
	const struct mheap *mheap;
	const struct pagemap *page_map;
	const struct mspan *dead;                 /* mspan_dead */
	const struct thread_list *threads;
	const struct shared_cache *shared;
	const struct fixalloc_memory *records;
	const struct limit *limit;
	const struct options *options;
	const struct sampling *sampling;
	const struct sample_totals *totals;
	const struct profile_tables *profile;
	const _Atomic size_t *profile_rate;
	struct tracer *tracer;                    /* what goalloc-view may write to */
	uint64_t table_bytes;                     /* of static tables: see figures.h */
	const struct places *metadata;            /* where all other records lie */
	struct {
		const void *at;
		uint64_t nbytes;
	} records_in_data[5];                     /* records in the library's own data */
};

/* The number of bytes of the fields that are the same in all versions. */
#define VIEWED_FIXED offsetof(struct viewed_root, mheap)

extern const struct viewed_root viewed_root HIDDEN;

/* Evaluates to a constant that depends on the value and on the line where it stands. */
#define VIEWED_MIX(value) \
	(((uint64_t)(value) + UINT64_C(0x9e3779b97f4a7c15) * __LINE__) * \
		 UINT64_C(0xbf58476d1ce4e5b9) ^ \
	 ((uint64_t)(value) + UINT64_C(0x9e3779b97f4a7c15) * __LINE__) * \
		 UINT64_C(0x94d049bb133111eb) >> 29)

/* The layout word, where a constant is wanted:
 *	static const uint64_t layout =
 *	#include "viewed_layout.inc"
 *		;
 */
#define VIEWED_SIZE(type) ^ VIEWED_MIX(sizeof(type))
#define VIEWED_FIELD(type, field) ^ VIEWED_MIX(offsetof(type, field))
#define VIEWED_VALUE(value) ^ VIEWED_MIX(value)

#endif
