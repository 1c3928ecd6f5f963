/* SPDX-License-Identifier: MIT */
/*
 * suppressed.c - leaks that the file of the option suppressions names: they are no leaks.
 *
 * A suppression matches the function or the module of any frame of the allocation's stack. Files of
 * source are not known here. What only suppressed objects lead to is no leak either.
 *
 * Owns     the suppressions, which are constant once the options are read. Their counts, and what
 *          was found out about return addresses, belong to the snapshot.
 * Locks    none.
 */
#include "tools/suppressed.h"
#include "base/options.h"
#include "heap/hashtable.h"
#include "os/fatal.h"
#include "os/os.h"
#include "tools/suppress.h"

#include <errno.h>

static struct suppress_list list;

/* --- the file --- */

/* Returns the length of the file that was read to text, or -errno. */
static long read_file(const char *file, char *text)
{
	int fd = os_open_read(file);
	long n = fd, len = 0;

	while (fd >= 0 && (size_t)len < SUPPRESS_FILE_MAX &&
	       (n = os_read(fd, text + len, SUPPRESS_FILE_MAX - (size_t)len)) > 0)
		len += n;
	if (fd >= 0)
		os_close(fd);
	if (n >= 0 && (size_t)len == SUPPRESS_FILE_MAX)
		return -EFBIG;
	return n < 0 ? n : len;
}

/* Keeps a copy of the text, and makes the list. */
static bool keep(const char *text, size_t nbytes)
{
	size_t room = suppress_count_lines(text, nbytes) * sizeof(*list.at);
	char *p = os_alloc_metadata(align_up(room + nbytes + 1, os_page_size()));

	if (p == NULL)
		return false;
	list.at = (struct suppression *)(void *)p;
	copy_bytes(p + room, text, nbytes);
	suppress_read(&list, p + room, nbytes);
	return true;
}

static const char *reason(int error)
{
	return error == ENOENT ? "no such file" : out_reason(error);
}

void suppressed_load(const char *file)
{
	char *text = os_is_secure() ? NULL : os_alloc_scratch(SUPPRESS_FILE_MAX);
	long n = os_is_secure() ? -EPERM : text == NULL ? -ENOMEM : read_file(file, text);

	if (n > 0 && !keep(text, (size_t)n))
		n = -ENOMEM;
	if (text != NULL)
		os_free_scratch(text, SUPPRESS_FILE_MAX);
	if (n < 0)
		report_line(2, "suppressions: cannot read '%.*s': %s", (int)string_length(file),
			    file, reason((int)-n));
	else if (list.bad_line != 0)
		report_line(2, "suppressions: '%.*s', line %zu: no leak:PATTERN, ignored",
			    (int)string_length(file), file, list.bad_line);
}

/* --- in the snapshot --- */

#define PLACES 65536               /* of the hash table; a power of two */

/* A return address, and the suppression that matches it; NULL: none does. */
struct place {
	uintptr_t pc;              /* 0: empty */
	struct suppression *by;
};

struct search {
	struct mark *m;
	struct symbols *symbols;
	suppressed_stack *stack_of;
	struct place *places;
	size_t nplaces;
};

/* All suppressed objects, with those that suppressed objects lead to. */
static struct mark_counts before, after;

static struct suppression *find_by_names(struct search *s, uintptr_t pc)
{
	const char *function = symbols_function(s->symbols, pc);
	struct suppression *by = suppress_find(&list, function);

	return by != NULL ? by : suppress_find(&list, s->symbols->path);
}

static struct suppression *find_by_place(struct search *s, uintptr_t pc)
{
	size_t i = (hashtable_of_addr(pc) >> 32) % PLACES;
	struct suppression *by;

	for (; s->places[i].pc != 0; i = (i + 1) % PLACES)
		if (s->places[i].pc == pc)
			return s->places[i].by;
	by = find_by_names(s, pc);
	if (s->nplaces < PLACES / 2) {
		s->nplaces++;
		s->places[i] = (struct place){ pc, by };
	}
	return by;
}

/* Returns the suppression of the innermost frame that has one. */
static struct suppression *find(struct search *s, const struct mark_object *o)
{
	uintptr_t pcs[PROFILE_MAX_FRAMES];
	unsigned n = s->stack_of(o, pcs, PROFILE_MAX_FRAMES);
	struct suppression *by = NULL;

	for (unsigned i = 0; i < n && by == NULL; i++)
		by = find_by_place(s, pcs[i]);
	return by;
}

static void count_one(const struct mark_object *o, bool direct, void *arg)
{
	(void)direct;
	suppress_count(find(arg, o), o->nbytes);
}

static void mark_one(const struct mark_object *o, bool direct, void *arg)
{
	struct search *s = arg;

	(void)direct;
	if (find(s, o) != NULL)
		mark_object(s->m, o);
}

static void count_no_more(const struct mark_object *o, bool direct, void *arg)
{
	(void)o;
	(void)direct;
	(void)arg;
}

void suppressed_mark(struct mark *m, struct symbols *symbols, suppressed_stack *stack_of)
{
	struct search s = { .m = m, .symbols = symbols, .stack_of = stack_of };

	if (list.n == 0)
		return;
	s.places = os_alloc_metadata(PLACES * sizeof(*s.places));
	if (s.places == NULL) {
		m->failed = true;
		return;
	}
	/* All are counted before one is marked, because one may lead to another. */
	mark_each_lost(count_one, &s, &before);
	mark_each_lost(mark_one, &s, &after);
	mark_each_lost(count_no_more, NULL, &after);
}

void suppressed_print(struct out *o)
{
	size_t n = before.nlost - after.nlost, nbytes = before.lost_bytes - after.lost_bytes;

	for (size_t i = 0; i < list.n; i++) {
		const struct suppression *s = &list.at[i];

		if (s->nobjects == 0)
			continue;
		out_format(o, "goalloc: suppressed: %zu object%s, %zu byte%s by leak:%.*s, line "
			      "%zu\n",
			   s->nobjects, plural(s->nobjects), s->nbytes, plural(s->nbytes),
			   (int)s->len, s->pattern, s->line);
		n -= s->nobjects;
		nbytes -= s->nbytes;
	}
	if (n != 0)
		out_format(o, "goalloc: suppressed: %zu object%s, %zu byte%s that only these lead "
			      "to\n",
			   n, plural(n), nbytes, plural(nbytes));
}
