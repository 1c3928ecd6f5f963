/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the environment may change. See options.c.
 */
#ifndef GOALLOC_OPTIONS_H
#define GOALLOC_OPTIONS_H

#include "base.h"

/* Written while the process has one thread, read by all afterwards. */
struct options {
	bool off;                  /* off=1: everything goes to libc's own malloc */
	bool thp;                  /* thp=0|1: ask for huge pages in large heaps */
	bool scavthread;           /* scavthread=1: a thread that releases memory of idle processes */
	bool invalidptr_abort;     /* invalidptr=abort: foreign pointers are fatal */
	bool clobberfree;          /* clobberfree=1: fill objects when they are freed */
	bool hardened;             /* hardened=1: see hardened.c */
	bool keyed;                /* hardened=2: records behind a key, too; see rights.h */
	uint32_t scavenge_ms;      /* scavenge=MS: how long free pages stay; 0 at once */
	uint32_t tiny_align;       /* tiny_align=1|2|4|8: floor of malloc's tiny objects, bytes */
	bool stats;                /* stats=1, GOALLOC_STATS=1|FILE: a summary at exit */
	int stats_fd;              /* where to; -1 while stats is false */
};

extern struct options options;

/* Reads goalloc_conf, GOALLOC and GOALLOC_STATS. Does nothing before libc has set environ, nor a
 * second time; never allocates. What it does not understand it says in one line each, and goes on
 * without. */
void options_init(void);

/* One settings string, "key=value,key=value"; warns of what it does not know. For tests, too. */
void options_parse(struct options *o, const char *name, const char *text);

#endif
