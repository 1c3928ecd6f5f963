/* SPDX-License-Identifier: MIT */
/*
 * ring.h - a bounded queue from one thread to one other. Objects travel in parcels, so that what
 * is measured is their malloc and free more than the queue's own cache misses.
 *
 * Locks    none. One thread calls ring_send(), one other ring_receive(); who finds the ring full
 *          or empty looks a few times and then gives up the processor.
 * Holds    received <= sent <= received + RING_NPARCELS.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PARCEL_NOBJECTS 16u
#define RING_NPARCELS   64u /* a power of two */
#define CACHE_LINE      64

struct parcel {
	void *object[PARCEL_NOBJECTS];
};

/*
 * Access: [s] sender writes  [r] receiver writes  [p] whoever the two counters give the parcel to
 */
struct ring {
	_Alignas(CACHE_LINE) _Atomic size_t sent;                 /* [s] parcels, ever */
	_Alignas(CACHE_LINE) _Atomic size_t received;             /* [r] parcels, ever */
	_Alignas(CACHE_LINE) struct parcel parcel[RING_NPARCELS]; /* [p] */
};

/* Sends a copy of `parcel`; false if the ring is full. */
bool ring_try_send(struct ring *ring, const struct parcel *parcel);

/* Takes the oldest parcel; false if there is none. */
bool ring_try_receive(struct ring *ring, struct parcel *parcel);

/* The same, waiting for room or for a parcel. */
void ring_send(struct ring *ring, const struct parcel *parcel);
void ring_receive(struct ring *ring, struct parcel *parcel);

/* Waits until everything sent has been received. For the sender. */
void ring_drained(struct ring *ring);

#endif
