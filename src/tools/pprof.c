/* SPDX-License-Identifier: MIT */
/*
 * pprof.c - a heap profile in the formats that `go tool pprof` and pprof read.
 * See malloc.c for the overview.
 *
 * A profile is a stream of messages (profile.proto): none but the small ones inside needs a length before it, so nothing is kept of
 * what was written. It is wrapped as gzip in blocks that are stored, not compressed; readers ask for the wrapping.
 * A location is named by its return address, so that samples need no table of numbers; its address is one less, in the
 * call, as profile.proto has it. In the text, addresses are those after the call: its readers subtract.
 *
 * Owns     nothing.
 * Callers  profile.c. Calls out.h, chance.h to scale, os.h for the mappings.
 * Locks    none.
 * Holds    errno is as the caller left it. Memory of the program is read through the kernel: an object that is unloaded
 *          meanwhile is no fault.
 */
#include "tools/pprof.h"
#include "os/chance.h"
#include "base/config.h"
#include "tools/gzip.h"
#include "os/os.h"
#include "stack/symbol.h"

#include <elf.h>
#include <errno.h>

/* --- mappings --- */

#define LINE_PATH 1024
#define BUILD_ID_TEXT 130
#define SEGMENTS_MAX 64

/* A line of /proc/self/maps. */
struct mapping {
	uint64_t id;
	uintptr_t start, limit;
	uint64_t offset;
	bool executable;
	char path[LINE_PATH];    /* cut when it is longer; "" for none */
};

struct maps {
	int fd;
	size_t at, len;          /* in bytes: the next one, their number */
	uint8_t bytes[1024];
};

static bool more_bytes(struct maps *r)
{
	long n = os_read(r->fd, r->bytes, sizeof(r->bytes));

	r->at = 0;
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* -1 at the end. */
static int next_byte(struct maps *r)
{
	if (r->at == r->len && !more_bytes(r))
		return -1;
	return r->bytes[r->at++];
}

/* A hexadecimal number and the character after it. */
static uint64_t next_hex(struct maps *r)
{
	uint64_t v = 0;

	for (;;) {
		int c = next_byte(r);

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (unsigned)(c - 'a' + 10);
		else
			return v;
	}
}

/* "start-limit rwxp offset device inode    path" */
static bool next_mapping(struct maps *r, struct mapping *m)
{
	size_t len = 0;
	int c;

	m->start = next_hex(r);
	m->limit = next_hex(r);
	(void)next_byte(r);
	(void)next_byte(r);
	m->executable = next_byte(r) == 'x';
	(void)next_byte(r);
	(void)next_byte(r);
	m->offset = next_hex(r);
	for (int fields = 0; fields < 2; fields++)
		do
			c = next_byte(r);
		while (c >= 0 && c != ' ' && c != '\n');
	while (c == ' ')
		c = next_byte(r);
	for (; c >= 0 && c != '\n'; c = next_byte(r))
		if (len < LINE_PATH - 1)
			m->path[len++] = (char)c;
	m->path[len] = '\0';
	return c >= 0;
}

static uint64_t hash_string(const char *text)
{
	uint64_t hash = 0;

	while (*text != '\0')
		hash = (hash ^ (uint8_t)*text++) * UINT64_C(0x100000001b3);
	return hash;
}

/* In hexadecimal, from the notes at addr; false when it is not among them. */
static bool find_build_id(uintptr_t addr, size_t nbytes, char hex[BUILD_ID_TEXT])
{
	uint8_t notes[512];
	size_t at = 0;
	Elf64_Nhdr note;

	nbytes = min_size(nbytes, sizeof(notes));
	if (!os_read_memory(addr, notes, nbytes))
		return false;
	while (at + sizeof(note) <= nbytes) {
		size_t name = at + sizeof(note), text;

		copy_bytes(&note, notes + at, sizeof(note));
		text = name + align_up(note.n_namesz, 4);
		at = text + align_up(note.n_descsz, 4);
		if (at > nbytes || note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof(ELF_NOTE_GNU) ||
		    __builtin_memcmp(notes + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) != 0)
			continue;
		for (size_t i = 0; i < min_size(note.n_descsz, BUILD_ID_TEXT / 2 - 1); i++) {
			*hex++ = "0123456789abcdef"[notes[text + i] >> 4];
			*hex++ = "0123456789abcdef"[notes[text + i] & 15];
		}
		*hex = '\0';
		return true;
	}
	return false;
}

/* Of the object whose file begins at this address. */
static bool read_build_id(uintptr_t header, char hex[BUILD_ID_TEXT])
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;

	if (!os_read_memory(header, &elf, sizeof(elf)) || __builtin_memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(segment))
		return false;
	for (size_t i = 0; i < min_size(elf.e_phnum, SEGMENTS_MAX); i++) {
		if (!os_read_memory(header + elf.e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
			return false;
		/* Linkers put it into the first pages, which are mapped as they are in the file. */
		if (segment.p_type == PT_NOTE && find_build_id(header + segment.p_offset, segment.p_filesz, hex))
			return true;
	}
	return false;
}

/* --- protocol buffers --- */

/* Bytes of a number at most, and of a message that is built before it is written. */
#define VARINT_MAX 10
#define MESSAGE_MAX (PROFILE_MAX_FRAMES * VARINT_MAX + 128)

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

struct message {
	size_t len;
	uint8_t bytes[MESSAGE_MAX];
};

static size_t put_varint(uint8_t *to, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		to[n++] = (uint8_t)(v | 0x80);
	to[n++] = (uint8_t)v;
	return n;
}

static void add_varint(struct message *m, uint64_t v)
{
	DCHECK(m->len + VARINT_MAX <= MESSAGE_MAX);
	m->len += put_varint(m->bytes + m->len, v);
}

/* Fields that are 0 may be left out. */
static void add_number(struct message *m, unsigned field, uint64_t v)
{
	if (v == 0)
		return;
	add_varint(m, field << 3 | WIRE_VARINT);
	add_varint(m, v);
}

static void add_bytes(struct message *m, unsigned field, const uint8_t *p, size_t n)
{
	DCHECK(m->len + 2 * VARINT_MAX + n <= MESSAGE_MAX);
	add_varint(m, field << 3 | WIRE_BYTES);
	add_varint(m, n);
	copy_bytes(m->bytes + m->len, p, n);
	m->len += n;
}

/* --- profile.proto: field numbers --- */

enum {
	PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_MAPPING = 3, PROFILE_LOCATION = 4, PROFILE_FUNCTION = 5, PROFILE_STRING = 6,
	PROFILE_DROP_FRAMES = 7, PROFILE_TIME_NS = 9, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD = 12, PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_TYPE = 14,
	TYPE_NAME = 1, TYPE_UNIT = 2,
	SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3, LABEL_KEY = 1, LABEL_NUMBER = 3,
	MAPPING_ID = 1, MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILE = 5, MAPPING_BUILD_ID = 6,
	MAPPING_HAS_FUNCTIONS = 7,
	LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4, LINE_FUNCTION = 1,
	FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3,
};

/* Strings are named by their number in the order they are written, from 0. */
enum {
	STRING_EMPTY, STRING_ALLOC_OBJECTS, STRING_COUNT, STRING_ALLOC_SPACE, STRING_BYTES, STRING_INUSE_OBJECTS, STRING_INUSE_SPACE,
	STRING_SPACE, STRING_DROP_FRAMES, STRINGS
};
static const char *const strings[STRINGS] = {
	"", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "space",
	/* With all that they call. Only stacks of a program that was linked with the library's objects one by one have these. */
	("malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc|"
	 "operator new(\\[\\])?|_Zn[wa]m.*|__alloc_token_.*|goalloc_.*"),
};

/* A place and the function that it is in. */
struct spot {
	struct pprof_place *place;
	struct function function;   /* nbytes is 0 while it is not known */
};

struct writer {
	struct gzip z;
	const struct pprof_source *source;
	uint64_t nstrings;
	struct mapping mapping;     /* the one that is written */
	struct spot *spots;         /* all places by address; NULL without memory for that */
	size_t nspots, room;        /* bytes of room */
	size_t first, end;          /* spots in the mapping */
	struct symbols symbols;
	struct message message;     /* the one being built */
	struct maps maps;
	struct out text;            /* of a comment */
};

static void write_bytes(struct writer *w, unsigned field, const void *p, size_t n)
{
	uint8_t head[2 * VARINT_MAX];
	size_t len = put_varint(head, field << 3 | WIRE_BYTES);

	len += put_varint(head + len, n);
	gzip_bytes(&w->z, head, len);
	gzip_bytes(&w->z, p, n);
}

static void write_message(struct writer *w, unsigned field)
{
	write_bytes(w, field, w->message.bytes, w->message.len);
	w->message.len = 0;
}

static void write_number(struct writer *w, unsigned field, uint64_t v)
{
	uint8_t bytes[2 * VARINT_MAX];
	size_t len = put_varint(bytes, field << 3 | WIRE_VARINT);

	len += put_varint(bytes + len, v);
	gzip_bytes(&w->z, bytes, len);
}

/* Its number. */
static uint64_t write_string(struct writer *w, const char *s)
{
	write_bytes(w, PROFILE_STRING, s, string_length(s));
	return w->nstrings++;
}

static void write_type(struct writer *w, unsigned field, unsigned name, unsigned unit)
{
	add_number(&w->message, TYPE_NAME, name);
	add_number(&w->message, TYPE_UNIT, unit);
	write_message(w, field);
}

/* What n samples of nbytes stand for, rounded as pprof does with the text. */
static uint64_t scaled(uint64_t n, size_t nbytes, double chance)
{
	return (uint64_t)((double)n * (double)nbytes / chance);
}

static void write_sample(const struct pprof_sample *s, void *arg)
{
	struct writer *w = arg;
	struct message *m = &w->message;
	double chance = chance_of(s->nbytes, w->source->rate);
	uint64_t live = s->allocs - s->frees;
	uint64_t values[] = { scaled(s->allocs, 1, chance), scaled(s->allocs, s->nbytes, chance), scaled(live, 1, chance),
			      scaled(live, s->nbytes, chance) };
	uint8_t packed[PROFILE_MAX_FRAMES * VARINT_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < s->npcs; i++)
		len += put_varint(packed + len, s->pcs[i]);
	add_bytes(m, SAMPLE_LOCATION, packed, len);
	len = 0;
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		len += put_varint(packed + len, values[i]);
	add_bytes(m, SAMPLE_VALUE, packed, len);
	packed[0] = LABEL_KEY << 3 | WIRE_VARINT;
	packed[1] = STRING_BYTES;
	packed[2] = LABEL_NUMBER << 3 | WIRE_VARINT;
	len = 3 + put_varint(packed + 3, s->nbytes);
	add_bytes(m, SAMPLE_LABEL, packed, len);
	write_message(w, PROFILE_SAMPLE);
}


/* --- places: in which mapping they are, and in which function --- */

static void count_place(struct pprof_place *place, void *arg)
{
	struct writer *w = arg;

	(void)place;
	w->nspots++;
}

/* Those that came since they were counted are of samples that are not written. */
static void add_spot(struct pprof_place *place, void *arg)
{
	struct writer *w = arg;

	if ((w->nspots + 1) * sizeof(struct spot) <= w->room)
		w->spots[w->nspots++] = (struct spot){ .place = place };
}

/* The spot at parent goes down in a heap of n, whose greatest is on top. */
static void sift(struct spot *spots, size_t parent, size_t n)
{
	struct spot moved = spots[parent];
	size_t child;

	for (; (child = 2 * parent + 1) < n; parent = child) {
		if (child + 1 < n && spots[child].place->pc < spots[child + 1].place->pc)
			child++;
		if (moved.place->pc >= spots[child].place->pc)
			break;
		spots[parent] = spots[child];
	}
	spots[parent] = moved;
}

static void sort_spots(struct spot *spots, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(spots, i, n);
	while (n > 1) {
		struct spot last = spots[--n];

		spots[n] = spots[0];
		spots[0] = last;
		sift(spots, 0, n);
	}
}

/* A table of the places for the time of writing, not among the records that stay. */
static void make_spots(struct writer *w)
{
	w->source->each_place(count_place, w);
	w->room = align_up(w->nspots * sizeof(struct spot), os_page_size());
	w->nspots = 0;
	w->spots = w->room != 0 ? os_reserve(NULL, w->room) : NULL;
	if (w->spots != NULL && !os_commit(w->spots, w->room)) {
		(void)os_unreserve(w->spots, w->room);
		w->spots = NULL;
	}
	if (w->spots == NULL)
		return;
	w->source->each_place(add_spot, w);
	sort_spots(w->spots, w->nspots);
}

static void drop_spots(struct writer *w)
{
	if (w->spots != NULL)
		(void)os_unreserve(w->spots, w->room);
}

/* The first spot whose call is at addr or above. */
static size_t find_spot(const struct writer *w, uintptr_t addr)
{
	size_t low = 0, high = w->nspots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->spots[middle].place->pc - 1 < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void name_spots(const struct function *f, void *arg)
{
	struct writer *w = arg;

	for (size_t i = find_spot(w, f->start); i < w->end && w->spots[i].place->pc - 1 - f->start < f->nbytes; i++)
		if (w->spots[i].function.nbytes == 0 || (f->global && !w->spots[i].function.global))
			w->spots[i].function = *f;
}

/* Of the spots in the mapping; there may be none. False: no names. */
static bool name_mapping(struct writer *w)
{
	const struct mapping *m = &w->mapping;

	w->first = find_spot(w, m->start);
	w->end = find_spot(w, m->limit);
	if (w->first == w->end || !symbols_open(&w->symbols, m->start, m->limit, m->offset, m->path))
		return false;
	symbols_each(&w->symbols, name_spots, w);
	return true;
}

/* Named by its address: no two have the same. Readers make C++ of the name. */
static void write_function(struct writer *w, const struct function *f)
{
	uint64_t name = write_string(w, symbols_name(&w->symbols, f->name));

	add_number(&w->message, FUNCTION_ID, f->start);
	add_number(&w->message, FUNCTION_NAME, name);
	add_number(&w->message, FUNCTION_SYSTEM_NAME, name);
	write_message(w, PROFILE_FUNCTION);
}

static void write_location(struct writer *w, struct pprof_place *place, uint64_t mapping, uintptr_t function)
{
	uint8_t line[1 + VARINT_MAX] = { LINE_FUNCTION << 3 | WIRE_VARINT };

	place->written = w->source->number;
	add_number(&w->message, LOCATION_ID, place->pc);
	add_number(&w->message, LOCATION_MAPPING, mapping);
	add_number(&w->message, LOCATION_ADDRESS, place->pc - 1);
	if (function != 0)
		add_bytes(&w->message, LOCATION_LINE, line, 1 + put_varint(line + 1, function));
	write_message(w, PROFILE_LOCATION);
}

static void write_spots(struct writer *w)
{
	uintptr_t function = 0;

	for (size_t i = w->first; i < w->end; i++) {
		const struct function *f = &w->spots[i].function;

		if (f->nbytes != 0 && f->start != function)
			write_function(w, f);
		function = f->nbytes != 0 ? f->start : 0;
		write_location(w, w->spots[i].place, w->mapping.id, function);
	}
}

/* Without a table: those in the mapping, then those in none. */
static void write_place(struct pprof_place *place, void *arg)
{
	struct writer *w = arg;

	if (place->written != w->source->number && place->pc - 1 - w->mapping.start < w->mapping.limit - w->mapping.start)
		write_location(w, place, w->mapping.id, 0);
}

static void write_mapping(struct writer *w, uintptr_t header, bool named)
{
	const struct mapping *m = &w->mapping;
	char build_id[BUILD_ID_TEXT];
	uint64_t file = write_string(w, m->path);

	add_number(&w->message, MAPPING_ID, m->id);
	add_number(&w->message, MAPPING_START, m->start);
	add_number(&w->message, MAPPING_LIMIT, m->limit);
	add_number(&w->message, MAPPING_OFFSET, m->offset);
	add_number(&w->message, MAPPING_FILE, file);
	if (header != 0 && read_build_id(header, build_id))
		add_number(&w->message, MAPPING_BUILD_ID, write_string(w, build_id));
	add_number(&w->message, MAPPING_HAS_FUNCTIONS, named);
	write_message(w, PROFILE_MAPPING);
}

/* Mappings with code, the program's first, and the places in each. */
static void write_mappings(struct writer *w, struct maps *maps)
{
	struct mapping *m = &w->mapping;
	uintptr_t header = 0;
	uint64_t header_file = 0;

	while (next_mapping(maps, m)) {
		uint64_t file = hash_string(m->path);

		if (m->offset == 0) {
			header = m->path[0] == '/' ? m->start : 0;
			header_file = file;
		}
		if (!m->executable || m->path[0] == '\0')
			continue;
		m->id++;
		write_mapping(w, file == header_file ? header : 0, name_mapping(w));
		if (w->spots != NULL)
			write_spots(w);
		else
			w->source->each_place(write_place, w);
	}
}

static void write_places(struct writer *w)
{
	w->maps.fd = os_open_read("/proc/self/maps");
	symbols_init(&w->symbols);
	make_spots(w);
	if (w->maps.fd >= 0) {
		write_mappings(w, &w->maps);
		os_close(w->maps.fd);
	}
	symbols_close(&w->symbols);
	drop_spots(w);
	w->mapping = (struct mapping){ .start = 0, .limit = UINTPTR_MAX };
	w->source->each_place(write_place, w);
}

static void write_comment(struct writer *w)
{
	out_init(&w->text, -1);
	out_str(&w->text, "samples dropped for want of memory: ");
	out_dec(&w->text, w->source->dropped);
	write_bytes(w, PROFILE_STRING, w->text.buffer, w->text.len);
	write_number(w, PROFILE_COMMENT, w->nstrings++);
}

int pprof_write_proto(int fd, const struct pprof_source *source)
{
	struct writer *w = os_alloc_scratch(sizeof(*w));
	int error;

	if (w == NULL)
		return ENOMEM;
	w->source = source;
	gzip_begin(&w->z, fd);
	for (unsigned i = 0; i < STRINGS; i++)
		(void)write_string(w, strings[i]);
	write_type(w, PROFILE_SAMPLE_TYPE, STRING_ALLOC_OBJECTS, STRING_COUNT);
	write_type(w, PROFILE_SAMPLE_TYPE, STRING_ALLOC_SPACE, STRING_BYTES);
	write_type(w, PROFILE_SAMPLE_TYPE, STRING_INUSE_OBJECTS, STRING_COUNT);
	write_type(w, PROFILE_SAMPLE_TYPE, STRING_INUSE_SPACE, STRING_BYTES);
	write_type(w, PROFILE_PERIOD_TYPE, STRING_SPACE, STRING_BYTES);
	write_number(w, PROFILE_PERIOD, source->rate);
	write_number(w, PROFILE_DEFAULT_TYPE, STRING_INUSE_SPACE);
	write_number(w, PROFILE_DROP_FRAMES, STRING_DROP_FRAMES);
	write_number(w, PROFILE_TIME_NS, os_time_ns());
	source->each_sample(write_sample, w);
	write_places(w);
	if (source->dropped != 0)
		write_comment(w);
	error = gzip_end(&w->z);
	os_free_scratch(w, sizeof(*w));
	return error;
}

/* --- heap_v2 --- */

static void add_sample(const struct pprof_sample *s, void *arg)
{
	uint64_t *sums = arg;
	uint64_t live = s->allocs - s->frees;

	sums[0] += live;
	sums[1] += live * s->nbytes;
	sums[2] += s->allocs;
	sums[3] += s->allocs * s->nbytes;
}

/* "live objects: live bytes [all objects: all bytes] @" */
static void print_counts(struct out *o, const uint64_t counts[4])
{
	out_padded(o, counts[0], 6);
	out_str(o, ": ");
	out_padded(o, counts[1], 8);
	out_str(o, " [");
	out_padded(o, counts[2], 6);
	out_str(o, ": ");
	out_padded(o, counts[3], 8);
	out_str(o, "] @");
}

static void print_sample(const struct pprof_sample *s, void *arg)
{
	struct out *o = arg;
	uint64_t counts[4] = { 0, 0, 0, 0 };

	add_sample(s, counts);
	print_counts(o, counts);
	for (unsigned i = 0; i < s->npcs; i++) {
		out_str(o, " ");
		out_hex(o, s->pcs[i]);
	}
	out_str(o, "\n");
}

int pprof_write_text(int fd, const struct pprof_source *source)
{
	uint64_t sums[4] = { 0, 0, 0, 0 };
	struct {
		struct maps maps;
		struct out out;
	} *work = os_alloc_scratch(sizeof(*work));
	struct out *o;
	int error;

	if (work == NULL)
		return ENOMEM;
	o = &work->out;
	out_init(o, fd);
	source->each_sample(add_sample, sums);
	out_str(o, "heap profile: ");
	print_counts(o, sums);
	out_str(o, " heap_v2/");
	out_dec(o, source->rate);
	out_str(o, "\n");
	source->each_sample(print_sample, o);
	out_str(o, "\nMAPPED_LIBRARIES:\n");
	work->maps.fd = os_open_read("/proc/self/maps");
	while (work->maps.fd >= 0 && more_bytes(&work->maps))
		out_bytes(o, work->maps.bytes, work->maps.len);
	if (work->maps.fd >= 0)
		os_close(work->maps.fd);
	(void)out_flush(o);
	error = o->error;
	os_free_scratch(work, sizeof(*work));
	return error;
}
