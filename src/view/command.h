/* SPDX-License-Identifier: MIT */
/*
 * command.h - what goalloc-view does with a target: one function for each option. See command.c.
 */
#ifndef GOALLOC_COMMAND_H
#define GOALLOC_COMMAND_H

#include "tools/heading.h"
#include "view/target.h"

#include <stdio.h>

/* Exit statuses. */
#define VIEW_OK 0
#define VIEW_FAILED 1       /* a bad option, or the target cannot be read */
#define VIEW_OTHER 2        /* the target has another version of goalloc */

/* The longest time for which samples are taken. */
#define VIEW_SECONDS_MOST 86400

struct snapshot;

/* Makes the heading of a report about a target whose library was found: of this moment, or of the
 * time of the core. */
void command_heading(char text[HEADING_MAX], const struct target *t);

/* Each looks at the target, which is open, and returns an exit status. value is the option's, or
 * NULL. What goes wrong has been said on standard error in one line. */
int command_page(struct target *t, const char *value);
int command_json(struct target *t, const char *value);
int command_leaks(struct target *t, const char *value);
int command_pprof(struct target *t, const char *value);
int command_serve(struct target *t, const char *value);
int command_html(struct target *t, const char *value);
int command_metrics(struct target *t, const char *value);
int command_map(struct target *t, const char *value);
int command_object(struct target *t, const char *value);
int command_top(struct target *t, const char *value);

/* Options that change what others do. */
struct view_modifiers {
	bool live;                /* --live: the process is not stopped */
	unsigned seconds;         /* --seconds: how long samples are taken; 0: none are */
};
extern struct view_modifiers view_modifiers;

/* Write flame.json and leaks.json. They return an exit status; what goes wrong is in
 * target.error. */
int command_flame(FILE *out, struct target *t);
int command_leaks_json(FILE *out, struct target *t);

/* Writes the profile for pprof likewise. */
int command_pprof_stream(FILE *out, struct target *t);

/* Takes samples for some seconds, and writes what they tell of these seconds alone likewise. */
int command_pprof_delta(FILE *out, struct target *t, unsigned seconds);

/* Becomes a program, and writes the page of --html when the program ends. In the name of the file
 * %p is the process id. Returns an exit status if it cannot become the program. */
int command_html_of_program(char **argv, const char *file);

/* Takes a snapshot, and says what goes wrong, or what of it makes no sense. Returns an exit status;
 * the caller drops the snapshot if it is VIEW_OK. */
int command_snapshot(struct snapshot *sn, struct target *t);

/* Says in one line on standard error that something failed. Returns VIEW_FAILED. */
int command_fail(const char *format, ...) FORMATS(1, 2);

/* Says in one line which target failed, and why by its error. Returns VIEW_FAILED. */
int command_fail_target(const struct target *t);

/* Returns VIEW_OK if all of standard output was written, and says otherwise why it was not. */
int command_end_output(void);

#endif
