/* SPDX-License-Identifier: MIT */
/*
 * exit.pml - the end of a thread and the next one that gets its cache (src/start.c,
 * src/heap/thread.c, mcache_flush() in src/heap/mcache.c), and how a thread comes to be told to
 * libc (-DSTART), for spin. See run.sh.
 *
 * The end: one span record with NSLOT slots, as in span.pml, and caches that are records, too.
 * Thread 1 allocates, frees and ends, thread 2 frees what it finds, claims the span and ends;
 * thread 3 begins when a cache is in the pool, takes that record, whose address is still the home
 * in owner words, and does what thread 1 did. A cache has a stack with room for one slot, a word of
 * slots taken, a tiny block without objects, and the span as current, partial or
 * spare.
 *
 * Steps    as in span.pml. A cache is touched by the thread that has it: MINE asserts.
 * Order    as in span.pml. That a thread compares an owner word, loaded relaxed, with its own
 *          cache, a value that the thread before it stored, too: that one let go of all its spans
 *          before the pool's lock was released, so by coherence the new one reads what was stored
 *          then, or later.
 * Asserts  as in span.pml; and a cache on the pool is flushed.
 * Left out big objects and pages; tick(), which does while a thread lives what span.pml has; two
 *          span classes, as there. mcache_flush() goes over the classes one by one: one span
 *          stands for all, as a thread that gives a span lists none.
 *
 * The start: threads whose first slow path comes before, while and after another makes the key;
 * each has NREQUESTS slow paths, and one more in the destructor of a key of the program. Who has a
 * cache is watched, and the cache is given back, unless libc had no memory for the value the last
 * time it was asked (REFUSALS).
 *
 * HOLE_DESTRUCTOR  a thread that comes by such a slow path in a destructor only: with
 *          DESTRUCTOR_ROUNDS counted from there, libc is through with its rounds before
 *          thread_exit() comes to the last. Its cache is not given back when it ends, but taken by
 *          the next thread in its place: find_left_behind_locked(), which is not in the model.
 * MUTANT_x are wrong variants: mutants.sh.
 */

#ifndef START

#ifndef NSLOT
#define NSLOT 2
#endif
#ifndef WORTH
#define WORTH 1            /* span_worth() */
#endif
#ifndef BUDGET
#define BUDGET 3           /* objects handed out, all threads together */
#endif
#ifndef LIVES
#define LIVES 2            /* spans made of the record */
#endif
#ifndef NTHREADS
#define NTHREADS 3
#endif
#define ALLOCATES(t) ((t) != 2)

#define ALL ((1 << NSLOT) - 1)
#define LOW(x) ((x) & -(x))
#define POP(x) (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1))

/* Owner words: 0 none, 1..3 a cache, with the tags of mspan.h. */
#define FULL 8
#define CENTRAL 16
#define IS_FULL(o) (((o) & FULL) != 0)
#define IS_CENTRAL(o) ((o) == CENTRAL)
#define IS_LET_GO(o) ((o) >= FULL)

/* The span record. */
byte owner;
short credit;
byte remote;
byte free_bits;            /* plain */
bool dead = true;          /* in the pool of mheap */

/* mcentral. */
bool lock;
bool central;

/* The caches, from 1. */
#define NOWHERE 0
#define CURRENT 1
#define PARTIAL 2
#define SPARE 3           /* kept by the cache, empty */
#define NCACHES NTHREADS
byte stack[NCACHES + 1];
byte word[NCACHES + 1];        /* alloc_cache */
byte block[NCACHES + 1];       /* tiny.block */
byte place[NCACHES + 1];       /* where the cache has the span */
byte next_free[NCACHES + 1];
byte pool;                     /* threads.free */
byte made;

/* Ghosts. */
byte out;
byte lister;               /* who has the span on a list: 0, cache, CENTRAL */
byte user[NCACHES + 1];    /* the thread that has the cache */
bool given;                /* a cache came to the pool */
byte budget = BUDGET;
byte lives = LIVES;
byte nrunning = NTHREADS;

#define MINE assert(user[c] == me)
#define PLAIN assert((owner == c && user[c] == me) || (IS_CENTRAL(owner) && locked))

#define HAND_OUT(b) \
	assert(((b) & out) == 0 && ((b) & free_bits) == 0 && ((b) & remote) == 0); \
	assert(!dead); \
	out = out | (b); \
	budget--

#define LOCK !lock -> lock = true; locked = true
#define UNLOCK lock = false; locked = false

/* The span enters a list of the cache, and leaves it. */
#define LIST(where) MINE; assert(lister == 0 && place[c] == NOWHERE); lister = c; place[c] = where
#define UNLIST MINE; assert(lister == c && place[c] != NOWHERE); lister = 0; place[c] = NOWHERE

/* What return_slot() or free_block() was called for goes on. */
#define IN_PROGRAM 0
#define IN_FLUSH 1
#define IN_DETACH 2
#define REST slot = 0; o = 0; n = 0; goto back

/* mspan_absorb(); see span.pml for the hint. */
#define ABSORB \
	if \
	:: atomic { \
		remote != 0 -> \
		PLAIN; \
		assert((remote & free_bits) == 0 && (remote & out) == 0); \
		free_bits = free_bits | remote; \
		remote = 0 \
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
	byte c;            /* thread_mcache; while it ends, the cache in mcache_flush() */
	byte doing = IN_PROGRAM;
	bool giving;       /* in mcache_give_span() */
	bool locked;
	byte slot, o, n;

	/* Thread 3 begins when there is a cache to inherit. */
	if
	:: me < 3
	:: me == 3 && given
	:: me == 3 && nrunning == 1 -> goto done
	fi;

	/* --- take_cache() --- */
	atomic {
		if
		:: pool != 0 -> c = pool; pool = next_free[c]; next_free[c] = 0
		:: pool == 0 -> made++; c = made
		fi;
		assert(user[c] == 0);
		user[c] = me
	}

back:
	if
	:: doing == IN_FLUSH -> goto flush_stack
	:: doing == IN_DETACH -> goto detached
	:: doing == IN_PROGRAM
	fi;
idle:
	if
	/* --- mcache_alloc_fast() --- */
	:: atomic {
		ALLOCATES(me) && budget > 0 && stack[c] != 0 ->
		MINE;
		slot = LOW(stack[c]);
		stack[c] = stack[c] & ~slot;
		HAND_OUT(slot);
		slot = 0;
		goto idle
	}
	:: atomic {
		ALLOCATES(me) && budget > 0 && stack[c] == 0 && word[c] != 0 ->
		MINE;
		assert(owner == c && place[c] == CURRENT);
		slot = LOW(word[c]);
		word[c] = word[c] & ~slot;
		HAND_OUT(slot);
		slot = 0;
		goto idle
	}
#ifdef TINY
	/* --- new_block(); tiny_alloc() that fills it --- */
	:: atomic {
		ALLOCATES(me) && block[c] == 0 && word[c] != 0 ->
		MINE;
		assert(owner == c && place[c] == CURRENT);
		block[c] = LOW(word[c]);
		word[c] = word[c] & ~block[c];
		goto idle
	}
	:: atomic {
		ALLOCATES(me) && budget > 0 && block[c] != 0 ->
		MINE;
		HAND_OUT(block[c]);
		block[c] = 0;
		goto idle
	}
#endif
	/* --- mcache_refill() --- */
	:: atomic { ALLOCATES(me) && budget > 0 && stack[c] == 0 && word[c] == 0 -> MINE }
		if
		:: atomic {
			/* load_word(), mspan_take_word() */
			place[c] == CURRENT && free_bits != 0 ->
			PLAIN;
			assert(lister == c);
			word[c] = free_bits;
			free_bits = 0;
			goto idle
		}
		:: atomic { place[c] == CURRENT && free_bits == 0 -> PLAIN; UNLIST; goto set_full }
		/* next_span() */
		:: atomic { place[c] == PARTIAL -> PLAIN; place[c] = CURRENT }
			ABSORB
		/* spares_take() */
		:: atomic { place[c] == SPARE -> PLAIN; assert(free_bits == ALL);
			place[c] = CURRENT }
			ABSORB
		/* spares_evict() */
		:: atomic { place[c] == SPARE -> PLAIN; UNLIST; goto free_span }
		:: place[c] == NOWHERE -> goto take
		fi;
		goto idle
	/* --- free: the program gives up an object, which nobody else frees --- */
	:: atomic { GIVE_UP(1); goto free }
	:: atomic { GIVE_UP(2); goto free }
#if NSLOT > 2
	:: atomic { GIVE_UP(4); goto free }
#endif
	/* --- the thread ends: thread_exit() --- */
	:: atomic { doing = IN_FLUSH; goto flush }
	fi;

	/* --- mcentral_take(), else mheap_alloc_small() --- */
take:
	atomic { LOCK }
	if
	:: atomic {
		central ->
		assert(owner == CENTRAL && lister == CENTRAL);
		central = false;
		lister = 0;
		/* mspan_set_owner() */
		owner = c;
		LIST(CURRENT)
	}
	atomic { UNLOCK }
	ABSORB
	:: atomic { !central -> UNLOCK }
		if
		:: atomic {
			dead && lives > 0 ->
			dead = false;
			lives--;
			assert(owner == 0);
			/* mspan_init_small() */
			free_bits = ALL
		}
		atomic { remote = 0 }
		atomic { owner = c; LIST(CURRENT) }
		:: !dead || lives == 0    /* the record is in use: nothing to model */
		fi
	fi;
	goto idle;

	/* --- let_go() as full, of a span of mine that is on no list --- */
set_full:
	atomic { PLAIN; assert(free_bits == 0 && lister == 0); credit = WORTH }
	atomic { owner = c | FULL }
	atomic {
		/* count_remote() */
		n = POP(remote);
		if
		:: n == 0 -> REST
		:: n != 0
		fi
	}
	atomic {
		credit = credit - n;
		if
		:: credit > 0 -> REST
		:: credit <= 0 -> n = 0
		fi
	}
#ifdef MUTANT_NOT_TOLD
	/* mspan_set_full() says that the span is worth claiming, and the thread that ends does not
	 * look. */
	atomic {
		if
		:: doing == IN_FLUSH -> REST
		:: doing != IN_FLUSH
		fi
	}
#endif
	goto told;

	/* --- mcache_free_fast(), the stack has room for one --- */
free:
	atomic {
		MINE;
		o = owner;
		if
		:: stack[c] == 0 && (o == c || o == (c | FULL)) -> stack[c] = slot; REST
#ifdef OTHERS
		/* mcache_free_slot(): few enough on the stack */
		:: stack[c] == 0 && o != c && o != (c | FULL) -> stack[c] = slot; REST
#endif
		:: else
		fi
	}
	/* --- return_slot() --- */
return_slot:
	atomic {
		o = owner;
		if
		:: o == c -> goto free_local
		:: o == (c | FULL) -> goto free_home
		:: o != c && o != (c | FULL) -> goto free_remote
		fi
	}
	/* --- return_slot_elsewhere(): the owner word may be what an earlier thread of this cache
	 * left. mspan_claim_full() --- */
free_home:
	atomic { o = owner }
	atomic {
		if
#ifdef MUTANT_HOME_WITHOUT_SWAP
		:: owner = c; o = 0
#else
		:: !IS_FULL(o) || owner != o -> goto free_remote
		:: IS_FULL(o) && owner == o -> owner = c; o = 0
#endif
		fi
	}
	ABSORB;
	atomic {
		PLAIN;
		assert((free_bits & slot) == 0 && lister == 0);
		free_bits = free_bits | slot;
		slot = 0
	}
	goto place_span;
free_local:
	atomic {
		/* mspan_free_local(), mcache_span_freed(), keep_spare() */
		PLAIN;
		assert(lister == c && (free_bits & slot) == 0);
		free_bits = free_bits | slot;
		o = 0;
		if
		:: free_bits == ALL && place[c] == PARTIAL -> UNLIST; goto free_span
		:: free_bits == ALL && place[c] == PARTIAL -> place[c] = SPARE; REST
		/* return_word(), where there are many caches */
		:: (free_bits | word[c]) == ALL && place[c] == CURRENT ->
			free_bits = ALL; word[c] = 0; UNLIST; goto free_span
		:: (free_bits | word[c]) == ALL && place[c] == CURRENT ->
			free_bits = ALL; word[c] = 0; place[c] = SPARE; REST
		:: REST
		fi
	}

	/* --- mspan_free_remote() --- */
free_remote:
	atomic {
		assert((remote & slot) == 0 && (free_bits & slot) == 0 && (out & slot) == 0);
		remote = remote | slot;
		slot = 0
	}
	atomic {
		o = owner;
		if
		:: !IS_LET_GO(o) -> REST
		:: IS_LET_GO(o) -> o = 0
		fi
	}
	atomic {
		credit--;
		if
		:: credit > 0 -> REST
		:: credit <= 0
		fi
	}

	/* --- told that the span is worth it: mcache_claim(), claim(); mspan_claim_full() --- */
told:
	atomic {
		o = owner;
		if
		:: !IS_FULL(o) -> goto claim_central
		:: IS_FULL(o)
		fi
	}
	atomic {
		if
		:: owner != o -> goto claim_central
		:: owner == o -> owner = c; o = 0
		fi
	}
	goto claimed;

	/* --- mcentral_claim() --- */
claim_central:
	atomic {
		o = 0;
		if
		:: !IS_CENTRAL(owner) -> REST
		:: IS_CENTRAL(owner)
		fi
	}
	atomic { LOCK }
	atomic {
		if
		:: owner != CENTRAL -> UNLOCK; REST
		:: owner == CENTRAL
		fi;
		assert(lister == CENTRAL);
		lister = 0;
		central = false;
		owner = c
	}
	atomic { UNLOCK }

	/* --- the span is mine and on no list --- */
claimed:
	ABSORB;
	/* From mcache_give_span() the loop in keep_if_free(), from mcache_claim() place_span(). */
	if
	:: giving -> goto give_absorbed
	:: !giving
	fi;
place_span:
	atomic { PLAIN; assert(place[c] == NOWHERE && word[c] == 0 && lister == 0) }
	if
	/* It is kept as a spare, or there is no room. */
	:: free_bits == ALL -> goto free_span
	:: atomic { free_bits == ALL -> LIST(SPARE); REST }
	/* keep_if_free() */
	:: free_bits == 0 -> goto set_full
	/* mcache_push_partial() */
	:: atomic { free_bits != 0 -> LIST(PARTIAL); REST }
	/* Too many pages on the lists. */
	:: free_bits != ALL && free_bits != 0 -> goto put
	fi;

	/* --- mcache_flush() --- */
flush:
#ifdef MUTANT_GIVE_FIRST
	atomic { user[c] = 0; next_free[c] = pool; pool = c; given = true }
#endif
#ifdef MUTANT_STACKS_LAST
	goto give_current;
#endif
	/* --- mcache_flush_stacks(): mcache_flush_stack() --- */
flush_stack:
	if
	:: giving -> goto gave
	:: atomic { !giving && stack[c] != 0 -> MINE; slot = LOW(stack[c]);
		stack[c] = stack[c] & ~slot; goto return_slot }
	:: !giving && stack[c] == 0
	fi;
	/* --- tiny_detach(): free_block() --- */
#ifdef MUTANT_NO_DETACH
	goto give_current;
#endif
	atomic {
		if
		:: block[c] == 0 -> goto detached
		:: block[c] != 0 -> MINE; slot = block[c]; block[c] = 0; doing = IN_DETACH;
			o = owner
		fi;
		if
		:: o == c -> goto free_local
		:: o != c -> goto free_remote
		fi
	}
detached:
	doing = IN_FLUSH;
#ifdef MUTANT_STACKS_LAST
	goto give_cache;
#endif
give_current:
	atomic {
		giving = true;
		if
		:: place[c] == NOWHERE -> goto gave
		:: place[c] == PARTIAL
		/* spares_shrink() */
#ifdef MUTANT_SPARE_STAYS
		:: place[c] == SPARE -> goto gave
#else
		:: place[c] == SPARE -> PLAIN; UNLIST; goto free_span
#endif
		:: place[c] == CURRENT ->
#ifndef MUTANT_NO_WORD
			/* return_word(), mspan_put_word() */
			PLAIN;
			assert((free_bits & word[c]) == 0);
			free_bits = free_bits | word[c];
			word[c] = 0
#endif
		fi;
		UNLIST
	}
	/* --- mcache_give_span() --- */
	ABSORB;
give_absorbed:
	if
	:: free_bits == ALL -> goto free_span
	:: free_bits == 0 -> goto set_full
	:: free_bits != ALL && free_bits != 0 -> goto put
	fi;
gave:
	giving = false;
#ifdef MUTANT_STACKS_LAST
	goto flush_stack;
#endif

	/* --- give_cache() --- A record that leaves the pool at once and is made again is, for the
	 * spans that name it, one that was taken from the pool. */
give_cache:
	atomic {
#ifndef MUTANT_GIVE_FIRST
		MINE;
		assert(stack[c] == 0 && word[c] == 0 && block[c] == 0 && place[c] == NOWHERE);
		user[c] = 0;
		next_free[c] = pool;
		pool = c;
		given = true;
#endif
		goto done
	}

	/* --- mcentral_put() --- */
put:
	atomic { PLAIN; assert(free_bits != 0 && free_bits != ALL && place[c] == NOWHERE) }
	atomic { LOCK; central = true; assert(lister == 0); lister = CENTRAL }
set_central:
	/* mspan_set_central(): let_go() */
	atomic { credit = (NSLOT - POP(free_bits) < WORTH -> NSLOT - POP(free_bits) : WORTH) }
	atomic { owner = CENTRAL }
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
	ABSORB;
	if
	:: free_bits != ALL -> goto set_central
	:: atomic { free_bits == ALL -> assert(lister == CENTRAL); lister = 0; central = false;
		owner = 0 }
	fi;
	atomic { UNLOCK }
	goto free_span;
put_done:
	atomic { UNLOCK; REST }

	/* --- mheap_free_span() --- */
free_span:
	atomic {
		assert(owner == c || owner == 0);
		assert(free_bits == ALL && out == 0 && remote == 0 && lister == 0);
		assert(place[c] == NOWHERE && word[c] == 0 && block[c] == 0);
		assert((stack[1] | stack[2]) == 0);
		owner = 0
	}
	atomic { dead = true; REST }

done:
	atomic { nrunning--; c = 0; doing = 0; slot = 0; o = 0; n = 0 }
}

init
{
	byte i, npool;

	atomic {
		run thread(1);
		run thread(2);
#if NTHREADS > 2
		run thread(3);
#endif
	}
	nrunning == 0;
	d_step {
		/* Nothing stays with the dead. */
		assert(lister == 0 || lister == CENTRAL);
		assert(dead || IS_LET_GO(owner));
		assert(dead || (free_bits | remote | out) == ALL);
		assert((free_bits & out) == 0 && (remote & out) == 0 && (free_bits & remote) == 0);
		assert(out != 0 || dead);
		assert(dead || !IS_FULL(owner) || (free_bits == 0 && POP(remote) < WORTH));
		assert(dead || !IS_CENTRAL(owner) || (central && free_bits != 0));
		i = pool;
		do
		:: i != 0 -> npool++; assert(npool <= made); i = next_free[i]
		:: i == 0 -> break
		od;
		assert(npool == made)
	}
}

#else

/* --- the start: start_enter(), watch_exit(), start_late_init(), thread_exit() --- */

#ifndef NTHREADS
#define NTHREADS 3
#endif
#ifndef NREQUESTS
#define NREQUESTS 2        /* slow paths of a thread before it ends */
#endif
#ifndef REFUSALS
#define REFUSALS 1         /* times that libc has no memory for the value of the key */
#endif

#define LATE_NOT_YET 0
/* late_at_work(). In a forked child that has it from a lost thread, another thread goes on with
 * make_key(): may_have_cache(). */
#define LATE_RUNNING 1
#define LATE_DONE 2
#define LIBC_ROUNDS 4      /* PTHREAD_DESTRUCTOR_ITERATIONS */
#define ROUNDS 4           /* DESTRUCTOR_ROUNDS */

byte late_state;
bool attention = true;
bool key;                  /* pthread_key_create has returned */
bool watched[NTHREADS + 1];
bool in_use[NTHREADS + 1];
byte made;

/* Ghosts. */
byte refusals = REFUSALS;
byte nrunning = NTHREADS;

/* take_cache(), make_cache(): the pool is the records that are made and not in use. A record whose
 * memory thread_release_caches() gave back is made again. */
#define TAKE_CACHE \
	atomic { \
		if \
		:: made >= 1 && !in_use[1] -> c = 1 \
		:: made >= 2 && !in_use[2] -> c = 2 \
		:: (made < 1 || in_use[1]) && (made < 2 || in_use[2]) -> made++; c = made \
		fi; \
		in_use[c] = true \
	}

proctype thread()
{
	byte c;                /* thread_mcache */
	bool gone;             /* thread_self.gone */
	byte value;            /* of the key, in libc */
	bool user_value;       /* of a later key of the program, whose destructor allocates */
	byte requests = NREQUESTS;
	byte round;            /* of libc's destructors; 0: the thread has not ended */
	byte left;
	bool got, late, sure, depth, must;

idle:
	atomic { late = false; got = false; sure = false }
	if
	:: atomic { round == 0 && requests > 0 -> requests--; goto request }
	:: atomic { round == 0 -> round = 1; requests = 1; user_value = true; goto our_destructor }
	:: round != 0 -> goto next_round
	fi;

	/* --- start_enter(), start_attend() --- */
request:
	atomic { sure = true }
	if
	:: !attention -> goto thread_enter
	:: attention
	fi;
	atomic { got = attention; attention = false }
	if
	:: !got -> goto thread_enter
	:: got
	fi;
	/* --- start_late_init(): libc may allocate in it, and comes to start_enter() --- */
	atomic {
		if
		:: late_state != LATE_NOT_YET -> goto thread_enter
		:: late_state == LATE_NOT_YET -> late_state = LATE_RUNNING
		fi
	}
	if
	:: late = true; goto thread_enter
	:: skip
	fi;
	/* --- make_key(). LATE_NO_KEY is left out: only glibc before 2.34 comes there, in a process
	 * without libpthread, which has one thread. --- */
late_go_on:
#ifdef MUTANT_DONE_BEFORE_KEY
	atomic { late_state = LATE_DONE }
	atomic { key = true }
#else
	atomic { key = true }
	atomic { late_state = LATE_DONE }
#endif

	/* --- start_enter() --- */
thread_enter:
	if
	:: gone -> goto entered                 /* thread_lock_shared() */
	/* --- may_have_cache() --- */
#ifdef MUTANT_CACHE_BEFORE_KEY
	:: !gone && c == 0 ->
		TAKE_CACHE
#else
	:: !gone && c == 0 && late_state != LATE_DONE && !late -> goto entered
	:: atomic { !gone && c == 0 && (late_state == LATE_DONE || late) }
		TAKE_CACHE
#endif
#ifdef MUTANT_NO_SECOND_LOOK
	:: !gone && c != 0 -> goto entered
#else
	:: !gone && c != 0 && watched[c] -> goto entered
	:: !gone && c != 0 && !watched[c]
#endif
	fi;
	/* --- watch_exit() --- */
	atomic {
		if
		:: late_state != LATE_DONE -> goto entered
		:: late_state == LATE_DONE
		fi
	}
#ifndef MUTANT_WATCHED_AFTER
	atomic { watched[c] = true }
#endif
	/* pthread_setspecific, which may allocate: the slow path comes by here again. */
	atomic {
		assert(key);
		if
		:: watched[c]
		:: !watched[c] -> assert(!depth); depth = true; goto thread_enter
		:: true
		fi;
		if
		:: value = ROUNDS; watched[c] = true
		:: refusals > 0 -> refusals--; watched[c] = false; sure = false
		fi;
		depth = false
	}
entered:
	/* Whoever has a cache is watched, unless libc had no memory for it. */
	atomic {
		if
		:: late -> late = false; goto late_go_on
		:: !late
		fi;
#ifdef HOLE_DESTRUCTOR
		must = must || (sure && c != 0);
#else
		must = must || (sure && c != 0 && round == 0);
#endif
		goto idle
	}

	/* --- libc calls the destructors, ours first: our key is made before the program's.
	 * thread_exit() --- */
our_destructor:
	atomic {
		if
		:: value == 0 -> goto user_destructor
		:: value != 0 -> left = value; value = 0
		fi;
		if
		:: c == 0 -> left = 0; goto user_destructor
		:: c != 0 && left > 1 -> value = left - 1; left = 0; goto user_destructor
		:: c != 0 && (left <= 1 || refusals > 0) -> left = 0; gone = true
		fi
	}
	/* give_cache(), after mcache_flush() */
	atomic { assert(in_use[c]); watched[c] = false }
	atomic { in_use[c] = false; c = 0 }
user_destructor:
	if
	:: atomic { user_value -> user_value = false }
		if
		:: atomic { requests > 0 -> requests--; goto request }
		:: atomic { requests > 0 -> requests--; user_value = true; goto request }
		:: skip
		fi
	:: !user_value
	fi;
next_round:
	atomic {
		if
		:: round < LIBC_ROUNDS && (value != 0 || user_value) -> round++; goto our_destructor
		:: else
		fi
	}
done:
	atomic {
		assert(!must || c == 0);
		nrunning--
	}
}

init
{
	atomic {
		run thread();
		run thread();
#if NTHREADS > 2
		run thread()
#endif
	}
	nrunning == 0
}

#endif
