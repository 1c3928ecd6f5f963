/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - how much memory the process may have: the limits of its control groups, and the
 * machine's memory.
 *
 * Holds    both versions of groups (cgroups(7)) are read, from the process's own group up to the
 *          visible root. In a container that is the container's, and groups between may be absent.
 */
#include "os/cgroup.h"
#include "os/os.h"
#include "base/format.h"
#include "base/text.h"

#define PATH_ROOM 1024
#define TEXT_ROOM 4096

/* The files are read into this, which is too large for a small stack. */
struct texts {
	char path[PATH_ROOM];
	char groups[TEXT_ROOM]; /* of /proc/self/cgroup, while the files of the groups are read */
	char text[TEXT_ROOM];
};

/* Reads a text file whose path has these parts. Returns false if there is none. */
static bool read_text(struct texts *t, char text[TEXT_ROOM], const char *root, const char *mount,
		      const char *group, const char *file)
{
	size_t n = format_buffer(t->path, PATH_ROOM, "%s%s%s%s", root, mount, group, file);

	return n < PATH_ROOM - 1 && os_read_file(t->path, text, TEXT_ROOM) != 0;
}

/* Returns the number that a text begins with, or SIZE_MAX if there is none, as in "max", or it is
 * too large. */
static size_t number(const char *text)
{
	size_t n;

	while (*text == ' ')
		text++;
	return text_number(text, &n) != NULL ? n : SIZE_MAX;
}

/* Returns the lowest limit of a group and those above it. group begins with a slash, and is cut
 * short. */
static size_t lowest(struct texts *t, const char *root, const char *mount, char *group,
		     const char *file)
{
	size_t least = SIZE_MAX, len = string_length(group);

	for (;;) {
		while (len > 0 && group[len - 1] == '/')
			len--;
		group[len] = '\0';
		if (read_text(t, t->text, root, mount, group, file))
			least = min_size(least, number(t->text));
		if (len == 0)
			return least;
		while (len > 0 && group[len - 1] != '/')
			len--;
	}
}

/* Returns true if a list with commas, which a colon ends, has the memory controller. */
static bool names_memory(const char *list)
{
	for (;;) {
		const char *end = text_after(list, "memory");

		if (end != NULL && (*end == ',' || *end == ':'))
			return true;
		while (*list != '\0' && *list != ',' && *list != ':')
			list++;
		if (*list++ != ',')
			return false;
	}
}

/* Returns the limit of a line of /proc/self/cgroup, "NUMBER:CONTROLLERS:/GROUP". Version 2 has the
 * number 0 and no controllers. */
static size_t limit_of_line(struct texts *t, const char *root, char *line)
{
	char *group = line;
	const char *controllers;

	while (*group != ':' && *group != '\0')
		group++;
	if (*group == '\0')
		return SIZE_MAX;
	controllers = ++group;
	while (*group != ':' && *group != '\0')
		group++;
	if (*group == '\0')
		return SIZE_MAX;
	group++;
	if (*controllers == ':')
		return lowest(t, root, "/sys/fs/cgroup", group, "/memory.max");
	return names_memory(controllers)
		       ? lowest(t, root, "/sys/fs/cgroup/memory", group, "/memory.limit_in_bytes")
		       : SIZE_MAX;
}

static size_t limit_of_groups(struct texts *t, const char *root)
{
	size_t least = SIZE_MAX;

	if (!read_text(t, t->groups, root, "", "", "/proc/self/cgroup"))
		return SIZE_MAX;
	for (char *line = t->groups; *line != '\0';) {
		char *end = line;

		while (*end != '\n' && *end != '\0')
			end++;
		if (*end == '\n')
			*end++ = '\0';
		least = min_size(least, limit_of_line(t, root, line));
		line = end;
	}
	return least;
}

static size_t memory_of_machine(struct texts *t, const char *root)
{
	const char *kib;
	size_t n;

	if (!read_text(t, t->text, root, "", "", "/proc/meminfo"))
		return SIZE_MAX;
	kib = text_after(t->text, "MemTotal:");
	n = kib != NULL ? number(kib) : SIZE_MAX;
	return n > SIZE_MAX / 1024 ? SIZE_MAX : n * 1024;
}

size_t cgroup_memory(const char *root)
{
	struct texts *t = os_alloc_scratch(sizeof(*t));
	size_t least;

	if (t == NULL)
		return 0;
	least = min_size(limit_of_groups(t, root), memory_of_machine(t, root));
	os_free_scratch(t, sizeof(*t));
	return least == SIZE_MAX ? 0 : least;
}
