/* SPDX-License-Identifier: MIT */
/*
 * program.c - splits the user's command lines and looks at the programs. See program.h.
 */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wordexp.h>

#include "must.h"
#include "runner.h"

#define MAX_NSEGMENTS 64

/* Splits a command line as a shell does: quotes, variables and patterns count. */
static char **split_command(const char *command)
{
	wordexp_t words;
	int error = wordexp(command, &words, WRDE_NOCMD);

	if (error == WRDE_BADCHAR || error == WRDE_CMDSUB)
		options_fail("--program takes one program and its arguments; write \"sh -c '...'\" "
			     "for a pipeline, a redirection or $(...): '%s'",
			     command);
	if (error == WRDE_SYNTAX)
		options_fail("--program: a quote or a bracket is not closed: '%s'", command);
	if (error != 0)
		options_fail("out of memory");
	if (words.we_wordc == 0)
		options_fail("--program needs a command");
	return words.we_wordv;
}

/* Finds the program of a command line, along $PATH unless its name has a slash. */
static char *find_program(const char *name)
{
	if (strchr(name, '/') == NULL) {
		char *found = runner_find_along_path(name);

		if (found == NULL)
			options_fail("--program: '%s' is not installed", name);
		return found;
	}
	if (access(name, X_OK) != 0)
		options_fail("--program: cannot execute '%s': %s", name, strerror(errno));
	return must(strdup(name));
}

/* Returns whether an ELF file names a dynamic linker; without one it loads no library. */
static bool has_interpreter(int fd, const Elf64_Ehdr *header)
{
	Elf64_Phdr segment[MAX_NSEGMENTS];
	size_t n = header->e_phnum < MAX_NSEGMENTS ? header->e_phnum : MAX_NSEGMENTS;
	ssize_t nbytes = (ssize_t)(n * sizeof segment[0]);

	if (pread(fd, segment, (size_t)nbytes, (off_t)header->e_phoff) != nbytes)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (segment[i].p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* Ends the driver if the kernel cannot execute the file; warns if LD_PRELOAD has no effect on it.
 * */
static void check_program(const char *path)
{
	Elf64_Ehdr header = { 0 };
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* executable but not readable: the kernel may run it all the same */
	ssize_t n = pread(fd, &header, sizeof header, 0);
	bool elf = n == sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;
	if (!elf && (n < 2 || memcmp(header.e_ident, "#!", 2) != 0))
		options_fail("--program: '%s' is neither a program nor a script with a #! line",
			     path);
	if (elf && (header.e_ident[EI_CLASS] != ELFCLASS64 || !has_interpreter(fd, &header)))
		fprintf(stderr,
			"bench_driver: '%s' is not a dynamically linked 64-bit program: "
			"it uses its own malloc in every column\n",
			path);
	if (fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) != 0)
		fprintf(stderr,
			"bench_driver: '%s' is a setuid program: the dynamic linker may ignore "
			"the preloaded libraries\n",
			path);
	close(fd);
}

void programs_add(struct results *r, const struct options *o)
{
	struct row *row = must(calloc(o->nprograms, sizeof *row));

	r->line = must(calloc(o->nprograms, sizeof *r->line));
	for (size_t i = 0; i < o->nprograms; i++) {
		char **argv = split_command(o->program[i]);
		char *path = find_program(argv[0]);

		check_program(path);
		row[i] = (struct row){
			.group = ROW_PROGRAM,
			.any_output = true,
			.name = o->program[i],
			.words = o->program[i],
			.argv = argv,
		};
		r->line[r->nlines++] = (struct line){ .row = &row[i], .program = path };
	}
}
