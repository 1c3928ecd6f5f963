/* SPDX-License-Identifier: MIT */
/*
 * fuzz_core.c - a byte string is damage to a core of this process, which goalloc-view reads.
 *
 * The core is made once: the records of a heap with something of everything, and the program's own
 * data. An input begins with the number of changes. Four bytes each choose a part of the core (its
 * headers, the heap's record, an arena's, the page map, records of spans, a cache's, ...), an
 * offset there, and what is written. Then a snapshot is taken and printed in every form. It must
 * not crash, and must be possible: runs cover their arenas, and no span has more objects than
 * slots.
 */
#include "base/bits.h"
#include "heap.h"
#include "os/os.h"
#include "os/procmap.h"
#include "view/json.h"
#include "view/metrics.h"
#include "view/take.h"
#include "viewed.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SEGMENTS_MOST = 200, PATCHES_MOST = 64, SEGMENT_MOST = 1 << 26 };

static int core_fd;
static size_t core_length;
static FILE *nowhere;

static struct {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[SEGMENTS_MOST];
} headers;

/* A part of the core that inputs can change. */
struct part {
	size_t at, nbytes;      /* in the file */
};
static struct part parts[16];
static size_t nparts;

/* --- the core --- */

static void make_heap(void)
{
	static void *kept[3000];

	for (size_t i = 0; i < 3000; i++)
		kept[i] = i % 3 == 0 ? heap_malloc_noscan(i % 40) : heap_malloc(i * 7 % 5000);
	for (size_t i = 0; i < 3000; i += 2)
		heap_free(kept[i], "free");
	for (size_t i = 0; i < 10; i++)
		kept[i] = heap_malloc(100000 * i);
	heap_free(kept[8], "free");
	(void)heap_malloc(0);
}

/* Returns whether the core gets a mapping: the program's own, and records. */
static bool is_wanted(const struct mapping *m)
{
	uintptr_t own = (uintptr_t)&headers;

	if ((m->flags & MAPPING_READ) == 0 || m->end - m->start > SEGMENT_MOST)
		return false;
	return (m->start >= CPU_HEAP_LOW && m->start < CPU_HEAP_HIGH) ||
	       (m->start < own + MiB(64) && m->end + MiB(64) > own && !mapping_named(m, "["));
}

/* Returns the place of memory in the core, or 0 if it is not there. */
static size_t place_of(const void *p)
{
	for (unsigned i = 0; i < headers.eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &headers.ph[i];

		if ((uintptr_t)p - ph->p_vaddr < ph->p_filesz)
			return ph->p_offset + ((uintptr_t)p - ph->p_vaddr);
	}
	return 0;
}

static void add_part(const void *p, size_t nbytes)
{
	size_t at = place_of(p);

	if (at != 0 && at + nbytes <= core_length)
		parts[nparts++] = (struct part){ at, nbytes };
}

static void choose_parts(void)
{
	const struct heap_arena *ha = mheap.pages.arenas[0];
	const struct mspan *s = span_of((uintptr_t)heap_malloc(64));

	parts[nparts++] = (struct part){ 0, sizeof(headers.eh) + 20 * sizeof(headers.ph[0]) };
	add_part(&viewed_root, sizeof(viewed_root));
	add_part(&mheap.pages, 256);
	add_part(&mheap, sizeof(mheap));
	add_part(ha, sizeof(*ha));
	add_part(&ha->spans[((uintptr_t)s->base - ha->base) / PAGE_SIZE], 512);
	add_part((const void *)align_down((uintptr_t)s, KiB(32)), KiB(32));
	add_part(s, 256);
	add_part(thread_list.records.blocks, sizeof(struct part_block));
	add_part(thread_cache(), sizeof(struct mcache));
	add_part(&thread_list, sizeof(thread_list));
	add_part(&page_map, sizeof(page_map));
	parts[nparts++] = (struct part){ 0, core_length };
}

static void write_core(void)
{
	if (ftruncate(core_fd, 0) != 0 ||
	    pwrite(core_fd, &headers, sizeof(headers), 0) != sizeof(headers))
		abort();
	for (unsigned i = 0; i < headers.eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &headers.ph[i];

		/* AddressSanitizer would look at what pwrite() is given. */
		if (syscall(SYS_pwrite64, core_fd, ph->p_vaddr, ph->p_filesz, ph->p_offset) !=
		    (long)ph->p_filesz)
			abort();
	}
}

static void make_core(void)
{
	struct procmap maps;
	size_t at = sizeof(headers);
	unsigned n = 0;

	make_heap();
	nowhere = fopen("/dev/null", "w");
	core_fd = memfd_create("core", 0);
	if (nowhere == NULL || core_fd < 0 || !procmap_read(&maps, os_pid()))
		abort();
	for (size_t i = 0; i < maps.len && n < SEGMENTS_MOST; i++) {
		const struct mapping *m = &maps.at[i];

		if (!is_wanted(m))
			continue;
		headers.ph[n++] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R,
						.p_offset = at, .p_vaddr = m->start,
						.p_filesz = m->end - m->start,
						.p_memsz = m->end - m->start };
		at += m->end - m->start;
	}
	procmap_free(&maps);
	memcpy(headers.eh.e_ident, ELFMAG "\2\1\1", 7);
	headers.eh.e_type = ET_CORE;
	headers.eh.e_phoff = sizeof(headers.eh);
	headers.eh.e_phnum = (uint16_t)n;
	headers.eh.e_phentsize = sizeof(Elf64_Phdr);
	core_length = at;
	choose_parts();
	write_core();
}

/* Returns the part that a byte chooses. Headers and the root are damaged rarely, because not much
 * is read then. */
static const struct part *part_of(unsigned byte)
{
	return byte < 8 ? &parts[byte % 2] : &parts[2 + byte % (nparts - 2)];
}

/* --- looking --- */

static void check_object(const struct snapshot_object *o, void *arg)
{
	const struct snapshot_run *r = arg;

	CHECK(o->live && o->addr >= r->run.base &&
	      o->addr + o->nbytes <= r->run.base + r->run.span_npages * PAGE_SIZE);
}

static void check_snapshot(const struct snapshot *sn)
{
	const struct stat_snapshot *st = &sn->stat;

	for (size_t i = 0; i < sn->narenas; i++) {
		const struct snapshot_arena *a = &sn->arenas[i];
		size_t page = 0;

		for (size_t k = a->first_run; k < a->first_run + a->nruns; k++) {
			struct snapshot_run *r = &sn->runs[k];

			CHECK(r->run.page == page);
			page += r->run.npages;
			if (r->run.use != RUN_SPAN)
				continue;
			CHECK(r->run.fill.slots <= r->run.nelems);
			if (r->run.first)
				snapshot_each_object(sn, r, check_object, r);
		}
		CHECK(page == ARENA_PAGES);
	}
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		CHECK(st->classes[sc].live_bytes <= st->classes[sc].span_bytes);
	CHECK(st->heap_bytes + st->metadata_bytes == st->sys_bytes);
}

/* Takes a snapshot and looks at it. Returns whether there was one. */
static bool look(void)
{
	struct snapshot_object o;
	struct snapshot sn;
	struct target t;
	int fd = dup(core_fd);
	bool taken = target_open_core_fd(&t, NULL, fd) && take_snapshot(&sn, &t) == TAKEN;

	if (taken) {
		check_snapshot(&sn);
		json_stats(nowhere, &sn);
		json_heap(nowhere, &sn);
		metrics_write(nowhere, &sn);
		for (size_t i = 0; i < 2 * PAGE_SIZE && sn.narenas != 0; i += 33)
			(void)snapshot_object_at(&sn, sn.arenas[0].base + i, &o);
		snapshot_drop(&sn);
	}
	target_close(&t);
	return taken;
}

/* --- damage --- */

struct patch {
	size_t at;
	uint64_t before;
};

/* Returns the word that is written: a small number, a large one, or another word of the part. */
static uint64_t value_of(const uint8_t *in, const struct part *part)
{
	uint64_t word = 0;

	switch (in[3] >> 5) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return in[3] & 31;
	case 3:
		return UINT64_C(1) << (in[3] & 31) << (in[3] & 31);
	case 4:
		(void)pread(core_fd, &word, sizeof(word),
			    (off_t)(part->at + in[2] * 8 % (part->nbytes & ~7ul)));
		return word;
	case 5:
		(void)pread(core_fd, &word, sizeof(word),
			    (off_t)(part->at + in[2] * 8 % (part->nbytes & ~7ul)));
		return word + 8 * in[1];
	default:
		return word + in[1] * UINT64_C(0x0101010101010101) + in[2];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct patch patches[PATCHES_MOST];
	unsigned npatches = 0;
	unsigned most;

	if (core_length == 0) {
		make_core();
		CHECK(look());
	}
	if (n == 0)
		return 0;
	most = data[0] % PATCHES_MOST >> data[0] / 64;
	/* An input of three bytes cuts the core off. */
	if (n == 3) {
		size_t share = data[1] | (size_t)data[2] << 8;

		CHECK(ftruncate(core_fd, (off_t)(share * core_length >> 16)) == 0);
		(void)look();
		write_core();
		return 0;
	}
	for (data++, n--; n >= 4 && npatches < most; data += 4, n -= 4) {
		const struct part *part = part_of(data[0]);
		size_t offset = (size_t)(data[1] | data[2] << 8) * (data[0] / nparts + 1);
		struct patch *p = &patches[npatches++];
		uint64_t value = value_of(data, part);

		p->at = part->at + offset % (part->nbytes - 8);
		if (data[0] >= 128)
			p->at &= ~(size_t)7;
		if (pread(core_fd, &p->before, 8, (off_t)p->at) != 8 ||
		    pwrite(core_fd, &value, 8, (off_t)p->at) != 8)
			abort();
	}
	(void)look();
	while (npatches-- > 0)
		(void)pwrite(core_fd, &patches[npatches].before, 8, (off_t)patches[npatches].at);
	return 0;
}
