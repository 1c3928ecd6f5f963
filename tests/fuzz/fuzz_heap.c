/* SPDX-License-Identifier: MIT */
/*
 * fuzz_heap.c - a byte string is a history of requests from two threads, which is checked against a
 * model after every step.
 *
 * An operation is two bytes, and more for its numbers. They say which slot of the table it is
 * about, what is done, and which thread does it: this one, or another that does as it is told and
 * answers. The model knows the address, the size and the seed of the content of each live object.
 * After each step it looks at the content of the object, at its alignment and usable size, and at
 * whether it overlaps another. Every few steps it looks at all contents and calls heapcheck().
 *
 * The target calls the heap by its internal names. One input leaves no object behind; what it freed
 * stays in the heap for the next input.
 */
#include "heap/heapcheck.h"
#include "heap.h"

#include <errno.h>
#include <pthread.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { OBJECTS = 64, STEPS_PER_CHECK = 64 };

static struct object {
	unsigned char *p;
	size_t size;
	unsigned char seed;
	bool noscan;
	bool resized;      /* by realloc: a sized free is told the size, too */
	size_t align;      /* 0: malloc's */
} objects[OBJECTS];

struct input {
	const uint8_t *data;
	size_t left;
};

static unsigned take_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

/* Returns a size of any class or of some pages, and now and then a size that no heap can give. */
static size_t take_size(struct input *in)
{
	unsigned kind = take_byte(in);
	size_t n = take_byte(in);

	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		return n;
	case 3:
	case 4:
		return n * 16 + kind / 8;
	case 5:
		return n * 200 + kind / 8;
	case 6:
		return n * 1024 + kind / 8;
	default:
		return n == 255 ? SIZE_MAX - kind : n * 8000;
	}
}

/* --- the other thread --- */

enum call {
	CALL_MALLOC,
	CALL_CALLOC,
	CALL_MALLOC_NOSCAN,
	CALL_CALLOC_NOSCAN,
	CALL_ALIGNED,
	CALL_REALLOC,
	CALL_FREE,
	CALL_FREE_SIZED,
	CALL_USABLE,
	CALL_TRIM
};

struct request {
	enum call call;
	void *p;
	size_t size;
	size_t align;
	bool noscan;
	void *result;
	size_t nbytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct request *pending;
static bool started;

static void serve(struct request *r)
{
	switch (r->call) {
	case CALL_MALLOC:
		r->result = heap_malloc(r->size);
		break;
	case CALL_CALLOC:
		r->result = heap_calloc(r->size);
		break;
	case CALL_MALLOC_NOSCAN:
		r->result = heap_malloc_noscan(r->size);
		break;
	case CALL_CALLOC_NOSCAN:
		r->result = heap_calloc_noscan(r->size);
		break;
	case CALL_ALIGNED:
		r->result = heap_aligned(r->align, r->size, r->noscan);
		break;
	case CALL_REALLOC:
		r->result = heap_realloc(r->p, r->size, r->noscan, "realloc");
		break;
	case CALL_FREE:
		heap_free(r->p, "free");
		break;
	case CALL_FREE_SIZED:
		heap_free_sized(r->p, r->size, r->align, "free_sized");
		break;
	case CALL_USABLE:
		r->nbytes = heap_usable_size(r->p, "malloc_usable_size");
		break;
	case CALL_TRIM:
		heap_trim();
		break;
	}
}

static void *other_thread(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (pending == NULL)
			pthread_cond_wait(&changed, &lock);
		serve(pending);
		pending = NULL;
		pthread_cond_broadcast(&changed);
	}
	return arg;
}

static void perform(struct request *r, bool elsewhere)
{
	pthread_t thread;

	if (!elsewhere) {
		serve(r);
		return;
	}
	if (!started)
		CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
	started = true;
	pthread_mutex_lock(&lock);
	pending = r;
	pthread_cond_broadcast(&changed);
	while (pending != NULL)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* --- the model --- */

/* Returns the distance of the bytes that are written: long objects have one every 509 bytes, and
 * one at each end. */
static size_t stride(size_t size)
{
	return size <= 1024 ? 1 : 509;
}

static void fill(struct object *o, unsigned char seed)
{
	o->seed = seed;
	for (size_t i = 0; i < o->size; i += stride(o->size))
		o->p[i] = (unsigned char)(seed + i);
	if (o->size != 0)
		o->p[o->size - 1] = seed;
}

static void check_content(const struct object *o)
{
	if (o->p == NULL || o->size == 0)
		return;
	for (size_t i = 0; i + 1 < o->size; i += stride(o->size))
		CHECK(o->p[i] == (unsigned char)(o->seed + i));
	CHECK(o->p[o->size - 1] == o->seed);
}

static void check_place(const struct object *o)
{
	uintptr_t addr = (uintptr_t)o->p;
	size_t align = o->align != 0 ? o->align : o->noscan || o->size < 16 ? 8 : 16;
	size_t usable = heap_usable_size(o->p, "malloc_usable_size");

	/* noscan objects below 16 bytes are aligned by their size. */
	while (o->align == 0 && o->noscan && align > o->size && align > 1)
		align /= 2;
	CHECK(addr % align == 0);
	CHECK(usable >= o->size);
	for (size_t i = 0; i < OBJECTS; i++) {
		const struct object *b = &objects[i];

		if (b != o && b->p != NULL)
			CHECK(o->p + (usable == 0 ? 1 : usable) <= b->p ||
			      b->p + (b->size == 0 ? 1 : b->size) <= o->p);
	}
}

static void forget(struct object *o)
{
	*o = (struct object){ 0 };
}

static void release(struct object *o, bool sized, bool elsewhere)
{
	struct request r = { .call = CALL_FREE, .p = o->p, .size = o->size, .align = o->align };

	check_content(o);
	/* realloc may have left it in a slot that its size alone does not tell; noscan has no sized
	 * free. */
	if (sized && !o->noscan && !o->resized)
		r.call = CALL_FREE_SIZED;
	errno = 5;
	perform(&r, elsewhere);
	CHECK(elsewhere || errno == 5);
	forget(o);
}

static void create(struct object *o, unsigned what, struct input *in, bool elsewhere)
{
	static const enum call calls[] = { CALL_MALLOC, CALL_CALLOC, CALL_MALLOC_NOSCAN,
					   CALL_CALLOC_NOSCAN, CALL_ALIGNED };
	struct request r = { .call = calls[what % 5] };

	if (r.call == CALL_ALIGNED) {
		r.align = (size_t)1 << take_byte(in) % 17;
		r.noscan = what / 5 % 2 != 0;
	}
	r.size = take_size(in);
	perform(&r, elsewhere);
	if (r.result == NULL) {
		CHECK(r.size > PTRDIFF_MAX);
		return;
	}
	*o = (struct object){ .p = r.result,
			      .size = r.size,
			      .align = r.align,
			      .noscan = r.noscan || r.call == CALL_MALLOC_NOSCAN ||
					r.call == CALL_CALLOC_NOSCAN };
	check_place(o);
	if (r.call == CALL_CALLOC || r.call == CALL_CALLOC_NOSCAN)
		for (size_t i = 0; i < o->size; i += stride(o->size) / 8 + 1)
			CHECK(o->p[i] == 0);
	fill(o, (unsigned char)(what + o->size));
}

static void resize(struct object *o, unsigned what, struct input *in, bool elsewhere)
{
	struct request r = { .call = CALL_REALLOC, .p = o->p, .noscan = what % 2 != 0 };
	struct object before = *o;
	size_t kept;

	r.size = take_size(in);
	if (r.size == 0)
		r.size = 1;
	check_content(o);
	perform(&r, elsewhere);
	if (r.result == NULL) {
		CHECK(r.size > PTRDIFF_MAX);
		check_content(o);
		return;
	}
	*o = (struct object){ .p = r.result, .size = r.size, .noscan = r.noscan, .resized = true };
	check_place(o);
	kept = before.size < o->size ? before.size : o->size;
	for (size_t i = 0; i + 1 < kept; i += stride(before.size))
		CHECK(o->p[i] == (unsigned char)(before.seed + i));
	fill(o, (unsigned char)(what + o->size));
}

static void check_all(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		check_content(&objects[i]);
	heapcheck();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };

	for (unsigned step = 0; in.left != 0; step++) {
		unsigned who = take_byte(&in), what = take_byte(&in);
		struct object *o = &objects[who % OBJECTS];
		bool elsewhere = (who & 0x40) != 0;

		if (what == 255) {
			struct request r = { .call = CALL_TRIM };

			perform(&r, elsewhere);
		} else if (o->p == NULL) {
			create(o, what, &in, elsewhere);
		} else if (what % 4 == 0) {
			resize(o, what / 4, &in, elsewhere);
		} else {
			release(o, what % 4 == 1, elsewhere);
		}
		if (step % STEPS_PER_CHECK == STEPS_PER_CHECK - 1)
			check_all();
	}
	check_all();
	for (size_t i = 0; i < OBJECTS; i++)
		if (objects[i].p != NULL)
			release(&objects[i], i % 2 == 0, i % 3 == 0);
	return 0;
}
