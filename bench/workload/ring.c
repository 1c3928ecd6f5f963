/* SPDX-License-Identifier: MIT */
/*
 * ring.c - implements the queue. See ring.h.
 */
#include "ring.h"

#include <sched.h>

#define NLOOKS 200 /* before the processor is given up */

bool ring_try_send(struct ring *ring, const struct parcel *parcel)
{
	size_t sent = atomic_load_explicit(&ring->sent, memory_order_relaxed);

	/* Acquire: the receiver has copied the parcel that is overwritten here. Pairs with the
	 * release in ring_try_receive(). */
	if (sent - atomic_load_explicit(&ring->received, memory_order_acquire) == RING_NPARCELS)
		return false;
	ring->parcel[sent % RING_NPARCELS] = *parcel;
	/* Release: the parcel and its objects are written. Pairs with the acquire in
	 * ring_try_receive(). */
	atomic_store_explicit(&ring->sent, sent + 1, memory_order_release);
	return true;
}

bool ring_try_receive(struct ring *ring, struct parcel *parcel)
{
	size_t received = atomic_load_explicit(&ring->received, memory_order_relaxed);

	/* Acquire: pairs with the release in ring_try_send(). */
	if (atomic_load_explicit(&ring->sent, memory_order_acquire) == received)
		return false;
	*parcel = ring->parcel[received % RING_NPARCELS];
	/* Release: pairs with the acquire in ring_try_send() and ring_drained(). */
	atomic_store_explicit(&ring->received, received + 1, memory_order_release);
	return true;
}

static void wait_a_little(int *nlooks)
{
	if (++*nlooks > NLOOKS)
		sched_yield();
}

void ring_send(struct ring *ring, const struct parcel *parcel)
{
	for (int nlooks = 0; !ring_try_send(ring, parcel);)
		wait_a_little(&nlooks);
}

void ring_receive(struct ring *ring, struct parcel *parcel)
{
	for (int nlooks = 0; !ring_try_receive(ring, parcel);)
		wait_a_little(&nlooks);
}

void ring_drained(struct ring *ring)
{
	size_t sent = atomic_load_explicit(&ring->sent, memory_order_relaxed);

	/* Acquire: pairs with the release in ring_try_receive(). */
	for (int nlooks = 0; atomic_load_explicit(&ring->received, memory_order_acquire) != sent;)
		wait_a_little(&nlooks);
}
