/* SPDX-License-Identifier: MIT */
/*
 * span.pml - the ownership protocol of src/heap/mspan.c, step by step, for spin. See run.sh.
 *
 * One span record with NSLOT slots (one word of remote bits), NTHREADS threads that run what
 * mcache.c, mcentral.c and mheap.c do with it: allocate, free into an own and into another thread's
 * span, push on the free stack, let go as full or to mcentral, claim, absorb, free the span, make a
 * new one of the same record (LIVES times, of either of two span classes), take a central span to
 * drain it and put it back (DRAINS times), exit. Late freers, who
 * hold a record after their bit was taken over, come by themselves: every thread can be delayed
 * anywhere.
 *
 * Steps    each atomic{} is one atomic access of the C code, or one change under a lock, with what
 *          is local next to it. Plain fields are changed in such a step, too: they belong to one
 *          thread, which PLAIN asserts.
 * Order    spin interleaves, that is seq_cst. What the C code has weaker, and why nothing new can
 *          happen:
 *          - credit, all relaxed: it is one word, so its changes are in one order. A count-down
 *            that comes before let_go() stores it anew (and is lost) was sequenced after a load of
 *            owner that did not see the store in let_go(), or it would come after by coherence.
 *            This load and that store are seq_cst, so the bits are read after the freer's bit was
 *            set, and counted.
 *          - owner, loaded relaxed to compare with the own cache: only this thread stores that
 *            value.
 *          - owner, stored with release by mspan_set_owner(), relaxed by the swap of a claim: a
 *            freer that reads either comes before the next seq_cst store of let_go(), and is
 *            counted there.
 *          - remote bits, loaded relaxed as a hint in mspan_absorb(): modelled, HINT may read 0
 *            always.
 *          - state bytes, all relaxed: see mspan.c; not modelled, the ghost `out` stands for them.
 * Asserts  no slot is handed out twice or handed out while free (out, free_bits, remote, caches are
 *          disjoint); plain fields are touched by their owner only; a span is on one list at most;
 *          a span is used as what it is (class); at the end, an all-free span is back in the heap,
 *          and a span let go has fewer remote bits than make it worth taking, and a credit that
 *          knows.
 *
 * Told     let_go() in mspan_set_full() can say "worth it" like mspan_free_remote(). By then the
 *          span may have been claimed, freed and its record be a full span of another class: who is
 *          told only claims, as anyone, and finds the place by the class the span has then. To keep
 *          it as what it was is MUTANT_KEEPS_CURRENT.
 *
 * MUTANT_x are wrong variants. spin must find an error in each, or the model checks nothing:
 * mutants.sh.
 */

#ifndef NSLOT
#define NSLOT 2
#endif
#ifndef WORTH
#define WORTH 1            /* span_worth(): 1 for up to 15 slots */
#endif
#ifndef BUDGET
#define BUDGET 4           /* objects handed out, all threads together */
#endif
#ifndef LIVES
#define LIVES 2            /* spans made of the record */
#endif
#ifndef NTHREADS
#define NTHREADS 3
#endif
#ifndef NALLOC
#define NALLOC 1           /* the first so many threads allocate, all free */
#endif
#ifndef STACK
#define STACK 1            /* 1: threads have a free stack */
#endif
#ifndef NCLASS
#define NCLASS 2           /* span classes that share the record's shape */
#endif

#ifndef DRAINS
#define DRAINS 0           /* spans drained */
#endif

#define ALL ((1 << NSLOT) - 1)
#define LOW(x) ((x) & -(x))
#define POP(x) (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1))

/* Owner words: 0 none, 1..6 a thread's mcache, with the tags of mspan.h. */
#define DRAINER 7          /* `drainer` of mcentral.c: whoever drains the span */
#define FULL 8
#define CENTRAL 16         /* + span class: the address of the mcentral */
#define IS_FULL(o) (((o) & FULL) != 0)
#define IS_CENTRAL(o) (((o) & CENTRAL) != 0)
#define IS_LET_GO(o) ((o) >= FULL)

/* The record. */
byte owner;
short credit;
byte remote;
byte free_bits;            /* plain, as the two below; nfree is the number of bits in it */
byte class;
bool dead = true;          /* in the pool of mheap */

/* mcentral: the lock of each class, and whether the span is on its list. */
bool lock[NCLASS];
bool central[NCLASS];

/* Ghosts: nothing in the C code. */
byte out;                  /* slots that the program holds an object in */
byte lister;               /* who has the span on a list: 0, thread, CENTRAL + class */
byte budget = BUDGET;
byte lives = LIVES;
byte nrunning = NTHREADS;
#if DRAINS
byte drains = DRAINS;
#define ME (draining -> DRAINER : me)
#else
#define ME me
#endif

/* Who touches plain fields owns the span, or holds the lock that goes with its state. */
#define PLAIN assert(owner == ME || (IS_CENTRAL(owner) && locked))

#define HAND_OUT(b) \
	assert(((b) & out) == 0 && ((b) & free_bits) == 0 && ((b) & remote) == 0); \
	assert(!dead); \
	out = out | (b); \
	budget--

#define LOCK(c) !lock[c] -> lock[c] = true; locked = true
#define UNLOCK(c) lock[c] = false; locked = false

#define LIST(where) assert(lister == 0); lister = where
#define UNLIST(where) assert(lister == where); lister = 0

/* Back to rest; forgets what is of no use any more, to have fewer states. */
#define REST slot = 0; o = 0; c = 0; n = 0; goto idle

/* mspan_absorb(). The hint may be stale: reading 0 is always allowed. What comes between the hint
 * and the exchange is as if it came before both. */
#ifdef MUTANT_ABSORB_STORE
#define ANOTHER_STEP } atomic {
#else
#define ANOTHER_STEP
#endif
#define ABSORB \
	if \
	:: atomic { \
		remote != 0 -> \
		PLAIN; \
		n = remote; \
		assert((n & free_bits) == 0 && (n & out) == 0); \
		ANOTHER_STEP \
		remote = 0; \
		free_bits = free_bits | n; \
		n = 0 \
	} \
	:: HINT \
	fi
#ifdef FRESH_HINT
#define HINT remote == 0
#else
#define HINT true
#endif

#define GIVE_UP(b) (out & (b)) != 0 -> out = out & ~(b); slot = b

proctype thread(byte me)
{
	byte cache;        /* alloc_cache: slots taken out of free_bits, not handed out */
	byte stack;        /* free stack */
	bool has;          /* the span is current or partial here */
	byte listclass;    /* in the bin of this class */
	bool leaving;
	bool locked;
#if DRAINS
	bool draining;     /* it has the span in hand, under another name */
#endif
	byte slot, o, c, n;

idle:
	if
	/* --- malloc --- */
	:: atomic {
		!leaving && me <= NALLOC && budget > 0 && stack != 0 ->
		slot = LOW(stack);
		stack = stack & ~slot;
		HAND_OUT(slot);
		REST
	}
	:: atomic {
		!leaving && me <= NALLOC && budget > 0 && stack == 0 && cache != 0 ->
		assert(has && owner == me && listclass == class);
		slot = LOW(cache);
		cache = cache & ~slot;
		HAND_OUT(slot);
		REST
	}
	:: atomic {
		/* mspan_take_word() */
		!leaving && me <= NALLOC && budget > 0 && stack == 0 && cache == 0 && has &&
			free_bits != 0 ->
		PLAIN;
		assert(listclass == class && lister == me);
		cache = free_bits;
		free_bits = 0;
		REST
	}
	:: atomic {
		/* mspan_set_full(). The credit belongs to late freers, too: this is an atomic
		 * store. */
		!leaving && me <= NALLOC && budget > 0 && stack == 0 && cache == 0 && has &&
			free_bits == 0 ->
		PLAIN;
		assert(listclass == class);
		UNLIST(me);
		has = false; listclass = 0;
		goto set_full
	}
	:: atomic {
		!leaving && me <= NALLOC && budget > 0 && stack == 0 && !has -> c = 0;
		goto refill
	}
#if NCLASS > 1
	:: atomic {
		!leaving && me <= NALLOC && budget > 0 && stack == 0 && !has -> c = 1;
		goto refill
	}
#endif
	/* --- free: the program gives up an object, which nobody else frees --- */
	:: atomic { !leaving && GIVE_UP(1); goto free }
	:: atomic { !leaving && GIVE_UP(2); goto free }
#if NSLOT > 2
	:: atomic { !leaving && GIVE_UP(4); goto free }
#endif
#if NSLOT > 3
	:: atomic { !leaving && GIVE_UP(8); goto free }
#endif
	/* --- mcache_flush_stack(), from tick() or at exit; mcache_spill() --- */
	:: atomic { stack != 0 -> slot = LOW(stack); stack = stack & ~slot; goto flush }
	/* --- mspan_put_word(), mcache_give_span(): many partial spans, or one that was not used
	 * (review_span()), or a thread ends --- */
	:: atomic {
		has && (cache == 0 || leaving) && (free_bits | cache) != 0 ->
		PLAIN;
		free_bits = free_bits | cache;
		cache = 0;
		UNLIST(me);
		has = false; listclass = 0;
		goto give_span
	}
	:: atomic {
		leaving && has && (free_bits | cache) == 0 ->
		PLAIN;
		UNLIST(me);
		has = false; listclass = 0;
		goto give_span
	}
#if DRAINS
	/* --- continue_pass(), mcentral_drain_all() --- */
	:: atomic { !leaving && drains > 0 && central[0] -> drains--; c = 0; goto drain }
#if NCLASS > 1
	:: atomic { !leaving && drains > 0 && central[1] -> drains--; c = 1; goto drain }
#endif
	/* --- review_span() when the heap grows --- */
	:: atomic {
		!leaving && drains > 0 && has && cache == 0 && free_bits != 0 ->
		drains--;
		PLAIN;
		UNLIST(me);
		has = false; listclass = 0;
		goto put_drained
	}
#endif
	/* --- exit; who does not allocate has nothing else to do for it than the above --- */
	:: atomic { me <= NALLOC && !leaving -> leaving = true; REST }
	:: atomic { (leaving || me > NALLOC) && stack == 0 && !has -> goto done }
	fi;

	/* --- mcentral_take(), else mheap_alloc_small() --- */
refill:
	atomic { LOCK(c) }
	if
	:: atomic {
		central[c] ->
		assert(owner == CENTRAL + c);
		UNLIST(CENTRAL + c);
		central[c] = false;
		/* mspan_set_owner() */
		owner = me;
		LIST(me);
		has = true;
		listclass = c
	}
	atomic { UNLOCK(c) }
	ABSORB
	:: atomic { !central[c] -> UNLOCK(c) }
		if
		:: atomic {
			dead && lives > 0 ->
			dead = false;
			lives--;
			class = c;
			assert(owner == 0);
			free_bits = ALL
		}
		atomic { remote = 0 }
		atomic {
			owner = me;
			LIST(me);
			has = true;
			listclass = c
		}
		:: !dead || lives == 0 -> skip   /* the record is in use: nothing to model */
		fi
	fi;
	atomic { REST }

	/* --- mspan_set_full(), the span is mine and on no list --- */
set_full:
	atomic { PLAIN; assert(free_bits == 0 && cache == 0) }
#ifdef MUTANT_BITS_BEFORE_OWNER
	atomic { n = POP(remote) }
#endif
#ifndef MUTANT_CREDIT_LAST
	atomic { credit = WORTH }
#endif
	atomic { owner = me | FULL }
#ifdef MUTANT_NO_LOOK
	atomic { REST }
#endif
	atomic {
#ifndef MUTANT_BITS_BEFORE_OWNER
		n = POP(remote);
#endif
#ifndef MUTANT_CREDIT_LAST
		if
		:: n == 0 -> REST
		:: n != 0
		fi
#endif
	}
#ifdef MUTANT_CREDIT_LAST
	atomic { credit = WORTH }
#endif
#ifdef MUTANT_LET_GO_DOES_NOT_COUNT
	atomic {
		if
		:: credit > n -> REST
		:: credit <= n -> n = 0
		fi
	}
#else
	atomic {
		credit = credit - n;
		if
		:: credit > 0 -> REST
		:: credit <= 0 -> n = 0
		fi
	}
#endif
#ifdef MUTANT_KEEPS_CURRENT
	/* Takes it back as what it was. The record may be another span by now, of another class. */
	atomic {
		if
		:: IS_FULL(owner) -> owner = me
		:: else -> REST
		fi
	}
	ABSORB;
	if
	:: free_bits == 0 -> goto set_full
	:: atomic { free_bits != 0 -> LIST(me); has = true; REST }
	fi;
#endif
	goto told;

	/* --- free: to the free stack, the span, or for its owner --- */
free:
	atomic {
		o = owner;
		if
		:: STACK && (o == me || o == (me | FULL)) -> stack = stack | slot; REST
#ifdef OTHERS
		/* mcache_free_slot(): few enough on the stack */
		:: STACK && o != me && o != (me | FULL) -> stack = stack | slot; REST
#endif
		:: o == me -> goto free_local
		:: o != me -> goto free_remote
		fi
	}
flush:
	atomic {
		o = owner;
		if
		:: o == me -> goto free_local
		:: o != me -> goto free_remote
		fi
	}
free_local:
	atomic {
		PLAIN;
		assert(lister == me && (free_bits & slot) == 0);
		free_bits = free_bits | slot;
		o = 0;
		if
		:: free_bits == ALL -> UNLIST(me); has = false; listclass = 0
		:: REST
		fi
	}
	goto free_span;

	/* --- mspan_free_remote() --- */
free_remote:
	skip;
#ifdef MUTANT_OWNER_BEFORE_BIT
	atomic { o = owner }
#endif
	atomic {
		assert((remote & slot) == 0 && (free_bits & slot) == 0 && (out & slot) == 0);
		remote = remote | slot;
		slot = 0
	}
	atomic {
#ifndef MUTANT_OWNER_BEFORE_BIT
		o = owner;
#endif
		if
		:: !IS_LET_GO(o) -> REST
		:: IS_LET_GO(o) -> o = 0
		fi
	}
	atomic {
		credit--;
		if
#ifdef MUTANT_ZERO_ONLY
		:: credit != 0 -> REST
		:: credit == 0
#else
		:: credit > 0 -> REST
		:: credit <= 0
#endif
		fi
	}

	/* --- told that the span is worth it: mcache_claim(); mspan_claim_full() --- */
told:
	atomic {
		o = owner;
		if
		:: !IS_FULL(o) -> goto claim_central
		:: IS_FULL(o)
		fi
	}
	atomic {
#ifndef MUTANT_CLAIM_WITHOUT_SWAP
		if
		:: owner != o -> goto claim_central
		:: owner == o
		fi;
#endif
		owner = me;
		o = 0
	}
	goto claimed;

	/* --- mcentral_claim() --- */
claim_central:
	skip;
	atomic {
		o = owner;
		if
		:: !IS_CENTRAL(o) -> REST
		:: IS_CENTRAL(o) -> c = o - CENTRAL; o = 0
		fi
	}
	atomic { LOCK(c) }
	atomic {
#ifndef MUTANT_NO_RECHECK
		if
		:: owner != CENTRAL + c -> UNLOCK(c); REST
		:: owner == CENTRAL + c
		fi;
#endif
		UNLIST(CENTRAL + c);
		central[c] = false
	}
	atomic { owner = me }
	atomic { UNLOCK(c); c = 0 }

	/* --- place_span(): the span is mine and on no list --- */
claimed:
	atomic { PLAIN; assert(!has && cache == 0 && lister == 0) }
	ABSORB;
	if
	:: free_bits == ALL -> goto free_span
	:: free_bits == 0 -> goto set_full
	:: atomic {
		free_bits != ALL && free_bits != 0 && !leaving ->
		LIST(me);
		has = true;
		listclass = class;
		REST
	}
	:: free_bits != ALL && free_bits != 0 -> goto put
	fi;

give_span:
	ABSORB;
	if
	:: free_bits == ALL -> goto free_span
	:: free_bits == 0 -> goto set_full
	:: free_bits != ALL && free_bits != 0 -> goto put
	fi;

#if DRAINS
	/* --- take_old(), take_changed(), hand_out_locked(), then drain_in_hand(). What
	 * drain_span() changes is not modelled. --- */
drain:
	atomic { LOCK(c) }
	atomic {
		if
		:: !central[c] -> UNLOCK(c); REST
		:: central[c]
		fi;
#ifndef MUTANT_DRAIN_KEEPS_OWNER
		/* Before the span is unlinked. */
		owner = DRAINER;
#endif
		draining = true;
		UNLIST(CENTRAL + c);
		central[c] = false
	}
	atomic { UNLOCK(c); c = 0 }
drain_in_hand:
	ABSORB;
	if
	:: free_bits == ALL -> goto free_span
	:: free_bits != ALL -> goto put
	fi;

	/* --- mcentral_put_drained() --- */
put_drained:
	atomic { owner = DRAINER; draining = true }
	goto drain_in_hand;
#endif

	/* --- mcentral_put(), mcentral_put_idle(): put_at() --- */
put:
	atomic { PLAIN; assert(free_bits != 0 && free_bits != ALL); c = class }
	atomic { LOCK(c); central[c] = true; LIST(CENTRAL + c) }
set_central:
	atomic {
#ifdef MUTANT_CENTRAL_WORTH
		credit = WORTH
#else
		credit = (NSLOT - POP(free_bits) < WORTH -> NSLOT - POP(free_bits) : WORTH)
#endif
	}
	atomic { owner = CENTRAL + c }
	atomic { n = POP(remote) }
	if
	:: n == 0 -> goto put_done
	:: n != 0
	fi;
	atomic {
		credit = credit - n;
		n = 0;
		if
		:: credit > 0 -> goto put_done
		:: credit <= 0
		fi
	}
#ifdef MUTANT_PUT_IGNORES_WORTH
	goto put_done;
#endif
	ABSORB;
	if
	:: free_bits != ALL -> goto set_central
	:: atomic { free_bits == ALL -> UNLIST(CENTRAL + c); central[c] = false }
	fi;
	atomic { owner = 0 }
	atomic { UNLOCK(c); c = 0 }
	goto free_span;
put_done:
	atomic {
#if DRAINS
		draining = false;
#endif
		UNLOCK(c);
		REST
	}

	/* --- mheap_free_span() --- */
free_span:
	atomic {
		assert(owner == ME || owner == 0);
#if DRAINS
		draining = false;
#endif
		assert(free_bits == ALL && out == 0 && remote == 0 && stack == 0 &&
			cache == 0 && lister == 0);
		owner = 0
	}
	atomic { dead = true; REST }

done:
	atomic { nrunning--; leaving = false }
}

init
{
	byte live;

	atomic {
		run thread(1);
		run thread(2);
#if NTHREADS > 2
		run thread(3);
#endif
	}
	/* The end: no thread is in the heap any more, and the program keeps what is in `out`. */
	nrunning == 0;
	d_step {
		assert(dead || IS_LET_GO(owner));
		assert(dead || (free_bits | remote | out) == ALL);
		assert((free_bits & out) == 0 && (remote & out) == 0 && (free_bits & remote) == 0);
		/* All free: in the heap. */
		assert(out != 0 || dead);
		if
		:: !dead && IS_FULL(owner) ->
			assert(lister == 0 && free_bits == 0);
			assert(POP(remote) < WORTH && credit <= WORTH - POP(remote))
		:: !dead && IS_CENTRAL(owner) ->
			live = NSLOT - POP(free_bits);
			live = (live < WORTH -> live : WORTH);
			assert(lister == owner && central[class] && free_bits != 0);
			assert(POP(remote) < live && credit <= live - POP(remote))
		:: else
		fi
	}
}
