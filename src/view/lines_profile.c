/* SPDX-License-Identifier: MIT */
/*
 * lines_profile.c - writes functions, files and lines into a heap profile.
 *
 * The library's profile is a stream of messages (profile.proto) in blocks of gzip that are stored
 * and not compressed. Of these messages only mappings and locations change. New functions and
 * strings follow at the end, where their numbers are free. A message that is not understood is
 * copied.
 */
#include "view/lines.h"
#include "view/symbolize.h"
#include "tools/gzip.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- growing texts --- */

struct text {
	uint8_t *bytes;
	size_t len, room;
	bool failed;               /* there was no memory */
};

static void add(struct text *t, const void *p, size_t n)
{
	if (t->room - t->len < n) {
		size_t room = 2 * t->room + n + 256;
		uint8_t *bytes = realloc(t->bytes, room);

		if (bytes == NULL) {
			t->failed = true;
			return;
		}
		t->bytes = bytes;
		t->room = room;
	}
	if (n != 0)
		memcpy(t->bytes + t->len, p, n);
	t->len += n;
}

static void add_varint(struct text *t, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	add(t, bytes, n);
}

static void add_number(struct text *t, unsigned field, uint64_t v)
{
	if (v == 0)
		return;
	add_varint(t, field << 3);
	add_varint(t, v);
}

static void add_bytes(struct text *t, unsigned field, const void *p, size_t n)
{
	add_varint(t, field << 3 | 2);
	add_varint(t, n);
	add(t, p, n);
}

/* --- reading --- */

/* A field of a message. */
struct field {
	unsigned number;
	bool is_bytes;
	uint64_t value;            /* or how many bytes */
	const uint8_t *bytes;
	const uint8_t *start, *end;   /* of the whole field */
};

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;

		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* Reads the field at *at, and moves on. Returns false at the end, and if the bytes make no
 * sense. */
static bool read_field(const uint8_t **at, const uint8_t *end, struct field *f)
{
	const uint8_t *p = *at;
	uint64_t key;

	f->start = p;
	if (p >= end || !read_varint(&p, end, &key) || !read_varint(&p, end, &f->value))
		return false;
	f->number = (unsigned)(key >> 3);
	f->is_bytes = (key & 7) == 2;
	if ((key & 7) != 0 && !f->is_bytes)
		return false;
	f->bytes = p;
	if (f->is_bytes) {
		if (f->value > (uint64_t)(end - p))
			return false;
		p += f->value;
	}
	f->end = p;
	*at = p;
	return true;
}

/* --- profile.proto --- */

enum { MAPPING = 3, LOCATION, FUNCTION, STRING };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE };
enum { MAPPING_HAS_FUNCTIONS = 7, MAPPING_HAS_FILES, MAPPING_HAS_LINES, MAPPING_HAS_INLINED };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILE };

struct mapping {
	uint64_t id, start, limit, offset, file;
	bool has_lines;
};

struct location {
	uint64_t id, mapping, address;
	struct text lines;         /* the fields that are written for its functions */
};

struct string {
	const uint8_t *bytes;
	size_t len;
};

/* A function that was added. */
struct function {
	uint64_t id;
	char *name, *file;
};

struct profile {
	struct text old, added;
	struct mapping *mappings;
	struct location *locations;
	struct string *strings;
	struct function *functions;
	size_t nmappings, nlocations, nstrings, nfunctions;
	uint64_t next_string, last_function;
	uint64_t *order;           /* locations of the mapping that is looked up */
	struct mapping *current;
	bool failed;
};

/* Makes room for one more thing in an array whose length doubles. Returns the thing, zeroed. */
static void *one_more(struct profile *p, void *array, size_t *n, size_t nbytes)
{
	void **at = array;

	if ((*n & (*n - 1)) == 0) {
		void *larger = realloc(*at, (*n == 0 ? 1 : 2 * *n) * nbytes);

		if (larger == NULL) {
			p->failed = true;
			return NULL;
		}
		*at = larger;
	}
	return memset((char *)*at + (*n)++ * nbytes, 0, nbytes);
}

static void take_mapping(struct profile *p, const struct field *whole)
{
	struct mapping *m = one_more(p, &p->mappings, &p->nmappings, sizeof(*m));
	const uint8_t *at = whole->bytes, *end = at + whole->value;
	struct field f;

	while (m != NULL && read_field(&at, end, &f)) {
		uint64_t *to = f.number == MAPPING_ID       ? &m->id
			       : f.number == MAPPING_START  ? &m->start
			       : f.number == MAPPING_LIMIT  ? &m->limit
			       : f.number == MAPPING_OFFSET ? &m->offset
			       : f.number == MAPPING_FILE   ? &m->file
							    : NULL;
		if (to != NULL)
			*to = f.value;
	}
}

static void take_location(struct profile *p, const struct field *whole)
{
	struct location *l = one_more(p, &p->locations, &p->nlocations, sizeof(*l));
	const uint8_t *at = whole->bytes, *end = at + whole->value;
	struct field f;

	while (l != NULL && read_field(&at, end, &f)) {
		if (f.number == LOCATION_ID)
			l->id = f.value;
		else if (f.number == LOCATION_MAPPING)
			l->mapping = f.value;
		else if (f.number == LOCATION_ADDRESS)
			l->address = f.value;
	}
}

static void take_function(struct profile *p, const struct field *whole)
{
	const uint8_t *at = whole->bytes, *end = at + whole->value;
	struct field f;

	while (read_field(&at, end, &f))
		if (f.number == FUNCTION_ID && f.value > p->last_function)
			p->last_function = f.value;
}

/* Reads the whole profile. Returns false if it makes no sense. */
static bool take_profile(struct profile *p)
{
	const uint8_t *at = p->old.bytes, *end = at + p->old.len;
	struct field f;

	while (read_field(&at, end, &f)) {
		if (f.number == MAPPING && f.is_bytes) {
			take_mapping(p, &f);
		} else if (f.number == LOCATION && f.is_bytes) {
			take_location(p, &f);
		} else if (f.number == FUNCTION && f.is_bytes) {
			take_function(p, &f);
		} else if (f.number == STRING && f.is_bytes) {
			struct string *s =
				one_more(p, &p->strings, &p->nstrings, sizeof(*s));

			if (s != NULL)
				*s = (struct string){ f.bytes, f.value };
		}
	}
	p->next_string = p->nstrings;
	return at == end;
}

/* --- adding --- */

static uint64_t add_string(struct profile *p, const char *s)
{
	add_bytes(&p->added, STRING, s, strlen(s));
	return p->next_string++;
}

/* Returns the number of a function, and adds it if it is new. The newest functions are looked at
 * first, because neighbouring locations have the same ones. */
static uint64_t function_of(struct profile *p, const char *name, const char *file)
{
	struct function *f;
	struct text m = { .len = 0 };
	uint64_t number;

	for (size_t i = p->nfunctions; i-- > 0;)
		if (strcmp(p->functions[i].name, name) == 0 &&
		    strcmp(p->functions[i].file, file) == 0)
			return p->functions[i].id;
	f = one_more(p, &p->functions, &p->nfunctions, sizeof(*f));
	if (f == NULL)
		return 0;
	f->id = ++p->last_function;
	f->name = strdup(name);
	f->file = strdup(file);
	if (f->name == NULL || f->file == NULL) {
		p->failed = true;
		p->nfunctions--;
		return 0;
	}
	number = add_string(p, name);
	add_number(&m, FUNCTION_ID, f->id);
	add_number(&m, FUNCTION_NAME, number);
	add_number(&m, FUNCTION_SYSTEM_NAME, number);
	if (file[0] != '\0')
		add_number(&m, FUNCTION_FILE, add_string(p, file));
	add_bytes(&p->added, FUNCTION, m.bytes, m.len);
	p->failed |= m.failed;
	free(m.bytes);
	return f->id;
}

static void add_lines(size_t index, const struct symbolized *frames, size_t n, void *arg)
{
	struct profile *p = arg;
	struct location *l = &p->locations[p->order[index]];

	/* Without a function the library's name is as good. */
	for (size_t i = 0; i < n; i++)
		if (frames[i].function == NULL)
			return;
	for (size_t i = 0; i < n; i++) {
		const char *file = frames[i].file == NULL ? "" : frames[i].file;
		struct text m = { .len = 0 };

		add_number(&m, LINE_FUNCTION, function_of(p, frames[i].function, file));
		add_number(&m, LINE_LINE, frames[i].line);
		add_bytes(&l->lines, LOCATION_LINE, m.bytes, m.len);
		p->failed |= m.failed | l->lines.failed;
		free(m.bytes);
		p->current->has_lines |= frames[i].file != NULL;
	}
}

/* Asks for the locations in one mapping. */
static void look_up(struct profile *p, struct mapping *m)
{
	uint64_t *addrs = malloc((p->nlocations + 1) * sizeof(*addrs)), bias = 0;
	size_t n = 0;
	char *object = NULL;

	if (m->file < p->nstrings)
		object = strndup((const char *)p->strings[m->file].bytes, p->strings[m->file].len);
	if (addrs != NULL && object != NULL && object[0] == '/') {
		for (size_t i = 0; i < p->nlocations; i++) {
			uint64_t offset = p->locations[i].address - m->start + m->offset;

			if (p->locations[i].mapping != m->id)
				continue;
			/* A mapping is of one segment. */
			if (n == 0)
				bias = symbolize_address(object, offset) - offset;
			p->order[n] = i;
			addrs[n++] = offset + bias;
		}
		p->current = m;
		if (n != 0)
			(void)symbolize(object, addrs, n, add_lines, p);
	}
	free(object);
	free(addrs);
}

/* --- writing --- */

static void put_mapping(struct text *to, const struct field *whole)
{
	const uint8_t *at = whole->bytes, *end = at + whole->value;
	struct text t = { .len = 0 };
	struct field f;

	while (read_field(&at, end, &f))
		if (f.number < MAPPING_HAS_FUNCTIONS || f.number > MAPPING_HAS_INLINED)
			add(&t, f.start, (size_t)(f.end - f.start));
	for (unsigned i = MAPPING_HAS_FUNCTIONS; i <= MAPPING_HAS_INLINED; i++)
		add_number(&t, i, 1);
	add_bytes(to, MAPPING, t.bytes, t.len);
	to->failed |= t.failed;
	free(t.bytes);
}

static void put_location(struct text *to, const struct location *l, const struct field *whole)
{
	const uint8_t *at = whole->bytes, *end = at + whole->value;
	struct text t = { .len = 0 };
	struct field f;

	while (read_field(&at, end, &f))
		if (f.number != LOCATION_LINE)
			add(&t, f.start, (size_t)(f.end - f.start));
	add(&t, l->lines.bytes, l->lines.len);
	add_bytes(to, LOCATION, t.bytes, t.len);
	to->failed |= t.failed;
	free(t.bytes);
}

static void put_profile(const struct profile *p, struct text *to)
{
	const uint8_t *at = p->old.bytes, *end = at + p->old.len;
	const struct mapping *m = p->mappings;
	const struct location *l = p->locations;
	struct field f;

	while (read_field(&at, end, &f)) {
		if (f.number == MAPPING && f.is_bytes && m++->has_lines)
			put_mapping(to, &f);
		else if (f.number == LOCATION && f.is_bytes && l++->lines.len != 0)
			put_location(to, l - 1, &f);
		else
			add(to, f.start, (size_t)(f.end - f.start));
	}
	add(to, p->added.bytes, p->added.len);
	to->failed |= p->added.failed;
}

/* --- the file --- */

/* Bytes of gzip's header as the library writes it, and of its trailer. */
#define GZIP_HEADER 10
#define GZIP_TRAILER 8

/* Takes the stored blocks apart. Returns false if the file is not one of the library's. */
static bool unwrap(const struct text *file, struct text *to)
{
	const uint8_t *at = file->bytes + GZIP_HEADER, *end = file->bytes + file->len;
	bool last = false;

	if (file->len < GZIP_HEADER || file->bytes[0] != 0x1f || file->bytes[1] != 0x8b ||
	    file->bytes[3] != 0)
		return false;
	while (!last) {
		size_t n;

		if (end - at < 5 || at[0] > 1)
			return false;
		last = at[0] == 1;
		n = at[1] | (size_t)at[2] << 8;
		at += 5;
		if ((size_t)(end - at) < n)
			return false;
		add(to, at, n);
		at += n;
	}
	return end - at == GZIP_TRAILER && !to->failed;
}

static bool read_file(FILE *f, struct text *to)
{
	uint8_t part[4096];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), f)) != 0)
		add(to, part, n);
	return !ferror(f) && !to->failed;
}

/* Writes the profile beside the file, and renames it. */
static const char *replace(const char *file, const struct text *profile)
{
	struct gzip *z = malloc(sizeof(*z));
	size_t n = strlen(file);
	char *beside = malloc(n + 8);
	const char *error = "there is no memory";
	int fd = -1;

	if (z != NULL && beside != NULL) {
		(void)snprintf(beside, n + 8, "%s.XXXXXX", file);
		fd = mkstemp(beside);
		error = fd < 0 ? strerror(errno) : NULL;
	}
	if (fd >= 0) {
		int failed;

		gzip_begin(z, fd);
		gzip_bytes(z, profile->bytes, profile->len);
		failed = gzip_end(z);
		if (close(fd) != 0 || failed != 0 || rename(beside, file) != 0) {
			error = strerror(failed != 0 ? failed : errno);
			(void)unlink(beside);
		}
	}
	free(beside);
	free(z);
	return error;
}

static void forget(struct profile *p)
{
	for (size_t i = 0; i < p->nfunctions; i++) {
		free(p->functions[i].name);
		free(p->functions[i].file);
	}
	for (size_t i = 0; i < p->nlocations; i++)
		free(p->locations[i].lines.bytes);
	free(p->functions);
	free(p->locations);
	free(p->mappings);
	free(p->strings);
	free(p->order);
	free(p->added.bytes);
	free(p->old.bytes);
}

/* Rewrites the profile in memory. Returns NULL, or what is wrong with it. */
static const char *rewrite(struct profile *p, const struct text *file, struct text *to)
{
	if (!unwrap(file, &p->old) || !take_profile(p))
		return "it is not a profile of goalloc";
	p->order = malloc((p->nlocations + 1) * sizeof(*p->order));
	if (p->order == NULL || p->failed)
		return "there is no memory";
	for (size_t i = 0; i < p->nmappings; i++)
		look_up(p, &p->mappings[i]);
	put_profile(p, to);
	return p->failed || to->failed ? "there is no memory" : NULL;
}

const char *lines_into_profile(const char *file)
{
	FILE *f = fopen(file, "re");
	struct text bytes = { .len = 0 }, result = { .len = 0 };
	struct profile p = { .nmappings = 0 };
	const char *error = NULL;

	if (f == NULL || !read_file(f, &bytes))
		error = strerror(errno);
	if (f != NULL)
		(void)fclose(f);
	if (error == NULL)
		error = rewrite(&p, &bytes, &result);
	if (error == NULL)
		error = replace(file, &result);
	forget(&p);
	free(bytes.bytes);
	free(result.bytes);
	return error;
}
