/* SPDX-License-Identifier: MIT */
/*
 * find.c - finds goalloc in a target, by the ELF note of viewed.c.
 *
 * The note is looked for in the program headers of each file that is mapped from its beginning, as
 * they are in memory. So it does not matter what the file is called, and whether it is still there.
 */
#include "view/find.h"
#include "view/room.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MOST 1024
#define NOTES_MOST KiB(64)

static const uint64_t known_layout =
#include "viewed_layout.inc"
	;

/* The search. */
struct search {
	struct target *t;
	struct viewed_root *root;
	bool narrow;               /* a 32-bit program or library was seen */
	bool other;                /* a root of another layout was seen */
};

/* Returns whether a root is there, and copies it. One of another layout is only noted. */
static bool read_root(struct search *s, uintptr_t addr)
{
	struct viewed_root root;
	bool ready = false;

	zero_bytes(&root, sizeof(root));
	if (!target_read_all(s->t, addr, &root, VIEWED_FIXED) || root.magic != VIEWED_MAGIC)
		return false;
	root.version[sizeof(root.version) - 1] = '\0';
	if (root.layout != known_layout) {
		s->other = true;
		*s->root = root;
		return false;
	}
	if (!target_read_all(s->t, addr, &root, sizeof(root)))
		return false;
	/* A program may contain goalloc and have it preloaded, too: then one of the two is used. */
	if (target_read_all(s->t, (uintptr_t)root.mheap + offsetof(struct mheap, ready), &ready,
			    sizeof(ready)) &&
	    !ready && s->root->magic == VIEWED_MAGIC && !s->other)
		return true;
	*s->root = root;
	s->other = false;
	return true;
}

/* Looks for our note among the notes at addr. */
static bool search_notes(struct search *s, uintptr_t addr, size_t nbytes)
{
	char *notes = room_for(min_size(nbytes, NOTES_MOST), 1);
	bool found = false;

	nbytes = target_read(s->t, addr, notes, min_size(nbytes, NOTES_MOST));
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= nbytes;) {
		Elf64_Nhdr note;
		size_t desc, end;
		int64_t away;

		copy_bytes(&note, notes + at, sizeof(note));
		desc = at + sizeof(note) + align_up(note.n_namesz, 4);
		end = desc + note.n_descsz;
		if (end > nbytes)
			break;
		if (note.n_type == VIEWED_TYPE && note.n_namesz == sizeof(VIEWED_OWNER) &&
		    note.n_descsz == sizeof(away) &&
		    memcmp(notes + at + sizeof(note), VIEWED_OWNER, sizeof(VIEWED_OWNER)) == 0) {
			copy_bytes(&away, notes + desc, sizeof(away));
			found |= read_root(s, addr + desc + (uintptr_t)away);
		}
		at = align_up(end, 4);
	}
	free(notes);
	return found;
}

/* Looks for our note in the program or library whose file is mapped at addr. */
static bool search_image(struct search *s, uintptr_t addr)
{
	Elf64_Ehdr eh;
	uintptr_t bias = 0;
	bool found = false;

	if (!target_read_all(s->t, addr, &eh, sizeof(eh)) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return false;
	if (eh.e_ident[EI_CLASS] == ELFCLASS32)
		s->narrow = true;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < eh.e_phnum && i < HEADERS_MOST; i++) {
			Elf64_Phdr ph;

			if (!target_read_all(s->t, addr + eh.e_phoff + i * sizeof(ph), &ph,
					     sizeof(ph)))
				return found;
			if (pass == 0 && ph.p_type == PT_LOAD && ph.p_offset == 0)
				bias = addr - ph.p_vaddr;
			else if (pass == 1 && ph.p_type == PT_NOTE)
				found |= search_notes(s, bias + ph.p_vaddr, ph.p_memsz);
		}
	}
	return found;
}

enum found find_root(struct target *t, struct viewed_root *root)
{
	struct search s = { .t = t, .root = root };
	bool found = false;

	zero_bytes(root, sizeof(*root));
	for (size_t i = 0; i < t->nmaps; i++) {
		const struct target_map *m = &t->maps[i];

		/* The stack, and memory that is no file's, have no ELF header. */
		if (m->offset == 0 && (m->flags & MAPPING_READ) != 0 && m->name[0] != '[')
			found |= search_image(&s, m->start);
	}
	if (found) {
		(void)snprintf(t->version, sizeof(t->version), "%.15s", root->version);
		return FOUND;
	}
	if (t->gone) {
		(void)target_fail(t, "it ended while it was read");
		return FOUND_NONE;
	}
	if (s.other) {
		(void)target_fail(t, "it has goalloc %s, whose records differ from those of "
				     "goalloc-view " GOALLOC_VERSION,
				  root->version);
		return FOUND_OTHER;
	}
	(void)target_fail(t, s.narrow     ? "it is a 32-bit process, which goalloc does not serve" :
			     t->truncated ? "there is no goalloc in what this core has left" :
					    "there is no goalloc in it");
	return FOUND_NONE;
}
