/* SPDX-License-Identifier: MIT */
/*
 * hardened.c - hardened=1: what an attacker of the program, or its own fault, shall not do unseen.
 * See malloc.c for the overview.
 *
 * A small object's slot is [ object | fill | tail ]: the tail, 8 bytes, holds the size that was asked for and a code of size and address,
 * made with a secret of the process by SipHash, from which no other object's code follows; the fill is a byte of that code. Both are looked at when the object is freed or resized. A big object
 * has its size in the record, fill up to the end of its last page, and a guarded page behind. What is freed is cleared (big: guarded),
 * changes places with a random one in the quarantine of the thread, and is handed out again after that one left it; by then it must
 * still be clear.
 *
 * Owns     the tails, the fill, the quarantine of a cache.
 * Callers  malloc.c, mcache.c. Calls mcache.h, mheap.h, os.h, fatal.h.
 * Locks    none of its own.
 * Holds    in this mode all free memory of the heap reads as zero or is guarded. A slot in quarantine is free by its state and in no
 *          bitmap, like one on a free stack.
 */
#include "safe/hardened.h"
#include "heap/adopt.h"
#include "os/fatal.h"
#include "os/os.h"
#include "base/siphash.h"

/* Bytes of free memory before and behind an object that are looked at when it is freed. */
#define BESIDE 64

static struct siphash_key key;    /* constant after hardened_init() */

/* Live big objects with a guarded page; they have moved set. Relaxed: a bound. */
static _Atomic int guarded_spans;

void hardened_init(void)
{
	key = (struct siphash_key){ { os_random(), os_random() } };
}

/* Returns what places are chosen by. Nobody without the key can tell the next number from those before. */
static uint64_t random_next(struct quarantine *q)
{
	return siphash(&key, (uintptr_t)q, ++q->calls) >> 32;
}

/* Returns the code of an object: only who has the key can compute it for another address, or for another size. */
static uint64_t code_of(uintptr_t addr, size_t size)
{
	return siphash(&key, addr, size);
}

/* Returns the fill byte of an object with this code. The byte is no part of the tail, and never 0, because what runs over an end most
 * often is a string's. */
static unsigned char fill_of(uint64_t code)
{
	return (unsigned char)(code >> 56) | 1;
}

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

/* Returns the tail: 48 bits of the code, then the size in the bytes that lie last. The first byte is never 0, either. */
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

/* Up to BESIDE bytes of the free slots on either side of one must be clear. Only in a span of the caller's: in another, they may be
 * handed out meanwhile. */
static void check_beside(struct mcache *c, const struct mspan *s, uint32_t slot, const char *func)
{
	unsigned nslots = (unsigned)max_size(BESIDE / s->elemsize, 1);
	size_t nbytes = min_size(BESIDE, s->elemsize);

	if (mspan_owner_relaxed(s) != mcache_owner(c))
		return;
	for (uint32_t i = slot < nslots ? 0 : slot - nslots; i <= slot + nslots && i < s->nelems; i++) {
		size_t from = i < slot ? s->elemsize - nbytes : 0;

		/* Acquire: pairs with the release in hardened_free_small(), of another thread perhaps. */
		if (i != slot && atomic_load_explicit(&s->state[i], memory_order_acquire) == SLOT_FREE &&
		    !is_filled((const unsigned char *)mspan_slot_addr(s, i) + from, nbytes, 0))
			fatal_pointer(func, (const void *)mspan_slot_addr(s, slot), "free memory beside it was written to");
	}
}

void hardened_free_small(struct mcache *c, struct mspan *s, uint32_t slot, const char *func)
{
	struct quarantine *q = &c->quarantine;
	unsigned nplaces = s->elemsize > QUARANTINE_LARGE_SIZE ? QUARANTINE_LARGE : QUARANTINE_SMALL;
	uintptr_t *place = &q->small[random_next(q) % nplaces];
	uintptr_t addr = mspan_slot_addr(s, slot);
	uintptr_t leaves = *place;

	(void)hardened_small_size(s, slot, func);
	check_beside(c, s, slot, func);
	zero_bytes((void *)addr, s->elemsize);
	/* Release: who finds it free finds it clear. Pairs with the acquire in check_beside(). */
	atomic_store_explicit(&s->state[slot], SLOT_FREE, memory_order_release);
	*place = addr;
	if (leaves != 0)
		mcache_return(c, leaves, func);
}

/* --- big objects --- */

/* A page that can be guarded: ours, or the kernel's where that is larger. */
static size_t guard_size(void)
{
	return max_size(PAGE_SIZE, os_page_size());
}

/* Says once that the system refuses to guard pages, because a guarantee of this mode is lost. */
static void refused(void)
{
	static _Atomic bool said;
	struct report r;

	/* Relaxed: of several threads one says it. */
	if (atomic_exchange_explicit(&said, true, memory_order_relaxed))
		return;
	report_init(&r);
	report_str(&r, "hardened: the system refuses to guard pages; from now on some big objects are not guarded");
	(void)report_write(&r, 2);
}

/* Bytes before the guarded page. */
static size_t big_room(const struct mspan *s)
{
	return mspan_nbytes(s) - guard_size();
}

size_t hardened_big_npages(size_t size)
{
	return (align_up(max_size(size, 1), guard_size()) + guard_size()) / PAGE_SIZE;
}

struct mspan *hardened_alloc_big(struct mcache *c, size_t size, size_t align_pages, bool noscan)
{
	size_t guard = guard_size();
	size_t npages = hardened_big_npages(size);
	bool fresh;
	struct mspan *s = mcache_alloc_big(c, npages, max_size(align_pages, guard / PAGE_SIZE), noscan, &fresh);

	if (s == NULL)
		return NULL;
	/* Without a guarded page an overflow is still found by the fill, unless it begins behind the fill. */
	if (atomic_load_explicit(&guarded_spans, memory_order_relaxed) < MAX_GUARDED_BIG) {
		s->moved = os_guard((void *)(s->base + big_room(s)), guard);
		if (s->moved)
			atomic_fetch_add_explicit(&guarded_spans, 1, memory_order_relaxed);
		else
			refused();
	}
	s->slack = (uint16_t)(big_room(s) - size);
	fill_bytes((void *)(s->base + size), fill_of(code_of(s->base, size)), s->slack);
	return s;
}

size_t hardened_big_size(const struct mspan *s, const char *func)
{
	size_t size = big_room(s) - s->slack;

	if (!is_filled((const unsigned char *)s->base + size, s->slack, fill_of(code_of(s->base, size))))
		fatal_pointer(func, (const void *)s->base, "heap overflow");
	return size;
}

void hardened_free_big(struct mcache *c, struct mspan *s)
{
	struct quarantine *q = &c->quarantine;
	struct mspan **place = &q->big[random_next(q) % QUARANTINE_BIG];
	struct mspan *leaves = *place;

	if (s->moved)
		atomic_fetch_sub_explicit(&guarded_spans, 1, memory_order_relaxed);
	s->moved = false;
	(void)os_drop((void *)s->base, mspan_nbytes(s));
	/* Refused for want of mappings. */
	if (!os_guard((void *)s->base, mspan_nbytes(s))) {
		refused();
		zero_bytes((void *)s->base, big_room(s));
	}
	*place = s;
	if (leaves != NULL)
		mheap_free_guarded(&c->pages, leaves);
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
		/* The span is guarded and on no list. */
		if (s != NULL)
			hardened_free_big(c, s);
	}
}
