/* SPDX-License-Identifier: MIT */
/*
 * libcs_own.h - finds libc's own malloc and its fellows, behind the library under test. dlsym(3)
 * leads to the library for these names, so libc's symbol table is read here. Once dlsym(3) or
 * dlopen(3) has redirected that table, libc's own functions are no longer found.
 */
#ifndef LIBCS_OWN_H
#define LIBCS_OWN_H

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

struct libcs_own {
	const char *name;
	void *found;
};

static inline int libcs_own_look(struct dl_phdr_info *info, size_t nbytes, void *arg)
{
	const ElfW(Sym) *symbols = NULL;
	const char *names = NULL;
	struct libcs_own *own = arg;

	(void)nbytes;
	if (strstr(info->dlpi_name, "/libc.so.6") == NULL)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *d = (void *)(info->dlpi_addr + segment->p_vaddr);
		     d->d_tag != DT_NULL; d++) {
			if (d->d_tag == DT_SYMTAB)
				symbols = (const void *)d->d_un.d_ptr;
			else if (d->d_tag == DT_STRTAB)
				names = (const char *)d->d_un.d_ptr;
		}
	}
	if (symbols == NULL || names == NULL)
		return 1;
	/* The names follow the symbols. */
	for (const ElfW(Sym) *s = symbols; (const char *)(s + 1) <= names; s++)
		if (s->st_shndx != SHN_UNDEF && strcmp(names + s->st_name, own->name) == 0)
			own->found = (void *)(info->dlpi_addr + s->st_value);
	return 1;
}

/* Returns glibc's own function, or NULL. */
static inline void *libcs_own(const char *name)
{
	struct libcs_own own = { .name = name };

	(void)dl_iterate_phdr(libcs_own_look, &own);
	return own.found;
}

#endif
