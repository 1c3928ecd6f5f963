/* SPDX-License-Identifier: MIT */
/*
 * test_semantics.c - the argument rules of every entry point: what is returned, what errno says,
 * and what stays untouched.
 *
 * Sizes and alignments come through volatile variables, so that no compiler decides the outcome or
 * warns of it.
 */
#include "face.h"

#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ERRNO_MARK 4711

static volatile size_t huge_sizes[] = {
	(size_t)PTRDIFF_MAX + 1, SIZE_MAX,     SIZE_MAX - 7,  SIZE_MAX - 4095, SIZE_MAX - 8191,
	SIZE_MAX - 65535,        SIZE_MAX / 2, PTRDIFF_MAX,   (size_t)1 << 62, (size_t)1 << 48,
};

#define HUGE_SIZES (sizeof(huge_sizes) / sizeof(huge_sizes[0]))

/* Go's size classes; 24 is only 8-aligned, so malloc does not use it. */
static const size_t go_classes[] = {
	8,     16,    32,    48,    64,    80,    96,    112,   128,   144,   160,   176,   192,
	208,   224,   240,   256,   288,   320,   352,   384,   416,   448,   480,   512,   576,
	640,   704,   768,   896,   1024,  1152,  1280,  1408,  1536,  1792,  2048,  2304,  2688,
	3072,  3200,  3456,  4096,  4864,  5376,  6144,  6528,  6784,  6912,  8192,  9472,
	9728,  10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264,
	28672, 32768,
};

typedef void free_sized_fn(void *, size_t);
typedef void free_aligned_sized_fn(void *, size_t, size_t);
typedef size_t nallocx_fn(size_t, int);
typedef void sdallocx_fn(void *, size_t, int);
typedef void cfree_fn(void *);

static free_sized_fn *p_free_sized;
static free_aligned_sized_fn *p_free_aligned_sized;
static nallocx_fn *p_nallocx;
static sdallocx_fn *p_sdallocx;
static cfree_fn *p_cfree;

static int look_up(void **state)
{
	(void)state;
	p_free_sized = (free_sized_fn *)face_sym("free_sized");
	p_free_aligned_sized = (free_aligned_sized_fn *)face_sym("free_aligned_sized");
	p_nallocx = (nallocx_fn *)face_sym("nallocx");
	p_sdallocx = (sdallocx_fn *)face_sym("sdallocx");
	p_cfree = (cfree_fn *)face_sym("cfree");
	return 0;
}

static bool is_aligned(const void *p, size_t alignment)
{
	return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* Returns the alignment that malloc promises for a request of n bytes. */
static size_t promised_alignment(size_t n)
{
	return n < 16 ? 8 : 16;
}

static void malloc_is_the_one_under_test(void **state)
{
	(void)state;
	assert_true(face_malloc_is_goalloc());
}

/* --- zero --- */

static void malloc_0_is_a_unique_pointer(void **state)
{
	void *p[64];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		p[i] = malloc(0);
		assert_non_null(p[i]);
		assert_true(is_aligned(p[i], 8));
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(p[i], p[j]);
	}
	for (size_t i = 0; i < 64; i++)
		free(p[i]);
}

/* Returns 0 or the number of the signal that ends a child that does this to malloc(0). */
static int touch_nothing(void (*touch)(volatile char *p))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);   /* cmocka has a handler */
		touch(malloc(0));
		_exit(0);
	}
	status = child_wait(pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void read_it(volatile char *p)
{
	(void)p[0];
}

static void write_it(volatile char *p)
{
	p[0] = 1;
}

static void write_the_last_byte_of_8(volatile char *p)
{
	p[7] = 1;
}

static void free_it(volatile char *p)
{
	free((void *)(uintptr_t)p);
}

static void what_malloc_0_gives_cannot_be_touched(void **state)
{
	void *p = malloc(0);

	(void)state;
	assert_int_equal(malloc_usable_size(p), 0);
	assert_int_equal(touch_nothing(free_it), 0);
	assert_int_equal(touch_nothing(read_it), SIGSEGV);
	assert_int_equal(touch_nothing(write_it), SIGSEGV);
	assert_int_equal(touch_nothing(write_the_last_byte_of_8), SIGSEGV);
	p = realloc(p, 10);
	assert_non_null(p);
	memset(p, 1, 10);
	free(p);
}

static void many_objects_of_no_bytes_come_and_go(void **state)
{
	enum { N = 5000 };
	static void *p[N];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			assert_non_null(p[i] = i % 2 == 0 ? malloc(0) : calloc(0, 3));
		for (int i = 0; i < N; i++)
			free(p[i]);
		malloc_trim(0);
	}
}

static void calloc_of_0_is_a_unique_pointer(void **state)
{
	volatile size_t zero = 0;
	void *a = calloc(zero, 10), *b = calloc(10, zero);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	free(a);
	free(b);
}

static void zero_sizes_of_the_aligned_family_can_be_freed(void **state)
{
	volatile size_t zero = 0;
	void *p = NULL;

	(void)state;
	assert_int_equal(posix_memalign(&p, 64, zero), 0);
	free(p);
	p = aligned_alloc(64, zero);
	assert_non_null(p);
	free(p);
	p = memalign(64, zero);
	assert_non_null(p);
	free(p);
	free(valloc(zero));
	free(pvalloc(zero));
}

/* --- realloc, reallocarray --- */

static void realloc_to_0_frees_returns_NULL_and_keeps_errno(void **state)
{
	static const size_t sizes[] = {0, 1, 8, 100, 5000, 40000, 1 << 20};
	volatile size_t zero = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = malloc(sizes[i]);
		errno = ERRNO_MARK;
		assert_null(realloc(p, zero));
		assert_int_equal(errno, ERRNO_MARK);
	}
}

static void realloc_to_0_really_frees(void **state)
{
	volatile size_t zero = 0;
	size_t before = proc_rss();

	(void)state;
	for (int i = 0; i < 2000; i++) {
		void *p = malloc(64 * KiB);
		assert_non_null(p);
		memset(p, 1, 64 * KiB);
		assert_null(realloc(p, zero));
	}
	assert_in_range(proc_rss(), 0, before + 32 * MiB);
}

static void realloc_of_NULL_is_malloc(void **state)
{
	void *p = realloc(NULL, 100), *q;
	volatile size_t zero = 0;

	(void)state;
	assert_non_null(p);
	assert_in_range(malloc_usable_size(p), 100, SIZE_MAX);
	free(p);
	q = realloc(NULL, zero);
	assert_non_null(q);
	free(q);
}

static void realloc_aligns_what_was_less_aligned(void **state)
{
	void *p[16];

	(void)state;
	for (int i = 0; i < 16; i++) {
		p[i] = aligned_alloc(8, 24);
		assert_non_null(p[i]);
		memset(p[i], i, 24);
	}
	for (int i = 0; i < 16; i++) {
		p[i] = realloc(p[i], 20);
		assert_true(is_aligned(p[i], 16));
		assert_int_equal(((char *)p[i])[19], i);
		free(p[i]);
	}
}

static void reallocarray_multiplies_and_keeps_the_content(void **state)
{
	unsigned char *p = reallocarray(NULL, 10, 10);
	volatile size_t zero = 0;

	(void)state;
	assert_non_null(p);
	memset(p, 0x5a, 100);
	p = reallocarray(p, 1000, 77);
	assert_non_null(p);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(p[i], 0x5a);
	assert_in_range(malloc_usable_size(p), 77000, SIZE_MAX);
	errno = ERRNO_MARK;
	assert_null(reallocarray(p, 10, zero));
	assert_int_equal(errno, ERRNO_MARK);
}

static void a_failed_realloc_keeps_the_object(void **state)
{
	static const size_t sizes[] = {1, 15, 64, 5000, 40000, 3 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char *volatile p = malloc(sizes[i]);
		assert_non_null(p);
		memset(p, 0xa5, sizes[i]);
		for (size_t k = 0; k < HUGE_SIZES; k++) {
			errno = 0;
			assert_null(realloc(p, huge_sizes[k]));
			assert_int_equal(errno, ENOMEM);
		}
		errno = 0;
		assert_null(reallocarray(p, huge_sizes[1], 2));
		assert_int_equal(errno, ENOMEM);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], 0xa5);
		free(p);
	}
}

/* --- too big --- */

static void huge_sizes_give_NULL_and_ENOMEM(void **state)
{
	(void)state;
	for (size_t i = 0; i < HUGE_SIZES; i++) {
		size_t n = huge_sizes[i];
		errno = 0;
		assert_null(malloc(n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(calloc(n, 1));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(calloc(1, n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(realloc(NULL, n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(reallocarray(NULL, n, 1));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(aligned_alloc(64, n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(aligned_alloc(1 << 16, n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(memalign(4096, n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(valloc(n));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(pvalloc(n));
		assert_int_equal(errno, ENOMEM);
	}
}

static void overflowing_products_give_NULL_and_ENOMEM(void **state)
{
	static volatile size_t a[] = {SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 32, (size_t)1 << 33,
				      SIZE_MAX / 3 + 1, 3};
	static volatile size_t b[] = {2, 2, (size_t)1 << 32, (size_t)1 << 31, 3, SIZE_MAX / 3 + 1};

	(void)state;
	for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++) {
		errno = 0;
		assert_null(calloc(a[i], b[i]));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(reallocarray(NULL, a[i], b[i]));
		assert_int_equal(errno, ENOMEM);
	}
}

static void after_a_failure_the_next_request_works(void **state)
{
	void *p;

	(void)state;
	assert_null(malloc(huge_sizes[0]));
	p = malloc(100 * KiB);
	assert_non_null(p);
	memset(p, 1, 100 * KiB);
	free(p);
}

/* --- errno --- */

static void success_leaves_errno_untouched(void **state)
{
	static const size_t sizes[] = {0, 1, 24, 500, 9000, 32768, 32769, 1 << 20, 80 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p, *q, *r = NULL;
		errno = ERRNO_MARK;
		p = malloc(sizes[i]);
		q = calloc(1, sizes[i]);
		assert_int_equal(posix_memalign(&r, 4096, sizes[i]), 0);
		p = realloc(p, sizes[i] + 100);
		assert_int_equal(errno, ERRNO_MARK);
		free(p);
		free(q);
		free(r);
		assert_int_equal(errno, ERRNO_MARK);
	}
}

static void free_keeps_errno(void **state)
{
	enum { N = 300 };
	void *p[N];

	(void)state;
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(i % 3 == 0 ? i : i % 3 == 1 ? i * 100 : i * 10000);
	errno = ERRNO_MARK;
	free(NULL);
	for (size_t i = 0; i < N; i++) {
		if (i % 2 == 0)
			free(p[i]);
		else
			p_cfree(p[i]);
	}
	assert_int_equal(errno, ERRNO_MARK);
	(void)malloc_trim(0);
	p_free_sized(malloc(50), 50);
	p_free_aligned_sized(aligned_alloc(64, 640), 64, 640);
	p_sdallocx(malloc(1 << 20), 1 << 20, 0);
	assert_int_equal(errno, ERRNO_MARK);
}

/* --- alignment --- */

static void plain_requests_are_8_aligned_and_16_aligned_from_16_bytes(void **state)
{
	(void)state;
	for (size_t n = 0; n < 70000; n += n < 1100 ? 1 : 61) {
		void *p = malloc(n), *q = calloc(n, 1), *r = realloc(NULL, n);
		assert_non_null(p);
		assert_non_null(q);
		assert_non_null(r);
		assert_true(is_aligned(p, promised_alignment(n)));
		assert_true(is_aligned(q, promised_alignment(n)));
		assert_true(is_aligned(r, promised_alignment(n)));
		free(p);
		free(q);
		free(r);
	}
}

/* An object that starts at an odd multiple of 8 must not stay there when it grows. */
static void realloc_to_16_and_more_is_16_aligned(void **state)
{
	enum { N = 32 };

	(void)state;
	for (size_t from = 0; from < 16; from++) {
		for (size_t to = 16; to < 64; to++) {
			void *p[N];
			for (size_t i = 0; i < N; i++)
				p[i] = malloc(from);
			for (size_t i = 0; i < N; i++) {
				p[i] = realloc(p[i], to);
				assert_non_null(p[i]);
				assert_true(is_aligned(p[i], 16));
			}
			for (size_t i = 0; i < N; i++)
				free(p[i]);
		}
	}
}

static void aligned_alloc_and_posix_memalign_align_and_have_room(void **state)
{
	static const size_t sizes[] = {0,    1,    7,     8,     24,    33, 64, 100,
				       1000, 4097, 32768, 32769, 300000};

	(void)state;
	for (size_t alignment = 8; alignment <= 4 * MiB; alignment *= 2) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			void *p[3], *q[3] = {NULL, NULL, NULL};
			for (size_t k = 0; k < 3; k++) {
				p[k] = aligned_alloc(alignment, sizes[i]);
				assert_int_equal(posix_memalign(&q[k], alignment, sizes[i]), 0);
				assert_non_null(p[k]);
				assert_true(is_aligned(p[k], alignment));
				assert_true(is_aligned(q[k], alignment));
				assert_true(malloc_usable_size(p[k]) >= sizes[i]);
				assert_true(malloc_usable_size(q[k]) >= sizes[i]);
				memset(p[k], (int)k, sizes[i]);
				memset(q[k], (int)k + 3, sizes[i]);
			}
			for (size_t k = 0; k < 3; k++) {
				if (sizes[i] > 0) {
					assert_int_equal(((char *)p[k])[sizes[i] - 1], (int)k);
					assert_int_equal(((char *)q[k])[0], (int)k + 3);
				}
				free(p[k]);
				free(q[k]);
			}
		}
	}
}

static void alignments_of_an_arena_and_more_work_or_fail_with_ENOMEM(void **state)
{
	(void)state;
	for (size_t alignment = 8 * MiB; alignment != 0; alignment *= 2) {
		void *p, *q = &p;
		int err;
		errno = 0;
		p = aligned_alloc(alignment, 100);
		if (p == NULL)
			assert_int_equal(errno, ENOMEM);
		assert_true(is_aligned(p, alignment));
		free(p);
		err = posix_memalign(&q, alignment, 100);
		if (err == 0) {
			assert_true(is_aligned(q, alignment));
			free(q);
		} else {
			assert_int_equal(err, ENOMEM);
			assert_ptr_equal(q, &p);
		}
	}
}

static void posix_memalign_of_a_bad_alignment_is_EINVAL_and_leaves_out_alone(void **state)
{
	static volatile size_t bad[] = {0, 1, 2, 3, 4, 5, 7, 9, 12, 24, 48, 100, 4095, 4097,
					SIZE_MAX, ((size_t)1 << 63) + 1};
	int mark;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		void *out = &mark;
		errno = ERRNO_MARK;
		assert_int_equal(posix_memalign(&out, bad[i], 100), EINVAL);
		assert_ptr_equal(out, &mark);
		assert_int_equal(errno, ERRNO_MARK);
	}
}

static void posix_memalign_of_a_huge_size_is_ENOMEM_and_leaves_out_alone(void **state)
{
	int mark;

	(void)state;
	for (size_t i = 0; i < HUGE_SIZES; i++) {
		void *out = &mark;
		errno = 0;
		assert_int_equal(posix_memalign(&out, 64, huge_sizes[i]), ENOMEM);
		assert_ptr_equal(out, &mark);
		/* As with glibc. */
		assert_int_equal(errno, ENOMEM);
	}
}

static void aligned_alloc_not_of_a_power_of_two_is_EINVAL(void **state)
{
	static volatile size_t bad[] = {0, 3, 5, 6, 12, 24, 48, 100, 4095, 4097, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(aligned_alloc(bad[i], 96));
		assert_int_equal(errno, EINVAL);
	}
}

static void aligned_alloc_works_when_the_size_is_no_multiple(void **state)
{
	static volatile size_t alignments[] = {64, 64, 64, 256, 4096, 8192, 65536, 1, 2, 4};
	static volatile size_t sizes[] = {24, 1, 65, 100, 5000, 12345, 70000, 7, 9, 33};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = aligned_alloc(alignments[i], sizes[i]);
		assert_non_null(p);
		assert_true(is_aligned(p, alignments[i]));
		memset(p, 1, sizes[i]);
		free(p);
	}
}

static void memalign_rounds_the_alignment_up_to_a_power_of_two(void **state)
{
	static volatile size_t asked[] = {0, 1, 3, 17, 24, 33, 48, 100, 1000, 3000, 5000};
	static const size_t given[] = {8, 8, 8, 32, 32, 64, 64, 128, 1024, 4096, 8192};

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		void *p[8];
		for (size_t k = 0; k < 8; k++) {
			p[k] = memalign(asked[i], 24);
			assert_non_null(p[k]);
			assert_true(is_aligned(p[k], given[i]));
		}
		for (size_t k = 0; k < 8; k++)
			free(p[k]);
	}
}

static void memalign_that_cannot_be_rounded_up_fails(void **state)
{
	static volatile size_t asked[] = {((size_t)1 << 63) + 1, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		errno = 0;
		assert_null(memalign(asked[i], 24));
		assert_true(errno == EINVAL || errno == ENOMEM);
	}
}

static void valloc_is_page_aligned_and_pvalloc_fills_the_page(void **state)
{
	static const size_t sizes[] = {1, 100, 4095, 4096, 4097, 10000, 40000, 1 << 20};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = valloc(sizes[i]), *q = pvalloc(sizes[i]), *r = pvalloc(sizes[i]);
		size_t rounded = (sizes[i] + page - 1) / page * page;
		assert_non_null(p);
		assert_non_null(q);
		assert_non_null(r);
		assert_true(is_aligned(p, page));
		assert_true(is_aligned(q, page));
		assert_true(malloc_usable_size(p) >= sizes[i]);
		assert_true(malloc_usable_size(q) >= rounded);
		memset(q, 1, rounded);
		memset(r, 2, rounded);
		assert_int_equal(q[0], 1);
		assert_int_equal(q[rounded - 1], 1);
		free(p);
		free(q);
		free(r);
	}
}

/* --- usable size --- */

static void malloc_usable_size_of_NULL_is_0(void **state)
{
	(void)state;
	assert_int_equal(malloc_usable_size(NULL), 0);
}

static void malloc_usable_size_is_the_slot_of_gos_size_class(void **state)
{
	size_t k = 0;

	(void)state;
	for (size_t n = 16; n <= 32768; n++) {
		void *p = malloc(n);
		while (go_classes[k] < n)
			k++;
		assert_int_equal(malloc_usable_size(p), go_classes[k]);
		free(p);
	}
}

static void malloc_usable_size_of_big_objects_is_in_pages_of_8_KiB(void **state)
{
	static const size_t sizes[] = {32769, 40000, 40960, 40961, 100000, 1 << 20, (1 << 20) + 1,
				       5000000, 70 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = malloc(sizes[i]);
		size_t usable = malloc_usable_size(p);
		assert_int_equal(usable % 8192, 0);
		assert_in_range(usable, sizes[i], sizes[i] + sizes[i] / 4 + 8192);
		free(p);
	}
}

static void all_of_the_usable_size_is_writable_and_no_neighbours(void **state)
{
	enum { N = 6000 };
	static unsigned char *p[N];
	static size_t n[N];
	uint64_t rng = 88172645463325252u;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		size_t size = rng_mixed_size(&rng);
		switch (i % 6) {
		case 0:
			p[i] = aligned_alloc((size_t)16 << (i / 6 % 9), size);
			break;
		case 1:
			p[i] = calloc(1, size);
			break;
		case 2:
			p[i] = realloc(malloc(i % 50), size + 1);
			break;
		case 3:
			p[i] = malloc(size % 17);
			break;
		default:
			p[i] = malloc(size);
		}
		assert_non_null(p[i]);
		n[i] = malloc_usable_size(p[i]);
		memset(p[i], (int)(i * 37 % 251), n[i]);
		if (i % 7 == 6) { /* make holes, so that slots are used again */
			free(p[i - 3]);
			p[i - 3] = NULL;
		}
	}
	for (size_t i = 0; i < N; i++) {
		unsigned char want = (unsigned char)(i * 37 % 251);
		if (p[i] == NULL)
			continue;
		assert_int_equal(malloc_usable_size(p[i]), n[i]);
		for (size_t k = 0; k < n[i]; k++)
			if (p[i][k] != want)
				fail_msg("object %zu, byte %zu of %zu was overwritten", i, k, n[i]);
		free(p[i]);
	}
}

/* --- sized frees, jemalloc's names, cfree --- */

static void free_sized_takes_the_size_that_was_asked_for(void **state)
{
	(void)state;
	p_free_sized(NULL, 100);
	for (size_t n = 0; n < 70000; n += n < 1100 ? 1 : 71) {
		p_free_sized(malloc(n), n);
		p_free_sized(calloc(1, n), n);
		p_free_sized(realloc(NULL, n), n);
	}
	p_free_sized(calloc(10, 10), 100);
	p_free_sized(malloc(5 << 20), 5 << 20);
}

static void free_sized_takes_the_usable_size_too(void **state)
{
	(void)state;
	for (size_t n = 1; n < 70000; n += n < 1100 ? 1 : 71) {
		void *p = malloc(n);
		p_free_sized(p, malloc_usable_size(p));
	}
}

/* The size of the last realloc is the right one to give, wherever the object lies now. */
static void free_sized_after_realloc_takes_the_new_size(void **state)
{
	static const size_t sizes[] = {1,    3,    8,    9,     15,    16,    17,    24,     25,
				       48,   100,  500,  513,   1000,  1024,  1500,  3000,   5000,
				       9000, 20000, 32768, 32769, 40000, 60000, 100000, 1 << 20};
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };

	(void)state;
	for (size_t from = 0; from < N; from++) {
		for (size_t to = 0; to < N; to++) {
			void *p = realloc(malloc(sizes[from]), sizes[to]);
			assert_non_null(p);
			p_free_sized(p, sizes[to]);
			p = realloc(aligned_alloc(64, sizes[from]), sizes[to]);
			assert_non_null(p);
			p_sdallocx(p, sizes[to], 0);
		}
	}
}

static void free_aligned_sized_takes_what_was_asked_of_aligned_alloc(void **state)
{
	static const size_t sizes[] = {0, 1, 8, 24, 33, 64, 100, 1000, 4097, 32768, 32769, 300000};

	(void)state;
	p_free_aligned_sized(NULL, 64, 100);
	for (size_t alignment = 8; alignment <= 1 * MiB; alignment *= 2)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			p_free_aligned_sized(aligned_alloc(alignment, sizes[i]), alignment,
					     sizes[i]);
}

/* A big object may have the pages of a kept one that is longer by a quarter. */
static void nallocx_tells_the_usable_size_in_advance(void **state)
{
	(void)state;
	for (size_t n = 1; n < 70000; n += n < 1100 ? 1 : 71) {
		void *p = malloc(n);
		size_t told = p_nallocx(n, 0), usable = malloc_usable_size(p);

		assert_true(told >= n);
		if (n >= 16 && n <= 32768)
			assert_int_equal(told, usable);
		else if (n > 32768)
			assert_in_range(usable, told, told + told / 4);
		p_sdallocx(p, n, 0);
	}
	assert_int_equal(p_nallocx(huge_sizes[1], 0), 0);
}

/* flags: the logarithm of the alignment in the low 6 bits, as jemalloc's MALLOCX_LG_ALIGN. */
static void sdallocx_takes_the_alignment_as_a_logarithm(void **state)
{
	(void)state;
	for (int lg = 3; lg <= 16; lg++) {
		void *p = aligned_alloc((size_t)1 << lg, 1000);
		assert_non_null(p);
		assert_true(p_nallocx(1000, lg) >= 1000);
		p_sdallocx(p, 1000, lg);
	}
}

static void cfree_frees(void **state)
{
	size_t before = proc_rss();

	(void)state;
	p_cfree(NULL);
	for (int i = 0; i < 2000; i++) {
		void *p = malloc(64 * KiB);
		assert_non_null(p);
		memset(p, 1, 64 * KiB);
		p_cfree(p);
	}
	assert_in_range(proc_rss(), 0, before + 32 * MiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_is_the_one_under_test),
		cmocka_unit_test(malloc_0_is_a_unique_pointer),
		cmocka_unit_test(what_malloc_0_gives_cannot_be_touched),
		cmocka_unit_test(many_objects_of_no_bytes_come_and_go),
		cmocka_unit_test(calloc_of_0_is_a_unique_pointer),
		cmocka_unit_test(zero_sizes_of_the_aligned_family_can_be_freed),
		cmocka_unit_test(realloc_to_0_frees_returns_NULL_and_keeps_errno),
		cmocka_unit_test(realloc_to_0_really_frees),
		cmocka_unit_test(realloc_of_NULL_is_malloc),
		cmocka_unit_test(realloc_aligns_what_was_less_aligned),
		cmocka_unit_test(reallocarray_multiplies_and_keeps_the_content),
		cmocka_unit_test(a_failed_realloc_keeps_the_object),
		cmocka_unit_test(huge_sizes_give_NULL_and_ENOMEM),
		cmocka_unit_test(overflowing_products_give_NULL_and_ENOMEM),
		cmocka_unit_test(after_a_failure_the_next_request_works),
		cmocka_unit_test(success_leaves_errno_untouched),
		cmocka_unit_test(free_keeps_errno),
		cmocka_unit_test(plain_requests_are_8_aligned_and_16_aligned_from_16_bytes),
		cmocka_unit_test(realloc_to_16_and_more_is_16_aligned),
		cmocka_unit_test(aligned_alloc_and_posix_memalign_align_and_have_room),
		cmocka_unit_test(alignments_of_an_arena_and_more_work_or_fail_with_ENOMEM),
		cmocka_unit_test(posix_memalign_of_a_bad_alignment_is_EINVAL_and_leaves_out_alone),
		cmocka_unit_test(posix_memalign_of_a_huge_size_is_ENOMEM_and_leaves_out_alone),
		cmocka_unit_test(aligned_alloc_not_of_a_power_of_two_is_EINVAL),
		cmocka_unit_test(aligned_alloc_works_when_the_size_is_no_multiple),
		cmocka_unit_test(memalign_rounds_the_alignment_up_to_a_power_of_two),
		cmocka_unit_test(memalign_that_cannot_be_rounded_up_fails),
		cmocka_unit_test(valloc_is_page_aligned_and_pvalloc_fills_the_page),
		cmocka_unit_test(malloc_usable_size_of_NULL_is_0),
		cmocka_unit_test(malloc_usable_size_is_the_slot_of_gos_size_class),
		cmocka_unit_test(malloc_usable_size_of_big_objects_is_in_pages_of_8_KiB),
		cmocka_unit_test(all_of_the_usable_size_is_writable_and_no_neighbours),
		cmocka_unit_test(free_sized_takes_the_size_that_was_asked_for),
		cmocka_unit_test(free_sized_takes_the_usable_size_too),
		cmocka_unit_test(free_sized_after_realloc_takes_the_new_size),
		cmocka_unit_test(free_aligned_sized_takes_what_was_asked_of_aligned_alloc),
		cmocka_unit_test(nallocx_tells_the_usable_size_in_advance),
		cmocka_unit_test(sdallocx_takes_the_alignment_as_a_logarithm),
		cmocka_unit_test(cfree_frees),
	};
	return cmocka_run_group_tests(tests, look_up, NULL);
}
