/* SPDX-License-Identifier: MIT */
/*
 * machine.h - describes the machine that the measurements were made on.
 *
 * Holds    every field can be printed; it is "unknown" or 0 if the system does not tell.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stddef.h>

#define MACHINE_NBYTES 512 /* enough for machine_describe() */

struct machine {
	char cpu[128];   /* model name */
	char arch[32];   /* as uname says */
	char kernel[96]; /* release */
	char libc[32];   /* glibc's version */
	char thp[16];    /* transparent huge pages: always, madvise, never */
	char date[16];   /* year-month-day, UTC */
	long ncpus;      /* online */
	double ram_gib;
};

void machine_read(struct machine *m);

/* Writes the machine into `text` as one line without its end. */
void machine_describe(const struct machine *m, char *text, size_t nbytes);

#endif
