/* SPDX-License-Identifier: MIT */
/*
 * command_leaks.c - goalloc-view --leaks and --json=leaks.
 */
#include "view/command.h"
#include "view/leaks.h"

int command_leaks(struct target *t, const char *value)
{
	struct leaks leaks;
	char heading[HEADING_MAX];
	int status = leaks_find(&leaks, t, view_modifiers.live);

	(void)value;
	if (status != VIEW_OK) {
		(void)command_fail_target(t);
		return status;
	}
	command_heading(heading, t);
	printf("goalloc: leaks of %s%s\n", t->is_core ? "core of " : "", heading);
	leaks_text(stdout, &leaks);
	leaks_drop(&leaks);
	return command_end_output();
}

int command_leaks_json(FILE *out, struct target *t)
{
	struct leaks leaks;
	int status = leaks_find(&leaks, t, view_modifiers.live);

	if (status != VIEW_OK)
		return status;
	leaks_json(out, &leaks);
	leaks_drop(&leaks);
	return VIEW_OK;
}
