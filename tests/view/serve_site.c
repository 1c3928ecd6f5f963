/* SPDX-License-Identifier: MIT */
/*
 * serve_site.c - the server of goalloc-view with documents of its own, for serve.py.
 *
 * Usage: serve_site WHERE FILE. The site ends when FILE goes away. Documents: /small, /large (16
 * MiB), /count (how many answers were made), /echo (path and query), /no (an error of the site),
 * /slow?SECONDS (after so long, the number of the process that made it), /slow?die (none).
 */
#include "view/serve.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int made;

static int answer(void *context, const char *path, const char *query, FILE *out, const char **type)
{
	static char block[1 << 16];

	(void)context;
	made++;
	*type = "text/plain";
	if (strcmp(path, "/small") == 0) {
		fputs("small\n", out);
	} else if (strcmp(path, "/large") == 0) {
		for (int i = 0; i < 256; i++) {
			memset(block, 'a' + i % 26, sizeof(block));
			fwrite(block, 1, sizeof(block), out);
		}
	} else if (strcmp(path, "/count") == 0) {
		fprintf(out, "%d\n", made);
	} else if (strcmp(path, "/echo") == 0) {
		fprintf(out, "%s?%s\n", path, query);
	} else if (strcmp(path, "/slow") == 0) {
		if (strcmp(query, "die") == 0)
			abort();
		for (int i = 0; i < atoi(query); i++)
			fprintf(out, "%d\n", (int)getpid());
		sleep((unsigned)atoi(query));
	} else if (strcmp(path, "/") == 0) {
		*type = "text/html";
		fputs("<!DOCTYPE html>\n", out);
	} else {
		fputs("no such document\n", out);
		return 404;
	}
	return 200;
}

static bool is_slow(void *context, const char *path, const char *query)
{
	(void)context;
	(void)query;
	return strcmp(path, "/slow") == 0;
}

static bool lasts(void *context)
{
	return access(context, F_OK) == 0;
}

int main(int argc, char **argv)
{
	struct serve_site site = { answer, is_slow, lasts, argc > 2 ? argv[2] : NULL, "test" };

	return argc == 3 ? serve(argv[1], &site) : 2;
}
