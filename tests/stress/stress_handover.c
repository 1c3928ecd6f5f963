/* SPDX-License-Identifier: MIT */
/*
 * stress_handover.c - one thread allocates, another frees; whole spans change hands.
 *
 * Producers fill batches of one size and push them to a stack of batches; consumers take them and
 * free every object in a random order. Span after span becomes full at the producer and is claimed
 * by a consumer while the producer may still be letting go of it. At the end nothing is live, and
 * no span may have been forgotten: that is the claim of rule 1 and rule 2 in mspan.c.
 */
#include "stress.h"

#define PRODUCERS 2
#define CONSUMERS 2
#define BATCH 700

struct batch {
	struct batch *next;
	size_t size;
	unsigned char *objects[BATCH];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct batch *ready;
static int queued;
static _Atomic bool stopping;
static _Atomic int producing = PRODUCERS;

static void *producer(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 77777;
	static const size_t sizes[] = { 3, 8, 16, 48, 64, 256, 1024, 4096, 9000, 32768 };

	while (!atomic_load(&stopping)) {
		struct batch *b = heap_malloc(sizeof(*b));
		bool wait;

		CHECK(b != NULL);
		b->size = sizes[rng_below(&r, 10)];
		for (int i = 0; i < BATCH; i++) {
			b->objects[i] = heap_malloc(b->size);
			CHECK(b->objects[i] != NULL);
			b->objects[i][0] = (unsigned char)i;
			b->objects[i][b->size - 1] = (unsigned char)i;
		}
		pthread_mutex_lock(&lock);
		b->next = ready;
		ready = b;
		wait = ++queued > 8;
		pthread_mutex_unlock(&lock);
		if (wait)
			usleep(1000);
	}
	atomic_fetch_sub(&producing, 1);
	return NULL;
}

static void *consumer(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 99991;

	for (;;) {
		bool last = atomic_load(&producing) == 0;
		struct batch *b;

		pthread_mutex_lock(&lock);
		b = ready;
		if (b != NULL) {
			ready = b->next;
			queued--;
		}
		pthread_mutex_unlock(&lock);
		if (b == NULL) {
			if (last)
				return NULL;
			usleep(200);
			continue;
		}
		for (uint32_t left = BATCH; left > 0; left--) {
			size_t i = rng_below(&r, left);
			unsigned char *p = b->objects[i];

			b->objects[i] = b->objects[left - 1];
			CHECK(p[0] == p[b->size - 1]);
			heap_free(p, "free");
		}
		heap_free(b, "free");
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[PRODUCERS + CONSUMERS];
	struct stat_snapshot st;
	double seconds = stress_seconds(argc, argv);

	for (uintptr_t i = 0; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_create(&threads[i], NULL, i < PRODUCERS ? producer : consumer,
				     (void *)(i + 1)) == 0);
	usleep((useconds_t)(seconds * 1e6));
	atomic_store(&stopping, true);
	for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	heap_trim();
	heapcheck();
	stat_read(&st);
	CHECK(st.all.live == 0);
	CHECK(st.all.span_bytes <= MiB(1));
	printf("stress_handover: %zu bytes of spans left\n", st.all.span_bytes);
	return 0;
}
