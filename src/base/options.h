/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the environment may change. See options.c.
 */
#ifndef GOALLOC_OPTIONS_H
#define GOALLOC_OPTIONS_H

#include "base/base.h"

/* Bytes of a file name in an option, its end included. */
#define OPTION_PATH_MAX 512

/* What realloc(p, 0) does. */
enum realloc_zero { REALLOC_ZERO_FREE, REALLOC_ZERO_ALLOC, REALLOC_ZERO_ABORT };

/* Whether there is a thread that gives memory back. AUTO: once the memory limit comes near. */
enum scavthread { SCAVTHREAD_AUTO, SCAVTHREAD_OFF, SCAVTHREAD_ON };

/* A file to write to: "" for none, "-" for standard error, else an absolute name; %p and %n in it
 * are replaced when it is opened (out.h). */
typedef char option_file[OPTION_PATH_MAX];

/* Written while the process has one thread, read by all afterwards, except for scavenge_ms. What
 * each is for is in the
 * table of options.c. */
struct options {
	bool off;
	bool thp;
	bool invalidptr_abort;
	bool sizemismatch_warn;
	bool clobberfree;
	bool efence;
	bool sbrk;
	bool hardened;
	bool keyed;                /* hardened=2: records behind a key, too; see metakey.h */
	bool hard;                 /* no growth beyond the limit */
	bool decoratemappings;
	bool help;
	uint8_t realloczero;       /* enum realloc_zero */
	uint8_t scavthread;        /* enum scavthread */
	_Atomic uint32_t scavenge_ms;    /* 0 at once; can be changed later: limit_decay_ms() */
	uint32_t tiny_align;       /* bytes */
	uint32_t guardrate;        /* one of so many allocations; 0 none */
	uint32_t leakcheck;        /* 0 none, 1 with sampled stacks, 2 with all */
	uint32_t leakexit;         /* exit status when there are leaks; 0 the program's own */
	uint32_t signal;           /* number; 0 none */
	uint32_t memlimit_percent; /* of the cgroup's limit; 0 none */
	size_t memlimit;           /* bytes; 0 none */
	size_t memprofilerate;     /* bytes between samples, the mean; 0 none, 1 every allocation */
	option_file stats;         /* appended to */
	option_file profile;
	option_file leakreport;    /* appended to; "" unless leakcheck */
	option_file heapmap;
	int stats_fd;              /* where statistics go; below 0: nowhere, or no reader yet */
	int report_fd;             /* standard error as it was at start; -1: no report asked for */
};

extern struct options options;

/* Reads goalloc_conf, GOALLOC and the variables of the Go names. Does nothing before libc has set
 * environ, nor a second time; never allocates. What it does not understand it says in one line
 * each, and goes on without. */
void options_init(void);

/* One line of each option: name, values, help, default. */
void options_print(int fd);

/* One line: NAME, an option, cannot write to FILE, and why. On standard error as it was at start if
 * that was kept. */
void options_warn_file(const char *name, const char *file, const char *obstacle);

bool option_file_is_stderr(const char *file);

/* One settings string, "key=value,key=value"; warns of what it does not know. For tests, too. */
void options_parse(struct options *o, const char *name, const char *text);

#endif
