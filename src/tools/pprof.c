/* SPDX-License-Identifier: MIT */
/*
 * pprof.c - a heap profile in the formats that `go tool pprof` and pprof read.
 *
 * A profile is a stream of messages (profile.proto). Only the small messages inside need a length
 * in front, so nothing that is written needs to be kept. The stream is wrapped as gzip because
 * readers ask for it, in blocks that are stored and not compressed. A location is named by its
 * return address, so samples need no table of numbers. Its address field is one less, because
 * profile.proto wants an address inside of the call. In the text format addresses are return
 * addresses, and readers subtract.
 *
 * Holds    errno is kept. Memory of loaded objects is read through the kernel, so it is no fault if
 *          an object is unloaded meanwhile.
 */
#include "tools/pprof.h"
#include "base/chance.h"
#include "base/config.h"
#include "base/format.h"
#include "tools/gzip.h"
#include "base/sort.h"
#include "os/loaded.h"
#include "os/os.h"
#include "os/procmap.h"
#include "stack/symbol.h"

#include <errno.h>

/* --- mappings --- */

#define BUILD_ID_TEXT 130
#define SEGMENTS_MAX 64

static uint64_t hash_name(const struct mapping *m)
{
	uint64_t hash = m->name_len;

	for (uint32_t i = 0; i < m->name_len; i++)
		hash = (hash ^ (uint8_t)m->name[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static bool read_memory(const struct pprof_memory *memory, uintptr_t addr, void *to, size_t nbytes)
{
	return memory != NULL ? memory->read(addr, to, nbytes) : os_read_memory(addr, to, nbytes);
}

/* Finds the build ID among the notes at addr, as hexadecimal text. */
static bool find_build_id(const struct pprof_memory *memory, uintptr_t addr, size_t nbytes,
			  char hex[BUILD_ID_TEXT])
{
	uint8_t notes[512];
	size_t at = 0;
	Elf64_Nhdr note;

	nbytes = min_size(nbytes, sizeof(notes));
	if (!read_memory(memory, addr, notes, nbytes))
		return false;
	while (at + sizeof(note) <= nbytes) {
		size_t name = at + sizeof(note), text;

		copy_bytes(&note, notes + at, sizeof(note));
		text = name + align_up(note.n_namesz, 4);
		at = text + align_up(note.n_descsz, 4);
		if (at > nbytes || note.n_type != NT_GNU_BUILD_ID ||
		    note.n_namesz != sizeof(ELF_NOTE_GNU) ||
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

/* Reads the build ID of the object whose file begins at this address. */
static bool read_build_id(const struct pprof_memory *memory, uintptr_t header,
			  char hex[BUILD_ID_TEXT])
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;

	if (!read_memory(memory, header, &elf, sizeof(elf)) || !is_elf64(&elf))
		return false;
	for (size_t i = 0; i < min_size(elf.e_phnum, SEGMENTS_MAX); i++) {
		if (!read_memory(memory, header + elf.e_phoff + i * sizeof(segment), &segment,
				 sizeof(segment)))
			return false;
		/* Linkers put the note into the first pages, which are mapped as they are in the
		 * file. */
		if (segment.p_type == PT_NOTE &&
		    find_build_id(memory, header + segment.p_offset, segment.p_filesz, hex))
			return true;
	}
	return false;
}

/* --- protocol buffers --- */

/* The most bytes of a number, and of a message that is built before it is written. */
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

/* Adds a field, or nothing for 0, because fields of 0 may be left out. */
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
	PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION,
	PROFILE_FUNCTION, PROFILE_STRING, PROFILE_DROP_FRAMES, PROFILE_TIME_NS = 9,
	PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD, PROFILE_COMMENT, PROFILE_DEFAULT_TYPE
};
enum { TYPE_NAME = 1, TYPE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_NUMBER = 3 };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET };
enum { MAPPING_FILE = 5, MAPPING_BUILD_ID, MAPPING_HAS_FUNCTIONS };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1 };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME };

/* The strings that every profile has. A string is named by its number, from 0, in the order of
 * writing. Readers drop the functions of the last with all that they call; only the stacks of a
 * program that was linked with the library's objects one by one contain them. */
#define STRINGS(STRING) \
	STRING(EMPTY, "") \
	STRING(ALLOC_OBJECTS, "alloc_objects") \
	STRING(COUNT, "count") \
	STRING(ALLOC_SPACE, "alloc_space") \
	STRING(BYTES, "bytes") \
	STRING(INUSE_OBJECTS, "inuse_objects") \
	STRING(INUSE_SPACE, "inuse_space") \
	STRING(SPACE, "space") \
	STRING(DROP_FRAMES, "malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|" \
			    "posix_memalign|valloc|pvalloc|operator new(\\[\\])?|_Zn[wa]m.*|" \
			    "__alloc_token_.*|"\
			    "goalloc_(malloc|calloc|realloc|aligned_alloc)_noscan")
#define STRING_NUMBER(name, text) STRING_##name,
#define STRING_TEXT(name, text) text,
enum { STRINGS(STRING_NUMBER) NUM_STRINGS };
static const char *const strings[NUM_STRINGS] = { STRINGS(STRING_TEXT) };

/* A place and the function that it is in. */
struct spot {
	struct pprof_place *place;
	struct function function;   /* nbytes 0: not known */
};

struct writer {
	struct gzip z;
	const struct pprof_source *source;
	uint64_t nstrings;
	struct mapping mapping;     /* the mapping that is written */
	uint64_t mapping_id;        /* its number, from 1; 0 for none */
	struct spot *spots;         /* all places by address; NULL if there is no memory */
	size_t nspots, room;        /* bytes of room */
	size_t first, end;          /* spots in the mapping */
	struct symbols symbols;
	struct message message;     /* the message that is built */
	size_t nmappings;           /* that were visited */
	struct procmap_reader maps;
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

/* Writes a string and returns its number. */
static uint64_t write_text(struct writer *w, const char *s, size_t n)
{
	write_bytes(w, PROFILE_STRING, s, n);
	return w->nstrings++;
}

static uint64_t write_string(struct writer *w, const char *s)
{
	return write_text(w, s, string_length(s));
}

static void write_type(struct writer *w, unsigned field, unsigned name, unsigned unit)
{
	add_number(&w->message, TYPE_NAME, name);
	add_number(&w->message, TYPE_UNIT, unit);
	write_message(w, field);
}

/* Returns what n samples of nbytes stand for, rounded as pprof rounds the text format. */
static uint64_t scaled(uint64_t n, size_t nbytes, double chance)
{
	/* What is live may be less than before, in a profile of some seconds. */
	return (uint64_t)(int64_t)((double)(int64_t)n * (double)nbytes / chance);
}

static void write_sample(const struct pprof_sample *s, void *arg)
{
	struct writer *w = arg;
	struct message *m = &w->message;
	double chance = chance_of(s->nbytes, w->source->rate);
	uint64_t live = s->allocs - s->frees;
	uint64_t values[] = { scaled(s->allocs, 1, chance), scaled(s->allocs, s->nbytes, chance),
			      scaled(live, 1, chance), scaled(live, s->nbytes, chance) };
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

/* Adds a place to the table. Places beyond the counted ones belong to samples that are not
 * written. */
static void add_spot(struct pprof_place *place, void *arg)
{
	struct writer *w = arg;

	if ((w->nspots + 1) * sizeof(struct spot) <= w->room)
		w->spots[w->nspots++] = (struct spot){ .place = place };
}

static uint64_t spot_pc(const void *spot)
{
	return ((const struct spot *)spot)->place->pc;
}

/* Makes a sorted table of the places, which lasts until the profile is written. */
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
	sort_by_key(w->spots, w->nspots, sizeof(*w->spots), spot_pc);
}

static void drop_spots(struct writer *w)
{
	if (w->spots != NULL)
		(void)os_unreserve(w->spots, w->room);
}

/* Returns the first spot whose call is at addr or above. */
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

	for (size_t i = find_spot(w, f->start);
	     i < w->end && w->spots[i].place->pc - 1 - f->start < f->nbytes; i++)
		if (w->spots[i].function.nbytes == 0 || (f->global && !w->spots[i].function.global))
			w->spots[i].function = *f;
}

/* Finds the functions of the spots in the mapping. Returns false if there are no names. */
static bool name_mapping(struct writer *w)
{
	const struct mapping *m = &w->mapping;

	w->first = find_spot(w, m->start);
	w->end = find_spot(w, m->end);
	if (w->first == w->end || !symbols_open(&w->symbols, m))
		return false;
	symbols_each(&w->symbols, name_spots, w);
	return true;
}

/* Writes a function. Its address is its id. Readers demangle C++ names. */
static void write_function(struct writer *w, const struct function *f)
{
	uint64_t name = write_string(w, symbols_name(&w->symbols, f->name));

	add_number(&w->message, FUNCTION_ID, f->start);
	add_number(&w->message, FUNCTION_NAME, name);
	add_number(&w->message, FUNCTION_SYSTEM_NAME, name);
	write_message(w, PROFILE_FUNCTION);
}

static void write_location(struct writer *w, struct pprof_place *place, uint64_t mapping,
			   uintptr_t function)
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
		write_location(w, w->spots[i].place, w->mapping_id, function);
	}
}

/* Writes a place that is in the mapping and was not written yet. */
static void write_place(struct pprof_place *place, void *arg)
{
	struct writer *w = arg;

	if (place->written != w->source->number &&
	    place->pc - 1 - w->mapping.start < w->mapping.end - w->mapping.start)
		write_location(w, place, w->mapping_id, 0);
}

static void write_mapping(struct writer *w, uintptr_t header, bool named)
{
	const struct mapping *m = &w->mapping;
	char build_id[BUILD_ID_TEXT];
	uint64_t file = write_text(w, m->name, m->name_len);

	add_number(&w->message, MAPPING_ID, w->mapping_id);
	add_number(&w->message, MAPPING_START, m->start);
	add_number(&w->message, MAPPING_LIMIT, m->end);
	add_number(&w->message, MAPPING_OFFSET, m->offset);
	add_number(&w->message, MAPPING_FILE, file);
	if (header != 0 && read_build_id(w->source->memory, header, build_id))
		add_number(&w->message, MAPPING_BUILD_ID, write_string(w, build_id));
	add_number(&w->message, MAPPING_HAS_FUNCTIONS, named);
	write_message(w, PROFILE_MAPPING);
}

static bool next_mapping(struct writer *w, struct mapping *m)
{
	return w->source->memory != NULL ? w->source->memory->mapping(w->nmappings++, m)
					 : procmap_next(&w->maps, m);
}

/* Writes the mappings with code, the program's first, and the places in each. */
static void write_mappings(struct writer *w)
{
	struct mapping *m = &w->mapping;
	uintptr_t header = 0;
	uint64_t header_file = 0;

	while (next_mapping(w, m)) {
		uint64_t file = hash_name(m);

		if (m->offset == 0) {
			header = mapping_named(m, "/") ? m->start : 0;
			header_file = file;
		}
		if ((m->flags & MAPPING_EXEC) == 0 || m->name_len == 0)
			continue;
		w->mapping_id++;
		write_mapping(w, file == header_file ? header : 0, name_mapping(w));
		if (w->spots != NULL)
			write_spots(w);
		else
			w->source->each_place(write_place, w);
	}
}

static void write_places(struct writer *w)
{
	symbols_init(&w->symbols);
	make_spots(w);
	if (w->source->memory != NULL) {
		write_mappings(w);
	} else if (procmap_open(&w->maps)) {
		write_mappings(w);
		procmap_close(&w->maps);
	}
	symbols_close(&w->symbols);
	drop_spots(w);
	w->mapping = (struct mapping){ .start = 0, .end = UINTPTR_MAX };
	w->mapping_id = 0;
	w->source->each_place(write_place, w);
}

static void write_comments(struct writer *w)
{
	char text[80];

	write_number(w, PROFILE_COMMENT, write_string(w, w->source->heading));
	if (w->source->dropped == 0)
		return;
	(void)format_buffer(text, sizeof(text), "samples dropped for want of memory: %zu",
			    w->source->dropped);
	write_number(w, PROFILE_COMMENT, write_string(w, text));
}

int pprof_write_proto(int fd, const struct pprof_source *source)
{
	struct writer *w = os_alloc_scratch(sizeof(*w));
	int error;

	if (w == NULL)
		return ENOMEM;
	w->source = source;
	gzip_begin(&w->z, fd);
	for (unsigned i = 0; i < NUM_STRINGS; i++)
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
	write_comments(w);
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

/* Prints "live objects: live bytes [all objects: all bytes] @". */
static void print_counts(struct out *o, const uint64_t counts[4])
{
	out_format(o, "%6zu: %8zu [%6zu: %8zu] @", counts[0], counts[1], counts[2], counts[3]);
}

static void print_sample(const struct pprof_sample *s, void *arg)
{
	struct out *o = arg;
	uint64_t counts[4] = { 0, 0, 0, 0 };

	add_sample(s, counts);
	print_counts(o, counts);
	for (unsigned i = 0; i < s->npcs; i++)
		out_format(o, " %#zx", s->pcs[i]);
	out_str(o, "\n");
}

/* Prints the mappings of another process as /proc/PID/maps has them. */
static void print_mappings(struct out *o, const struct pprof_memory *memory)
{
	struct mapping m;

	for (size_t i = 0; memory->mapping(i, &m); i++)
		out_format(o, "%zx-%zx %c%c%cp %zx 00:00 0 %.*s\n", m.start, m.end,
			   (m.flags & MAPPING_READ) != 0 ? 'r' : '-',
			   (m.flags & MAPPING_WRITE) != 0 ? 'w' : '-',
			   (m.flags & MAPPING_EXEC) != 0 ? 'x' : '-', (size_t)m.offset,
			   (int)m.name_len, m.name);
}

int pprof_write_text(int fd, const struct pprof_source *source)
{
	uint64_t sums[4] = { 0, 0, 0, 0 };
	struct {
		struct out out;
		char text[1024];
	} *work = os_alloc_scratch(sizeof(*work));
	struct out *o = &work->out;
	long n;
	int error, maps;

	if (work == NULL)
		return ENOMEM;
	out_init(o, fd);
	source->each_sample(add_sample, sums);
	out_str(o, "heap profile: ");
	print_counts(o, sums);
	out_format(o, " heap_v2/%zu\n", source->rate);
	source->each_sample(print_sample, o);
	out_str(o, "\nMAPPED_LIBRARIES:\n");
	if (source->memory != NULL)
		print_mappings(o, source->memory);
	maps = source->memory != NULL ? -1 : os_open_read("/proc/self/maps");
	while (maps >= 0 && (n = os_read(maps, work->text, sizeof(work->text))) > 0)
		out_bytes(o, work->text, (size_t)n);
	if (maps >= 0)
		os_close(maps);
	(void)out_flush(o);
	error = o->error;
	os_free_scratch(work, sizeof(*work));
	return error;
}
