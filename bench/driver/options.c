/* SPDX-License-Identifier: MIT */
/*
 * options.c - reads the command line of bench_driver. See options.h.
 */
#include "options.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NROUNDS         3
#define NROUNDS_FULL    5
#define NROUNDS_PROGRAM 10

enum {
	OPT_ALLOCATORS = 256,
	OPT_FULL,
	OPT_HELP,
	OPT_JSON,
	OPT_LIB,
	OPT_LIST,
	OPT_NO_PEERS,
	OPT_ONLY,
	OPT_PROGRAM,
	OPT_ROUNDS,
	OPT_SVG,
	OPT_WITH
};

static const struct option long_options[] = {
	{ "allocators", no_argument, NULL, OPT_ALLOCATORS },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "lib", required_argument, NULL, OPT_LIB },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "no-peers", no_argument, NULL, OPT_NO_PEERS },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ "program", required_argument, NULL, OPT_PROGRAM },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "svg", required_argument, NULL, OPT_SVG },
	{ "with", required_argument, NULL, OPT_WITH },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"usage: bench_driver [options]\n"
	"\n"
	"Runs workloads and real programs under goalloc, glibc and the peers that are\n"
	"installed, in turn, and prints time and peak memory side by side.\n"
	"\n"
	"  --full             Runs all rows and more rounds, which takes long.\n"
	"  --rounds N         Runs each row N times under each allocator. The default is 3, with\n"
	"                     --full 5 and with --program 10.\n"
	"  --only PATTERN     Runs only the rows whose name contains PATTERN, or matches it if it\n"
	"                     has a * or ?. Rows of --full count, too. May be given several "
	"times.\n"
	"  --program COMMAND  Runs this command line instead of the rows, in this directory and\n"
	"                     environment, without input; its output is discarded. May be given\n"
	"                     several times.\n"
	"  --lib PATH         Names goalloc's library; the default is the one of this build.\n"
	"  --with NAME=PATH   Adds an allocator. The name of a peer (mimalloc, jemalloc, "
	"tcmalloc,\n"
	"                     tbbmalloc) replaces that peer. May be given several times.\n"
	"  --no-peers         Leaves out the peers that are installed.\n"
	"  --json FILE        Writes everything that was measured to FILE.\n"
	"  --svg FILE         Draws the plot in FILE.\n"
	"  --list             Prints the rows and exits.\n"
	"  --allocators       Prints the machine and the library of each allocator, and exits.\n"
	"  --help             Prints this text and exits.\n"
	"\n"
	"Exit status: 0; 1 if a row failed under any allocator; 2 for a wrong command line.\n";

void options_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench_driver: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

static unsigned parse_rounds(const char *text)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < 1 ||
	    value > MAX_NROUNDS)
		options_fail("--rounds needs a number from 1 to %d, not '%s'", MAX_NROUNDS, text);
	return (unsigned)value;
}

static void need_library(const char *option, const char *path)
{
	if (access(path, R_OK) != 0)
		options_fail("%s: cannot read '%s': %s", option, path, strerror(errno));
}

/* Ends the driver before it measures if the file cannot be written. The file keeps its contents,
 * and no file is left where there was none. */
static const char *need_writable(const char *option, const char *path)
{
	bool existed = access(path, F_OK) == 0;
	FILE *f = fopen(path, "a");

	if (f == NULL)
		options_fail("%s: cannot write '%s': %s", option, path, strerror(errno));
	fclose(f);
	if (!existed)
		remove(path);
	return path;
}

static void parse_with(struct options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t length = equals == NULL ? 0 : (size_t)(equals - text);

	if (length == 0 || length > 12 || equals[1] == '\0')
		options_fail("--with needs NAME=PATH, NAME of 1 to 12 characters, not '%s'", text);
	if (o->nwith == MAX_NWITH)
		options_fail("--with can be given %d times", MAX_NWITH);
	char *name = strndup(text, length);
	if (name == NULL)
		options_fail("out of memory");
	if (strcmp(name, "glibc") == 0 || strcmp(name, "goalloc") == 0)
		options_fail("--with: '%s' is always there", name);
	for (size_t i = 0; i < o->nwith; i++) {
		if (strcmp(name, o->with[i].name) == 0)
			options_fail("--with: '%s' is given twice", name);
	}
	need_library("--with", equals + 1);
	o->with[o->nwith++] = (struct with){ .name = name, .path = equals + 1 };
}

static void parse_only(struct options *o, const char *text)
{
	if (*text == '\0')
		options_fail("--only needs a pattern");
	if (o->nonly == MAX_NONLY)
		options_fail("--only can be given %d times", MAX_NONLY);
	o->only[o->nonly++] = text;
}

static void parse_program(struct options *o, const char *text)
{
	if (o->nprograms == MAX_NPROGRAMS)
		options_fail("--program can be given %d times", MAX_NPROGRAMS);
	o->program[o->nprograms++] = text;
}

static unsigned default_nrounds(const struct options *o)
{
	if (o->nprograms > 0)
		return NROUNDS_PROGRAM;
	return o->full ? NROUNDS_FULL : NROUNDS;
}

static void parse_option(struct options *o, int option, char **argv)
{
	switch (option) {
	case OPT_ALLOCATORS:
		o->show_allocators = true;
		return;
	case OPT_FULL:
		o->full = true;
		return;
	case OPT_LIST:
		o->list = true;
		return;
	case OPT_NO_PEERS:
		o->no_peers = true;
		return;
	case OPT_HELP:
		fputs(help, stdout);
		exit(0);
	case OPT_JSON:
		o->json = need_writable("--json", optarg);
		return;
	case OPT_SVG:
		o->svg = need_writable("--svg", optarg);
		return;
	case OPT_LIB:
		need_library("--lib", optarg);
		o->lib = optarg;
		return;
	case OPT_ONLY:
		parse_only(o, optarg);
		return;
	case OPT_PROGRAM:
		parse_program(o, optarg);
		return;
	case OPT_ROUNDS:
		o->nrounds = parse_rounds(optarg);
		return;
	case OPT_WITH:
		parse_with(o, optarg);
		return;
	case ':':
		options_fail("%s needs a value", argv[optind - 1]);
	default:
		options_fail("unknown option '%s'; --help lists them", argv[optind - 1]);
	}
}

void options_parse(struct options *o, int argc, char **argv)
{
	int option;
	int at = 1; /* the word that getopt looks at */

	*o = (struct options){ 0 };
	while ((option = getopt_long(argc, argv, "+:", long_options, NULL)) != -1) {
		if (option == '?' && argv[at][0] == '-' && argv[at][1] != '-')
			options_fail("unknown option '%s'; --help lists them", argv[at]);
		parse_option(o, option, argv);
		at = optind;
	}
	if (optind < argc)
		options_fail("'%s' is not an option; --help lists them", argv[optind]);
	if (o->nprograms > 0 && (o->full || o->list || o->nonly > 0))
		options_fail("--program runs no rows: it takes no --full, --list or --only");
	if (o->nrounds == 0)
		o->nrounds = default_nrounds(o);
}

bool options_select(const struct options *o, const char *name)
{
	for (size_t i = 0; i < o->nonly; i++) {
		if (strpbrk(o->only[i], "*?[") == NULL ? strstr(name, o->only[i]) != NULL
						       : fnmatch(o->only[i], name, 0) == 0)
			return true;
	}
	return o->nonly == 0;
}
