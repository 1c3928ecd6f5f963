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

/* A file to write to: "" for none, "-" for standard error, otherwise an absolute name. %p and %n in
 * the name are replaced when the file is opened (out.h). */
typedef char option_file[OPTION_PATH_MAX];

/* The options. They are stored while the process has one thread, and any thread reads them
 * afterwards; scavenge_ms alone may change later. options_table.inc tells what each is for. */
struct options {
	bool off;
	bool thp;
	bool invalidptr_abort;
	bool sizemismatch_warn;
	bool clobberfree;
	bool efence;
	bool guardexact;           /* guarded objects end at the guard, whatever their alignment */
	bool sbrk;
	bool hardened;
	bool keyed;                /* hardened=2: records behind a key, too; see metakey.h */
	bool hard;                 /* no growth beyond the limit */
	bool decoratemappings;
	bool view;                 /* any process of the user may be a tracer */
	bool help;
	uint8_t realloczero;       /* enum realloc_zero */
	uint8_t scavthread;        /* enum scavthread */
	_Atomic uint32_t scavenge_ms;    /* 0 at once; can be changed later: limit_decay_ms() */
	uint32_t guardrate;        /* one of so many allocations; 0 none */
	uint32_t leakcheck;        /* 0 none, 1 with sampled stacks, 2 with all */
	uint32_t leakexit;         /* exit status when there are leaks; 0 the program's own */
	uint32_t signal;           /* number; 0 none */
	uint32_t every_s;          /* seconds between profiles; 0: at exit only */
	uint32_t peak;             /* 1: profiles of peaks */
	uint32_t memlimit_percent; /* of the cgroup's limit; 0 none */
	size_t memlimit;           /* bytes; 0 none */
	size_t memprofilerate;     /* bytes between samples, the mean; 0 none, 1 every allocation */
	char only[64];             /* name of the program that writes; "" any */
	bool beside;               /* another process owns the plain names of files */
	option_file stats;         /* appended to */
	option_file profile;
	option_file leakreport;    /* appended to; "" unless leakcheck */
	option_file suppressions;  /* read; "" none */
	option_file heapmap;
	int stats_fd;              /* where statistics go; below 0: nowhere, or no reader yet */
	int report_fd;             /* standard error as it was at start; -1: no report asked for */
};

extern struct options options;

/* Reads goalloc_conf, GOALLOC and the variables that stand for one option. Does nothing before libc
 * has set environ, and nothing when it is called again. A setting that is not understood has no
 * effect, and is reported in one line. Never allocates. */
void options_init(void);

/* Writes one line for each option: its name, values, help and default. */
void options_print(int fd);

/* Reports in one line that the file of an option cannot be written to, and why. The line goes to
 * standard error as it was when the program started, if that was kept. */
void options_warn_file(const char *name, const char *file, const char *obstacle);

bool option_file_is_stderr(const char *file);

/* Applies a settings string, "key=value,key=value", and reports what it does not understand. name
 * says in the report where the string is from. */
void options_parse(struct options *o, const char *name, const char *text);

#endif
