/* SPDX-License-Identifier: MIT */
/*
 * test_token.c - clang's allocation tokens and the noscan functions, called as the compiler calls
 * them: the rules of each entry point. Memory for pointers and memory without them never share a
 * span.
 *
 * A span has its 8 KiB pages to itself, so two objects on one page are in one span. Token 0 and
 * noscan mean memory without pointers; all other memory may hold them. A program that clang itself
 * instruments is in tests/install.
 */
#include "face.h"
#include "token.h"

#include "../../include/goalloc.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAP_PAGE (8 * KiB)
#define ERRNO_MARK 4711
#define NOTHROW_TAG ((const void *)"")

static const size_t sizes[] = { 1,    2,    3,    7,     8,     9,     15,     16,     17,
				24,   25,   31,   32,    48,    100,   512,    520,    1000,
				1024, 4096, 5000, 32767, 32768, 32769, 100000, 300000, 1200000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
static const size_t tokens[] = {0, 1, 2, 3, 7, SIZE_MAX};
#define TOKENS (sizeof(tokens) / sizeof(tokens[0]))

static volatile size_t huge_sizes[] = { (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4095,
					(size_t)1 << 48 };
#define HUGE_SIZES (sizeof(huge_sizes) / sizeof(huge_sizes[0]))

/* --- every way to an object --- */

enum way {
	BY_MALLOC,
	BY_CALLOC,
	BY_REALLOC,
	BY_REALLOCARRAY,
	BY_NEW,
	BY_NEW_ARRAY,
	BY_NEW_NOTHROW,
	BY_NEW_ARRAY_NOTHROW,
	UNALIGNED_WAYS,
	BY_ALIGNED_ALLOC = UNALIGNED_WAYS,
	BY_MEMALIGN,
	BY_POSIX_MEMALIGN,
	BY_NEW_ALIGNED,
	BY_NEW_ARRAY_ALIGNED,
	BY_NEW_ALIGNED_NOTHROW,
	BY_NEW_ARRAY_ALIGNED_NOTHROW,
	ALIGNED_WAYS,
	BY_VALLOC = ALIGNED_WAYS,
	BY_PVALLOC,
	WAYS
};

static void *by_posix_memalign(enum token_abi abi, size_t token, size_t align, size_t n)
{
	void *p = NULL;
	int error = TOKEN_CALL(posix_memalign, abi, token, &p, align < 8 ? 8 : align, n);

	assert_int_equal(error, p == NULL ? ENOMEM : 0);
	return p;
}

static void *make(enum way way, enum token_abi abi, size_t token, size_t align, size_t n)
{
	switch (way) {
	case BY_MALLOC:
		return TOKEN_CALL(malloc, abi, token, n);
	case BY_CALLOC:
		return TOKEN_CALL(calloc, abi, token, 1, n);
	case BY_REALLOC:
		return TOKEN_CALL(realloc, abi, token, NULL, n);
	case BY_REALLOCARRAY:
		return TOKEN_CALL(reallocarray, abi, token, NULL, 1, n);
	case BY_NEW:
		return TOKEN_CALL(_Znwm, abi, token, n);
	case BY_NEW_ARRAY:
		return TOKEN_CALL(_Znam, abi, token, n);
	case BY_NEW_NOTHROW:
		return TOKEN_CALL(_ZnwmRKSt9nothrow_t, abi, token, n, NOTHROW_TAG);
	case BY_NEW_ARRAY_NOTHROW:
		return TOKEN_CALL(_ZnamRKSt9nothrow_t, abi, token, n, NOTHROW_TAG);
	case BY_ALIGNED_ALLOC:
		return TOKEN_CALL(aligned_alloc, abi, token, align, n);
	case BY_MEMALIGN:
		return TOKEN_CALL(memalign, abi, token, align, n);
	case BY_POSIX_MEMALIGN:
		return by_posix_memalign(abi, token, align, n);
	case BY_NEW_ALIGNED:
		return TOKEN_CALL(_ZnwmSt11align_val_t, abi, token, n, align);
	case BY_NEW_ARRAY_ALIGNED:
		return TOKEN_CALL(_ZnamSt11align_val_t, abi, token, n, align);
	case BY_NEW_ALIGNED_NOTHROW:
		return TOKEN_CALL(_ZnwmSt11align_val_tRKSt9nothrow_t, abi, token, n, align,
				  NOTHROW_TAG);
	case BY_NEW_ARRAY_ALIGNED_NOTHROW:
		return TOKEN_CALL(_ZnamSt11align_val_tRKSt9nothrow_t, abi, token, n, align,
				  NOTHROW_TAG);
	case BY_VALLOC:
		return TOKEN_CALL(valloc, abi, token, n);
	case BY_PVALLOC:
		return TOKEN_CALL(pvalloc, abi, token, n);
	default:
		return NULL;
	}
}

/* The noscan functions of goalloc.h stand beside token 0, plain malloc beside the others. */
static void *make_by_other_names(bool noscan, unsigned nth, size_t n)
{
	switch (nth % 4) {
	case 0:
		return noscan ? goalloc_malloc_noscan(n) : malloc(n);
	case 1:
		return noscan ? goalloc_calloc_noscan(1, n) : calloc(1, n);
	case 2:
		return noscan ? goalloc_realloc_noscan(NULL, n) : realloc(NULL, n);
	default:
		return noscan ? goalloc_aligned_alloc_noscan(32, n) : aligned_alloc(32, n);
	}
}

/* --- the live objects on each page --- */

#define PAGE_RECORDS ((size_t)1 << 16)

static struct page_record {
	uintptr_t page;
	unsigned live[2]; /* that may hold pointers; that hold none */
} page_records[PAGE_RECORDS];
static size_t npage_records;

static struct page_record *page_record(uintptr_t page)
{
	for (size_t i = (page * 0x9e3779b97f4a7c15u) >> 48;; i = (i + 1) % PAGE_RECORDS) {
		struct page_record *r = &page_records[i];

		if (r->page == 0) {
			assert_true(++npage_records < PAGE_RECORDS);
			r->page = page;
		}
		if (r->page == page)
			return r;
	}
}

static void note(const void *p, bool noscan, int change)
{
	uintptr_t first = (uintptr_t)p / HEAP_PAGE;
	uintptr_t last = ((uintptr_t)p + malloc_usable_size((void *)p) - 1) / HEAP_PAGE;

	for (uintptr_t page = first; page <= last; page++) {
		struct page_record *r = page_record(page);

		r->live[noscan] += (unsigned)change;
		assert_true(r->live[0] == 0 || r->live[1] == 0);
	}
}

/* The same pages serve first one kind of memory and later the other. */
static int forget_pages(void **state)
{
	(void)state;
	npage_records = 0;
	memset(page_records, 0, sizeof(page_records));
	return 0;
}

/* --- tests --- */

static void every_way_and_size_keeps_the_kinds_apart(void **state)
{
	static void *objects[2 * WAYS * TOKENS * SIZES + 8 * SIZES];
	size_t nobjects = 0;

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (unsigned way = 0; way < WAYS; way++) {
			for (size_t t = 0; t < TOKENS * 2; t++) {
				size_t token = tokens[t / 2];
				void *p = make((enum way)way, (enum token_abi)(t % 2), token, 64,
					       sizes[i]);

				assert_non_null(p);
				note(p, token == 0, 1);
				objects[nobjects++] = p;
			}
		}
		for (unsigned nth = 0; nth < 8; nth++) {
			void *p = make_by_other_names(nth < 4, nth, sizes[i]);

			assert_non_null(p);
			note(p, nth < 4, 1);
			objects[nobjects++] = p;
		}
	}
	for (size_t i = 0; i < nobjects; i++)
		free(objects[i]);
}

static void a_random_life_keeps_the_kinds_apart(void **state)
{
	static struct {
		unsigned char *p;
		size_t size;
		bool noscan;
	} objects[1500];
	uint64_t rng = 0x5eed;

	(void)state;
	for (unsigned n = 0; n < 60000; n++) {
		size_t i = rng_next(&rng) % (sizeof(objects) / sizeof(objects[0]));
		size_t size = rng_mixed_size(&rng) + 1, token = tokens[rng_next(&rng) % TOKENS];
		enum token_abi abi = (enum token_abi)(rng_next(&rng) % 2);
		unsigned char *p = objects[i].p;
		size_t kept = 0;

		if (p != NULL)
			note(p, objects[i].noscan, -1);
		if (p != NULL && rng_next(&rng) % 2 != 0) {
			kept = size < objects[i].size ? size : objects[i].size;
			p = TOKEN_CALL(realloc, abi, token, p, size);
		} else {
			free(p);
			p = make((enum way)(rng_next(&rng) % WAYS), abi, token,
				 (size_t)8 << rng_next(&rng) % 11, size);
		}
		assert_non_null(p);
		for (size_t k = 0; k < kept; k += 1 + kept / 16)
			assert_int_equal(p[k], (unsigned char)(i + k));
		for (size_t k = 0; k < size; k++)
			p[k] = (unsigned char)(i + k);
		objects[i].p = p;
		objects[i].size = size;
		objects[i].noscan = token == 0;
		note(p, token == 0, 1);
	}
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		if (objects[i].p != NULL)
			note(objects[i].p, objects[i].noscan, -1);
		free(objects[i].p);
	}
}

static void realloc_moves_between_the_kinds(void **state)
{
	void *(*const resize[4])(void *, size_t) = { __alloc_token_0_realloc,
						     __alloc_token_1_realloc,
						     goalloc_realloc_noscan, realloc };
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (unsigned from = 0; from < 4; from++) {
			for (unsigned to = 0; to < 4; to++) {
				unsigned char *p = resize[from](NULL, sizes[i]);

				memset(p, (int)(0x40 + i), sizes[i]);
				p = resize[to](p, sizes[i]);
				assert_non_null(p);
				note(p, to % 2 == 0, 1);
				for (size_t k = 0; k < sizes[i]; k++)
					assert_int_equal(p[k], 0x40 + i);
				note(p, to % 2 == 0, -1);
				free(p);
			}
		}
	}
}

static bool is_aligned(const void *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}

/* Returns the alignment of a type of that size. */
static size_t natural_align(size_t size)
{
	size_t align = 16;

	while (align > size)
		align /= 2;
	return align;
}

static void objects_are_aligned_and_all_of_them_is_writable(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (unsigned way = 0; way < WAYS; way++) {
			for (size_t t = 0; t < 6; t++) {
				size_t align =
					way < UNALIGNED_WAYS ? natural_align(sizes[i]) : 4096;
				unsigned lg = 0;

				do {
					void *p;

					if (way >= UNALIGNED_WAYS && way < ALIGNED_WAYS)
						align = (size_t)1 << lg;
					p = make((enum way)way, (enum token_abi)(t % 2), t / 2,
						 align, sizes[i]);
					assert_non_null(p);
					assert_true(is_aligned(p, align));
					assert_true(malloc_usable_size(p) >= sizes[i]);
					memset(p, 0xa5, malloc_usable_size(p));
					free(p);
				} while (align != 4096 && way >= UNALIGNED_WAYS && ++lg <= 16);
			}
		}
	}
}

static void tiny_objects_keep_to_their_bytes(void **state)
{
	unsigned char *p[64];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		p[i] = __alloc_token_0_malloc(i % 8 + 1);
		memset(p[i], (int)i, i % 8 + 1);
	}
	for (size_t i = 0; i < 64; i++) {
		for (size_t k = 0; k <= i % 8; k++)
			assert_int_equal(p[i][k], i);
		assert_true(malloc_usable_size(p[i]) >= i % 8 + 1);
	}
	for (size_t i = 0; i < 64; i++)
		free(p[i * 27 % 64]);
}

static void calloc_clears_what_was_used_before(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t t = 0; t < 6; t++) {
			enum token_abi abi = (enum token_abi)(t % 2);
			unsigned char *dirty[4], *p;

			for (unsigned k = 0; k < 4; k++) {
				dirty[k] = TOKEN_CALL(malloc, abi, t / 2, sizes[i]);
				memset(dirty[k], 0xff, sizes[i]);
			}
			for (unsigned k = 0; k < 4; k++)
				free(dirty[k]);
			p = TOKEN_CALL(calloc, abi, t / 2, sizes[i], 1);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(p[k], 0);
			free(p);
		}
	}
}

static void of_size_0_is_a_unique_pointer(void **state)
{
	(void)state;
	for (size_t t = 0; t < 6; t++) {
		for (unsigned way = 0; way < WAYS; way++) {
			void *a = make((enum way)way, (enum token_abi)(t % 2), t / 2, 16, 0);
			void *b = make((enum way)way, (enum token_abi)(t % 2), t / 2, 16, 0);

			assert_non_null(a);
			assert_non_null(b);
			assert_ptr_not_equal(a, b);
			free(a);
			free(b);
		}
	}
}

static void what_cannot_be_had_is_null_with_enomem(void **state)
{
	(void)state;
	for (size_t i = 0; i < HUGE_SIZES; i++) {
		for (size_t t = 0; t < 6; t++) {
			for (unsigned way = 0; way < WAYS; way++) {
				if (way == BY_NEW || way == BY_NEW_ARRAY || way == BY_NEW_ALIGNED ||
				    way == BY_NEW_ARRAY_ALIGNED)
					continue; /* throw: test_token_operators.cc */
				errno = 0;
				assert_null(make((enum way)way, (enum token_abi)(t % 2), t / 2, 16,
						 huge_sizes[i]));
				assert_int_equal(errno, ENOMEM);
			}
		}
	}
}

static void a_product_that_overflows_is_null_with_enomem(void **state)
{
	volatile size_t half = SIZE_MAX / 2 + 1;

	(void)state;
	for (size_t t = 0; t < 6; t++) {
		enum token_abi abi = (enum token_abi)(t % 2);
		char *p = TOKEN_CALL(malloc, abi, t / 2, 10), *q;

		errno = 0;
		assert_null(TOKEN_CALL(calloc, abi, t / 2, half, 2));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		p[9] = 'x';
		q = TOKEN_CALL(reallocarray, abi, t / 2, p, half, 2);
		assert_null(q);
		assert_int_equal(errno, ENOMEM);
		q = TOKEN_CALL(realloc, abi, t / 2, p, half);
		assert_null(q);
		assert_int_equal(p[9], 'x');
		free(p);
	}
}

static void a_bad_alignment_is_einval(void **state)
{
	(void)state;
	for (size_t t = 0; t < 6; t++) {
		enum token_abi abi = (enum token_abi)(t % 2);
		void *out = &out;

		errno = 0;
		assert_null(TOKEN_CALL(aligned_alloc, abi, t / 2, 24, 100));
		assert_int_equal(errno, EINVAL);
		assert_int_equal(TOKEN_CALL(posix_memalign, abi, t / 2, &out, 4, 100), EINVAL);
		assert_int_equal(TOKEN_CALL(posix_memalign, abi, t / 2, &out, 24, 100), EINVAL);
		assert_ptr_equal(out, &out);
	}
}

static void realloc_to_0_frees_and_keeps_errno(void **state)
{
	(void)state;
	for (size_t t = 0; t < 6; t++) {
		enum token_abi abi = (enum token_abi)(t % 2);
		void *p = TOKEN_CALL(malloc, abi, t / 2, 100);

		errno = ERRNO_MARK;
		assert_null(TOKEN_CALL(realloc, abi, t / 2, p, 0));
		assert_int_equal(errno, ERRNO_MARK);
	}
}

static void sized_frees_know_their_sizes(void **state)
{
	void (*free_sized)(void *, size_t);
	void (*free_aligned_sized)(void *, size_t, size_t);

	(void)state;
	*(void **)&free_sized = face_sym("free_sized");
	*(void **)&free_aligned_sized = face_sym("free_aligned_sized");
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t t = 0; t < 6; t++) {
			enum token_abi abi = (enum token_abi)(t % 2);
			size_t less = (sizes[i] + 1) / 2;

			for (unsigned way = 0; way < UNALIGNED_WAYS; way++)
				free_sized(make((enum way)way, abi, t / 2, 0, sizes[i]), sizes[i]);
			for (unsigned way = UNALIGNED_WAYS; way < ALIGNED_WAYS; way++) {
				for (size_t align = 16; align <= 4096; align *= 2)
					free_aligned_sized(
						make((enum way)way, abi, t / 2, align, sizes[i]),
						align, sizes[i]);
			}
			/* After a realloc that may have left it where it was. */
			free_sized(TOKEN_CALL(realloc, abi, t / 2,
					      TOKEN_CALL(malloc, abi, t / 2, sizes[i]), less),
				   less);
		}
	}
}

/* Call sites as clang makes them of malloc(n * sizeof(type)). */
#define MALLOC_WITHOUT_POINTERS(n, type) ((type *)__alloc_token_0_malloc((n) * sizeof(type)))
#define MALLOC_WITH_POINTERS(n, type) ((type *)__alloc_token_1_malloc((n) * sizeof(type)))

struct node {
	struct node *next;
	double *values;
};

#define NODES 1000
#define VALUES 20 /* 160 bytes, a size class */

static void figures_show_the_kinds_apart(void **state)
{
	struct goalloc_memstats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	struct node *list = NULL, *next;

	(void)state;
	assert_int_equal(goalloc_read_memstats(&before), 0);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = MALLOC_WITH_POINTERS(1, struct node);

		n->values = MALLOC_WITHOUT_POINTERS(VALUES, double);
		n->next = list;
		list = n;
	}
	assert_int_equal(goalloc_read_memstats(&after), 0);
	assert_int_equal(after.NoscanObjects - before.NoscanObjects, NODES);
	/* With hardened=1 slots are a size larger. */
	assert_in_range(after.NoscanAlloc - before.NoscanAlloc, NODES * VALUES * sizeof(double),
			NODES * (VALUES + 2) * sizeof(double));
	assert_int_equal(after.HeapObjects - before.HeapObjects, 2 * NODES);
	assert_true(after.HeapAlloc - before.HeapAlloc - (after.NoscanAlloc - before.NoscanAlloc) >=
		    NODES * sizeof(struct node));
	for (; list != NULL; list = next) {
		next = list->next;
		free(list->values);
		free(list);
	}
	assert_int_equal(goalloc_read_memstats(&after), 0);
	assert_int_equal(after.NoscanAlloc, before.NoscanAlloc);
	assert_int_equal(after.HeapObjects, before.HeapObjects);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_way_and_size_keeps_the_kinds_apart, forget_pages),
		cmocka_unit_test_setup(a_random_life_keeps_the_kinds_apart, forget_pages),
		cmocka_unit_test_setup(realloc_moves_between_the_kinds, forget_pages),
		cmocka_unit_test(objects_are_aligned_and_all_of_them_is_writable),
		cmocka_unit_test(tiny_objects_keep_to_their_bytes),
		cmocka_unit_test(calloc_clears_what_was_used_before),
		cmocka_unit_test(of_size_0_is_a_unique_pointer),
		cmocka_unit_test(what_cannot_be_had_is_null_with_enomem),
		cmocka_unit_test(a_product_that_overflows_is_null_with_enomem),
		cmocka_unit_test(a_bad_alignment_is_einval),
		cmocka_unit_test(realloc_to_0_frees_and_keeps_errno),
		cmocka_unit_test(sized_frees_know_their_sizes),
		cmocka_unit_test(figures_show_the_kinds_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
