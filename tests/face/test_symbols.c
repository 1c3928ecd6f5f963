/* SPDX-License-Identifier: MIT */
/*
 * test_symbols.c - what the shared library shows to the linker.
 *
 * The file named by FACE_LIB is parsed, never loaded. Every name of the C library, of C++ and of
 * clang has the base version, because ld.so silently skips an exported malloc@@GOALLOC_1: programs
 * ask for malloc@GLIBC_2.2.5.
 */
#include "face.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#define VERSION_BASE 1 /* VER_NDX_GLOBAL */

static const char *const base_names[] = {
	"malloc",
	"calloc",
	"realloc",
	"free",
	"reallocarray",
	"memalign",
	"aligned_alloc",
	"posix_memalign",
	"valloc",
	"pvalloc",
	"malloc_usable_size",
	"cfree",
	"free_sized",
	"free_aligned_sized",
	"malloc_trim",
	"mallinfo",
	"mallinfo2",
	"mallopt",
	"malloc_stats",
	"malloc_info",
	"nallocx",
	"sdallocx",
	"mallocx",
	"rallocx",
	"xallocx",
	"sallocx",
	"dallocx",
	"__libc_malloc",
	"__libc_free",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_memalign",
	"__libc_valloc",
	"__libc_pvalloc",
	"__libc_mallopt",
	"__libc_mallinfo",
	"__posix_memalign",
	/* operator new, new[]: plain, nothrow, aligned, aligned nothrow */
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
	/* operator delete, delete[]: plain, nothrow, sized, aligned, sized and nothrow aligned */
	"_ZdlPv",
	"_ZdaPv",
	"_ZdlPvRKSt9nothrow_t",
	"_ZdaPvRKSt9nothrow_t",
	"_ZdlPvm",
	"_ZdaPvm",
	"_ZdlPvSt11align_val_t",
	"_ZdaPvSt11align_val_t",
	"_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t",
	"_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What clang's -fsanitize=alloc-token makes of these names is one of these prefixes and the
 * name. */
static const char *const token_prefixes[] = { "__alloc_token_", "__alloc_token_0_",
					      "__alloc_token_1_", "__alloc_token_2_" };
static const char *const token_names[] = {
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"aligned_alloc",
	"memalign",
	"valloc",
	"pvalloc",
	"posix_memalign",
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
};

#define BASE_NAMES (COUNT(base_names) + COUNT(token_prefixes) * COUNT(token_names))

/* Returns a name with its prefix. The answer is good until the next call but one. */
static const char *base_name(size_t i)
{
	static char names[2][80];
	static unsigned nth;
	char *name = names[nth++ % 2];

	if (i < COUNT(base_names))
		return base_names[i];
	i -= COUNT(base_names);
	(void)snprintf(name, sizeof(names[0]), "%s%s", token_prefixes[i / COUNT(token_names)],
		       token_names[i % COUNT(token_names)]);
	return name;
}

static struct {
	const unsigned char *bytes;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;
	const Elf64_Sym *symbols;
	size_t nsymbols;
	const char *names;
	const Elf64_Half *versions; /* NULL: the library has no versions at all */
	const Elf64_Dyn *dynamic;
	size_t ndynamic;
} lib;

static int open_library(void **state)
{
	const char *path = getenv("FACE_LIB");
	struct stat st;
	int fd;

	(void)state;
	if (path == NULL || (fd = open(path, O_RDONLY)) < 0 || fstat(fd, &st) != 0)
		return -1;
	lib.bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (lib.bytes == MAP_FAILED || memcmp(lib.bytes, ELFMAG, SELFMAG) != 0)
		return -1;
	lib.header = (const void *)lib.bytes;
	lib.sections = (const void *)(lib.bytes + lib.header->e_shoff);
	for (size_t i = 0; i < lib.header->e_shnum; i++) {
		const Elf64_Shdr *s = &lib.sections[i];
		const void *at = lib.bytes + s->sh_offset;
		if (s->sh_type == SHT_DYNSYM) {
			lib.symbols = at;
			lib.nsymbols = s->sh_size / sizeof(Elf64_Sym);
			lib.names = (const char *)lib.bytes + lib.sections[s->sh_link].sh_offset;
		} else if (s->sh_type == SHT_GNU_versym) {
			lib.versions = at;
		} else if (s->sh_type == SHT_DYNAMIC) {
			lib.dynamic = at;
			lib.ndynamic = s->sh_size / sizeof(Elf64_Dyn);
		}
	}
	return lib.symbols == NULL || lib.dynamic == NULL ? -1 : 0;
}

static bool is_exported(const Elf64_Sym *s)
{
	return s->st_shndx != SHN_UNDEF && ELF64_ST_BIND(s->st_info) != STB_LOCAL &&
	       ELF64_ST_VISIBILITY(s->st_other) != STV_HIDDEN;
}

static const Elf64_Sym *find_export(const char *name)
{
	for (size_t i = 0; i < lib.nsymbols; i++)
		if (strcmp(lib.names + lib.symbols[i].st_name, name) == 0 &&
		    is_exported(&lib.symbols[i]))
			return &lib.symbols[i];
	return NULL;
}

static const char *dynamic_string(Elf64_Sxword tag, size_t nth)
{
	for (size_t i = 0; i < lib.ndynamic; i++)
		if (lib.dynamic[i].d_tag == tag && nth-- == 0)
			return lib.names + lib.dynamic[i].d_un.d_val;
	return NULL;
}

static Elf64_Xword dynamic_value(Elf64_Sxword tag)
{
	for (size_t i = 0; i < lib.ndynamic; i++)
		if (lib.dynamic[i].d_tag == tag)
			return lib.dynamic[i].d_un.d_val;
	return 0;
}

static void every_name_is_exported_as_a_function(void **state)
{
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < BASE_NAMES; i++) {
		const Elf64_Sym *s = find_export(base_name(i));
		if (s == NULL || (ELF64_ST_TYPE(s->st_info) != STT_FUNC &&
				  ELF64_ST_TYPE(s->st_info) != STT_GNU_IFUNC)) {
			print_error("missing: %s\n", base_name(i));
			missing++;
		}
	}
	assert_int_equal(missing, 0);
}

static void every_name_is_at_base_version(void **state)
{
	size_t wrong = 0;

	(void)state;
	if (lib.versions == NULL)
		return;
	for (size_t i = 0; i < BASE_NAMES; i++) {
		const Elf64_Sym *s = find_export(base_name(i));
		if (s == NULL)
			continue;
		if ((lib.versions[s - lib.symbols] & 0x7fff) != VERSION_BASE) {
			print_error("has a version node: %s\n", base_name(i));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* Profilers and probes tell malloc from operator new by the address. */
static void no_two_names_have_one_address(void **state)
{
	size_t same = 0;

	(void)state;
	for (size_t i = 0; i < BASE_NAMES; i++) {
		for (size_t k = 0; k < i; k++) {
			const Elf64_Sym *a = find_export(base_name(i)),
					*b = find_export(base_name(k));

			if (a == NULL || b == NULL || a->st_value != b->st_value)
				continue;
			print_error("at one address: %s %s\n", base_name(i), base_name(k));
			same++;
		}
	}
	assert_int_equal(same, 0);
}

static bool may_be_exported(const char *name)
{
	for (size_t i = 0; i < BASE_NAMES; i++)
		if (strcmp(name, base_name(i)) == 0)
			return true;
	/* Make RTLD_DEEPBIND and a handle of libc harmless: see test_deepbind.c and
	 * test_handles.c. */
	if (strcmp(name, "dlopen") == 0 || strcmp(name, "dlmopen") == 0 ||
	    strcmp(name, "dlsym") == 0 || strcmp(name, "dlvsym") == 0)
		return true;
	return strncmp(name, "goalloc_", 8) == 0 || strncmp(name, "GOALLOC_", 8) == 0;
}

static void nothing_else_is_exported(void **state)
{
	size_t surplus = 0;

	(void)state;
	for (size_t i = 1; i < lib.nsymbols; i++) {
		const char *name = lib.names + lib.symbols[i].st_name;
		if (is_exported(&lib.symbols[i]) && !may_be_exported(name)) {
			print_error("surplus: %s\n", name);
			surplus++;
		}
	}
	assert_int_equal(surplus, 0);
}

static void strdup_is_left_alone(void **state)
{
	static const char *const not_ours[] = {"strdup", "strndup"};
	(void)state;
	for (size_t i = 0; i < COUNT(not_ours); i++)
		assert_null(find_export(not_ours[i]));
}

static void only_libc_is_needed(void **state)
{
	(void)state;
	assert_non_null(dynamic_string(DT_NEEDED, 0));
	assert_string_equal(dynamic_string(DT_NEEDED, 0), "libc.so.6");
	assert_null(dynamic_string(DT_NEEDED, 1));
}

static void soname_carries_the_major_version(void **state)
{
	(void)state;
	assert_non_null(dynamic_string(DT_SONAME, 0));
	assert_string_equal(dynamic_string(DT_SONAME, 0), "libgoalloc.so.1");
}

static void it_is_bound_at_load_never_unloaded_and_not_symbolic(void **state)
{
	Elf64_Xword flags = dynamic_value(DT_FLAGS), flags_1 = dynamic_value(DT_FLAGS_1);

	(void)state;
	assert_true(flags_1 & DF_1_NOW);
	assert_true(flags_1 & DF_1_NODELETE);
	assert_false(flags & DF_SYMBOLIC);
	assert_int_equal(dynamic_value(DT_SYMBOLIC), 0);
	assert_int_equal(dynamic_value(DT_TEXTREL), 0);
}

/* Much static TLS makes dlopen fail, and __tls_get_addr may call malloc. */
static void thread_local_storage_is_small_and_initial_exec(void **state)
{
	const Elf64_Phdr *ph = (const void *)(lib.bytes + lib.header->e_phoff);
	bool relro = false;

	(void)state;
	for (size_t i = 0; i < lib.header->e_phnum; i++) {
		if (ph[i].p_type == PT_TLS)
			assert_in_range(ph[i].p_memsz, 0, 64);
		relro |= ph[i].p_type == PT_GNU_RELRO;
	}
	assert_true(relro);
	for (size_t i = 1; i < lib.nsymbols; i++)
		assert_string_not_equal(lib.names + lib.symbols[i].st_name, "__tls_get_addr");
}

/* --- probes: the entries of SystemTap's form, version 3 --- */

struct __attribute__((packed)) probe_note {
	Elf64_Nhdr header;
	char owner[8];
	uint64_t pc, base, semaphore;
	char strings[]; /* provider, name, arguments */
};

static const Elf64_Shdr *section(const char *name)
{
	const char *names =
		(const char *)lib.bytes + lib.sections[lib.header->e_shstrndx].sh_offset;

	for (size_t i = 0; i < lib.header->e_shnum; i++)
		if (strcmp(names + lib.sections[i].sh_name, name) == 0)
			return &lib.sections[i];
	return NULL;
}

static bool is_nop(uint64_t pc)
{
	const Elf64_Shdr *text = section(".text");
	const unsigned char *at = lib.bytes + (pc - text->sh_addr + text->sh_offset);

	if (pc < text->sh_addr || pc >= text->sh_addr + text->sh_size)
		return false;
	switch (lib.header->e_machine) {
	case EM_AARCH64:
		return memcmp(at, "\x1f\x20\x03\xd5", 4) == 0;
	case EM_RISCV:
		return memcmp(at, "\x01\x00", 2) == 0 || memcmp(at, "\x13\x00\x00\x00", 4) == 0;
	default:
		return *at == 0x90;
	}
}

/* Returns true if the probe has so many arguments of "8@": unsigned, 8 bytes. */
static bool has_arguments(const char *arguments, size_t want)
{
	size_t n = 0;

	for (const char *at = arguments; at != NULL; at = strchr(at, ' '), n++) {
		at += *at == ' ';
		if (strncmp(at, "8@", 2) != 0 || at[2] == ' ' || at[2] == '\0')
			return false;
	}
	return n == want;
}

static void a_probe_is_a_nop_with_arguments_and_a_semaphore(void **state)
{
	const Elf64_Shdr *notes = section(".note.stapsdt"), *base = section(".stapsdt.base");
	const Elf64_Shdr *semaphores = section(".probes");
	static const char *const names[] = { "goalloc:sampled_alloc", "goalloc:sampled_free",
					     "otel_memory:alloc", "otel_memory:free" };
	size_t seen[4] = { 0 }, next;
	uint64_t raised[2] = { 0 };

	(void)state;
	assert_non_null(notes);
	assert_non_null(base);
	assert_non_null(semaphores);
	/* In the file only. */
	assert_int_equal(notes->sh_type, SHT_NOTE);
	assert_false(notes->sh_flags & SHF_ALLOC);
	for (size_t at = 0; at < notes->sh_size; at = next) {
		const struct probe_note *note = (const void *)(lib.bytes + notes->sh_offset + at);
		char full[64];
		const char *name = note->strings + strlen(note->strings) + 1,
			   *arguments = name + strlen(name) + 1;

		next = at + offsetof(struct probe_note, pc) + (note->header.n_descsz + 3) / 4 * 4;
		assert_int_equal(note->header.n_namesz, 8);
		assert_int_equal(note->header.n_type, 3);
		assert_string_equal(note->owner, "stapsdt");
		assert_int_equal(note->base, base->sh_addr);
		/* The kernel finds it through the file. */
		assert_true(note->semaphore >= semaphores->sh_addr &&
			    note->semaphore + 2 <= semaphores->sh_addr + semaphores->sh_size);
		assert_true(is_nop(note->pc));
		(void)snprintf(full, sizeof(full), "%s:%s", note->strings, name);
		for (size_t i = 0; i < 4; i++) {
			if (strcmp(full, names[i]) != 0)
				continue;
			seen[i]++;
			assert_true(has_arguments(arguments, i == 3 ? 1 : 3));
			assert_true(raised[i % 2] == 0 || raised[i % 2] == note->semaphore);
			raised[i % 2] = note->semaphore;
		}
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(seen[i], 1);
	assert_int_not_equal(raised[0], raised[1]);
	assert_int_equal(semaphores->sh_type, SHT_PROGBITS);
	assert_true(semaphores->sh_flags & SHF_WRITE);
}

/* See HOT_ENTRY. */
static void malloc_starts_a_block_and_hot_functions_start_cache_lines(void **state)
{
	static const char *const hot[] = { "malloc",     "free",    "calloc", "realloc",
					   "free_sized", "_Znwm",   "_Znam",  "_ZdlPv",
					   "_ZdaPv",     "_ZdlPvm", "_ZdaPvm" };
	Elf64_Addr malloc_at = find_export("malloc")->st_value;

	(void)state;
	assert_int_equal(malloc_at % 512, 0);
	for (size_t i = 0; i < sizeof(hot) / sizeof(*hot); i++) {
		Elf64_Addr at = find_export(hot[i])->st_value;

		assert_int_equal(at % 64, 0);
		/* They lie together. */
		assert_true(at >= malloc_at && at < malloc_at + 8192);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_exported_as_a_function),
		cmocka_unit_test(every_name_is_at_base_version),
		cmocka_unit_test(no_two_names_have_one_address),
		cmocka_unit_test(nothing_else_is_exported),
		cmocka_unit_test(strdup_is_left_alone),
		cmocka_unit_test(only_libc_is_needed),
		cmocka_unit_test(soname_carries_the_major_version),
		cmocka_unit_test(it_is_bound_at_load_never_unloaded_and_not_symbolic),
		cmocka_unit_test(thread_local_storage_is_small_and_initial_exec),
		cmocka_unit_test(a_probe_is_a_nop_with_arguments_and_a_semaphore),
		cmocka_unit_test(malloc_starts_a_block_and_hot_functions_start_cache_lines),
	};
	return cmocka_run_group_tests(tests, open_library, NULL);
}
