/* SPDX-License-Identifier: MIT */
/*
 * tracer.pml - how tracers outside of the process begin and end its profile (src/tools/tracer.c,
 * sample_begin_profile() and sample_end_profile() in src/tools/sample.c), for spin. See run.sh.
 *
 * Two threads go through slow paths and take samples. Two views (goalloc-view) write their rates to
 * one word; a view withdraws its rate, or dies and leaves it to its lease, or stays. A tracer
 * raises a semaphore and may lower it. The program begins and ends a profile of its own. A clock
 * lets the lease of a view that is gone run out. When all of them are through, the threads go on
 * until they have nothing to answer.
 *
 * Steps    each load and store of the words, each turn of the lock. What the lock covers is read
 *          and written in steps, too, because of FORK. A rate and the semaphores are one load.
 * Order    seq_cst. In C what the lock covers is ordered by it; tracer_waits() and the first look
 *          at a lease only tell whether to take the lock, and look again under it. A view's lease
 *          comes with its rate: set_lease_locked().
 * Asserts  a profile of the program ends by the program alone; a rate whose writer lives is not
 *          taken back by a lease (but with SAME, where it cannot be told from that of another view:
 *          then it is written again, raise_again()). At the end: no wish, no profile of a tracer; a
 *          wish, a profile, unless the program has ended its own since then; a profile that no
 *          living view wants has a lease, or its semaphore.
 * Left out what a profile records. A fork between the beginning of a profile and that of its
 *          samples (sample_try_profile_locked()): the child's profile stays empty until the next.
 *          A thread of the child that mends while the thread that forked is in the midst of an
 *          answer, which its signal's handler has interrupted.
 *
 * VIEWS    how many views there are. WATCHER, PROGRAM: with the semaphore, and with the profile of
 *          the program's own.
 * SAME     both views write the same rate.
 * REFUSE   once, another thread writes a profile, or there is no memory: it is tried again.
 * FORK     at any step the process forks, by thread 1 or by a signal's handler in it; what follows
 *          is the child, with thread 1, one that it makes unless ALONE, and with CHILD_VIEW and
 *          CHILD_PROGRAM a view and a profile of its own.
 *          tracer_after_fork() comes at once, or when thread 1 begins its next slow path.
 * MUTANT_x are wrong variants: mutants.sh.
 */

#ifndef VIEWS
#define VIEWS 2
#endif
#define RATE(w) ((w) & 3)
#define WISH (rate + 4 * watchers)
#define UNANSWERED 15
#define PROGRAMMER 3       /* the thread that begins and ends the program's profile */
#define LATER 4            /* a thread that the child makes */
#define CHILDS 2           /* index of the child's view */
mtype = { NONE, FRESH, OVER }
mtype = { NOBODYS, TRACERS, PROGRAMS }

/* The words, and what sample_switch covers. */
byte rate;
bit watchers;
byte answered;
byte lock;
mtype lease = NONE;
byte granted;
byte tserial;              /* tracer.serial */
byte serial;
bool on;

/* Ghosts. */
mtype owner = NOBODYS;     /* of the profile */
bool excused;              /* there is none because the program had its own */
bool living[3];            /* views */
byte writer;               /* the view that wrote the rate */
byte grantee;              /* the view that the lease is for */
byte nwriters;             /* views, semaphore, program that have not come to their end */
byte nthreads;
bool refused;
bool forked, mended;

/* Everybody but thread 1 and what belongs to the child is gone with the fork. */
#ifdef FORK
#define GONE(t) (forked && (t) != 1 && (t) != LATER)
#else
#define GONE(t) false
#endif

#ifdef FORK
#define THROUGH (forked && nwriters == 0)
#else
#define THROUGH (nwriters == 0)
#endif
/* At the end a thread that finds the lock taken waits: a lock that nobody lets go is seen. */
#define WAITS (THROUGH && (!forked || mended))
#define STAYS (living[0] || living[1] || living[CHILDS])
#define NOTHING_TO_DO \
	(THROUGH && answered == WISH && !(on && lease == OVER) && (!STAYS || rate != 0))

/* tracer_after_fork(), sample_after_fork() */
inline mend()
{
	atomic {
#ifndef MUTANT_NO_RESET
		if
		:: lock != 0 && lock != 1 -> lock = 0
		:: else
		fi;
#endif
#ifndef MUTANT_RATE_STAYS
		rate = 0;
#endif
#ifndef MUTANT_ANSWERED_KEPT
		answered = UNANSWERED;
#endif
#ifndef MUTANT_SERIAL_STAYS
		if
		:: lock != 1 && tserial > serial -> tserial = 0
		:: else
		fi;
#endif
		mended = true
	}
}

/* set_lease_locked() */
inline set_lease()
{
#ifndef MUTANT_GRANTED_FIRST
	granted = 0;
#else
	granted = RATE(w);
#endif
	atomic { grantee = who; lease = (RATE(w) != 0 -> FRESH : NONE) }
	granted = RATE(w)
}

proctype thread(byte t)
{
	byte w, who, g;

	{
	skip;
idle:
	atomic { w = 0; who = 0; g = 0 }
	if
	:: atomic { on && lease == OVER && (t != LATER || mended) -> goto sample }
	:: atomic { answered != WISH && (t != LATER || mended) -> goto slow }
	:: atomic { NOTHING_TO_DO && (!forked || mended || t != 1) && (t != LATER || mended) ->
		goto done }
	/* A slow path that has nothing to answer mends. */
	:: atomic { forked && !mended && t == 1 -> mend(); goto idle }
	fi;

	/* tracer_look_at_lease(), after lease_is_over() */
sample:
#ifndef MUTANT_LEASE_WITHOUT_LOCK
	atomic {
		if
		:: lock == 0 -> lock = t
		:: lock != 0 && !WAITS -> goto idle
		fi
	}
	if
	:: atomic { lease != OVER -> lock = 0; goto idle }
	:: atomic { lease == OVER -> g = granted }
	fi;
#else
	g = granted;
#endif
#ifndef MUTANT_ANSWERED_STAYS
	answered = UNANSWERED;
#endif
	atomic {
		if
#ifdef MUTANT_LEASE_STORES
		:: true ->
#else
		:: rate == g ->
#endif
#ifndef SAME
			assert(!living[writer] || writer == CHILDS || rate == 0);
#endif
			rate = 0
#ifndef MUTANT_LEASE_STORES
		:: else
#endif
		fi
	}
	granted = 0;
#ifndef MUTANT_LEASE_WITHOUT_LOCK
	lease = NONE;
	atomic { assert(lock == t || GONE(t)); lock = 0; goto idle }
#else
	atomic { lease = NONE; goto idle }
#endif

	/* tracer_attend_slow(), after tracer_waits() */
slow:
	if
	:: atomic { forked && !mended && t == 1 -> mend(); goto idle }
	:: atomic { !(forked && !mended && t == 1) }
	fi;
	atomic {
		if
		:: lock == 0 -> lock = t
		:: lock != 0 && !WAITS -> goto idle
		fi
	}
	atomic { w = WISH; who = writer }
	/* answer_locked() */
	if
	:: atomic { !on && w == 0 -> goto end_answer }
	:: atomic { !on && w != 0 -> goto begin }
#ifndef MUTANT_ANY_PROFILE
	:: atomic { on && tserial != serial -> excused = true; goto end_answer }
	:: atomic { on && tserial == serial -> goto ours }
#else
	:: atomic { on -> goto ours }
#endif
	fi;

	/* begin_locked() */
begin:
	set_lease();
#ifndef MUTANT_SERIAL_LAST
	tserial = serial + 1;
#endif
	if
#ifdef REFUSE
	:: atomic { !refused -> refused = true }
		tserial = 0;
#ifdef MUTANT_REFUSAL_ANSWERS
		answered = w;
#endif
		atomic { lock = 0; goto idle }
#endif
	:: atomic { serial++ }
		/* It would forget a profile of the program. */
		atomic {
			assert(!on || owner != PROGRAMS);
			on = true;
			owner = TRACERS;
			excused = false
		}
	fi;
#ifdef MUTANT_SERIAL_LAST
	tserial = serial;
#endif
	goto end_answer;

ours:
	if
#ifndef MUTANT_NOT_RENEWED
	:: granted != RATE(w) -> set_lease()
#endif
	:: granted == RATE(w)
#ifdef MUTANT_NOT_RENEWED
	:: granted != RATE(w)
#endif
	fi;
	if
	:: atomic { w == 0 -> assert(owner != PROGRAMS); on = false; owner = NOBODYS }
	:: w != 0
	fi;
end_answer:
#ifdef MUTANT_ANSWERS_LATER_WISH
	answered = WISH;
#else
	answered = w;
#endif
	atomic { assert(lock == t || GONE(t)); lock = 0; goto idle }

done:
	atomic { nthreads--; goto out }
	} unless { GONE(t) };
out:
	skip
}

/* raise_begin(), raise_again(), raise_end() */
proctype view(byte v; byte r)
{
	{
	/* The child's may come before the child has mended. */
	if
	:: v != CHILDS
	:: v == CHILDS && forked
	fi;
	if
	:: atomic { rate = r; writer = v; living[v] = true }
	:: v == CHILDS -> goto through
	fi;
	do
	:: atomic { rate == 0 -> rate = r; writer = v }
	/* raise_end(), and the death of the view. */
	:: atomic { rate = 0; living[v] = false; goto through }
	:: atomic { living[v] = false; goto through }
	/* It stays to the end. */
	:: goto stays
	od;
stays:
	atomic { nwriters-- }
end:
	do
	:: atomic { rate == 0 && (!forked || v == CHILDS) -> rate = r; writer = v }
	od;
through:
	atomic { nwriters-- }
	} unless { forked && v != CHILDS }
}

proctype watcher()
{
	{
	watchers = 1;
	if
	:: watchers = 0
	:: skip
	fi;
	atomic { nwriters-- }
	} unless { forked }
}

/* goalloc_profile_start() and goalloc_profile_stop(): with sample_switch. */
#ifndef MUTANT_PROGRAM_WITHOUT_LOCK
#define TAKE atomic { lock == 0 -> lock = PROGRAMMER }
#define LET_GO lock = 0
#else
#define TAKE skip
#define LET_GO skip
#endif

proctype program(bool in_child)
{
	byte mine;

	{
	!in_child || mended;
	TAKE;
	/* From here on the profile is the program's, if there is one. */
	atomic { serial++; mine = serial; owner = PROGRAMS; excused = true }
	on = true;
	LET_GO;
	/* It goes on until the program ends it. */
	TAKE;
	atomic {
		assert(on && owner == PROGRAMS && serial == mine);
		on = false;
		owner = NOBODYS
	}
	atomic { LET_GO; nwriters-- }
	} unless { forked && !in_child }
}

proctype clock()
{
end:
	do
	:: atomic { lease == FRESH && !living[grantee] -> lease = OVER }
	od
}

init
{
	atomic {
		nthreads = 2;
		run thread(1);
		run thread(2);
#if VIEWS > 0
		nwriters++;
		run view(0, 1);
#endif
#if VIEWS > 1
		nwriters++;
#ifdef SAME
		run view(1, 1);
#else
		run view(1, 2);
#endif
#endif
#ifdef WATCHER
		nwriters++;
		run watcher();
#endif
#ifdef PROGRAM
		nwriters++;
		run program(false);
#endif
		run clock();
#ifdef FORK
#ifndef ALONE
		run thread(LATER);
#endif
#ifdef CHILD_VIEW
		run view(CHILDS, 1);
#endif
#ifdef CHILD_PROGRAM
		run program(true);
#endif
		skip
#endif
	}
#ifdef FORK
	/* At any step. The views of the parent do not know of the child. */
	atomic {
		forked = true;
		living[0] = false;
		living[1] = false;
#ifdef ALONE
		nthreads = 1;
#else
		nthreads = 2;
#endif
		nwriters = 0;
#ifdef CHILD_VIEW
		nwriters++;
#endif
#ifdef CHILD_PROGRAM
		nwriters++;
#endif
		if
		:: mend()      /* by the handler, whatever it has interrupted */
		:: skip        /* by thread 1, later */
		fi
	}
#endif
	nthreads == 0;
	atomic {
		assert(answered == WISH && lock == 0);
		assert(WISH != 0 || !(on && owner == TRACERS));
		assert(WISH == 0 || on || excused);
		assert(!STAYS || rate != 0);
		assert(!(on && owner == TRACERS && rate != 0 && !STAYS) || lease != NONE);
		assert(!forked || writer == CHILDS || rate == 0)
	}
}
