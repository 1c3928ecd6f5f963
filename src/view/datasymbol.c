/* SPDX-License-Identifier: MIT */
/*
 * datasymbol.c - finds the variable that lies at an address, in the symbols of the program or
 * library that is mapped there.
 *
 * Holds    no number in the file is believed: what lies beyond its end is not read.
 */
#include "view/datasymbol.h"
#include "os/loaded.h"
#include "view/room.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MOST 4200

/* The longest table of symbols that is read, in bytes. */
#define TABLE_MOST MiB(64)

struct image {
	int fd;
	uint64_t nbytes;
	Elf64_Ehdr header;
};

/* Copies a record of the file. Returns false if the file has no such bytes. */
static bool copy_record(const struct image *image, uint64_t offset, void *to, size_t nbytes)
{
	return offset <= image->nbytes && nbytes <= image->nbytes - offset &&
	       pread(image->fd, to, nbytes, (off_t)offset) == (ssize_t)nbytes;
}

/* Opens the file if it is a program or library. */
static bool open_image(struct image *image, const char *path)
{
	struct stat st;

	image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (image->fd < 0)
		return false;
	if (fstat(image->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		image->nbytes = (uint64_t)st.st_size;
		if (copy_record(image, 0, &image->header, sizeof(image->header)) &&
		    is_elf64(&image->header) && image->header.e_shentsize == sizeof(Elf64_Shdr))
			return true;
	}
	close(image->fd);
	return false;
}

/* Returns the symbol of the variable that contains an address, or NULL. */
static const Elf64_Sym *search_symbols(const Elf64_Sym *symbols, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (ELF64_ST_TYPE(symbols[i].st_info) == STT_OBJECT &&
		    symbols[i].st_shndx != SHN_UNDEF && addr >= symbols[i].st_value &&
		    addr - symbols[i].st_value < symbols[i].st_size)
			return &symbols[i];
	return NULL;
}

/* Finds the address in one table of symbols, whose names are in another section. */
static bool search_table(const struct image *image, const Elf64_Shdr *table,
			 const Elf64_Shdr *names, uint64_t addr, char *text, size_t room)
{
	size_t nbytes = min_size(min_size(table->sh_size, TABLE_MOST), image->nbytes);
	Elf64_Sym *symbols = room_for(nbytes, 1);
	const Elf64_Sym *sym = NULL;
	char name[128] = "";

	if (copy_record(image, table->sh_offset, symbols, nbytes))
		sym = search_symbols(symbols, nbytes / sizeof(*symbols), addr);
	/* The name may be nearer to the file's end than the longest one is long. */
	if (sym != NULL && pread(image->fd, name, sizeof(name) - 1,
				 (off_t)(names->sh_offset + sym->st_name)) <= 0)
		sym = NULL;
	if (sym != NULL && addr == sym->st_value)
		(void)snprintf(text, room, "%s", name);
	else if (sym != NULL)
		(void)snprintf(text, room, "%s+%zu", name, (size_t)(addr - sym->st_value));
	free(symbols);
	return sym != NULL;
}

/* Finds the variable at an address as the file has it. */
static bool search_image(const struct image *image, uint64_t addr, char *text, size_t room)
{
	const Elf64_Ehdr *eh = &image->header;
	Elf64_Shdr table, names;

	for (unsigned i = 0; i < eh->e_shnum; i++)
		if (copy_record(image, eh->e_shoff + i * sizeof(table), &table, sizeof(table)) &&
		    (table.sh_type == SHT_SYMTAB || table.sh_type == SHT_DYNSYM) &&
		    copy_record(image, eh->e_shoff + table.sh_link * sizeof(names), &names,
				sizeof(names)) &&
		    search_table(image, &table, &names, addr, text, room))
			return true;
	return false;
}

/* Returns the address of the file's first byte in memory, as the file has it. */
static uint64_t first_address(const struct image *image)
{
	const Elf64_Ehdr *eh = &image->header;
	Elf64_Phdr ph;

	for (unsigned i = 0; i < eh->e_phnum; i++)
		if (copy_record(image, eh->e_phoff + i * sizeof(ph), &ph, sizeof(ph)) &&
		    ph.p_type == PT_LOAD && ph.p_offset == 0)
			return ph.p_vaddr;
	return 0;
}

/* Returns the mapping of the beginning of the file whose data contain addr, or NULL. What a program
 * does not initialize lies behind the file's pages, in a mapping without a name. */
static const struct target_map *first_map_of(const struct target *t, uintptr_t addr)
{
	const struct target_map *m = target_map_of(t, addr), *first = m;

	if (m != NULL && m->name[0] == '\0' && m > t->maps && m[-1].end == m->start)
		first = --m;
	if (m == NULL || m->name[0] != '/')
		return NULL;
	while (first > t->maps && first->offset != 0 && strcmp(first[-1].name, m->name) == 0)
		first--;
	return first->offset == 0 ? first : NULL;
}

bool datasymbol_find(const struct target *t, uintptr_t addr, char *text, size_t room)
{
	const struct target_map *first = first_map_of(t, addr);
	char path[PATH_MOST] = "";
	struct image image;
	const char *slash;
	size_t n;
	bool found;

	if (first == NULL)
		return false;
	if (!t->is_core)
		(void)snprintf(path, sizeof(path), "/proc/%d/root%s", t->pid, first->name);
	if (!open_image(&image, path) && !open_image(&image, first->name))
		return false;
	found = search_image(&image, addr - first->start + first_address(&image), text, room);
	close(image.fd);
	if (!found)
		return false;
	n = strlen(text);
	slash = strrchr(first->name, '/');
	(void)snprintf(text + n, room - n, " of %s", slash + 1);
	return true;
}
