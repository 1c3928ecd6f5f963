/* SPDX-License-Identifier: MIT */
/*
 * litmus.h - what the litmus tests share. Each is a short program of two or three threads with the
 * atomic accesses of the source, in the orders of the source. relacy (Debian package relacy-dev)
 * runs it in every interleaving, and lets a load return the value before the last one wherever C11
 * allows that. It finds broken assertions, and plain fields that two threads touch without an order
 * between them.
 *
 * A mutant is the same program with one order weaker, or with one step left out. An error must be
 * found in each, which shows that the order or the step is needed.
 *
 * Left out: a load never returns a value older than the one before the last, nor one that is stored
 * only later.
 */
#include <relacy/relacy.hpp>

#include <cstring>
#include <iostream>

#define LOAD(word, order) ((word)($).load(order))
#define STORE(word, value, order) ((word)($).store((value), (order)))
#define EXCHANGE(word, value, order) ((word)($).exchange((value), (order)))
#define FETCH_OR(word, value, order) ((word)($).fetch_or((value), (order)))
#define FETCH_SUB(word, value, order) ((word)($).fetch_sub((value), (order)))
/* On failure nothing is ordered. */
#define SWAP(word, seen, value, order) \
	((word)($).compare_exchange_strong((seen), (value), (order), rl::mo_relaxed))
/* Waits while the word has this value, as the kernel does. Wakes all that wait. */
#define WAIT(word, value) \
	do { \
		if ((word)($).fetch_or(0, rl::mo_relaxed) == (value)) \
			(word).wait(rl::ctx(), false, false, $); \
	} while (0)
#define WAKE(word) ((word).wake(rl::ctx(), 100, $))
#define GET(plain) ((plain)($).load())
#define SET(plain, value) ((plain)($).store(value))
#define CHECK(condition) RL_ASSERT(condition)

using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

namespace litmus
{

/* The mutant that runs, or "". */
static const char *mutant = "";

/* The names of mutants that the program has asked for. No vector: memory that is allocated while a
 * program runs is relacy's. */
static const char *mutants[20];
static unsigned nmutants;

/* Returns true if the mutant of this name runs. */
static inline bool is_mutant(const char *name)
{
	unsigned i = 0;

	while (i < nmutants && std::strcmp(mutants[i], name) != 0)
		i++;
	if (i == nmutants && i < sizeof(mutants) / sizeof(mutants[0]))
		mutants[nmutants++] = name;
	return std::strcmp(mutant, name) == 0;
}

/* Returns the order of an access: that of the source, but in the mutant of this name. */
static inline rl::memory_order order(const char *name, rl::memory_order source,
				     rl::memory_order weaker)
{
	return is_mutant(name) ? weaker : source;
}

/* Runs a program in all interleavings with at most so many preemptions, or 0: in all. Returns
 * false if it finds an error, which is written to out. */
template <class program> bool search(unsigned preemptions, std::ostream &out, unsigned long &count)
{
	std::ostream nowhere(NULL);
	rl::test_params params;
	bool right;

	params.search_type = preemptions == 0 ? rl::fair_full_search_scheduler_type
					      : rl::fair_context_bound_scheduler_type;
	params.context_bound = preemptions;
	params.iteration_count = 1u << 31;
	params.output_stream = &out;
	params.progress_stream = &nowhere;
	right = rl::simulate<program>(params);
	count = (unsigned long)params.stop_iteration;
	return right;
}

/* Runs a program as the source has it. Returns 1 if it finds an error, else 0. */
template <class program> int run(const char *name, unsigned preemptions)
{
	unsigned long count;

	mutant = "";
	nmutants = 0;
	if (!search<program>(preemptions, std::cout, count)) {
		std::cout << "FAILED  " << name << "\n";
		return 1;
	}
	std::cout << "ok      " << name << " (" << count << " runs)\n";
	return 0;
}

/* Runs a program and each of its mutants, of which there must be so many. Returns the number of
 * results that are not as they should be. */
template <class program> int run_all(const char *name, unsigned preemptions, unsigned expected)
{
	int wrong = run<program>(name, preemptions);
	std::ostream nowhere(NULL);
	unsigned long count;

	if (nmutants != expected) {
		std::cout << "FAILED  " << name << " has " << nmutants << " mutants, not "
			  << expected << "\n";
		wrong++;
	}
	for (unsigned i = 0; i < nmutants; i++) {
		mutant = mutants[i];
		if (search<program>(preemptions, nowhere, count)) {
			std::cout << "MISSED  " << name << " " << mutant << "\n";
			wrong++;
		} else {
			std::cout << "found   " << name << " " << mutant << "\n";
		}
	}
	return wrong;
}

}

using litmus::is_mutant;
using litmus::order;
