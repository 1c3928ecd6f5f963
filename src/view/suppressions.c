/* SPDX-License-Identifier: MIT */
/*
 * suppressions.c - the file of --suppressions, and the leaks of a target that it names.
 *
 * Owns     the list, and the text of the file.
 */
#include "view/suppressions.h"
#include "view/command.h"
#include "view/room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct suppress_list suppressions;

/* Reads a file to its end. Returns its text, or NULL after a line on standard error. */
static char *read_text(const char *file, size_t *n)
{
	FILE *in = fopen(file, "re");
	char *text = room_for(SUPPRESS_FILE_MAX, 1);
	bool whole = in != NULL;

	errno = in == NULL ? errno : 0;
	if (whole)
		*n = fread(text, 1, SUPPRESS_FILE_MAX, in);
	whole = whole && ferror(in) == 0;
	if (whole && *n == SUPPRESS_FILE_MAX) {
		whole = false;
		errno = EFBIG;
	}
	if (!whole) {
		(void)command_fail("--suppressions: cannot read '%s': %s", file, strerror(errno));
		free(text);
		text = NULL;
	}
	if (in != NULL)
		(void)fclose(in);
	return text;
}

bool suppressions_load(const char *file)
{
	size_t n = 0;
	char *text = read_text(file, &n);

	if (text == NULL)
		return false;
	suppressions.at = room_for(suppress_count_lines(text, n), sizeof(*suppressions.at));
	suppress_read(&suppressions, text, n);
	if (suppressions.bad_line == 0)
		return true;
	(void)command_fail("--suppressions: '%s', line %zu: no leak:PATTERN", file,
			   suppressions.bad_line);
	return false;
}

static struct suppression *find_by_place(const struct frames_place *place, const char *module)
{
	struct suppression *s = NULL;

	for (size_t i = 0; i < place->nframes && s == NULL; i++) {
		s = suppress_find(&suppressions, place->frames[i].name);
		if (s == NULL && place->frames[i].file != NULL)
			s = suppress_find(&suppressions, place->frames[i].file);
	}
	return s != NULL ? s : suppress_find(&suppressions, module);
}

struct suppression *suppressions_find(const struct frames *f, const struct target *t,
				      const uintptr_t *pcs, size_t n)
{
	struct suppression *s = NULL;

	for (size_t i = 0; i < n && s == NULL; i++) {
		const struct target_map *m = target_map_of(t, pcs[i] - 1);

		s = find_by_place(frames_of(f, pcs[i]), m != NULL ? m->name : "");
	}
	return s;
}
