/* SPDX-License-Identifier: MIT */
/*
 * hardened.c - hardened=1: finds misuse by the program or by its attacker.
 *
 * A small object's slot is [ object | fill | tail ]. The tail has 8 bytes: the size that was asked
 * for, and a code. SipHash makes the code from the size, the address and a secret of the process,
 * so the code of one object tells nothing about the code of another. Each byte of the fill is a
 * byte of the code. Fill and tail are checked when the object is freed or resized. A big object has
 * its size in the record, fill up to the end of its last page, and a guard behind. Freed memory is
 * cleared, or guarded if it is big. It replaces a random entry of the thread's quarantine, and only
 * that entry can be used again. Memory that leaves the quarantine must still be clear.
 *
 * Owns     the tails, the fill, and the quarantine of a cache.
 * Locks    none of its own.
 * Holds    in this mode all free memory of the heap reads as zero or is guarded. A slot in
 *          quarantine is free by its state byte and is in no bitmap, like a slot on a free stack.
 */
#include "safe/hardened.h"
#include "heap/adopt.h"
#include "os/fatal.h"
#include "os/os.h"
#include "base/siphash.h"

/* Bytes of free memory on either side of an object that are checked when it is freed. */
#define BESIDE 64

static struct siphash_key key;    /* constant after hardened_init() */

/* Live big objects with a guard; their spans have moved set. Relaxed: a bound. */
static _Atomic int guarded_spans;

void hardened_init(void)
{
	key = (struct siphash_key){ { os_random(), os_random() } };
}

/* Returns a number of 32 bits that chooses an entry. Without the key, the next number does not
 * follow from the numbers before. A hash serves two calls. */
static uint64_t random_next(struct quarantine *q)
{
	uint64_t word;

	if (q->calls++ % 2 != 0)
		return q->spare;
	word = siphash(&key, (uintptr_t)q, q->calls);
	q->spare = (uint32_t)word;
	return word >> 32;
}

/* Returns the code of an object. Without the key it cannot be computed for another address or
 * size. */
static uint64_t code_of(uintptr_t addr, size_t size)
{
	return siphash(&key, addr, size);
}

/* Returns the fill byte of an object with this code. It is not in the tail. It is never 0, because
 * the byte that runs over an end is most often the 0 of a string. */
static unsigned char fill_of(uint64_t code)
{
	return (unsigned char)(code >> 56) | 1;
}

/* Returns whether all bytes have the value. Reads all of them, whatever they are. */
static bool is_filled(const unsigned char *p, size_t nbytes, unsigned char byte)
{
	uint64_t word = byte * UINT64_C(0x0101010101010101);
	uint64_t differ = 0;

	for (; nbytes > 0 && (uintptr_t)p % sizeof(word) != 0; nbytes--)
		differ |= *p++ ^ byte;
	for (; nbytes >= sizeof(word); nbytes -= sizeof(word), p += sizeof(word)) {
		uint64_t there;

		copy_bytes(&there, p, sizeof(there));
		differ |= there ^ word;
	}
	for (; nbytes > 0; nbytes--)
		differ |= *p++ ^ byte;
	return differ == 0;
}

/* --- small objects --- */

static uint64_t *tail_of(uintptr_t addr, size_t elemsize)
{
	return (uint64_t *)(addr + elemsize - HARDENED_TAIL);
}

/* Returns the tail: 48 bits of the code, and behind them the size. The first byte is never 0. */
static uint64_t tail_for(uint64_t code, size_t size)
{
	return (code & low_mask64(48)) | 1 | (uint64_t)size << 48;
}
_Static_assert(MAX_SMALL_SIZE < 1 << 16, "a tail has 16 bits for the size");

void *hardened_alloc_small(struct mcache *c, spanclass_t sc, size_t size)
{
	size_t elemsize = spanclass_info(sc)->elemsize;
	uint64_t *p = mcache_alloc_random(c, sc, random_next(&c->quarantine));
	uint64_t code;

	if (p == NULL)
		return NULL;
	if (!is_filled((const unsigned char *)p, elemsize, 0))
		fatal_pointer("malloc", p, "write after free");
	code = code_of((uintptr_t)p, size);
	fill_bytes((char *)p + size, fill_of(code), elemsize - HARDENED_TAIL - size);
	*tail_of((uintptr_t)p, elemsize) = tail_for(code, size);
	return p;
}

size_t hardened_small_size(const struct mspan *s, uint32_t slot, const char *func)
{
	uintptr_t addr = mspan_slot_addr(s, slot);
	uint64_t tail = *tail_of(addr, s->elemsize);
	size_t room = s->elemsize - HARDENED_TAIL;
	size_t size = tail >> 48;
	uint64_t code = code_of(addr, size);

	if (tail != tail_for(code, size) || size > room ||
	    !is_filled((const unsigned char *)addr + size, room - size, fill_of(code)))
		fatal_pointer(func, (const void *)addr, "heap overflow");
	return size;
}

/* Checks that up to BESIDE bytes of the free slots on either side of a slot are clear. It only
 * checks a span of the calling thread, because another thread may hand out the slots of its own
 * spans meanwhile. */
static void check_beside(struct mcache *c, const struct mspan *s, uint32_t slot, const char *func)
{
	unsigned nslots = (unsigned)max_size(BESIDE / s->elemsize, 1);
	size_t nbytes = min_size(BESIDE, s->elemsize);

	if (mspan_owner_relaxed(s) != mcache_owner(c))
		return;
	for (uint32_t i = slot < nslots ? 0 : slot - nslots; i <= slot + nslots && i < s->nelems;
	     i++) {
		size_t from = i < slot ? s->elemsize - nbytes : 0;

		/* Acquire: the memory is clear. Pairs with the release in hardened_free_small(),
		 * perhaps in another thread. */
		if (i != slot &&
		    atomic_load_explicit(&s->state[i], memory_order_acquire) == SLOT_FREE &&
		    !is_filled((const unsigned char *)mspan_slot_addr(s, i) + from, nbytes, 0))
			fatal_pointer(func, (const void *)mspan_slot_addr(s, slot),
				      "free memory beside it was written to");
	}
}

void hardened_free_small(uintptr_t addr, struct mspan *s, uint32_t slot,
			 const char *func, struct mcache *c)
{
	struct quarantine *q = &c->quarantine;
	unsigned nplaces =
		s->elemsize > QUARANTINE_LARGE_SIZE ? QUARANTINE_LARGE : QUARANTINE_SMALL;
	uintptr_t *place = &q->small[random_next(q) % nplaces];
	uintptr_t leaves = *place;

	(void)hardened_small_size(s, slot, func);
	check_beside(c, s, slot, func);
	zero_bytes((void *)addr, s->elemsize);
	/* Release: a thread that finds the slot free finds it clear. Pairs with the acquire in
	 * check_beside(). */
	atomic_store_explicit(&s->state[slot], SLOT_FREE, memory_order_release);
	*place = addr;
	if (leaves != 0)
		mcache_return(c, leaves, func);
}

/* --- big objects --- */

/* Returns the bytes of a guard: the heap's page, or the kernel's if that is larger. */
static size_t guard_nbytes(void)
{
	return max_size(PAGE_SIZE, os_page_size());
}

/* Says once that the system refuses to guard pages, because a guarantee of this mode is lost. */
static void warn_refused(void)
{
	static _Atomic bool said;

	/* Relaxed: one thread says it. */
	if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
		report_line(2, "hardened: the system refuses to guard pages; from now on some big "
			       "objects are not guarded");
}

/* Returns the bytes in front of the guard. */
static size_t big_room(const struct mspan *s)
{
	return mspan_nbytes(s) - guard_nbytes();
}

size_t hardened_big_npages(size_t size)
{
	return (align_up(max_size(size, 1), guard_nbytes()) + guard_nbytes()) / PAGE_SIZE;
}

struct mspan *hardened_alloc_big(struct mcache *c, size_t size, size_t align_pages, enum scan scan)
{
	size_t guard = guard_nbytes();
	size_t npages = hardened_big_npages(size);
	bool fresh;
	struct mspan *s = mcache_alloc_big(c, npages, max_size(align_pages, guard / PAGE_SIZE),
					   scan, &fresh);

	if (s == NULL)
		return NULL;
	/* Without a guarded page an overflow is still found by the fill, unless it begins behind
	 * the fill. */
	if (atomic_load_explicit(&guarded_spans, memory_order_relaxed) < MAX_GUARDED_BIG) {
		s->moved = os_guard((void *)(s->base + big_room(s)), guard);
		if (s->moved)
			atomic_fetch_add_explicit(&guarded_spans, 1, memory_order_relaxed);
		else
			warn_refused();
	}
	s->slack = (uint16_t)(big_room(s) - size);
	fill_bytes((void *)(s->base + size), fill_of(code_of(s->base, size)), s->slack);
	return s;
}

size_t hardened_big_size(const struct mspan *s, const char *func)
{
	size_t size = big_room(s) - s->slack;

	if (!is_filled((const unsigned char *)s->base + size, s->slack,
		       fill_of(code_of(s->base, size))))
		fatal_pointer(func, (const void *)s->base, "heap overflow");
	return size;
}

/* Puts a freed object whose pages are guarded, or clear where the system refused that, into the
 * quarantine. */
static void quarantine_big(struct mcache *c, struct mspan *s)
{
	struct quarantine *q = &c->quarantine;
	struct mspan **place = &q->big[random_next(q) % QUARANTINE_BIG];
	struct mspan *leaves = *place;

	*place = s;
	if (leaves != NULL)
		mheap_free_guarded(&c->pages, leaves);
}

void hardened_free_big(struct mcache *c, struct mspan *s)
{
	if (s->moved)
		atomic_fetch_sub_explicit(&guarded_spans, 1, memory_order_relaxed);
	s->moved = false;
	(void)os_drop((void *)s->base, mspan_nbytes(s));
	/* The system refuses if there are too many mappings. */
	if (!os_guard((void *)s->base, mspan_nbytes(s))) {
		warn_refused();
		zero_bytes((void *)s->base, big_room(s));
	}
	quarantine_big(c, s);
}

void hardened_flush(struct mcache *c)
{
	struct quarantine *q = &c->quarantine;

	for (unsigned i = 0; i < QUARANTINE_SMALL; i++) {
		uintptr_t addr = q->small[i];

		q->small[i] = 0;
		if (addr != 0)
			mcache_return(c, addr, "free");
	}
	for (unsigned i = 0; i < QUARANTINE_BIG; i++) {
		struct mspan *s = q->big[i];

		q->big[i] = NULL;
		if (s != NULL)
			mheap_free_guarded(&c->pages, s);
	}
	mheap_free_refused(&c->pages);
}

void hardened_adopt(struct mcache *c, struct mcache *dead)
{
	for (unsigned i = 0; i < QUARANTINE_SMALL; i++) {
		uintptr_t addr = dead->quarantine.small[i];

		dead->quarantine.small[i] = 0;
		order_stores();
		adopt_slot(c, NUM_SPAN_CLASSES, addr);
	}
	for (unsigned i = 0; i < QUARANTINE_BIG; i++) {
		struct mspan *s = dead->quarantine.big[i];

		dead->quarantine.big[i] = NULL;
		order_stores();
		/* It is not guarded anew: the system may refuse that, and then its pages cannot be
		 * cleared. */
		if (s != NULL)
			quarantine_big(c, s);
	}
}
