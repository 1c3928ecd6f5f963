/* SPDX-License-Identifier: MIT */
/*
 * target.c - what goalloc-view looks at, whether it is a process or a core file.
 *
 * Owns     the lists of mappings and threads.
 */
#include "view/target.h"
#include "view/range.h"
#include "view/room.h"
#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool target_fail(struct target *t, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(t->error, sizeof(t->error),
			t->gone ? "it ended while it was read" : format, values);
	va_end(values);
	return false;
}

bool target_fail_gone(struct target *t, const char *why)
{
	(void)target_fail(t, "%s", why);
	t->gone = true;
	return false;
}

void target_forget(struct target *t)
{
	for (size_t i = 0; i < t->nmaps; i++)
		free((char *)(uintptr_t)t->maps[i].name);
	free(t->maps);
	free(t->threads);
	t->maps = NULL;
	t->threads = NULL;
	t->nmaps = 0;
	t->nthreads = 0;
}

void target_add_map(struct target *t, const struct target_map *map)
{
	t->maps = room_for_more(t->maps, t->nmaps, sizeof(*map));
	t->maps[t->nmaps] = *map;
	t->maps[t->nmaps++].name = room_for_text(map->name, string_length(map->name));
}

void target_add_thread(struct target *t, const struct target_thread *thread)
{
	t->threads = room_for_more(t->threads, t->nthreads, sizeof(*thread));
	t->threads[t->nthreads++] = *thread;
}

bool target_refresh(struct target *t)
{
	return t->ops->refresh(t);
}

size_t target_read(struct target *t, uintptr_t addr, void *to, size_t nbytes)
{
	/* An address from outside may be anything. */
	if (addr + nbytes < addr)
		nbytes = 0 - addr;
	return t->ops->read(t, addr, to, nbytes);
}

bool target_read_all(struct target *t, uintptr_t addr, void *to, size_t nbytes)
{
	return target_read(t, addr, to, nbytes) == nbytes;
}

const struct target_map *target_map_of(const struct target *t, uintptr_t addr)
{
	return range_find(t->maps, t->nmaps, sizeof(*t->maps), addr);
}

const struct target_thread *target_thread_of(const struct target *t, int inner_tid)
{
	for (size_t i = 0; i < t->nthreads; i++)
		if (t->threads[i].inner_tid == inner_tid)
			return &t->threads[i];
	return NULL;
}

size_t target_resident(const struct target *t)
{
	char path[64];
	unsigned long pages = 0;
	FILE *file;

	if (t->is_core)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", t->pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	(void)fclose(file);
	return pages * (size_t)os_page_size();
}

void target_close(struct target *t)
{
	if (t->ops != NULL)
		t->ops->close(t);
	t->ops = NULL;
	target_forget(t);
}
