/* SPDX-License-Identifier: MIT */
/*
 * test_sized.c - sized frees. "right": a correct size is never refused, whatever the options.
 * "wrong": a wrong size is one line with sizemismatch=warn, and the objects are freed.
 *
 * Callers  CTest, with every pair of the options that change where an object is put.
 */
#include "face.h"

#include "../../include/goalloc.h"

#include <malloc.h>

void free_sized(void *p, size_t n);
void free_aligned_sized(void *p, size_t alignment, size_t n);
void sdallocx(void *p, size_t n, int flags);
void _ZdlPvm(void *p, size_t n);
void *_Znwm(size_t n);

/* Makes each kind of request for n bytes, and frees each object by its size. */
static void free_each_kind(size_t n)
{
	void *p = malloc(n), *q = calloc(1, n), *r = realloc(malloc(n / 2 + 1), n), *s = _Znwm(n);
	void *t = goalloc_malloc_noscan(n), *u = goalloc_calloc_noscan(1, n);

	CHECK(p != NULL && q != NULL && r != NULL && s != NULL && t != NULL && u != NULL);
	memset(p, 'p', n);
	free_sized(p, n);
	sdallocx(q, n, 0);
	free_sized(r, n);
	_ZdlPvm(s, n);
	free_sized(t, n);
	free_sized(u, n);
	for (size_t align = 1; align <= 8192; align *= 2) {
		p = aligned_alloc(align, n);
		CHECK(p != NULL && (uintptr_t)p % align == 0);
		free_aligned_sized(p, align, n);
		p = goalloc_aligned_alloc_noscan(align, n);
		CHECK(p != NULL && (uintptr_t)p % align == 0);
		free_aligned_sized(p, align, n);
	}
}

static void every_correct_size_is_taken(void)
{
	static const size_t sizes[] = { 100,   112,   113,   1000,  1024,   1025,  8192,
					20000, 32752, 32768, 32769, 100000, 300000 };

	for (size_t n = 1; n <= 64; n++)
		free_each_kind(n);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		free_each_kind(sizes[i]);
}

static void free_by_wrong_sizes(void)
{
	for (int i = 0; i < 3000; i++) {
		_ZdlPvm(_Znwm(100), 4);
		_ZdlPvm(_Znwm(20000), 100);
		free_sized(malloc(300000), 100);
		_ZdlPvm(_Znwm(8), 40000);
		free_aligned_sized(aligned_alloc(64, 500), 64, 5000);
	}
}

static void a_wrong_size_is_one_line(void)
{
	char text[4096];
	int ends[2], saved = dup(2);
	size_t before;
	ssize_t n;

	CHECK(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
	free_by_wrong_sizes();
	before = proc_rss();
	free_by_wrong_sizes();
	CHECK_LE(proc_rss(), before + 8 * MiB);
	CHECK(dup2(saved, 2) == 2 && close(ends[1]) == 0);
	n = read(ends[0], text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = '\0';
	CHECK(strncmp(text, "goalloc: operator delete(0x", 27) == 0);
	CHECK(strstr(text, "): size mismatch: given 4, slot 112\n") != NULL);
	/* A slow machine may be at it for longer than lines are apart. */
	CHECK_LE(n, 400);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"right", every_correct_size_is_taken},
		{"wrong", a_wrong_size_is_one_line},
	};
	return face_run_case(argc, argv, cases, 2);
}
