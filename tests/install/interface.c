/* SPDX-License-Identifier: MIT */
/*
 * interface.c - prints sizes, offsets and constants of goalloc.h, which no version 1.x changes.
 */
#include <goalloc.h>

#include <stdio.h>

#define SIZE(type) printf("size %s %zu\n", #type, sizeof(type))
#define OFFSET(type, field) \
	printf("offset %s.%s %zu\n", #type, #field, offsetof(struct type, field))
#define VALUE(name) printf("value %s %lld\n", #name, (long long)(name))

int main(void)
{
	SIZE(struct goalloc_memstats);
	OFFSET(goalloc_memstats, size);
	OFFSET(goalloc_memstats, version);
	OFFSET(goalloc_memstats, Counting);
	OFFSET(goalloc_memstats, Alloc);
	OFFSET(goalloc_memstats, HeapAlloc);
	OFFSET(goalloc_memstats, HeapReleased);
	OFFSET(goalloc_memstats, OtherSys);
	OFFSET(goalloc_memstats, BySize);
	OFFSET(goalloc_memstats, BySize[1].Mallocs);
	OFFSET(goalloc_memstats, BySize[1].Frees);
	OFFSET(goalloc_memstats, NoscanAlloc);
	OFFSET(goalloc_memstats, BigFrees);
	OFFSET(goalloc_memstats, FreeSlots);
	OFFSET(goalloc_memstats, HeapFree);
	OFFSET(goalloc_memstats, RoundingMax);
	OFFSET(goalloc_memstats, Arenas);
	SIZE(struct goalloc_histogram);
	OFFSET(goalloc_histogram, counts);
	SIZE(struct goalloc_metric);
	OFFSET(goalloc_metric, name);
	OFFSET(goalloc_metric, histogram);
	OFFSET(goalloc_metric, value);
	OFFSET(goalloc_metric, kind);
	SIZE(enum goalloc_metric_kind);
	VALUE(GOALLOC_METRIC_BAD);
	VALUE(GOALLOC_METRIC_UINT64);
	VALUE(GOALLOC_METRIC_HISTOGRAM);
	VALUE(GOALLOC_SIZE_CLASSES);
	VALUE(GOALLOC_PROFILE_RATE);
	return 0;
}
