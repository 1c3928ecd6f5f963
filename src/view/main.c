/* SPDX-License-Identifier: MIT */
/*
 * main.c - goalloc-view: looks into the heap of a process that runs, or of a core.
 */
#include "view/command.h"
#include "base/text.h"
#include "view/suppressions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum takes { NOTHING, MAYBE, VALUE };

/* The options. Each chooses what is done, or with run NULL how. */
static const struct option {
	const char *name;
	enum takes takes;
	int (*run)(struct target *t, const char *value);
	const char *help;
} options_of_view[] = {
	{ "--map", NOTHING, command_map, "--map              what each page is used for" },
	{ "--top", MAYBE, command_top,
	  "--top[=SECONDS]    what grows, by size and by thread, again and again" },
	{ "--object", VALUE, command_object,
	  "--object ADDRESS   what lies there, and what points to it" },
	{ "--json", MAYBE, command_json,
	  "--json[=WHAT]      the figures as JSON, or WHAT: heap, flame, leaks" },
	{ "--serve", VALUE, command_serve,
	  "--serve ADDRESS    a page for the browser, at 127.0.0.1:PORT or unix:PATH" },
	{ "--html", VALUE, command_html,
	  "--html FILE        writes that page with its data inside" },
	{ "--metrics", NOTHING, command_metrics,
	  "--metrics          the figures in the format of Prometheus" },
	{ "--leaks", NOTHING, command_leaks, "--leaks            objects that nothing leads to" },
	{ "--live", NOTHING, NULL, "--live             with leaks: the process is not stopped" },
	{ "--suppressions", VALUE, NULL,
	  "--suppressions FILE  with leaks: lines leak:PATTERN, as LeakSanitizer has" },
	{ "--pprof", VALUE, command_pprof,
	  "--pprof FILE       the sampled allocations, for pprof" },
	{ "--seconds", VALUE, NULL,
	  "--seconds N        with --pprof: samples are taken for so long" },
};

#define NUM_OPTIONS (sizeof(options_of_view) / sizeof(options_of_view[0]))

static void print_help(void)
{
	puts("usage: goalloc-view [OPTION] PID\n"
	     "       goalloc-view [OPTION] PROGRAM CORE\n"
	     "       goalloc-view --html FILE -- PROGRAM [ARGUMENT]...\n"
	     "Looks into the heap of a process that has goalloc, or of its core.\n"
	     "Without an option it prints a page of statistics. Behind -- a program is run,\n"
	     "and looked at when it ends.\n");
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

/* Notes an option that changes what others do. Returns false after a line on standard error. */
static bool modify(const struct option *o, const char *value)
{
	size_t n = 0;
	const char *rest;

	if (o->takes == NOTHING) {
		view_modifiers.live = true;
		return true;
	}
	if (text_is(o->name, "--suppressions"))
		return suppressions_load(value);
	rest = text_number(value, &n);
	if (rest == NULL || *rest != '\0' || n == 0 || n > VIEW_SECONDS_MOST) {
		(void)command_fail("%s %s: a number of seconds from 1 to %d is wanted", o->name,
				   value, VIEW_SECONDS_MOST);
		return false;
	}
	view_modifiers.seconds = (unsigned)n;
	return true;
}

/* Does what stands before "--" with the program behind it. */
static int run_program(const struct option *o, const char *value, char **argv)
{
	if (o == NULL || o->run != command_html)
		return command_fail("--: only --html FILE looks at a program when it ends");
	if (argv[0] == NULL)
		return command_fail("--: which program? See --help");
	return command_html_of_program(argv, value);
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

		if (text_is(argv[i], "--") && nnames == 0)
			return run_program(chosen, value, &argv[i + 1]);
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
		if (takes_next && i + 1 == argc)
			return command_fail("%s needs a value; see --help", o->name);
		if (o->run == NULL) {
			if (!modify(o, takes_next ? argv[++i] : of_this))
				return VIEW_FAILED;
			continue;
		}
		if (chosen != NULL)
			return command_fail("%s and %s cannot be had at once", chosen->name,
					    o->name);
		chosen = o;
		value = takes_next ? argv[++i] : of_this;
	}
	if (nnames == 0)
		return command_fail("which process? See --help");
	return nnames == 1 ? look_at_process(chosen, value, names[0]) :
			     look_at_core(chosen, value, names[0], names[1]);
}
