/* SPDX-License-Identifier: MIT */
/*
 * kept.h - declares the patterns of the workload "kept", which shows what stays resident.
 *
 * A pattern leaves the process in the state whose memory is of interest, and returns how many bytes
 * of objects are live then. Its own memory, such as arrays of pointers, is released before, unless
 * it is small.
 */
#ifndef BENCH_KEPT_H
#define BENCH_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a process works after a mass free. */
enum work {
	WORK_LIGHT, /* a few requests every tenth of a second */
	WORK_FAST,  /* requests without a pause */
};

/* What each thread of the idle patterns allocates. */
enum stock {
	STOCK_MIXED, /* 1000 objects of 16 B to 32 KiB */
	STOCK_FEW,   /* 600 objects of ten sizes */
	STOCK_BIG,   /* 16 MiB of objects below 1.6 KiB */
	STOCK_SMALL, /* 60 objects below 16 KiB */
	STOCK_ONE,   /* one object */
};

/* freed.c: objects of 16 B to 215 B, `mib` in all, are freed at once; then the process works. */
size_t freed_then_works(size_t mib, size_t work);
/* 400 MB of objects of 100 B; nine tenths are freed, then the rest is replaced at random. */
size_t freed_then_churns(size_t nobjects, size_t seconds);
/* Loads `mib`, frees it, works, twice, while it prints lines "SECONDS LIVE RESIDENT" in MiB, and
 * trims in the end. */
size_t freed_and_loaded_again(size_t mib, size_t seconds);

/* holes.c: 256 MiB in objects of one size, of which one in `nth` stays. */
size_t holes_pins(size_t nbytes, size_t nth);
/* Connections with buffers of mixed sizes, of which one in `nth` stays. */
size_t holes_connections(size_t nconnections, size_t nth);
/* Objects of mixed sizes, replaced at random for a while; one in `nth` stays. */
size_t holes_mixed(size_t nobjects, size_t nth);
/* Ten phases of `mib` in one size each, of which one object in `nth` stays. */
size_t holes_phases(size_t mib, size_t nth);
/* What is live swells to `mib` and shrinks to an eighth of it, three times. */
size_t holes_waves(size_t mib, size_t nwaves);
/* A child of a process with `mib` of objects replaces one object in `nth`. */
size_t holes_child(size_t mib, size_t nth);

/* huge.c: calloc of `mib`, of which one page is written, `ntimes`. */
size_t huge_sparse(size_t mib, size_t ntimes);
/* calloc of `mib` with few pages written, after small objects of the same size were freed. */
size_t huge_after_small(size_t mib, size_t npages);
/* A vector that doubles to `mib`. */
size_t huge_doubles(size_t mib, size_t unused);
/* Buffers of 64 KiB, `nflight` at a time, that shrink to 4 KiB .. 16 KiB. */
size_t huge_shrinks(size_t nbuffers, size_t nflight);
/* `nlive` blocks aligned to their size, replaced at random. */
size_t huge_aligned(size_t nbytes, size_t nlive);
/* A cache of 200 tiles of an image in three sizes, replaced in turn. */
size_t huge_tiles(size_t ntiles, size_t unused);
/* 400 values of 40 KB to 400 KB, replaced at random with another size. */
size_t huge_values(size_t nreplaced, size_t unused);

/* idle.c: threads that allocate and free their stock, and sleep. */
size_t idle_threads(size_t nthreads, size_t stock);
/* Threads that do the same and end. */
size_t idle_gone(size_t nthreads, size_t stock);
/* Threads of a pool of which each did one big job; they then serve small requests. */
size_t idle_pool(size_t nthreads, size_t job_mib);
/* Prints what a thread costs that allocated one object: address space, and resident memory while it
 * lives, after its end, and after a trim. */
size_t idle_cost(size_t nthreads, size_t unused);

/* kept.c: what the patterns share. */
size_t kept_resident_kib(void);
size_t kept_data_kib(void); /* VmData: writable private memory, touched or not */
void kept_nap_ms(unsigned ms);
double kept_seconds(void); /* since the first call */

/* Allocates, writes to and frees ten objects of different small sizes. */
void kept_serve(void);

/* Lets the clock run and makes requests that miss every cache, as a working process would. */
void kept_work_a_little(void);

/* From here on the memory of this process alone counts, without what it shares with its parent. */
void kept_count_private(void);

#endif
