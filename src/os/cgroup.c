/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - how much memory the process may have: the limits of its control groups, and the
 * machine's memory.
 *
 * Owns     nothing.
 * Locks    none.
 * Holds    both versions of groups (cgroups(7)) are read, from the process's own group up to the
 *          visible root. In a container that is the container's, and groups between may be absent.
 */
#include "os/cgroup.h"
#include "os/os.h"

#define PATH_ROOM 1024
#define TEXT_ROOM 4096

/* The files are read into this, which is too large for a small stack. */
struct texts {
	char path[PATH_ROOM];
	char groups[TEXT_ROOM]; /* of /proc/self/cgroup, while the files of the groups are read */
	char text[TEXT_ROOM];
};

/* Reads a text file, at most TEXT_ROOM - 1 characters. Returns false if there is none. */
static bool read_text(const char *path, char text[TEXT_ROOM])
{
	int fd = os_open_read(path);
	size_t len = 0;
	long n = 0;

	if (fd < 0)
		return false;
	while (len < TEXT_ROOM - 1 && (n = os_read(fd, text + len, TEXT_ROOM - 1 - len)) > 0)
		len += (size_t)n;
	os_close(fd);
	text[len] = '\0';
	return n >= 0;
}

/* Joins the parts of a path. Returns false if it is too long. */
static bool join(char path[PATH_ROOM], const char *const *parts, size_t nparts)
{
	size_t len = 0;

	for (size_t i = 0; i < nparts; i++) {
		size_t n = string_length(parts[i]);

		if (len + n >= PATH_ROOM)
			return false;
		copy_bytes(path + len, parts[i], n);
		len += n;
	}
	path[len] = '\0';
	return true;
}

/* Returns the text behind the word if it begins with that, else NULL. */
static const char *after(const char *text, const char *word)
{
	while (*word != '\0')
		if (*text++ != *word++)
			return NULL;
	return text;
}

/* Returns the number that a text begins with, or SIZE_MAX if there is none, as in "max", or it is
 * too large. */
static size_t number(const char *text)
{
	size_t n = 0;
	bool any = false;

	while (*text == ' ')
		text++;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (mul_overflow(n, 10, &n) || n > SIZE_MAX - 9)
			return SIZE_MAX;
		n += (size_t)(*text - '0');
		any = true;
	}
	return any ? n : SIZE_MAX;
}

/* Returns the lowest limit of a group and those above it. group begins with a slash, and is cut
 * short. */
static size_t lowest(struct texts *t, const char *root, const char *mount, char *group,
		     const char *file)
{
	const char *parts[] = { root, mount, group, "/", file };
	size_t least = SIZE_MAX, len = string_length(group);

	for (;;) {
		while (len > 0 && group[len - 1] == '/')
			len--;
		group[len] = '\0';
		if (join(t->path, parts, sizeof(parts) / sizeof(parts[0])) &&
		    read_text(t->path, t->text))
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
		const char *end = after(list, "memory");

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
		return lowest(t, root, "/sys/fs/cgroup", group, "memory.max");
	return names_memory(controllers)
		       ? lowest(t, root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
		       : SIZE_MAX;
}

static size_t limit_of_groups(struct texts *t, const char *root)
{
	const char *parts[] = { root, "/proc/self/cgroup" };
	size_t least = SIZE_MAX;

	if (!join(t->path, parts, 2) || !read_text(t->path, t->groups))
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
	const char *parts[] = { root, "/proc/meminfo" };
	const char *kib;
	size_t n;

	if (!join(t->path, parts, 2) || !read_text(t->path, t->text))
		return SIZE_MAX;
	kib = after(t->text, "MemTotal:");
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
