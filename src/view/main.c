/* SPDX-License-Identifier: MIT */
/*
 * main.c - goalloc-view: looks into the heap of a process that runs, or of a core.
 */
#include "view/command.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum takes { NOTHING, MAYBE, VALUE };

/* The options. Each chooses what is done. */
static const struct option {
	const char *name;
	enum takes takes;
	int (*run)(struct target *t, const char *value);
	const char *help;
} options_of_view[] = {
	{ "--json", MAYBE, command_json, "--json[=heap]      the figures, or the map, as JSON" },
};

#define NUM_OPTIONS (sizeof(options_of_view) / sizeof(options_of_view[0]))

static void print_help(void)
{
	puts("usage: goalloc-view [OPTION] PID\n"
	     "       goalloc-view [OPTION] PROGRAM CORE\n"
	     "Looks into the heap of a process that has goalloc, or of its core.\n"
	     "Without an option it prints a page of statistics.\n");
	for (size_t i = 0; i < NUM_OPTIONS; i++)
		printf("  %s\n", options_of_view[i].help);
	puts("  --help             these lines\n"
	     "  --version          the version");
}

/* Returns the option of an argument, and sets *value; NULL if there is none. *takes_next becomes
 * true if the next argument is the value. */
static const struct option *option_of(const char *arg, const char **value, bool *takes_next)
{
	for (size_t i = 0; i < NUM_OPTIONS; i++) {
		const struct option *o = &options_of_view[i];
		const char *rest = text_after(arg, o->name);

		if (rest == NULL || (*rest != '\0' && (*rest != '=' || o->takes == NOTHING)))
			continue;
		*value = *rest == '=' ? rest + 1 : NULL;
		*takes_next = *rest == '\0' && o->takes == VALUE;
		return o;
	}
	return NULL;
}

static int look_at_process(const struct option *o, const char *value, const char *text)
{
	struct target t;
	size_t pid;
	const char *rest = text_number(text, &pid);
	int status;

	if (rest == NULL || *rest != '\0' || pid == 0 || pid > INT32_MAX)
		return command_fail("%s is no process number; for a core, give PROGRAM and CORE",
				    text);
	if (!target_open_process(&t, (int)pid))
		status = command_fail_target(&t);
	else
		status = o != NULL ? o->run(&t, value) : command_page(&t, NULL);
	target_close(&t);
	return status;
}

static int look_at_core(const struct option *o, const char *value, const char *program,
			const char *core)
{
	struct target t;
	int status;

	if (!target_open_core(&t, program, core))
		status = command_fail_target(&t);
	else
		status = o != NULL ? o->run(&t, value) : command_page(&t, NULL);
	target_close(&t);
	return status;
}

int main(int argc, char **argv)
{
	const struct option *chosen = NULL;
	const char *value = NULL, *names[2] = { NULL, NULL };
	unsigned nnames = 0;

	for (int i = 1; i < argc; i++) {
		const char *of_this = NULL;
		bool takes_next = false;
		const struct option *o;

		if (argv[i][0] != '-') {
			if (nnames == 2)
				return command_fail("%s: there is one argument too many", argv[i]);
			names[nnames++] = argv[i];
			continue;
		}
		if (text_is(argv[i], "--help")) {
			print_help();
			return VIEW_OK;
		}
		if (text_is(argv[i], "--version")) {
			puts("goalloc-view " GOALLOC_VERSION);
			return VIEW_OK;
		}
		o = option_of(argv[i], &of_this, &takes_next);
		if (o == NULL)
			return command_fail("there is no option %s; see --help", argv[i]);
		if (chosen != NULL)
			return command_fail("%s and %s cannot be had at once", chosen->name,
					    o->name);
		if (takes_next && i + 1 == argc)
			return command_fail("%s needs a value; see --help", o->name);
		chosen = o;
		value = takes_next ? argv[++i] : of_this;
	}
	if (nnames == 0)
		return command_fail("which process? See --help");
	return nnames == 1 ? look_at_process(chosen, value, names[0]) :
			     look_at_core(chosen, value, names[0], names[1]);
}
