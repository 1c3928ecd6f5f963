/* SPDX-License-Identifier: MIT */
/*
 * allocator.c - finds the allocators and probes each by running a program under it. See
 * allocator.h.
 */
#include "allocator.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "runner.h"

#define MAX_NSONAMES    3
#define PROBE_TIMEOUT_S 10

struct peer {
	const char *name;
	const char *package;              /* Debian's */
	const char *soname[MAX_NSONAMES]; /* newest first; ld.so finds them */
};

static const struct peer peers[] = {
	{ "mimalloc", "libmimalloc2.0", { "libmimalloc.so.3", "libmimalloc.so.2", NULL } },
	{ "jemalloc", "libjemalloc2", { "libjemalloc.so.2", NULL } },
	{ "tcmalloc", "libtcmalloc-minimal4", { "libtcmalloc_minimal.so.4", NULL } },
	{ "tbbmalloc", "libtbbmalloc2", { "libtbbmalloc_proxy.so.2", NULL } },
};

#define NPEERS (sizeof peers / sizeof peers[0])

/* Returns the file that malloc comes from when `preload` is preloaded. NULL means that the program
 * did not run; the reason is in `why`. */
static char *probe(const char *workload, const char *preload, struct run_outcome *why)
{
	static const char prefix[] = "malloc ";
	struct run_order order = {
		.program = workload,
		.words = "probe",
		.preload = preload,
		.timeout_s = PROBE_TIMEOUT_S,
	};

	runner_run(&order, why);
	if (!why->ok || strncmp(why->output, prefix, sizeof prefix - 1) != 0)
		return NULL;
	why->output[strcspn(why->output, "\n")] = '\0';
	char *path = realpath(why->output + sizeof prefix - 1, NULL);
	return path != NULL ? path : must(strdup(why->output + sizeof prefix - 1));
}

/* Returns what to put into LD_PRELOAD for the file `path`. A blank or a colon would end the name
 * there, so a link in the scratch directory stands for a path that has one. */
static char *preload_word(const char *path, const char *name)
{
	char *word = NULL;

	if (strpbrk(path, " :") == NULL)
		return must(strdup(path));
	if (asprintf(&word, "%s/lib-%s.so", runner_scratch(), name) < 0)
		options_fail("out of memory");
	if (symlink(path, word) != 0)
		options_fail("cannot link '%s' to '%s'", word, path);
	return word;
}

static void add(struct allocators *a, const char *name, char *path, char *preload)
{
	a->at[a->count++] = (struct allocator){ name, path, preload };
}

/* Adds a library that the user named. It ends the driver if the library does not work. */
static void add_file(struct allocators *a, const char *name, const char *file, const char *workload)
{
	struct run_outcome why;
	char *path = must(realpath(file, NULL));
	char *preload = preload_word(path, name);
	char *found = probe(workload, preload, &why);

	if (found == NULL)
		options_fail("%s: a program does not start with '%s': %s", name, path, why.failure);
	if (strcmp(found, a->at[ALLOCATOR_GLIBC].path) == 0)
		options_fail("%s: '%s' cannot be preloaded, or has no malloc", name, path);
	free(found);
	add(a, name, path, preload);
}

static void add_peer(struct allocators *a, const struct peer *peer, const char *workload)
{
	struct run_outcome why;

	for (size_t i = 0; peer->soname[i] != NULL; i++) {
		char *found = probe(workload, peer->soname[i], &why);

		if (found != NULL && strcmp(found, a->at[ALLOCATOR_GLIBC].path) != 0) {
			add(a, peer->name, found, must(strdup(peer->soname[i])));
			return;
		}
		free(found);
	}
	fprintf(stderr, "%s is left out: apt-get install %s\n", peer->name, peer->package);
}

static bool replaced(const struct options *o, const char *name)
{
	for (size_t i = 0; i < o->nwith; i++) {
		if (strcmp(o->with[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Returns the libgoalloc.so of this driver's build, which is <build>/bench/bench_driver. */
static const char *default_lib(const char *workload)
{
	static char path[PATH_MAX];
	const char *slash = strrchr(workload, '/');

	snprintf(path, sizeof path, "%.*s/../libgoalloc.so", (int)(slash - workload), workload);
	if (access(path, R_OK) != 0)
		options_fail("'%s' is not there; build it, or name it by --lib PATH", path);
	return path;
}

void allocators_find(struct allocators *a, const struct options *o, const char *workload)
{
	struct run_outcome why;
	char *libc = probe(workload, NULL, &why);

	a->count = 0;
	if (libc == NULL)
		options_fail("'%s' does not run: %s", workload, why.failure);
	add(a, "glibc", libc, NULL);
	add_file(a, "goalloc", o->lib != NULL ? o->lib : default_lib(workload), workload);
	for (size_t i = 0; i < NPEERS; i++) {
		if (!o->no_peers && !replaced(o, peers[i].name))
			add_peer(a, &peers[i], workload);
	}
	for (size_t i = 0; i < o->nwith; i++)
		add_file(a, o->with[i].name, o->with[i].path, workload);
}
