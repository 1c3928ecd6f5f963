/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what the kernel tells about this process in /proc/self; C and C++.
 *
 * Nothing here allocates, so that a test can ask inside malloc's own troubles. A file that cannot
 * be read, or has no such field, ends the process with a line on stderr: every caller would have to
 * do that.
 */
#ifndef TESTS_PROC_H
#define TESTS_PROC_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((noreturn)) static inline void proc_fail(const char *path)
{
	(void)dprintf(2, "proc.h: cannot read %s\n", path);
	_exit(1);
}

/* Reads up to size - 1 bytes of a file and ends them with 0. Returns false when the file cannot be
 * opened. */
static inline bool proc_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;

	if (fd < 0)
		return false;
	while (have < size - 1) {
		ssize_t n = read(fd, buf + have, size - 1 - have);

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	buf[have] = '\0';
	(void)close(fd);
	return true;
}

/* Returns the number behind "NAME:" at the start of a line of a file. */
static inline uint64_t proc_field(const char *path, const char *name)
{
	char buf[4096];
	size_t len = strlen(name);
	const char *line;

	if (!proc_read_file(path, buf, sizeof(buf)))
		proc_fail(path);
	for (line = buf; line != NULL; line = strchr(line, '\n')) {
		line += line != buf;
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return strtoull(line + len + 1, NULL, 10);
	}
	proc_fail(name);
}

/* Returns a size of /proc/self/status in bytes: "VmData", "VmHWM" and the like. */
static inline size_t proc_status_bytes(const char *name)
{
	return (size_t)proc_field("/proc/self/status", name) << 10;
}

/* Returns the resident bytes of this process. The figure is exact, because smaps_rollup walks the
 * page tables. The counters behind statm and status lag by a batch per CPU. */
static inline size_t proc_rss(void)
{
	return (size_t)proc_field("/proc/self/smaps_rollup", "Rss") << 10;
}

/* Returns how many threads this process has. */
static inline size_t proc_threads(void)
{
	return (size_t)proc_field("/proc/self/status", "Threads");
}

/* Returns how many mappings this process has. */
static inline size_t proc_mappings(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	size_t lines = 0;
	ssize_t n;

	if (fd < 0)
		proc_fail("/proc/self/maps");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	(void)close(fd);
	return lines;
}

#endif
