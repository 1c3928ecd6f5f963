/* SPDX-License-Identifier: MIT */
/*
 * test_pprof.c - reads both formats back: the values, their scale, the mappings of the addresses,
 * and their functions.
 */
#include "module.h"

#include "base/chance.h"
#include "base/config.h"
#include "os_fail.h"
#include "tools/pprof.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- what is written --- */

#define MAX_SAMPLES 2000
#define MAX_PLACES 20000

static struct pprof_sample samples[MAX_SAMPLES];
static struct pprof_place places[MAX_PLACES];
static size_t nsamples, nplaces;

static void each_sample(void (*visit)(const struct pprof_sample *sample, void *arg), void *arg)
{
	for (size_t i = 0; i < nsamples; i++)
		visit(&samples[i], arg);
}

static void each_place(void (*visit)(struct pprof_place *place, void *arg), void *arg)
{
	for (size_t i = 0; i < nplaces; i++)
		visit(&places[i], arg);
}

static struct pprof_source source = { .rate = 1000,
				      .heading = "the heading",
				      .each_sample = each_sample,
				      .each_place = each_place };

static void add_sample(const uintptr_t *pcs, unsigned npcs, size_t nbytes, uint64_t allocs,
		       uint64_t frees)
{
	samples[nsamples++] = (struct pprof_sample){ pcs, npcs, nbytes, allocs, frees };
	for (unsigned i = 0; i < npcs; i++) {
		size_t k = 0;

		while (k < nplaces && places[k].pc != pcs[i])
			k++;
		if (k == nplaces)
			places[nplaces++] = (struct pprof_place){ pcs[i], 0 };
	}
}

static int reset(void **state)
{
	(void)state;
	nsamples = nplaces = 0;
	source.rate = 1000;
	source.dropped = 0;
	return 0;
}

static uint8_t file[8 << 20];

static size_t write_file(bool as_text)
{
	FILE *tmp = tmpfile();
	ssize_t len;

	assert_non_null(tmp);
	source.number++;
	assert_int_equal(as_text ? pprof_write_text(fileno(tmp), &source)
				 : pprof_write_proto(fileno(tmp), &source),
			 0);
	len = pread(fileno(tmp), file, sizeof(file) - 1, 0);
	fclose(tmp);
	assert_in_range(len, 1, sizeof(file) - 2);
	file[len] = 0;
	return (size_t)len;
}

/* --- a reader of protocol buffers --- */

static uint8_t message[8 << 20];

/* Removes the wrapping, which test_gzip.c checks. */
static size_t unwrap(size_t len)
{
	size_t at = 10, n = 0, nbytes;
	bool last;

	do {
		assert_true(at + 5 <= len);
		last = file[at] & 1;
		nbytes = file[at + 1] | (size_t)file[at + 2] << 8;
		memcpy(message + n, file + at + 5, nbytes);
		n += nbytes;
		at += 5 + nbytes;
	} while (!last);
	return n;
}

struct field {
	unsigned number;
	uint64_t value;        /* of a varint */
	const uint8_t *bytes;  /* of what has a length; else NULL */
	size_t nbytes;
};

static uint64_t take_varint(const uint8_t **at, const uint8_t *end)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte;

		assert_true(*at < end && shift < 64);
		byte = *(*at)++;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
}

static bool take_field(const uint8_t **at, const uint8_t *end, struct field *f)
{
	uint64_t key;

	if (*at == end)
		return false;
	key = take_varint(at, end);
	f->number = (unsigned)(key >> 3);
	f->value = take_varint(at, end);
	f->bytes = NULL;
	f->nbytes = 0;
	if ((key & 7) == 2) {
		assert_true(f->value <= (size_t)(end - *at));
		f->bytes = *at;
		f->nbytes = f->value;
		*at += f->value;
	} else {
		assert_int_equal(key & 7, 0);
	}
	return true;
}

/* Returns the number in a field of a submessage, or 0. */
static uint64_t number_in(const struct field *m, unsigned number)
{
	const uint8_t *at = m->bytes;
	uint64_t v = 0;
	struct field f;

	while (take_field(&at, m->bytes + m->nbytes, &f))
		if (f.number == number)
			v = f.value;
	return v;
}

struct read_sample {
	uint64_t pcs[PROFILE_MAX_FRAMES], values[4], label_key, label;
	unsigned npcs;
};

struct read_location {
	uint64_t id, mapping, address, function;
};

static struct {
	const char *strings[20000];
	uint64_t types[8][2], period_type[2], period, default_type, time_ns, comment, drop_frames;
	struct read_sample samples[MAX_SAMPLES];
	struct { uint64_t id, start, limit, offset, file, build_id, named; } mappings[1000];
	struct read_location locations[MAX_PLACES];
	struct { uint64_t id, name, system_name; } functions[MAX_PLACES];
	unsigned nstrings, ntypes, nsamples, nmappings, nlocations, nfunctions;
} got;

static void read_sample(const struct field *m)
{
	struct read_sample *s = &got.samples[got.nsamples++];
	const uint8_t *at = m->bytes;
	unsigned nvalues = 0;
	struct field f;

	*s = (struct read_sample){ .npcs = 0 };
	while (take_field(&at, m->bytes + m->nbytes, &f)) {
		const uint8_t *packed = f.bytes;

		assert_non_null(f.bytes);
		while (f.number == 1 && packed < f.bytes + f.nbytes)
			s->pcs[s->npcs++] = take_varint(&packed, f.bytes + f.nbytes);
		while (f.number == 2 && packed < f.bytes + f.nbytes)
			s->values[nvalues++] = take_varint(&packed, f.bytes + f.nbytes);
		if (f.number == 3) {
			s->label_key = number_in(&f, 1);
			s->label = number_in(&f, 3);
		}
	}
	assert_int_equal(nvalues, 4);
}

static void read_location(const struct field *m)
{
	struct read_location *l = &got.locations[got.nlocations++];
	const uint8_t *at = m->bytes;
	struct field f;

	*l = (struct read_location){ number_in(m, 1), number_in(m, 2), number_in(m, 3), 0 };
	while (take_field(&at, m->bytes + m->nbytes, &f))
		if (f.number == 4)
			l->function = number_in(&f, 1);
}

static char text[1 << 20];
static size_t text_len;

static const char *keep_string(const struct field *f)
{
	char *s = text + text_len;

	assert_true(text_len + f->nbytes < sizeof(text));
	memcpy(s, f->bytes, f->nbytes);
	s[f->nbytes] = '\0';
	text_len += f->nbytes + 1;
	return s;
}

static void read_profile(void)
{
	size_t n = unwrap(write_file(false));
	const uint8_t *at = message;
	struct field f;

	memset(&got, 0, sizeof(got));
	text_len = 0;
	while (take_field(&at, message + n, &f)) {
		switch (f.number) {
		case 1:
			got.types[got.ntypes][0] = number_in(&f, 1);
			got.types[got.ntypes++][1] = number_in(&f, 2);
			break;
		case 2: read_sample(&f); break;
		case 3:
			got.mappings[got.nmappings].id = number_in(&f, 1);
			got.mappings[got.nmappings].start = number_in(&f, 2);
			got.mappings[got.nmappings].limit = number_in(&f, 3);
			got.mappings[got.nmappings].offset = number_in(&f, 4);
			got.mappings[got.nmappings].file = number_in(&f, 5);
			got.mappings[got.nmappings].build_id = number_in(&f, 6);
			got.mappings[got.nmappings++].named = number_in(&f, 7);
			break;
		case 4: read_location(&f); break;
		case 5:
			got.functions[got.nfunctions].id = number_in(&f, 1);
			got.functions[got.nfunctions].name = number_in(&f, 2);
			got.functions[got.nfunctions++].system_name = number_in(&f, 3);
			break;
		case 6: got.strings[got.nstrings++] = keep_string(&f); break;
		case 7: got.drop_frames = f.value; break;
		case 9: got.time_ns = f.value; break;
		case 11:
			got.period_type[0] = number_in(&f, 1);
			got.period_type[1] = number_in(&f, 2);
			break;
		case 12: got.period = f.value; break;
		case 13: got.comment = f.value; break;
		case 14: got.default_type = f.value; break;
		default: fail_msg("field %u", f.number);
		}
	}
}

static const struct read_location *location_of(uintptr_t pc)
{
	const struct read_location *found = NULL;

	for (unsigned i = 0; i < got.nlocations; i++) {
		if (got.locations[i].id != pc)
			continue;
		assert_null(found);
		found = &got.locations[i];
	}
	assert_non_null(found);
	return found;
}

static const char *function_at(uintptr_t pc)
{
	uint64_t id = location_of(pc)->function;
	const char *name = NULL;

	for (unsigned i = 0; i < got.nfunctions; i++) {
		if (got.functions[i].id != id || id == 0)
			continue;
		/* Each once. */
		assert_null(name);
		assert_int_equal(got.functions[i].name, got.functions[i].system_name);
		name = got.strings[got.functions[i].name];
	}
	return name;
}

/* --- tests --- */

static void the_head_says_what_the_values_are(void **state)
{
	(void)state;
	source.rate = 524288;
	read_profile();
	assert_string_equal(got.strings[0], "");
	assert_int_equal(got.ntypes, 4);
	assert_string_equal(got.strings[got.types[0][0]], "alloc_objects");
	assert_string_equal(got.strings[got.types[0][1]], "count");
	assert_string_equal(got.strings[got.types[1][0]], "alloc_space");
	assert_string_equal(got.strings[got.types[1][1]], "bytes");
	assert_string_equal(got.strings[got.types[2][0]], "inuse_objects");
	assert_string_equal(got.strings[got.types[2][1]], "count");
	assert_string_equal(got.strings[got.types[3][0]], "inuse_space");
	assert_string_equal(got.strings[got.types[3][1]], "bytes");
	assert_string_equal(got.strings[got.period_type[0]], "space");
	assert_string_equal(got.strings[got.period_type[1]], "bytes");
	assert_string_equal(got.strings[got.default_type], "inuse_space");
	assert_int_equal(got.period, 524288);
	assert_non_null(strstr(got.strings[got.drop_frames], "malloc|"));
	/* Functions of the program may begin with goalloc_. */
	assert_null(strstr(got.strings[got.drop_frames], "goalloc_.*"));
	assert_in_range(got.time_ns / 1000000000, time(NULL) - 5, time(NULL) + 5);
	assert_int_equal(got.nsamples, 0);
	assert_string_equal(got.strings[got.comment], "the heading");
}

static void values_are_scaled_by_the_chance_of_a_sample(void **state)
{
	static const size_t sizes[] = { 8, 64, 1024, 1 << 20 };
	static const uintptr_t pcs[] = { 0x1001, 0x2002, 0x3003 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		add_sample(pcs, i, sizes[i], 100 + i, 40);
	read_profile();
	assert_int_equal(got.nsamples, 4);
	for (unsigned i = 0; i < 4; i++) {
		const struct read_sample *s = &got.samples[i];
		double p = chance_of(sizes[i], 1000), live = 60 + i;

		assert_int_equal(s->npcs, i);
		for (unsigned k = 0; k < i; k++)
			assert_int_equal(s->pcs[k], pcs[k]);
		assert_int_equal(s->values[0], (uint64_t)((100 + i) / p));
		assert_int_equal(s->values[1], (uint64_t)((double)((100 + i) * sizes[i]) / p));
		assert_int_equal(s->values[2], (uint64_t)(live / p));
		assert_int_equal(s->values[3], (uint64_t)(live * (double)sizes[i] / p));
		assert_string_equal(got.strings[s->label_key], "bytes");
		assert_int_equal(s->label, sizes[i]);
	}
}

static void the_deepest_stack_and_the_largest_numbers_have_room(void **state)
{
	static uintptr_t pcs[PROFILE_MAX_FRAMES];

	(void)state;
	source.rate = 1;
	for (unsigned i = 0; i < PROFILE_MAX_FRAMES; i++)
		pcs[i] = UINTPTR_MAX - i;
	add_sample(pcs, PROFILE_MAX_FRAMES, (size_t)1 << 46, (uint64_t)1 << 16, 0);
	read_profile();
	assert_int_equal(got.samples[0].npcs, PROFILE_MAX_FRAMES);
	assert_memory_equal(got.samples[0].pcs, pcs, sizeof(pcs));
	assert_int_equal(got.samples[0].values[3], (uint64_t)1 << 62);
	assert_int_equal(got.nlocations, PROFILE_MAX_FRAMES);
}

static void each_place_is_once_and_its_address_is_in_the_call(void **state)
{
	static uintptr_t pcs[] = { 0x1001, 0x2002, 0x1001, 0x3003 };

	(void)state;
	add_sample(pcs, 4, 64, 1, 0);
	add_sample(pcs + 1, 2, 64, 1, 0);
	for (int i = 0; i < 3; i++) {
		read_profile();
		assert_int_equal(got.nlocations, 3);
		assert_int_equal(location_of(0x1001)->address, 0x1000);
		assert_int_equal(location_of(0x3003)->address, 0x3002);
		/* No object is there. */
		assert_int_equal(location_of(0x2002)->mapping, 0);
	}
}

/* An address after a call of this function, of one in libc, and the first ones of two functions. */
static uintptr_t known[5];

static void find_known(void)
{
	known[0] = (uintptr_t)&find_known + 5;
	known[1] = (uintptr_t)dlsym(RTLD_DEFAULT, "insque") + 5;
	/* The last byte before it is still another function's. */
	known[2] = (uintptr_t)&find_known + 1;
	known[3] = (uintptr_t)&pprof_write_proto + 7;
	/* After a call that was the last of what is before the function. */
	known[4] = (uintptr_t)&find_known;
}

static void check_mapping(uintptr_t pc, const char *name)
{
	uint64_t id = location_of(pc)->mapping;
	bool found = false;

	for (unsigned i = 0; i < got.nmappings; i++) {
		if (got.mappings[i].id != id)
			continue;
		assert_in_range(pc - 1, got.mappings[i].start, got.mappings[i].limit - 1);
		assert_non_null(strstr(got.strings[got.mappings[i].file], name));
		found = true;
	}
	assert_true(found);
}

static void places_are_in_mappings(void **state)
{
	Dl_info info;

	(void)state;
	find_known();
	add_sample(known, 5, 64, 1, 0);
	read_profile();
	check_mapping(known[0], "test_pprof");
	check_mapping(known[1], "libc");
	/* The program's is the first: tools take it for what the profile is of. */
	assert_int_equal(got.mappings[0].id, 1);
	assert_non_null(strstr(got.strings[got.mappings[0].file], "test_pprof"));
	/* From the file's beginning to the code, as the program was mapped. */
	assert_true(dladdr((void *)known[0], &info) != 0);
	assert_int_equal(got.mappings[0].start - got.mappings[0].offset, (uintptr_t)info.dli_fbase);
	for (unsigned i = 1; i < got.nmappings; i++)
		assert_true(got.mappings[i].start >= got.mappings[i - 1].limit);
}

static void places_have_the_names_of_their_functions(void **state)
{
	(void)state;
	find_known();
	add_sample(known, 5, 64, 1, 0);
	read_profile();
	assert_string_equal(function_at(known[0]), "find_known");
	assert_string_equal(function_at(known[1]), "insque");
	assert_string_equal(function_at(known[2]), "find_known");
	assert_string_equal(function_at(known[3]), "pprof_write_proto");
	assert_true(function_at(known[4]) == NULL ||
		    strcmp(function_at(known[4]), "find_known") != 0);
}

static void without_memory_names_are_missing_and_nothing_else(void **state)
{
	(void)state;
	find_known();
	add_sample(known, 5, 64, 1, 0);
	for (unsigned call = OS_RESERVE; call <= OS_COMMIT; call *= 2) {
		os_fail_from(call, 1);
		read_profile();
		assert_int_equal(os_fail_failed(), 1);
		os_fail_stop();
		assert_int_equal(got.nlocations, 5);
		assert_int_equal(got.nfunctions, 0);
		check_mapping(known[0], "test_pprof");
		check_mapping(known[1], "libc");
	}
}

static void the_table_of_places_is_given_back(void **state)
{
	size_t mapped;

	(void)state;
	find_known();
	add_sample(known, 5, 64, 1, 0);
	read_profile();
	mapped = os_fail_mapped();
	read_profile();
	assert_int_equal(os_fail_mapped(), mapped);
}

/* Checks the build id, which eu-readelf -n and file(1) print. The linker was asked for one. */
static void the_programs_build_id_is_there(void **state)
{
	FILE *notes =
		popen("readelf -n /proc/$PPID/exe 2>/dev/null | sed -n 's/.*Build ID: *//p'", "r");
	char expected[200] = "";

	(void)state;
	if (notes == NULL || fgets(expected, sizeof(expected), notes) == NULL) {
		if (notes != NULL)
			pclose(notes);
		skip();
	}
	pclose(notes);
	expected[strcspn(expected, "\n")] = '\0';
	read_profile();
	assert_string_equal(got.strings[got.mappings[0].build_id], expected);
}

static void many_places_are_all_written(void **state)
{
	static uintptr_t pcs[MAX_SAMPLES][10];
	uint64_t rnd = 5;

	(void)state;
	for (unsigned i = 0; i < MAX_SAMPLES; i++) {
		for (unsigned k = 0; k < 10; k++)
			pcs[i][k] = (uintptr_t)&add_sample + rng_below(&rnd, 5000);
		add_sample(pcs[i], 10, 64, i + 1, 0);
	}
	read_profile();
	assert_int_equal(got.nsamples, MAX_SAMPLES);
	assert_int_equal(got.nlocations, nplaces);
	for (size_t i = 0; i < nplaces; i += 37)
		(void)location_of(places[i].pc);
	for (unsigned i = 0; i < MAX_SAMPLES; i++)
		assert_memory_equal(got.samples[i].pcs, pcs[i], sizeof(pcs[i]));
}

static void dropped_samples_are_told_in_a_comment(void **state)
{
	(void)state;
	source.dropped = 17;
	read_profile();
	assert_non_null(strstr(got.strings[got.comment], "17"));
}

static void the_text_has_samples_addresses_and_mappings(void **state)
{
	static uintptr_t pcs[] = { 0x1001, 0xabcdef };
	const char *expected = "heap profile:     70:     4480 [   110:     7040] @ heap_v2/1000\n"
			       "    60:     3840 [   100:     6400] @ 0x1001 0xabcdef\n"
			       "    10:      640 [    10:      640] @\n"
			       "\nMAPPED_LIBRARIES:\n";

	(void)state;
	add_sample(pcs, 2, 64, 100, 40);
	add_sample(pcs, 0, 64, 10, 0);
	(void)write_file(true);
	assert_memory_equal(file, expected, strlen(expected));
	assert_non_null(strstr((char *)file + strlen(expected), "test_pprof\n"));
	assert_non_null(strstr((char *)file + strlen(expected), "r-xp"));
}

static void a_failed_write_tells_why(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pprof_write_proto(-1, &source), EBADF);
	assert_int_equal(pprof_write_text(-1, &source), EBADF);
	if (fd < 0)
		skip();
	assert_int_equal(pprof_write_proto(fd, &source), ENOSPC);
	assert_int_equal(pprof_write_text(fd, &source), ENOSPC);
	close(fd);
}

static void nothing_stays_open_and_errno_stays(void **state)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	(void)state;
	close(before);
	find_known();
	add_sample(known, 5, 64, 1, 0);
	errno = 4711;
	assert_int_equal(pprof_write_text(-1, &source), EBADF);
	assert_int_equal(pprof_write_proto(-1, &source), EBADF);
	assert_int_equal(errno, 4711);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	assert_int_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_head_says_what_the_values_are, reset),
		cmocka_unit_test_setup(values_are_scaled_by_the_chance_of_a_sample, reset),
		cmocka_unit_test_setup(the_deepest_stack_and_the_largest_numbers_have_room, reset),
		cmocka_unit_test_setup(each_place_is_once_and_its_address_is_in_the_call, reset),
		cmocka_unit_test_setup(places_are_in_mappings, reset),
		cmocka_unit_test_setup(places_have_the_names_of_their_functions, reset),
		cmocka_unit_test_setup(without_memory_names_are_missing_and_nothing_else, reset),
		cmocka_unit_test_setup(the_table_of_places_is_given_back, reset),
		cmocka_unit_test_setup(the_programs_build_id_is_there, reset),
		cmocka_unit_test_setup(many_places_are_all_written, reset),
		cmocka_unit_test_setup(dropped_samples_are_told_in_a_comment, reset),
		cmocka_unit_test_setup(the_text_has_samples_addresses_and_mappings, reset),
		cmocka_unit_test_setup(a_failed_write_tells_why, reset),
		cmocka_unit_test_setup(nothing_stays_open_and_errno_stays, reset),
	};

	return cmocka_run_group_tests_name("pprof", tests, NULL, NULL);
}
