/* SPDX-License-Identifier: MIT */
/*
 * unwind_frames.h - frames of many shapes between a test and what it calls. unwind_frames.c is
 * built twice: with frame pointers and without.
 */
#ifndef GOALLOC_UNWIND_FRAMES_H
#define GOALLOC_UNWIND_FRAMES_H

typedef void (*callback)(void);

/* Each function calls call() once, and then returns a number that no caller needs, so that it
 * has a frame during the call. */
struct frames {
	unsigned (*deep)(unsigned depth, callback call);      /* depth frames of its own */
	unsigned (*variable)(unsigned nbytes, callback call); /* of variable size */
	unsigned (*aligned)(unsigned depth, callback call);   /* on a realigned stack */
	/* with all registers that calls preserve in use */
	unsigned (*saving)(unsigned depth, callback call);
};

extern const struct frames frames_with_fp, frames_without_fp;

#endif
