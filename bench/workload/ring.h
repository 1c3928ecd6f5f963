/* SPDX-License-Identifier: MIT */
/*
 * ring.h - a bounded queue from one thread to one other.
 *
 * Objects travel in parcels, so that the time measured is that of malloc and free rather than that
 * of the queue's own cache misses.
 *
 * Locks    none. One thread calls ring_send() and one other calls ring_receive(). A thread that
 *          finds the ring full or empty looks again a few times and then yields the processor.
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
 * Access: [s] the sender writes  [r] the receiver writes  [p] the thread writes to which the two
 *         counters give the parcel
 */
struct ring {
	_Alignas(CACHE_LINE) _Atomic size_t sent;                 /* [s] parcels, ever */
	_Alignas(CACHE_LINE) _Atomic size_t received;             /* [r] parcels, ever */
	_Alignas(CACHE_LINE) struct parcel parcel[RING_NPARCELS]; /* [p] */
};

/* Sends a copy of `parcel`. Returns false if the ring is full. */
bool ring_try_send(struct ring *ring, const struct parcel *parcel);

/* Takes the oldest parcel. Returns false if there is none. */
bool ring_try_receive(struct ring *ring, struct parcel *parcel);

/* ring_send() waits for room, ring_receive() for a parcel. */
void ring_send(struct ring *ring, const struct parcel *parcel);
void ring_receive(struct ring *ring, struct parcel *parcel);

/* Waits until every parcel has been received. The sender calls it. */
void ring_drained(struct ring *ring);

#endif
