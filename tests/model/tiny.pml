/* SPDX-License-Identifier: MIT */
/*
 * tiny.pml - who frees a block of a tiny span (src/heap/tiny.c, mspan_absorb() in
 * src/heap/mspan.c), for
 * spin. See run.sh.
 *
 * A span of 2 blocks with room for 2 objects each, its owner, and NFREE threads that free objects.
 * A block is free when no object starts in it, and several threads may see that of the same block:
 * its owner, who frees an object there and finds no other; and the owner again, who absorbs the
 * mark of a thread that had stored its FREE before and sets the mark only now. The model shows that
 * such a late mark does no harm, and that no block is forgotten. Who owns the span is span.pml's
 * matter: here it is one thread.
 *
 * Steps    each load and store of a state byte and each access to remote_bits is a step.
 * Order    seq_cst. In C the store of FREE must release (tiny_set_free()) and the scan that finds a
 *          block free acquire (tiny_byte()): the scan, not the mark, is what hands the block from
 *          thread to thread here.
 * Asserts  no two live objects at one place; no block in free_bits, in alloc_cache or current
 *          twice; at the end, when all objects are freed, all blocks are free.
 *
 * MUTANT_x are wrong variants: mutants.sh.
 */

#ifndef NFREE
#define NFREE 2
#endif
#ifndef BUDGET
#define BUDGET 4           /* objects allocated */
#endif

#define FREE 0
#define LIVE 1
#define PIN 2
#define LAST 1             /* the last byte of a block */
#define AT(block, i) (2 * (block) + (i))
#define NONE 2             /* no block */

byte state[4];             /* of block 0 and block 1, two bytes each */
byte remote;
byte free_bits = 3;

/* Ghosts. */
bool out[4];               /* the program has a live object there */
byte budget = BUDGET;
byte nout;
bool owner_done;

#define HAS(set, block) (((set) >> (block)) & 1)
#define ADD(set, block) set = set | (1 << (block))

/* Scans a block: vacant is set when no object starts there; the pin counts as one only if
 * `pinned`. */
#define SCAN(block, pinned) \
	atomic { vacant = state[AT(block, 0)] == FREE } \
	atomic { \
		if \
		:: vacant -> vacant = state[AT(block, LAST)] == FREE || \
			(!(pinned) && state[AT(block, LAST)] == PIN) \
		:: else \
		fi \
	}

#define FREE_LOCAL(block) \
	atomic { \
		assert(!HAS(free_bits, block) && !HAS(cache, block) && current != (block)); \
		assert(!out[AT(block, 0)] && !out[AT(block, LAST)]); \
		ADD(free_bits, block) \
	}

proctype owner()
{
	byte cache;            /* alloc_cache */
	byte current = NONE;   /* tiny.block */
	byte offset;
	byte at, block, marked;
	bool vacant, last_round;

idle:
	atomic { at = 0; block = 0; marked = 0; vacant = false }
	if
	:: atomic { !last_round && budget > 0 && current != NONE && offset < 2 -> goto place }
	:: atomic { !last_round && budget > 0 && current == NONE -> goto new_block }
	:: atomic { !last_round && budget > 0 && current != NONE && offset == 1 -> goto new_block }
	:: atomic { !last_round && out[0] -> out[0] = false; at = 0; goto free }
	:: atomic { !last_round && out[1] -> out[1] = false; at = 1; goto free }
	:: atomic { !last_round && out[2] -> out[2] = false; at = 2; goto free }
	:: atomic { !last_round && out[3] -> out[3] = false; at = 3; goto free }
	:: atomic { !last_round && remote != 0 -> goto tick }
	:: atomic { !last_round && budget == 0 && nout == 0 -> last_round = true; goto detach }
	fi;

	/* tiny_alloc(), the object fits */
place:
	atomic {
		at = AT(current, offset);
		assert(!out[at]);
		state[at] = LIVE;
	}
	atomic {
		offset++;
		/* The last byte has the object instead of the pin: the block is let go. */
		if
		:: offset == 2 -> current = NONE; offset = 0
		:: offset < 2
		fi;
		out[at] = true;
		nout++;
		budget--;
		goto idle
	}

	/* new_block() */
new_block:
	if
	:: current != NONE -> goto detach
	:: current == NONE
	fi;
take:
	atomic {
		if
		:: cache == 0 && free_bits == 0 -> goto used_up
		:: cache == 0 && free_bits != 0 -> cache = free_bits; free_bits = 0; block = cache
		:: cache != 0 -> block = 0
		fi
	}
	/* mspan_take_word() pins what it takes: a late mark may be of such a block. */
#ifndef MUTANT_WORD_NOT_PINNED
	if
	:: atomic { HAS(block, 0) -> state[AT(0, LAST)] = PIN }
	:: !HAS(block, 0)
	fi;
	if
	:: atomic { HAS(block, 1) -> state[AT(1, LAST)] = PIN }
	:: !HAS(block, 1)
	fi;
#endif
	atomic {
		block = (HAS(cache, 0) -> 0 : 1);
		cache = cache & ~(1 << block);
		assert(!out[AT(block, 0)] && !out[AT(block, LAST)]);
		current = block;
		offset = 0
	}
#ifdef MUTANT_CURRENT_NOT_PINNED
	atomic { state[AT(block, LAST)] = FREE }
#endif
#ifdef MUTANT_WORD_NOT_PINNED
	atomic { state[AT(block, LAST)] = PIN }
#endif
	goto place;
used_up:
	/* mspan_set_full(), claimed back: alloc_cache is vacant and no block is current. */
	atomic { assert(cache == 0 && current == NONE); goto absorb }

	/* tiny_detach() */
detach:
	atomic {
		if
		:: current == NONE -> goto tick
		:: current != NONE -> block = current; current = NONE; offset = 0
		fi
	}
	/* Unless there is an object: it has not, or the block were not current. */
	atomic { state[AT(block, LAST)] = FREE }
	SCAN(block, false);
	if
	:: vacant -> FREE_LOCAL(block)
	:: !vacant
	fi;
	if
	:: last_round -> goto tick
	:: !last_round -> goto take
	fi;

	/* tiny_free() */
free:
	atomic { block = at / 2; state[at] = FREE; nout-- }
	if
	:: block == current ->
		SCAN(block, false);
		if
		:: vacant -> offset = 0
		:: !vacant
		fi
	:: block != current ->
		SCAN(block, true);
		if
		:: vacant -> FREE_LOCAL(block)
		:: !vacant
		fi
	fi;
	goto idle;

	/* tick(), and the exit */
tick:
	/* At the exit, mspan_put_word(). */
	if
	:: !last_round -> goto absorb
	:: last_round
	fi;
	if
	:: atomic { HAS(cache, 0) -> state[AT(0, LAST)] = FREE }
	:: !HAS(cache, 0)
	fi;
	if
	:: atomic { HAS(cache, 1) -> state[AT(1, LAST)] = FREE }
	:: !HAS(cache, 1)
	fi;
	atomic { assert((free_bits & cache) == 0); free_bits = free_bits | cache; cache = 0 }
absorb:
	atomic { marked = remote; remote = 0 }
	do
	:: atomic { marked != 0 -> block = (HAS(marked, 0) -> 0 : 1);
		marked = marked & ~(1 << block) }
		if
		:: HAS(free_bits, block)
		:: !HAS(free_bits, block) ->
#ifdef MUTANT_MARK_IS_FREE
			vacant = true;
#else
			SCAN(block, true);
#endif
			if
			:: vacant -> FREE_LOCAL(block)
			:: !vacant
			fi
		fi
	:: marked == 0 -> break
	od;
	if
	:: !last_round -> goto idle
	:: last_round -> owner_done = true
	fi
}

proctype freer()
{
	byte at;

end:
	do
	:: atomic {
		/* The program frees an object, as only one thread may. */
		if
		:: out[0] -> at = 0
		:: out[1] -> at = 1
		:: out[2] -> at = 2
		:: out[3] -> at = 3
		fi;
		out[at] = false
	}
#ifdef MUTANT_MARK_BEFORE_STATE
		atomic { ADD(remote, at / 2) }
		atomic { state[at] = FREE; nout--; at = 0 }
#else
		atomic { state[at] = FREE }
		atomic { ADD(remote, at / 2); nout--; at = 0 }
#endif
	:: owner_done -> break
	od
}

init
{
	atomic {
		run owner();
		run freer();
#if NFREE > 1
		run freer()
#endif
	}
	owner_done;
	assert(free_bits == 3)
}
