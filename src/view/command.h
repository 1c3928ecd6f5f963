/* SPDX-License-Identifier: MIT */
/*
 * command.h - what goalloc-view does with a target: one function for each option. See command.c.
 */
#ifndef GOALLOC_COMMAND_H
#define GOALLOC_COMMAND_H

#include "view/target.h"

/* Exit statuses. */
#define VIEW_OK 0
#define VIEW_FAILED 1       /* a bad option, or the target cannot be read */
#define VIEW_OTHER 2        /* the target has another version of goalloc */

struct snapshot;

/* Each looks at the target, which is open, and returns an exit status. value is the option's, or
 * NULL. What goes wrong has been said on standard error in one line. */
int command_page(struct target *t, const char *value);
int command_json(struct target *t, const char *value);

/* Takes a snapshot, and says what goes wrong, or what of it makes no sense. Returns an exit status;
 * the caller drops the snapshot if it is VIEW_OK. */
int command_snapshot(struct snapshot *sn, struct target *t);

/* Says in one line on standard error that something failed. Returns VIEW_FAILED. */
int command_fail(const char *format, ...) FORMATS(1, 2);


/* Says in one line which target failed, and why by its error. Returns VIEW_FAILED. */
int command_fail_target(const struct target *t);

#endif
