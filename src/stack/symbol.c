/* SPDX-License-Identifier: MIT */
/*
 * symbol.c - names for addresses of code: module, position in it, function.
 *
 * Owns     the descriptor of the file that was looked at last.
 * Locks    none; a struct symbols belongs to one caller. ld.so would know more, but takes a lock.
 * Holds    what cannot be found is left out: no /proc, no file, no table in it, a path too long.
 *          The full symbol table is used if the file has one, else the dynamic one. A file that was
 *          replaced after it was mapped gives wrong names.
 */
#include "stack/symbol.h"
#include "os/loaded.h"
#include "os/os.h"

#define SYMBOLS_READ (sizeof(((struct symbols *)0)->buffer) / sizeof(Elf64_Sym))

void symbols_init(struct symbols *s)
{
	s->start = 0;
	s->end = 0;
	s->path[0] = '\0';
	s->fd = -1;
}

static bool read_at(int fd, void *p, size_t nbytes, uint64_t offset)
{
	return os_read_at(fd, p, nbytes, offset) == (long)nbytes;
}

/* --- the mapping --- */

static void set_mapping(struct symbols *s, const struct mapping *m)
{
	s->start = m->start;
	s->end = m->end;
	s->offset = m->offset;
	/* Cut short, a path would name another file. */
	if (m->name_len >= sizeof(s->path))
		return;
	copy_bytes(s->path, m->name, m->name_len);
	s->path[m->name_len] = '\0';
}

static void find_mapping(struct symbols *s, uintptr_t pc)
{
	struct procmap_reader *r = &s->maps;
	struct mapping m;

	symbols_close(s);
	if (!procmap_open(r))
		return;
	while (procmap_next(r, &m)) {
		if (pc - m.start >= m.end - m.start)
			continue;
		set_mapping(s, &m);
		break;
	}
	procmap_close(r);
}

/* --- the file --- */

/* Finds the segment of the mapping, which tells the difference between offsets and addresses. */
static bool find_bias(struct symbols *s, const Elf64_Ehdr *elf)
{
	Elf64_Phdr segment;

	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (!read_at(s->fd, &segment, sizeof(segment),
			     elf->e_phoff + (uint64_t)i * sizeof(segment)))
			return false;
		if (segment.p_type == PT_LOAD && s->offset + os_page_size() > segment.p_offset &&
		    s->offset < segment.p_offset + segment.p_filesz) {
			s->bias = segment.p_vaddr - segment.p_offset;
			if ((segment.p_flags & PF_X) != 0)
				return true;
		}
	}
	return true;
}

static void find_tables(struct symbols *s, const Elf64_Ehdr *elf)
{
	Elf64_Shdr section, names;

	for (unsigned i = 0; i < elf->e_shnum; i++) {
		if (!read_at(s->fd, &section, sizeof(section),
			     elf->e_shoff + (uint64_t)i * sizeof(section)))
			return;
		if (section.sh_type != SHT_SYMTAB &&
		    (section.sh_type != SHT_DYNSYM || s->symtab.nbytes != 0))
			continue;
		if (section.sh_entsize != sizeof(Elf64_Sym) || section.sh_link >= elf->e_shnum ||
		    !read_at(s->fd, &names, sizeof(names),
			     elf->e_shoff + (uint64_t)section.sh_link * sizeof(names)))
			continue;
		s->symtab = (struct file_table){ section.sh_offset, section.sh_size };
		s->strtab = (struct file_table){ names.sh_offset, names.sh_size };
		if (section.sh_type == SHT_SYMTAB)
			return;
	}
}

static void open_file(struct symbols *s)
{
	Elf64_Ehdr elf;

	s->bias = 0;
	s->symtab.nbytes = 0;
	if (s->path[0] != '/')
		return;
	s->fd = os_open_read(s->path);
	if (s->fd < 0 || !read_at(s->fd, &elf, sizeof(elf), 0) || !is_elf64(&elf) ||
	    !find_bias(s, &elf) || elf.e_shentsize != sizeof(Elf64_Shdr))
		return;
	find_tables(s, &elf);
}

void symbols_close(struct symbols *s)
{
	if (s->fd >= 0)
		os_close(s->fd);
	symbols_init(s);
}

/* --- the name --- */

/* Finds the function that contains this address of the file. */
static bool find_symbol(struct symbols *s, uint64_t addr, Elf64_Sym *found)
{
	uint64_t left = s->symtab.nbytes / sizeof(Elf64_Sym), at = s->symtab.offset;
	bool any = false;

	while (left != 0) {
		size_t n = min_size(left, SYMBOLS_READ);

		if (!read_at(s->fd, s->buffer, n * sizeof(Elf64_Sym), at))
			return any;
		for (size_t i = 0; i < n; i++) {
			Elf64_Sym symbol;

			copy_bytes(&symbol, s->buffer + i * sizeof(symbol), sizeof(symbol));
			if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC ||
			    symbol.st_shndx == SHN_UNDEF ||
			    addr - symbol.st_value >= symbol.st_size)
				continue;
			*found = symbol;
			any = true;
			/* Of several names, programs use the global one. */
			if (ELF64_ST_BIND(symbol.st_info) != STB_LOCAL)
				return true;
		}
		at += n * sizeof(Elf64_Sym);
		left -= n;
	}
	return any;
}

/* Returns the name of the function that contains this address of the file, or "", and sets *start
 * to where it begins. */
static const char *name_function(struct symbols *s, uint64_t addr, uint64_t *start)
{
	Elf64_Sym symbol;

	if (s->symtab.nbytes == 0 || !find_symbol(s, addr, &symbol))
		return "";
	*start = symbol.st_value;
	return symbols_name(s, symbol.st_name);
}

/* The most bytes of a function's name that are printed. */
#define NAME_SHOWN (SYMBOL_PATH - 1)

static void print_function(struct symbols *s, struct out *out, uint64_t addr, bool after_call)
{
	uint64_t start;
	const char *name = name_function(s, addr - after_call, &start);

	if (name[0] != '\0')
		out_format(out, " %.*s+%#zx", (int)min_size(string_length(name), NAME_SHOWN), name,
			   addr - start);
}

/* Opens the file of the mapping that contains the address, if it is not open. Returns the address
 * in the file. */
static uint64_t open_file_of(struct symbols *s, uintptr_t at)
{
	if (at < s->start || at >= s->end) {
		find_mapping(s, at);
		open_file(s);
	}
	return at - s->start + s->offset + s->bias;
}

const char *symbols_function(struct symbols *s, uintptr_t pc)
{
	uint64_t start;

	return name_function(s, open_file_of(s, pc - 1), &start);
}

void symbols_print(struct symbols *s, struct out *out, uintptr_t pc, bool after_call)
{
	uint64_t addr = open_file_of(s, pc - after_call) + after_call;

	out_format(out, "%#zx", pc);
	if (s->path[0] == '\0')
		return;
	print_function(s, out, addr, after_call);
	out_format(out, " (%.*s+%#zx)", (int)string_length(s->path), s->path, addr);
}

/* --- all functions of a file --- */

bool symbols_open(struct symbols *s, const struct mapping *m)
{
	symbols_close(s);
	set_mapping(s, m);
	open_file(s);
	return s->symtab.nbytes != 0;
}

/* Visits a symbol if it is a function in the mapping. */
static void visit_symbol(const struct symbols *s, const Elf64_Sym *symbol,
			 void (*visit)(const struct function *f, void *arg), void *arg)
{
	struct function f = { .nbytes = symbol->st_size, .name = symbol->st_name,
			      .global = ELF64_ST_BIND(symbol->st_info) != STB_LOCAL };

	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
	    f.nbytes == 0)
		return;
	f.start = symbol->st_value - s->bias - s->offset + s->start;
	if (f.start - s->start < s->end - s->start)
		visit(&f, arg);
}

void symbols_each(struct symbols *s, void (*visit)(const struct function *f, void *arg), void *arg)
{
	uint64_t left = s->symtab.nbytes / sizeof(Elf64_Sym), at = s->symtab.offset;

	while (left != 0) {
		size_t n = min_size(left, SYMBOLS_READ);

		if (!read_at(s->fd, s->buffer, n * sizeof(Elf64_Sym), at))
			return;
		for (size_t i = 0; i < n; i++) {
			Elf64_Sym symbol;

			copy_bytes(&symbol, s->buffer + i * sizeof(symbol), sizeof(symbol));
			visit_symbol(s, &symbol, visit, arg);
		}
		at += n * sizeof(Elf64_Sym);
		left -= n;
	}
}

const char *symbols_name(struct symbols *s, uint32_t name)
{
	long n = name < s->strtab.nbytes ? os_read_at(s->fd, s->buffer, sizeof(s->buffer) - 1,
						      s->strtab.offset + name)
					 : 0;

	s->buffer[n > 0 ? n : 0] = '\0';
	return s->buffer;
}
