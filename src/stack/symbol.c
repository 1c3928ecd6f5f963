/* SPDX-License-Identifier: MIT */
/*
 * symbol.c - names for addresses of code: module, place in it, function.
 * See malloc.c for the overview.
 *
 * Owns     the descriptor of the file looked at last.
 * Callers  reports of faults and of leaks. Calls os.h, out.h.
 * Locks    none; a struct symbols is one caller's. ld.so would know more, but takes a lock to tell.
 * Holds    what is not found is left out: no /proc, no file, no table in it, a path too long. The table of all symbols is taken if
 *          the file has it, else that of the dynamic ones. A file that was replaced since it was mapped names wrongly.
 */
#include "stack/symbol.h"
#include "os/os.h"

#include <elf.h>

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

/* --- the mapping: /proc/self/maps, "start-end perms offset device inode   path" --- */

/* A file read byte by byte. */
struct reader {
	int fd;
	size_t at, len;
	char *buffer;
	size_t nbytes;
};

/* -1 at the end. */
static int next_char(struct reader *r)
{
	if (r->at == r->len) {
		long n = os_read(r->fd, r->buffer, r->nbytes);

		if (n <= 0)
			return -1;
		r->len = (size_t)n;
		r->at = 0;
	}
	return (unsigned char)r->buffer[r->at++];
}

/* The number whose first digit is c, and the character behind it. */
static uint64_t read_hex(struct reader *r, int c, int *behind)
{
	uint64_t v = 0;

	for (;; c = next_char(r)) {
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			break;
	}
	*behind = c;
	return v;
}

/* Up to the next blank, and the blanks; what comes then, or the end of the line. */
static int skip_word(struct reader *r)
{
	int c;

	do
		c = next_char(r);
	while (c != ' ' && c != '\n' && c != -1);
	while (c == ' ')
		c = next_char(r);
	return c;
}

/* The rest of a line, of which c is the first character. */
static void read_path(struct reader *r, int c, char *path)
{
	size_t n = 0;

	for (; c != '\n' && c != -1; c = next_char(r))
		if (n < SYMBOL_PATH)
			path[n++] = (char)c;
	/* Cut short, it would be another file's. */
	path[n < SYMBOL_PATH ? n : 0] = '\0';
}

static void find_mapping(struct symbols *s, uintptr_t pc)
{
	struct reader r = { os_open_read("/proc/self/maps"), 0, 0, s->buffer, sizeof(s->buffer) };
	int c = r.fd >= 0 ? next_char(&r) : -1;

	symbols_close(s);
	while (c != -1) {
		uintptr_t start = read_hex(&r, c, &c);
		uintptr_t end = read_hex(&r, next_char(&r), &c);

		if (pc >= start && pc < end) {
			c = skip_word(&r);
			s->start = start;
			s->end = end;
			s->offset = read_hex(&r, c, &c);
			(void)skip_word(&r);
			read_path(&r, skip_word(&r), s->path);
			break;
		}
		while (c != '\n' && c != -1)
			c = next_char(&r);
		if (c == '\n')
			c = next_char(&r);
	}
	if (r.fd >= 0)
		os_close(r.fd);
}

/* --- the file --- */

/* The segment that the mapping is of says what its offsets are as addresses. */
static bool find_bias(struct symbols *s, const Elf64_Ehdr *elf)
{
	Elf64_Phdr segment;

	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (!read_at(s->fd, &segment, sizeof(segment), elf->e_phoff + (uint64_t)i * sizeof(segment)))
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
		if (!read_at(s->fd, &section, sizeof(section), elf->e_shoff + (uint64_t)i * sizeof(section)))
			return;
		if (section.sh_type != SHT_SYMTAB && (section.sh_type != SHT_DYNSYM || s->symtab.nbytes != 0))
			continue;
		if (section.sh_entsize != sizeof(Elf64_Sym) || section.sh_link >= elf->e_shnum ||
		    !read_at(s->fd, &names, sizeof(names), elf->e_shoff + (uint64_t)section.sh_link * sizeof(names)))
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
	if (s->fd < 0 || !read_at(s->fd, &elf, sizeof(elf), 0) || __builtin_memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(Elf64_Phdr) ||
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

/* The function that has this address of the file. */
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
			if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
			    addr - symbol.st_value >= symbol.st_size)
				continue;
			*found = symbol;
			any = true;
			/* Of several names a global one is the one that programs use. */
			if (ELF64_ST_BIND(symbol.st_info) != STB_LOCAL)
				return true;
		}
		at += n * sizeof(Elf64_Sym);
		left -= n;
	}
	return any;
}

static void print_function(struct symbols *s, struct out *out, uint64_t addr, bool after_call)
{
	Elf64_Sym symbol;
	long n;

	if (s->symtab.nbytes == 0 || !find_symbol(s, addr - after_call, &symbol) || symbol.st_name >= s->strtab.nbytes)
		return;
	n = os_read_at(s->fd, s->buffer, SYMBOL_PATH, s->strtab.offset + symbol.st_name);
	if (n <= 0)
		return;
	s->buffer[min_size((size_t)n, SYMBOL_PATH - 1)] = '\0';
	out_str(out, " ");
	out_text(out, s->buffer, string_length(s->buffer));
	out_str(out, "+");
	out_hex(out, addr - symbol.st_value);
}

void symbols_print(struct symbols *s, struct out *out, uintptr_t pc, bool after_call)
{
	uintptr_t at = pc - after_call;
	uint64_t addr;

	if (at < s->start || at >= s->end) {
		find_mapping(s, at);
		open_file(s);
	}
	out_hex(out, pc);
	if (s->path[0] == '\0')
		return;
	addr = pc - s->start + s->offset + s->bias;
	print_function(s, out, addr, after_call);
	out_str(out, " (");
	out_text(out, s->path, string_length(s->path));
	out_str(out, "+");
	out_hex(out, addr);
	out_str(out, ")");
}

/* --- all functions of a file --- */

bool symbols_open(struct symbols *s, uintptr_t start, uintptr_t end, uint64_t offset, const char *path)
{
	size_t len = string_length(path);

	symbols_close(s);
	if (len >= sizeof(s->path))
		return false;
	copy_bytes(s->path, path, len + 1);
	s->start = start;
	s->end = end;
	s->offset = offset;
	open_file(s);
	return s->symtab.nbytes != 0;
}

static void visit_symbol(const struct symbols *s, const Elf64_Sym *symbol,
			 void (*visit)(const struct function *f, void *arg), void *arg)
{
	struct function f = { .nbytes = symbol->st_size, .name = symbol->st_name,
			      .global = ELF64_ST_BIND(symbol->st_info) != STB_LOCAL };

	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || f.nbytes == 0)
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
	long n = name < s->strtab.nbytes ? os_read_at(s->fd, s->buffer, sizeof(s->buffer) - 1, s->strtab.offset + name) : 0;

	s->buffer[n > 0 ? n : 0] = '\0';
	return s->buffer;
}
