/* SPDX-License-Identifier: MIT */
/*
 * fork.pml - a fork while other threads change the heap, and how the child puts it in order
 * (src/fork.c, adopt_stacks() and adopt_spans() in src/heap/adopt.c,
 * mcentral_after_fork()), for spin. See run.sh.
 *
 * The beginning is any heap in order with NSPAN spans of 2 slots, the cache of the thread that will
 * fork (FORKER), those of NGONE other threads and the shared one. Each of the others does one
 * operation, store by store in program order, and the fork comes between any two stores. As any
 * heap in order is a beginning, what came before the operation makes no difference. Then the child:
 * two threads come at once, the first adopts, and with AGAIN one of them forks before, during or
 * after that.
 *
 * Steps    each store to shared memory is one; what is read before it belongs to it, as no other
 *          thread writes what is read, but for owner words, remote bits and credits, whose
 *          interleavings span.pml searches. The forking thread's own operations are whole.
 *          after_fork() is one step: the child has one thread.
 * Order    program order, any prefix: a fork write-protects the parent's pages and a store that
 *          comes later waits, so the copy is one moment of all threads; in the compiler by
 *          order_stores() and by atomic accesses.
 * Asserts  at the end, when all threads of the child are in: lists end, hold spans of their owner,
 *          and all of these; a free slot is in one place, and is not live; nfree is right; no lock
 *          is held; nothing is counted away that should be claimed. What is lost, at most: a span
 *          that a thread that is gone had on no list (span_hand), a slot in its hands (slot_hand).
 *          mspan_absorb() and mspan_free_remote() find no slot that is free already, which would be
 *          reported as a double free.
 * Left out tiny blocks (the pins; a current block is like a slot in a stack), the quarantine (as a
 *          stack), big objects, the pages (mheap_after_fork(); mheap_keep_pcache()).
 *
 * With     each an accident of the fork that the ordinary search leaves out: TORN_COUNT, between
 *          the two stores of mspan_absorb() in mcentral_put(); SHARED, the shared cache has slots,
 *          and no thread is in it; IN_SHARED, another thread is in it; FORK_IN_ADOPTION (and
 *          AGAIN), one thread of the child forks while another adopts.
 *          LATE: nobody mends the heap at once (forked_look()). The forking thread goes on with one
 *          operation, store by store. It mends when the operation is over, or in its middle where
 *          it waits for a lock of a thread that is gone (forked_look_in_wait()). This is also a
 *          fork by a signal's handler inside malloc.
 *          LATE and OTHER: a thread that the child made mends (mend_by_other()), while the forking
 *          thread is in a fast path, or waits for that before a slow path.
 * MUTANT_x are wrong variants: mutants.sh.
 */

#ifndef NSPAN
#define NSPAN 2
#endif
#ifndef NGONE
#define NGONE 1
#endif
#define ALL 3
#define POP(x) (((x) & 1) + ((x) >> 1))

/* Caches; a span's owner is one of these, with the tags of mspan.h. */
#define FORKER 1
#define GONE 2             /* to GONE + 1 */
#define SHARED_CACHE 4
#define LATER 5            /* of a second thread of the child */
#define NCACHE 5
#define FULL 8
#define CENTRAL 16

/* The span records, from 1; 0 is NULL. */
#define N (NSPAN + 1)
byte owner[N];
short credit[N];
byte remote[N];
byte free_bits[N];
byte nfree[N];
byte live[N];              /* states: SLOT_LIVE */
bool dead[N];              /* not in the page map */
byte next[N];
byte prev[N];

/* mcentral. */
byte central;              /* partial */
byte central_holder;       /* lock; 0 when it is free */

/* The caches. A stack has room for 2 in either place; top is in the deep one from DEEP on. */
#define DEPTH 2
#define DEEP 4
#define ENTRY(s, b) (4 * (s) + (b))
#define SPAN_OF(e) ((e) >> 2)
#define BIT_OF(e) ((e) & 3)
byte first[2 * (NCACHE + 1)];
byte deep[2 * (NCACHE + 1)];
byte top[NCACHE + 1];
byte word[NCACHE + 1];
byte current[NCACHE + 1];
byte partial[NCACHE + 1];
byte kept[NCACHE + 1];    /* spare spans; their classes are one here */
bool in_use[NCACHE + 1];
bool orphan[NCACHE + 1];

/* thread.c */
byte init_lock;            /* the thread inside, 0 */
byte shared_lock;
bool orphans;
byte user[NCACHE + 1];     /* the child's thread that has the cache, or left it */
byte mcache_of[3];         /* thread_mcache of the child's threads 1 and 2 */

/* Ghosts. */
/* threads that work on it on no list, or that are to look whether to claim it; stays when they
 * stop */
byte span_hand[N];
byte slot_hand[N];         /* slots between two places */
byte generation;           /* 0 before the fork */
byte nrunning;
bool ordered;              /* the beginning is made */
bool waits;                /* the forking thread, in the child, for a lock of one that is gone */
bool mended;               /* after the fork */
bool late_done;            /* the operation of the forking thread before that */

#define EMPTY(s) (nfree[s] == 2)

#ifdef LATE
#define LATE_ANY true
#else
#define LATE_ANY false
#endif
#ifdef OTHER               /* what the gone had stays as it was */
#define LOST true
#else
#define LOST false
#endif

/* lock_wait(): forked_look_in_wait(). Nobody but the forking thread is there to let the lock go. */
#ifdef MUTANT_NO_LATE_LOOK
#define LOOK_IN_WAIT(needed) skip
#else
#define LOOK_IN_WAIT(needed) \
	if \
	:: atomic { (needed) && generation == 1 && !mended && central_holder != 0 -> \
		waits = true } mended \
	:: else \
	fi
#endif

/* Slow paths begin with forked_look(): with OTHER one that begins before the heap is mended waits
 * until it is. */
#ifdef OTHER
#define SLOW (c != FORKER || mended)
#else
#define SLOW true
#endif

/* mspan_list_push(), mspan_list_remove() */
inline list_push(list, s)
{
#ifdef MUTANT_HEAD_FIRST
	atomic { old = list; list = s }
	next[s] = old;
	prev[s] = 0;
	if
	:: old != 0 -> prev[old] = s
	:: old == 0
	fi;
	old = 0;
#else
	next[s] = list;
	prev[s] = 0;
	if
	:: list != 0 -> prev[list] = s
	:: list == 0
	fi;
	list = s;
#endif
}

inline list_remove(list, s)
{
	if
	:: atomic { prev[s] == 0 -> list = next[s] }
	:: atomic { prev[s] != 0 -> next[prev[s]] = next[s] }
	fi;
	if
	:: atomic { next[s] != 0 -> prev[next[s]] = prev[s] }
	:: next[s] == 0
	fi
}

/* mspan_absorb(); freed_slots() reports a double free. */
inline absorb(s)
{
	if
	:: remote[s] == 0
	:: atomic {
		remote[s] != 0 ->
		taken = remote[s];
		assert((taken & free_bits[s]) == 0 && (taken & live[s]) == 0);
		slot_hand[s] = slot_hand[s] | taken;
		remote[s] = 0
	}
#ifdef TORN_COUNT
		atomic { free_bits[s] = free_bits[s] | taken; slot_hand[s] = slot_hand[s] & ~taken }
		atomic { nfree[s] = nfree[s] + POP(taken); taken = 0 }
#else
		atomic {
			free_bits[s] = free_bits[s] | taken;
			slot_hand[s] = slot_hand[s] & ~taken;
			nfree[s] = nfree[s] + POP(taken);
			taken = 0
		}
#endif
	fi
}

/* let_go(), count_remote(): span_worth() is 1 here. told: the span is worth claiming. */
inline let_go(s, word_of_owner)
{
	credit[s] = 1;
	owner[s] = word_of_owner;
	atomic {
		n = POP(remote[s]);
		if
		:: n == 0 -> told = false
		:: n != 0 -> credit[s] = credit[s] - n; told = credit[s] <= 0; n = 0
		fi
	}
}

/* claim(): mspan_claim_full(), mcentral_claim(). */
inline claim(s)
{
	LOOK_IN_WAIT(owner[s] == CENTRAL);
	if
	:: atomic { (owner[s] & FULL) != 0 -> owner[s] = c; got = true }
	:: atomic { owner[s] == CENTRAL && central_holder == 0 -> central_holder = me }
		if
		:: atomic { owner[s] == CENTRAL -> owner[s] = c; got = true }
			list_remove(central, s)
		:: owner[s] != CENTRAL -> got = false
		fi;
		central_holder = 0
	:: (owner[s] & (FULL | CENTRAL)) == 0 -> got = false
	fi
}

/* mheap_free_span() */
inline free_span(s)
{
	atomic {
		assert(free_bits[s] == ALL && live[s] == 0 && remote[s] == 0);
		assert(owner[s] == c || owner[s] == 0);
		owner[s] = 0
	}
	dead[s] = true;
	/* fixalloc_free() links it. */
	atomic { next[s] = 0; span_hand[s] = span_hand[s] & ~hand }
}

/* keep_spare(), spares_put(): the span has left another list, if it was on one. */
inline keep_spare(s)
{
#ifdef MUTANT_SPARE_HEAD_FIRST
	atomic { old = kept[c]; kept[c] = s }
	atomic { next[s] = old; old = 0; span_hand[s] = span_hand[s] & ~hand }
#else
	next[s] = kept[c];
	/* order_stores() */
	atomic { kept[c] = s; span_hand[s] = span_hand[s] & ~hand }
#endif
}

/* mcentral_put() */
inline put(s)
{
	LOOK_IN_WAIT(true);
	atomic { central_holder == 0 -> assert(owner[s] == c && !EMPTY(s) && nfree[s] != 0);
		central_holder = me }
#ifdef MUTANT_OWNER_FIRST
	owner[s] = CENTRAL;
#endif
	list_push(central, s);
	told = true;
	do
	:: told && !EMPTY(s) ->
		/* mspan_set_central() */
		let_go(s, CENTRAL);
		if
		:: !told -> span_hand[s] = span_hand[s] & ~hand
		:: told -> absorb(s)
		fi
	:: told && EMPTY(s) -> break
	:: !told -> break
	od;
	if
	:: told ->
		owner[s] = 0;
		list_remove(central, s);
		central_holder = 0;
		free_span(s)
	:: !told -> central_holder = 0
	fi;
	told = false
}

/* keep_if_free(): got, unless the span is full and no longer mine. */
inline keep_if_free(s)
{
	got = true;
	do
	:: got && nfree[s] == 0 ->
		/* mspan_set_full() */
		let_go(s, c | FULL);
		got = false;
		if
		:: told ->
			claim(s);
			if
			:: got -> absorb(s)
			:: !got
			fi
		:: !told
		fi
	:: !got || nfree[s] != 0 -> break
	od;
	if
	:: !got -> span_hand[s] = span_hand[s] & ~hand
	:: got
	fi;
	told = false
}

/* mcache_give_span() */
inline give_span(s)
{
	absorb(s);
	keep_if_free(s);
	if
	:: !got
	:: got && EMPTY(s) -> free_span(s)
	:: got && !EMPTY(s) -> put(s)
	fi
}

/* mcache_claim(), place_span(): mcache_push_partial() or mcentral_put(). */
inline place(s)
{
	keep_if_free(s);
	if
	:: !got
	:: got && EMPTY(s) -> free_span(s)
	:: got && EMPTY(s) -> keep_spare(s)
	:: got && !EMPTY(s) -> put(s)
	:: got -> list_push(partial[c], s); span_hand[s] = span_hand[s] & ~hand
	fi
}

#define NOTHING 0
#define CLAIM 1
#define PLACE 2

inline claim_and_place(s)
{
	got = todo == PLACE;
	if
	:: todo == CLAIM ->
		claim(s);
		if
		:: got -> absorb(s)
		:: !got -> span_hand[s] = span_hand[s] & ~hand
		fi
	:: todo != CLAIM
	fi;
	todo = NOTHING;
	if
	:: got -> place(s)
	:: !got
	fi
}

/* mspan_free_remote(); the caller does what is to do. */
inline free_remote(s, b)
{
	atomic {
		assert(!dead[s]);
		twice = (remote[s] & (b)) != 0;
		remote[s] = remote[s] | (b);
		slot_hand[s] = slot_hand[s] & ~(b);
		span_hand[s] = (owner[s] >= FULL -> span_hand[s] | hand : span_hand[s])
	}
	if
	:: owner[s] < FULL
	:: atomic { owner[s] >= FULL -> span_hand[s] = span_hand[s] | hand; credit[s]--;
		told = credit[s] <= 0 }
		if
		:: told -> told = false; todo = CLAIM
		:: !told -> span_hand[s] = span_hand[s] & ~hand
		fi
	fi
}

/* mspan_free_local() */
inline free_local(s, b)
{
	atomic {
		assert((free_bits[s] & (b)) == 0);
		free_bits[s] = free_bits[s] | (b);
		slot_hand[s] = slot_hand[s] & ~(b)
	}
	nfree[s]++
}

/* return_slot(), return_slot_elsewhere() */
inline return_slot(s, b)
{
	if
	:: owner[s] == c ->
		free_local(s, b);
		/* mcache_span_freed() */
		if
		:: atomic { EMPTY(s) && current[c] != s -> span_hand[s] = span_hand[s] | hand }
			list_remove(partial[c], s);
			if
			:: free_span(s)
			:: keep_spare(s)
			fi
		/* Where there are many caches: return_word(), mspan_put_word() */
		:: current[c] == s && nfree[s] + POP(word[c]) == 2 ->
			free_bits[s] = free_bits[s] | word[c];
			nfree[s] = nfree[s] + POP(word[c]);
			word[c] = 0;
			atomic { current[c] = 0; span_hand[s] = span_hand[s] | hand }
			if
			:: free_span(s)
			:: keep_spare(s)
			fi
		:: true
		fi
	:: atomic { owner[s] == (c | FULL) -> span_hand[s] = span_hand[s] | hand; owner[s] = c }
		absorb(s);
		free_local(s, b);
		todo = PLACE
	:: owner[s] != c && owner[s] != (c | FULL) ->
		free_remote(s, b);
		assert(!twice)
	fi
}

#define ENTRY_AT(c, i) ((i) > DEEP -> deep[2 * (c) + (i) - DEEP - 1] : first[2 * (c) + (i) - 1])
#define STACK_EMPTY(c) (top[c] == 0 || top[c] == DEEP)

/* mcache_flush_stack(), mcache_reset_stack() */
inline flush_stack()
{
	do
	:: atomic {
		!STACK_EMPTY(c) ->
		e = ENTRY_AT(c, top[c]);
		top[c]--;
		assert(e != 0);
		slot_hand[SPAN_OF(e)] = slot_hand[SPAN_OF(e)] | BIT_OF(e)
	}
		return_slot(SPAN_OF(e), BIT_OF(e));
		claim_and_place(SPAN_OF(e))
	:: STACK_EMPTY(c) -> break
	od;
	atomic { top[c] = 0; e = 0 }
}

/* load_word(), mspan_take_word() */
inline load_word(s)
{
	atomic { taken = free_bits[s]; free_bits[s] = 0 }
	nfree[s] = 0;
	atomic { word[c] = taken; taken = 0 }
}

/* Else there is no such operation. */
#define ONE_THAT(condition) if :: condition :: else -> goto over fi

/* One operation of a thread that will be gone; or of the forking thread, in the child, before the
 * heap is mended. */
proctype gone(byte c; byte born)
{
	byte me, hand, e, s, b, n, taken, old, todo;
	bool told, got, twice;

	atomic { ordered -> me = c; hand = 1 << c }
	{
	if
	/* mcache_alloc_fast() */
	:: atomic {
		!STACK_EMPTY(c) ->
		e = ENTRY_AT(c, top[c]);
		top[c]--;
		slot_hand[SPAN_OF(e)] = slot_hand[SPAN_OF(e)] | BIT_OF(e)
	}
		atomic {
			live[SPAN_OF(e)] = live[SPAN_OF(e)] | BIT_OF(e);
			slot_hand[SPAN_OF(e)] = slot_hand[SPAN_OF(e)] & ~BIT_OF(e)
		}
	:: atomic {
		word[c] != 0 ->
		s = current[c];
		b = word[c] & -word[c];
		word[c] = word[c] & ~b
	}
		live[s] = live[s] | b
	/* free: mcache_free_fast() */
	:: atomic {
		top[c] < DEPTH || (top[c] >= DEEP && top[c] < DEEP + DEPTH) ->
		select (s : 1 .. NSPAN);
		select (b : 1 .. 2);
#ifdef OTHERS
		/* mcache_free_slot(), too: few enough on the stack */
		ONE_THAT((live[s] & b) != 0);
#else
		ONE_THAT((live[s] & b) != 0 && (owner[s] & ~FULL) == c);
#endif
		live[s] = live[s] & ~b;
		slot_hand[s] = slot_hand[s] | b
	}
#ifdef MUTANT_TOP_FIRST
		top[c]++;
		atomic {
			if
			:: top[c] > DEEP -> deep[2 * c + top[c] - DEEP - 1] = ENTRY(s, b)
			:: top[c] <= DEEP -> first[2 * c + top[c] - 1] = ENTRY(s, b)
			fi
		}
#else
		atomic {
			if
			:: top[c] >= DEEP -> deep[2 * c + top[c] - DEEP] = ENTRY(s, b)
			:: top[c] < DEEP -> first[2 * c + top[c]] = ENTRY(s, b)
			fi
		}
		/* order_stores() */
		atomic { top[c]++; slot_hand[s] = slot_hand[s] & ~b }
#endif
	/* mcache_begin_stack(): both tops are those of an empty stack. */
	:: SLOW && top[c] == 0 -> top[c] = DEEP
	/* make_room_and_free(): mcache_deepen_stack() */
	:: SLOW && top[c] == DEPTH ->
#ifdef MUTANT_DEEPEN_TOP_FIRST
		top[c] = DEEP + DEPTH;
		deep[2 * c] = first[2 * c];
		deep[2 * c + 1] = first[2 * c + 1]
#else
		deep[2 * c] = first[2 * c];
		deep[2 * c + 1] = first[2 * c + 1];
		/* order_stores() */
		top[c] = DEEP + DEPTH
#endif
	/* free_into_span(): return_slot() */
	:: atomic {
		SLOW ->
		select (s : 1 .. NSPAN);
		select (b : 1 .. 2);
		ONE_THAT((live[s] & b) != 0);
		live[s] = live[s] & ~b;
		slot_hand[s] = slot_hand[s] | b
	}
		goto returns
	/* tick(), mcache_flush(): mcache_flush_stack(), one of the entries. mcache_spill(), too */
	:: atomic {
		SLOW && !STACK_EMPTY(c) ->
		e = ENTRY_AT(c, top[c]);
		top[c]--;
		s = SPAN_OF(e);
		b = BIT_OF(e);
		slot_hand[s] = slot_hand[s] | b
	}
		goto returns
	:: atomic { SLOW && current[c] != 0 -> s = current[c] }
		/* return_word(), mspan_put_word() */
		free_bits[s] = free_bits[s] | word[c];
		nfree[s] = nfree[s] + POP(word[c]);
		word[c] = 0;
		atomic { current[c] = 0; span_hand[s] = span_hand[s] | hand }
		goto gives
	:: atomic { SLOW && partial[c] != 0 -> s = partial[c]; span_hand[s] = span_hand[s] | hand }
		list_remove(partial[c], s);
		goto gives
	/* mcache_refill() */
	:: atomic { SLOW && word[c] == 0 && current[c] != 0 && nfree[current[c]] != 0 ->
		s = current[c] }
		goto loads
	:: atomic { SLOW && word[c] == 0 && current[c] != 0 && nfree[current[c]] == 0 ->
		s = current[c];
		current[c] = 0; span_hand[s] = span_hand[s] | hand }
		let_go(s, c | FULL);
		if
		:: told -> told = false; todo = CLAIM; goto claims
		:: !told -> span_hand[s] = span_hand[s] & ~hand
		fi
	/* next_span() */
	:: atomic { SLOW && current[c] == 0 && partial[c] != 0 -> s = partial[c];
		span_hand[s] = span_hand[s] | hand }
		list_remove(partial[c], s);
		goto takes
	/* spares_take(), take_in_turn(): for the same class, or there is no room, or another class
	 * needs pages. spares_evict(), spares_shrink(), give_spares_for() */
	:: atomic { SLOW && kept[c] != 0 -> s = kept[c]; span_hand[s] = span_hand[s] | hand }
		kept[c] = next[s];
		/* order_stores() */
		if
		:: current[c] == 0 -> goto takes
		:: free_span(s); goto over
		fi
	/* mcentral_take() */
	:: atomic { SLOW && current[c] == 0 && central != 0 && central_holder != 0 &&
		generation == 1 && !mended }
		LOOK_IN_WAIT(true);
		if
		:: atomic { central != 0 && central_holder == 0 ->
			central_holder = me; s = central }
		:: atomic { central == 0 && central_holder == 0 -> goto over }
		fi;
		goto taking
	:: atomic { SLOW && current[c] == 0 && central != 0 && central_holder == 0 ->
		central_holder = me; s = central }
taking:
#ifdef MUTANT_UNLINK_FIRST
		list_remove(central, s);
		atomic { owner[s] = c; span_hand[s] = span_hand[s] | hand }
#else
		atomic { owner[s] = c; span_hand[s] = span_hand[s] | hand }
		list_remove(central, s);
#endif
		central_holder = 0;
		goto takes
	/* mheap_alloc_small(): mspan_init_small(), pagemap_map_span() */
	:: atomic {
		SLOW && current[c] == 0 && central == 0 ->
		select (s : 1 .. NSPAN);
		ONE_THAT(dead[s] && span_hand[s] == 0);
		span_hand[s] = span_hand[s] | hand;
		next[s] = 0;
		prev[s] = 0;
		free_bits[s] = ALL;
		nfree[s] = 2;
		remote[s] = 0;
		live[s] = 0
	}
		dead[s] = false;
		owner[s] = c;
		goto takes
	/* The forking thread, in the child: none of these. */
	:: c == FORKER
	fi;
	goto over;
returns:
	return_slot(s, b);
claims:
	claim_and_place(s);
	goto over;
gives:
	give_span(s);
	goto over;
takes:
	absorb(s);
	atomic { current[c] = s; span_hand[s] = span_hand[s] & ~hand }
loads:
	load_word(s);
over:
	skip
	} unless { generation > born };
	late_done = late_done || c == FORKER
}

/* --- the child --- */

/* adopt_slot(); a free that is told twice is told to nobody. */
inline adopt_slot(e)
{
	if
	:: atomic {
		e == 0 || dead[SPAN_OF(e)] || (live[SPAN_OF(e)] & BIT_OF(e)) != 0 -> skip }
	:: !(e == 0 || dead[SPAN_OF(e)] || (live[SPAN_OF(e)] & BIT_OF(e)) != 0) ->
		free_remote(SPAN_OF(e), BIT_OF(e));
		claim_and_place(SPAN_OF(e))
	fi
}

/* adopt_stacks() */
inline adopt_stacks(d)
{
#ifndef MUTANT_ENTRY_STAYS
	/* From the top down: an entry is left before its slot is free elsewhere. */
	do
	:: atomic {
		!STACK_EMPTY(d) ->
		e = ENTRY_AT(d, top[d]);
		top[d]--;
		slot_hand[SPAN_OF(e)] = slot_hand[SPAN_OF(e)] | BIT_OF(e)
	}
		adopt_slot(e)
	:: STACK_EMPTY(d) -> break
	od;
#else
	i = (top[d] >= DEEP -> DEEP : 0);
	do
	:: atomic { i < top[d] -> i++; e = ENTRY_AT(d, i) }
		adopt_slot(e)
	:: i >= top[d] -> break
	od;
#endif
	atomic { top[d] = 0; e = 0; i = 0 }
}

/* mspan_rebuild(), then mcache_give_span(): adopt_span() */
inline adopt_span(d, s)
{
	if
	:: atomic { s != 0 && owner[s] == d ->
		assert(!dead[s]);
		span_hand[s] = span_hand[s] | hand;
		remote[s] = 0;
		slot_hand[s] = 0
	}
		atomic {
			free_bits[s] = ALL & ~live[s];
			nfree[s] = POP(free_bits[s]);
			next[s] = 0;
			prev[s] = 0
		}
		owner[s] = 0;
		owner[s] = c;
		give_span(s)
	:: s == 0 || owner[s] != d
	fi
}

/* adopt_spans() */
inline adopt_spans(d)
{
	/* The current span, then the list; i counts. */
	atomic { at = partial[d]; s = current[d]; i = 0 }
	do
	:: i <= NSPAN ->
		adopt_span(d, s);
		atomic {
			i++;
			if
			:: at != 0 && owner[at] == d -> assert(i <= NSPAN); s = at; at = next[at]
#ifndef MUTANT_LISTS_ALONE
			/* The shared cache is used again: adopt_all_spans() finds what the
			 * thread had in hand. */
			:: !(at != 0 && owner[at] == d) && d == SHARED_CACHE ->
				at = 0;
				s = 1;
				do
				:: s <= NSPAN && (dead[s] || owner[s] != d) -> s++
				:: else -> break
				od;
				if
				:: s > NSPAN -> break
				:: s <= NSPAN -> i = 1
				fi
			:: !(at != 0 && owner[at] == d) && d != SHARED_CACHE -> break
#else
			:: !(at != 0 && owner[at] == d) -> break
#endif
			fi
		}
	od;
	/* Spares: each leaves the list before it is the adopter's. */
	do
	:: atomic { kept[d] != 0 && owner[kept[d]] == d ->
		s = kept[d];
		kept[d] = next[s];
		span_hand[s] = span_hand[s] | hand
	}
		adopt_span(d, s)
	:: kept[d] == 0 || owner[kept[d]] != d -> break
	od;
	current[d] = 0;
	partial[d] = 0;
	kept[d] = 0;
	atomic { word[d] = 0; i = 0; at = 0; s = 0 }
}

/* adopt_orphans_locked() */
inline adopt_orphans()
{
#ifndef MUTANT_SHARED_LEFT
	/* flush_shared_for_adoption() */
	if
	:: !orphan[SHARED_CACHE] ->
		if
		:: atomic { c != SHARED_CACHE -> other = c; c = SHARED_CACHE; shared_lock = me }
			flush_stack();
			atomic { shared_lock = 0; c = other; other = 0 }
		:: c == SHARED_CACHE
		fi
	:: orphan[SHARED_CACHE]
	fi;
#endif
#ifndef MUTANT_NO_OWN_FLUSH
	/* flush_for_adoption() */
	if
	:: !orphan[c] -> flush_stack()
	:: orphan[c]
	fi;
#endif
#ifdef MUTANT_ONE_BY_ONE
	d = 1;
	do
	:: atomic { d <= NCACHE && !orphan[d] -> d++ }
	:: d <= NCACHE && orphan[d] -> adopt_stacks(d); adopt_spans(d); orphan[d] = false
	:: d > NCACHE -> break
	od;
#else
	d = 1;
	do
	:: atomic { d <= NCACHE && !orphan[d] -> d++ }
	:: d <= NCACHE && orphan[d] -> adopt_stacks(d); d++
	:: d > NCACHE -> break
	od;
	d = 1;
	do
	:: atomic { d <= NCACHE && !orphan[d] -> d++ }
	:: d <= NCACHE && orphan[d] -> adopt_spans(d); orphan[d] = false
	:: d > NCACHE -> break
	od;
#endif
	d = 0
}

/* One step, where nobody sees what is between. */
#if defined(FORK_IN_ADOPTION) || defined(MUTANT_NO_INIT_LOCK)
#define ADOPTION skip;
#else
#define ADOPTION atomic
#endif

/* A thread of the child, on its first slow path: start_enter(),
 * fork_has_orphans(). */
proctype child(byte me; byte born)
{
	byte c, hand, d, e, i, at, s, n, taken, old, other, todo;
	bool told, got, twice;

	hand = (born == 1 -> 16 << me : (me == 1 -> 128 : 1));
	{
	ADOPTION {
	/* --- fork_adopt() --- */
	if
	:: orphans
#ifndef MUTANT_NO_INIT_LOCK
		atomic { init_lock == 0 -> init_lock = me };
#endif
		if
		:: orphans ->
			/* thread_lock_shared() */
			atomic {
				if
				/* find_forkers_cache() */
				:: user[FORKER] != 0 -> c = FORKER
				:: user[FORKER] == 0 && user[LATER] != 0 -> c = LATER
				:: user[FORKER] == 0 && user[LATER] == 0 && shared_lock == 0 ->
					shared_lock = me; c = SHARED_CACHE
				fi
			}
			adopt_orphans();
			if
			:: c == SHARED_CACHE -> shared_lock = 0
			:: c != SHARED_CACHE
			fi;
			orphans = false
		:: !orphans
		fi;
		init_lock = 0
	:: !orphans
	fi;
	atomic {
		c = 0;
		if
		/* take_cache(): find_left_behind_locked(), make_cache() */
		:: mcache_of[me] == 0 && user[FORKER] == me -> mcache_of[me] = FORKER
		:: mcache_of[me] == 0 && user[LATER] == me -> mcache_of[me] = LATER
		:: mcache_of[me] == 0 && user[FORKER] != me && user[LATER] != me ->
			mcache_of[me] = LATER; user[LATER] = me; in_use[LATER] = true
		:: mcache_of[me] != 0
		fi
	}
	}
	} unless { generation > born };
	atomic {
		if
		:: generation == born -> nrunning--
		:: generation > born
		fi
	}
}

inline central_after_fork()
{
	/* mcentral_after_fork() */
	if
#ifndef MUTANT_NO_RESET
	:: central_holder != 0 ->
		central_holder = 0;
		s = central;
		central = 0;
		i = 0;
		do
		:: s != 0 ->
			at = next[s];
			i++;
			assert(i <= NSPAN);
			if
#ifdef MUTANT_NO_OWNER_CHECK
			:: true ->
#else
			:: owner[s] == CENTRAL ->
#endif
#ifndef MUTANT_COUNT_KEPT
				/* mspan_recount() */
				nfree[s] = POP(free_bits[s]);
#endif
				next[s] = central;
				prev[s] = 0;
				if
				:: central != 0 -> prev[central] = s
				:: else
				fi;
				central = s
#ifndef MUTANT_NO_OWNER_CHECK
			:: owner[s] != CENTRAL
#endif
			fi;
			s = at
		:: s == 0 -> break
		od
#endif
	:: else
	fi
}

/* mend() by the thread that forked, this one of the child: mend_for(), find_orphans(),
 * is_callers_cache(), leave_cache(). */
inline after_fork(me)
{
	mine = 0;
	if
	:: user[FORKER] == me -> mine = FORKER
	:: user[LATER] == me -> mine = LATER
	:: else
	fi;
#ifndef MUTANT_ADOPTER_WHOLE
	/* lock_reset_orphan() says that another thread was adopting: what it adopted with is in
	 * the middle of a change. */
	if
	:: init_lock != 0 && init_lock != me && orphans -> mine = 0
	:: else
	fi;
#endif
	init_lock = 0;
	central_after_fork();
	if
	:: shared_lock != 0 -> shared_lock = 0; orphan[SHARED_CACHE] = true
	:: else
	fi;
	others = orphan[SHARED_CACHE];
	c = 1;
	do
	:: c <= NCACHE ->
		if
		:: c != SHARED_CACHE && in_use[c] -> orphan[c] = c != mine;
			user[c] = (c == mine -> me : 0);
			others = others || orphan[c]
		:: else
		fi;
		c++
	:: c > NCACHE -> break
	od;
	if
	:: others -> mcache_of[me] = 0; orphans = true
	:: else
	fi;
	mended = true;
	s = 0; at = 0; i = 0; c = 0; mine = 0; others = false
}

/* mend_by_other(): by a thread that the child made, while the one that forked runs on. No cache is
 * an orphan. */
inline mend_by_other()
{
	central_after_fork();
	/* adopt_lose_spans() */
	if
	:: shared_lock != 0 ->
		shared_lock = 0;
		s = 1;
		do
		:: s <= NSPAN ->
			if
			:: !dead[s] && owner[s] == SHARED_CACHE -> owner[s] = 0; span_hand[s] = 128
			:: else
			fi;
			s++
		:: s > NSPAN -> break
		od;
		/* What its stack has is lost. */
		do
		:: !STACK_EMPTY(SHARED_CACHE) ->
			i = ENTRY_AT(SHARED_CACHE, top[SHARED_CACHE]);
			slot_hand[SPAN_OF(i)] = slot_hand[SPAN_OF(i)] | BIT_OF(i);
			top[SHARED_CACHE]--
		:: else -> break
		od;
		current[SHARED_CACHE] = 0; partial[SHARED_CACHE] = 0; kept[SHARED_CACHE] = 0;
		word[SHARED_CACHE] = 0; top[SHARED_CACHE] = 0
	:: else
	fi;
#ifdef MUTANT_OTHER_ADOPTS
	orphan[GONE] = in_use[GONE];
	orphans = true;
#endif
	mended = true;
	s = 0; at = 0; i = 0
}

/* Any heap in order: where a span is, where each of its slots is. */
#if defined(SHARED) || defined(IN_SHARED)
#define USED(c) (IS_PRIVATE(c) || (c) == SHARED_CACHE)
#else
#define USED(c) IS_PRIVATE(c)
#endif
#define IS_PRIVATE(c) ((c) == FORKER || ((c) >= GONE && (c) < GONE + NGONE - IN_SHARED_CACHE))
#ifdef IN_SHARED               /* the last of the gone was in the shared cache */
#define LAST_GONE SHARED_CACHE
#define IN_SHARED_CACHE 1
#else
#define LAST_GONE (GONE + NGONE - 1)
#define IN_SHARED_CACHE 0
#endif

/* No such heap. */
#define ONLY_IF(condition) if :: condition :: else -> goto nothing fi

inline begin_slot(s, b)
{
	if
	:: live[s] = live[s] | b
	:: owner[s] < FULL || owner[s] == CENTRAL -> free_bits[s] = free_bits[s] | b; nfree[s]++
	:: owner[s] < FULL -> remote[s] = remote[s] | b
	:: owner[s] < FULL && current[owner[s]] == s -> word[owner[s]] = word[owner[s]] | b
	:: select (c : 1 .. SHARED_CACHE);
		ONLY_IF(USED(c) && top[c] < DEPTH);
		first[2 * c + top[c]] = ENTRY(s, b);
		top[c]++
	fi
}

inline begin_span(s)
{
	if
	:: dead[s] = true
	:: select (c : 1 .. SHARED_CACHE);
		ONLY_IF(USED(c));
		if
		:: owner[s] = c | FULL
		:: owner[s] = c; ONLY_IF(current[c] == 0); current[c] = s
		:: owner[s] = c
		:: owner[s] = c; free_bits[s] = ALL; nfree[s] = 2; next[s] = kept[c]; kept[c] = s
		fi
	:: owner[s] = CENTRAL
	fi;
	if
	:: dead[s]
	/* A spare. */
	:: !dead[s] && nfree[s] == 2
	:: !dead[s] && nfree[s] != 2 ->
		if
		:: s == varied ->
			begin_slot(s, 1);
			begin_slot(s, 2)
		:: s != varied && owner[s] >= FULL && owner[s] != CENTRAL -> live[s] = ALL
		:: s != varied && !(owner[s] >= FULL && owner[s] != CENTRAL) -> live[s] = 1;
			free_bits[s] = 2; nfree[s] = 1
		fi;
		if
		:: owner[s] >= FULL -> credit[s] = 1
		:: owner[s] < FULL
		fi;
		if
		:: owner[s] == CENTRAL ->
			ONLY_IF(nfree[s] == 1);
			next[s] = central;
			prev[s] = 0;
			if
			:: central != 0 -> prev[central] = s
			:: central == 0
			fi;
			central = s
		:: owner[s] < FULL && current[owner[s]] != s ->
			ONLY_IF(nfree[s] != 0);
			next[s] = partial[owner[s]];
			prev[s] = 0;
			if
			:: next[s] != 0 -> prev[next[s]] = s
			:: next[s] == 0
			fi;
			partial[owner[s]] = s
		:: owner[s] < FULL && current[owner[s]] == s
		:: owner[s] >= FULL && owner[s] != CENTRAL
		fi
	fi
}

/* Where a slot is free, counted over all places. */
inline count_places(s, b)
{
	n = ((free_bits[s] & b) != 0) + ((remote[s] & b) != 0);
	c = 1;
	do
	:: c <= NCACHE ->
		if
		:: current[c] == s && (word[c] & b) != 0 -> n++
		:: else
		fi;
		i = (top[c] >= DEEP -> DEEP : 0);
		do
		:: i < top[c] ->
			i++;
			if
			:: ENTRY_AT(c, i) == ENTRY(s, b) -> n++
			:: else
			fi
		:: else -> break
		od;
		c++
	:: c > NCACHE -> break
	od;
	assert(n <= 1);
	assert((live[s] & b) == 0 || n == 0);
	/* Free, and nobody will find it: a thread that is gone had it. */
	assert((live[s] & b) != 0 || n == 1 || (slot_hand[s] & b) != 0)
}

inline check_span(s)
{
	if
	:: dead[s] -> assert(owner[s] == 0)
	/* Lost: a thread that is gone had it in hand. */
	:: !dead[s] && owner[s] < FULL && (owner[s] == 0 || !in_order[owner[s]]) ->
		assert(LOST || span_hand[s] != 0)
	:: !dead[s] && !(owner[s] < FULL && (owner[s] == 0 || !in_order[owner[s]])) ->
		assert(nfree[s] == POP(free_bits[s]));
		count_places(s, 1);
		count_places(s, 2);
		if
		:: owner[s] >= FULL && owner[s] != CENTRAL ->
			assert(nfree[s] == 0 && lists[s] == 0);
			assert(remote[s] == 0 || span_hand[s] != 0)
		:: owner[s] == CENTRAL ->
			assert(lists[s] == CENTRAL && nfree[s] != 0);
			assert(remote[s] == 0 || span_hand[s] != 0)
		:: owner[s] < FULL -> assert(lists[s] == owner[s])
		fi
	fi
}

/* mcache_check() of spare spans */
inline check_spares(list, who)
{
	s = list;
	do
	:: s != 0 ->
		assert(lists[s] == 0 && !dead[s] && owner[s] == who && EMPTY(s));
		lists[s] = who;
		s = next[s]
	:: s == 0 -> break
	od
}

/* mcache_check(), mcentral_check() */
inline check_list(list, who)
{
	s = list;
	at = 0;
	do
	:: s != 0 ->
		assert(lists[s] == 0 && !dead[s] && owner[s] == who && prev[s] == at);
		lists[s] = who;
		at = s;
		s = next[s]
	:: s == 0 -> break
	od
}

init
{
	byte lists[N];
	bool in_order[NCACHE + 1];
	byte s, c, i, n, at, mine, me, varied;
	bool others;

	atomic {
		in_use[FORKER] = true;
		in_use[GONE] = IS_PRIVATE(GONE);
		in_use[GONE + 1] = IS_PRIVATE(GONE + 1);
		mcache_of[1] = FORKER;
		user[FORKER] = 1;
		/* Span 1 is any, span 2 is its neighbour: one slot live, one free. Either may be
		 * first on their list. */
		varied = 1;
		if
#ifdef ALONE
		:: begin_span(1); dead[2] = true
#else
		:: begin_span(1); begin_span(2)
		:: begin_span(2); begin_span(1)
#endif
		fi;
#ifdef STALE
		/* What was popped is still there above the top. */
		if
		:: top[LAST_GONE] < DEPTH ->
			select (i : 1 .. 2);
			first[2 * LAST_GONE + top[LAST_GONE]] = ENTRY(1, i)
		:: top[LAST_GONE] == DEPTH ->
			select (i : 1 .. 2);
			deep[2 * LAST_GONE] = ENTRY(1, i)
		fi;
#endif
		varied = 0;
		shared_lock = (IN_SHARED_CACHE -> SHARED_CACHE : 0);
		s = 0; c = 0; i = 0;
#ifndef IDLE
		run gone(LAST_GONE, 0);
#endif
#if NGONE > 1
		run gone(GONE, 0);
#endif
		ordered = true
	}
#ifdef FREES
	/* The forking thread frees an object of a span that others have: mspan_free_remote(). */
	atomic {
		select (s : 1 .. NSPAN);
		if
		:: !dead[s] && owner[s] < FULL && owner[s] != FORKER && (live[s] & 1) != 0 ->
			live[s] = live[s] & ~1;
			remote[s] = remote[s] | 1
		:: else
		fi;
		s = 0
	}
#endif
	/* The fork, at any moment. */
#ifdef LATE
	/* Before the heap is mended the forking thread goes on with one operation. */
	atomic { generation = 1; run gone(FORKER, 1) }
	atomic {
#ifdef OTHER
		mend_by_other();
#else
		waits || late_done -> after_fork(1)
	}
	atomic {
		late_done;
#endif
#else
	atomic {
		generation = 1;
		after_fork(1);
#endif
#ifdef FORK_IN_ADOPTION
		/* One thread adopts, and the other forks. */
		nrunning = 1;
		select (me : 1 .. 2);
		run child(me, 1)
#elif defined(OTHER)
		nrunning = 1;
		run child(2, 1)
#else
		nrunning = 2;
		run child(1, 1);
		run child(2, 1)
#endif
	}
#ifdef AGAIN
	/* And a fork by either of the child's threads. */
	atomic {
#ifdef FORK_IN_ADOPTION
		me = 3 - me;
#else
		init_lock == 0 ->
		select (me : 1 .. 2);
#endif
		generation = 2;
		after_fork(me);
		mcache_of[3 - me] = 0;
#ifdef FORK_IN_ADOPTION
		nrunning = 1;
		run child(me, 2)
#else
		nrunning = 2;
		run child(1, 2);
		run child(2, 2)
#endif
	}
#endif
	nrunning == 0 && (late_done || !LATE_ANY);
	d_step {
		assert(central_holder == 0 && init_lock == 0 && shared_lock == 0 && !orphans);
		c = 1;
		do
		:: c <= NCACHE ->
			in_order[c] = c == mcache_of[1] || c == mcache_of[2] || c == SHARED_CACHE;
			if
			:: in_order[c] && current[c] != 0 ->
				assert(lists[current[c]] == 0 && owner[current[c]] == c);
				lists[current[c]] = c
			:: else
			fi;
			if
			:: in_order[c] -> check_list(partial[c], c); check_spares(kept[c], c)
			:: else ->
				assert(LOST || (top[c] == 0 && current[c] == 0 && partial[c] == 0 &&
					kept[c] == 0))
			fi;
			c++
		:: c > NCACHE -> break
		od;
		check_list(central, CENTRAL);
		check_span(1);
		check_span(2);
		s = 0; c = 0; i = 0; n = 0; at = 0
	}
nothing:
	skip
}
