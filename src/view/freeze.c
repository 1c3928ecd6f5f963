/* SPDX-License-Identifier: MIT */
/*
 * freeze.c - stops the threads of a target for a moment, and reads their registers.
 *
 * The threads are traced (PTRACE_SEIZE), which sends no signal to the process, and does not change
 * whether it is stopped by one.
 */
#include "view/freeze.h"
#include "os/os.h"
#include "os/os_process.h"
#include "view/room.h"

#include <errno.h>
#include <stdlib.h>

/* The most passes over the list of threads. A pass finds threads that running threads have made
 * since the last pass. */
#define MAX_PASSES 1000

/* How long to wait for a thread to stop: one that waits for a processor, one that waits for a
 * disk, which does not stop, and one that may have been ending when the trace began. */
#define PATIENCE_MS 5000
#define PATIENCE_DISK_MS 200
#define PATIENCE_END_MS 5

/* Bytes of the registers of one kind. */
#define REGISTERS_MOST 4096

static void add_words(struct freeze *f, const uintptr_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		f->words = room_for_more(f->words, f->nwords, sizeof(*f->words));
		f->words[f->nwords++] = words[i];
	}
}

/* Notes the general registers of a thread. */
static void note_general(struct freeze *f, struct frozen_thread *thread, const uintptr_t *words,
			 size_t n)
{
	add_words(f, words, n);
	if (CPU_STACK_WORD < n)
		thread->stack = words[CPU_STACK_WORD];
	if (CPU_TLS_WORD < n)
		thread->tls = words[CPU_TLS_WORD];
}

static void read_registers(struct freeze *f, struct frozen_thread *thread)
{
	uintptr_t words[REGISTERS_MOST / sizeof(uintptr_t)];
	size_t n = os_trace_registers(thread->tid, OS_GENERAL, words, sizeof(words));

	thread->first_word = f->nwords;
	note_general(f, thread, words, n / sizeof(words[0]));
	n = os_trace_registers(thread->tid, OS_VECTORS, words, sizeof(words));
	add_words(f, words, n / sizeof(words[0]));
	thread->nwords = f->nwords - thread->first_word;
	if (thread->tls == 0 &&
	    os_trace_registers(thread->tid, OS_TLS, words, sizeof(words)) >= sizeof(words[0]))
		thread->tls = words[0];
}

static bool is_known(const struct freeze *f, int tid)
{
	for (size_t i = 0; i < f->nthreads; i++)
		if (f->threads[i].tid == tid)
			return true;
	return false;
}

static void begin_stop(struct freeze *f, int pid, int tid)
{
	struct frozen_thread *thread;
	int error;

	if (is_known(f, tid))
		return;
	f->threads = room_for_more(f->threads, f->nthreads, sizeof(*f->threads));
	thread = &f->threads[f->nthreads++];
	*thread = (struct frozen_thread){ .tid = tid };
	error = os_trace_begin(tid);
	thread->begun = error == 0;
	/* This program may trace the thread already, and has stopped it: see attend.c. */
	if (error == -EPERM) {
		read_registers(f, thread);
		thread->stopped = thread->stack != 0;
		error = thread->stopped ? 0 : error;
	}
	/* A thread that has ended is refused as well. It has no registers. */
	if (error == -EPERM && os_thread_ended(pid, tid))
		error = -ESRCH;
	f->refused |= error == -EPERM;
	f->missed += error != 0 && error != -ESRCH;
}

static void await_stop(struct freeze *f, struct frozen_thread *thread, int pid)
{
	uint64_t began = os_now_ms();
	enum os_trace trace;
	bool ended = false;

	while (!ended && (trace = os_trace_poll(thread->tid, &thread->signal)) == OS_TRACE_RUNS) {
		uint64_t waited = os_now_ms() - began;

		if (waited > PATIENCE_MS ||
		    (waited > PATIENCE_DISK_MS && os_thread_state(pid, thread->tid) == 'D'))
			break;
		ended = waited >= PATIENCE_END_MS && os_thread_ended(pid, thread->tid);
		os_sleep_ms(1);
	}
	thread->stopped = trace == OS_TRACE_STOPPED;
	f->missed += trace == OS_TRACE_RUNS && !ended;
	if (thread->stopped)
		read_registers(f, thread);
}

/* Stops the threads that are listed now. Returns whether there were new ones. */
static bool stop_listed(struct freeze *f, int pid)
{
	size_t before = f->nthreads;
	long n = os_list_threads(pid, NULL, 0), room = n + 64;
	int *tids;

	if (n <= 0)
		return false;
	tids = room_for((size_t)room, sizeof(*tids));
	n = os_list_threads(pid, tids, (size_t)room);
	for (long i = 0; i < n && i < room && !f->refused; i++)
		begin_stop(f, pid, tids[i]);
	free(tids);
	for (size_t i = before; i < f->nthreads; i++)
		if (f->threads[i].begun)
			await_stop(f, &f->threads[i], pid);
	return f->nthreads != before;
}

static void read_core(struct freeze *f, const struct target *t)
{
	for (size_t i = 0; i < t->nthreads; i++) {
		const struct target_thread *from = &t->threads[i];
		uintptr_t words[REGISTERS_MOST / sizeof(uintptr_t)];
		size_t n = min_size(from->nregisters, sizeof(words));

		f->threads = room_for_more(f->threads, f->nthreads, sizeof(*f->threads));
		f->threads[f->nthreads] = (struct frozen_thread){
			.tid = from->tid, .first_word = f->nwords, .nwords = n / sizeof(words[0])
		};
		f->missed += n == 0;
		copy_bytes(words, from->registers != NULL ? from->registers : words, n);
		note_general(f, &f->threads[f->nthreads], words, n / sizeof(words[0]));
		f->nthreads++;
	}
}

void freeze_begin(struct freeze *f, const struct target *t)
{
	*f = (struct freeze){ .nthreads = 0 };
	if (t->is_core) {
		read_core(f, t);
		return;
	}
	for (unsigned pass = 0; pass < MAX_PASSES && stop_listed(f, t->pid); pass++)
		;
}

void freeze_end(struct freeze *f)
{
	for (size_t i = 0; i < f->nthreads; i++) {
		if (f->threads[i].begun)
			os_trace_end(f->threads[i].tid, f->threads[i].signal);
		f->threads[i].begun = false;
	}
}

void freeze_drop(struct freeze *f)
{
	free(f->threads);
	free(f->words);
	*f = (struct freeze){ .nthreads = 0 };
}
