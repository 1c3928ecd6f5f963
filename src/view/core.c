/* SPDX-License-Identifier: MIT */
/*
 * core.c - a core file as a target.
 *
 * The kernel and gcore write the memory of a process as segments, and in notes its threads and the
 * files that it had mapped. What is in no segment, because it is as it was in a file, is read from
 * that file. A core that ends early is read as far as it goes.
 *
 * Owns     the descriptors of the core and of the files.
 * Holds    no number in the file is believed: offsets, lengths and counts are compared with the
 *          file's length, and with limits.
 */
#include "view/target.h"
#include "tools/heading.h"
#include "view/range.h"
#include "view/room.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_MOST MiB(256)
#define SEGMENTS_MOST (1u << 20)

struct segment {
	uintptr_t start, end;      /* in memory */
	uint64_t offset;           /* in the core */
	uint64_t nbytes;           /* in the core, from the start on */
	uint32_t flags;
};

/* A file that the process had mapped. */
struct mapped {
	uintptr_t start, end;
	uint64_t offset;
	char *name;
	int fd;                    /* -1: not opened yet; -2: cannot be opened */
};

struct core {
	int fd;
	uint64_t length;
	const char *program;       /* stands for the program's own file; NULL */
	struct segment *segments;  /* by address */
	size_t nsegments;
	struct mapped *files;      /* by address */
	size_t nfiles;
};

static size_t read_at(int fd, uint64_t offset, void *to, size_t nbytes)
{
	size_t done = 0;

	while (done < nbytes && offset + done <= INT64_MAX) {
		ssize_t n = pread(fd, (char *)to + done, nbytes - done, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* --- notes --- */

/* Adds the thread of a NT_PRSTATUS. */
static void note_thread(struct target *t, const char *desc, size_t nbytes)
{
	struct elf_prstatus status;
	struct target_thread thread = { .tid = 0 };
	void *registers;

	if (nbytes < sizeof(status))
		return;
	copy_bytes(&status, desc, sizeof(status));
	registers = room_for(1, sizeof(status.pr_reg));
	copy_bytes(registers, &status.pr_reg, sizeof(status.pr_reg));
	thread.tid = thread.inner_tid = status.pr_pid;
	thread.registers = registers;
	thread.nregisters = sizeof(status.pr_reg);
	target_add_thread(t, &thread);
}

static void note_program(struct target *t, const char *desc, size_t nbytes)
{
	struct elf_prpsinfo info;

	if (nbytes < sizeof(info))
		return;
	copy_bytes(&info, desc, sizeof(info));
	(void)snprintf(t->name, sizeof(t->name), "%.*s", (int)sizeof(info.pr_fname),
		       info.pr_fname);
	t->pid = info.pr_pid;
}

/* "count, page size, then start, end, offset in pages of each, then the names". */
static void note_files(struct core *own, const char *desc, size_t nbytes)
{
	uint64_t head[2], entry[3];
	const char *name, *end = desc + nbytes;

	if (nbytes < sizeof(head))
		return;
	copy_bytes(head, desc, sizeof(head));
	if (head[0] > (nbytes - sizeof(head)) / sizeof(entry))
		return;
	name = desc + sizeof(head) + head[0] * sizeof(entry);
	for (uint64_t i = 0; i < head[0] && name < end; i++) {
		size_t n = strnlen(name, (size_t)(end - name));
		struct mapped file = { .fd = -1 };

		copy_bytes(entry, desc + sizeof(head) + i * sizeof(entry), sizeof(entry));
		file.start = entry[0];
		file.end = entry[1];
		file.offset = entry[2] * head[1];
		file.name = room_for_text(name, n);
		own->files = room_for_more(own->files, own->nfiles, sizeof(file));
		own->files[own->nfiles++] = file;
		name += n + 1;
	}
}

static void read_notes(struct target *t, const Elf64_Phdr *ph)
{
	struct core *own = t->own;
	size_t nbytes = min_size(ph->p_filesz, NOTES_MOST);
	char *notes;

	if (ph->p_offset > own->length)
		return;
	nbytes = min_size(nbytes, own->length - ph->p_offset);
	notes = room_for(nbytes, 1);
	nbytes = read_at(own->fd, ph->p_offset, notes, nbytes);
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= nbytes;) {
		Elf64_Nhdr note;
		size_t desc, end;

		copy_bytes(&note, notes + at, sizeof(note));
		desc = at + sizeof(note) + align_up(note.n_namesz, 4);
		end = desc + note.n_descsz;
		if (end > nbytes)
			break;
		if (note.n_type == NT_PRSTATUS)
			note_thread(t, notes + desc, note.n_descsz);
		else if (note.n_type == NT_PRPSINFO)
			note_program(t, notes + desc, note.n_descsz);
		else if (note.n_type == NT_FILE)
			note_files(own, notes + desc, note.n_descsz);
		at = align_up(end, 4);
	}
	free(notes);
}

/* --- segments --- */

static void add_segment(struct target *t, const Elf64_Phdr *ph)
{
	struct core *own = t->own;
	struct segment s = { .start = ph->p_vaddr, .end = ph->p_vaddr + ph->p_memsz,
			     .offset = ph->p_offset,
			     .nbytes = min_size(ph->p_filesz, ph->p_memsz) };

	if (s.end <= s.start)
		return;
	s.flags = ((ph->p_flags & PF_R) != 0 ? MAPPING_READ : 0u) |
		  ((ph->p_flags & PF_W) != 0 ? MAPPING_WRITE : 0u) |
		  ((ph->p_flags & PF_X) != 0 ? MAPPING_EXEC : 0u);
	if (s.offset > own->length || s.nbytes > own->length - s.offset) {
		t->truncated = true;
		s.nbytes = s.offset > own->length ? 0 : own->length - s.offset;
	}
	own->segments = room_for_more(own->segments, own->nsegments, sizeof(s));
	own->segments[own->nsegments++] = s;
}

/* Returns how a file is compressed that begins with these bytes, or NULL. */
static const char *compression(const unsigned char *bytes)
{
	static const struct {
		const char *name, *magic;
	} known[] = {
		{ "gzip", "\x1f\x8b" },
		{ "zstd", "\x28\xb5\x2f\xfd" },
		{ "xz", "\xfd" "7zXZ" },
		{ "lz4", "\x04\x22\x4d\x18" },
		{ "bzip2", "BZh" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (memcmp(bytes, known[i].magic, strlen(known[i].magic)) == 0)
			return known[i].name;
	return NULL;
}

/* Says why the file is no core. */
static bool fail_no_core(struct target *t, const Elf64_Ehdr *eh)
{
	const char *name = compression(eh->e_ident);

	if (name == NULL)
		return target_fail(t, "it is not a core file");
	return target_fail(t, "it is compressed by %s: unpack it first", name);
}

static bool read_headers(struct target *t)
{
	struct core *own = t->own;
	Elf64_Ehdr eh = { .e_type = ET_NONE };
	Elf64_Shdr sh;
	uint64_t n;

	if (read_at(own->fd, 0, &eh, sizeof(eh)) != sizeof(eh) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return fail_no_core(t, &eh);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return target_fail(t, "it is the core of a 32-bit process, or of another machine");
	if (eh.e_type != ET_CORE)
		return target_fail(t, "it is a program or library, not a core file");
	n = eh.e_phnum;
	if (n == PN_XNUM && read_at(own->fd, eh.e_shoff, &sh, sizeof(sh)) == sizeof(sh))
		n = sh.sh_info;
	for (uint64_t i = 0; i < n && i < SEGMENTS_MOST; i++) {
		Elf64_Phdr ph;

		if (read_at(own->fd, eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph)) != sizeof(ph)) {
			t->truncated = true;
			break;
		}
		if (ph.p_type == PT_NOTE)
			read_notes(t, &ph);
		else if (ph.p_type == PT_LOAD)
			add_segment(t, &ph);
	}
	if (own->nsegments == 0)
		return target_fail(t, "the core has no memory");
	qsort(own->segments, own->nsegments, sizeof(*own->segments), range_by_start);
	if (own->nfiles != 0)
		qsort(own->files, own->nfiles, sizeof(*own->files), range_by_start);
	return true;
}

static const struct segment *segment_of(const struct core *own, uintptr_t addr)
{
	return range_find(own->segments, own->nsegments, sizeof(*own->segments), addr);
}

static struct mapped *file_of(const struct core *own, uintptr_t addr)
{
	return range_find(own->files, own->nfiles, sizeof(*own->files), addr);
}

/* Makes the list of mappings: each file's, and each segment that no file begins in. */
static void make_maps(struct target *t)
{
	struct core *own = t->own;
	size_t k = 0;

	for (size_t i = 0; i < own->nsegments; i++) {
		const struct segment *s = &own->segments[i];
		struct target_map map = { s->start, s->end, 0, s->flags, "" };
		const struct mapped *file = file_of(own, s->start);

		/* Files without a segment. */
		for (; k < own->nfiles && own->files[k].start < s->start; k++) {
			struct mapped *f = &own->files[k];
			struct target_map of = { f->start, f->end, f->offset, MAPPING_READ,
						 f->name };

			if (segment_of(own, f->start) == NULL)
				target_add_map(t, &of);
		}
		if (file != NULL) {
			map.name = file->name;
			map.offset = file->offset + (s->start - file->start);
		}
		target_add_map(t, &map);
	}
}

/* --- reading --- */

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void open_file(const struct core *own, struct mapped *file)
{
	struct stat st;

	if (own->program != NULL && strcmp(last_part(own->program), last_part(file->name)) == 0)
		file->fd = open(own->program, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 && file->name[0] == '/')
		file->fd = open(file->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd >= 0 && (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(file->fd);
		file->fd = -2;
	}
	if (file->fd < 0)
		file->fd = -2;
}

/* Reads from the file that was mapped at addr. */
static size_t read_file(const struct core *own, uintptr_t addr, void *to, size_t nbytes)
{
	struct mapped *file = file_of(own, addr);

	if (file == NULL)
		return 0;
	if (file->fd == -1)
		open_file(own, file);
	if (file->fd < 0)
		return 0;
	return read_at(file->fd, file->offset + (addr - file->start), to,
		       min_size(nbytes, file->end - addr));
}

/* Reads what is one piece in the core, or in a file. */
static size_t read_piece(const struct core *own, uintptr_t addr, void *to, size_t nbytes)
{
	const struct segment *s = segment_of(own, addr);
	size_t offset;

	if (s == NULL)
		return read_file(own, addr, to, nbytes);
	offset = addr - s->start;
	nbytes = min_size(nbytes, s->end - addr);
	if (offset >= s->nbytes)
		return read_file(own, addr, to, nbytes);
	return read_at(own->fd, s->offset + offset, to, min_size(nbytes, s->nbytes - offset));
}

static size_t read_memory(struct target *t, uintptr_t addr, void *to, size_t nbytes)
{
	size_t done = 0, n;

	while (done < nbytes &&
	       (n = read_piece(t->own, addr + done, (char *)to + done, nbytes - done)) != 0)
		done += n;
	return done;
}

static bool refresh(struct target *t)
{
	(void)t;
	return true;
}

static void close_core(struct target *t)
{
	struct core *own = t->own;

	for (size_t i = 0; i < own->nfiles; i++) {
		if (own->files[i].fd >= 0)
			close(own->files[i].fd);
		free(own->files[i].name);
	}
	for (size_t i = 0; i < t->nthreads; i++)
		free((void *)(uintptr_t)t->threads[i].registers);
	free(own->files);
	free(own->segments);
	if (own->fd >= 0)
		close(own->fd);
	free(own);
}

static const struct target_ops ops = { refresh, read_memory, close_core };

bool target_open_core_fd(struct target *t, const char *program, int fd)
{
	struct core *own = room_for(1, sizeof(*own));
	struct stat st;

	*t = (struct target){ .ops = &ops, .own = own, .is_core = true,
			     .up_s = HEADING_UP_UNKNOWN };
	own->fd = fd;
	own->program = program;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return target_fail(t, "it is not a regular file");
	own->length = (uint64_t)st.st_size;
	if (!read_headers(t))
		return false;
	make_maps(t);
	return true;
}

bool target_open_core(struct target *t, const char *program, const char *core)
{
	int fd = open(core, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	bool opened = fd >= 0 && target_open_core_fd(t, program, fd);

	if (fd < 0) {
		*t = (struct target){ .is_core = true, .up_s = HEADING_UP_UNKNOWN };
		(void)target_fail(t, "%s", strerror(errno));
	}
	t->file = core;
	return opened;
}
