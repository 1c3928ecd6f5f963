/* SPDX-License-Identifier: MIT */
/*
 * test_tracer.c - a semaphore that another process raises begins sampling, and ends it when it is
 * lowered. A profile of the program's own goes on.
 *
 * The child allocates when it is told to, and answers with the first line of its profile. The
 * parent writes to the semaphores of the child as a tracer does. Where they are stands in the
 * notes of the file that contains the probes.
 */
#include "face.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

static uintptr_t semaphores[2]; /* of otel_memory:alloc and free */

/* Finds the semaphores of the probes in a file that is loaded at base. */
static int find_in_file(const char *file, uintptr_t base)
{
	int fd = open(file, O_RDONLY);
	struct stat st;
	const unsigned char *bytes;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;
	const char *names;

	if (fd < 0 || fstat(fd, &st) != 0)
		return 0;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(bytes != MAP_FAILED);
	close(fd);
	header = (const void *)bytes;
	sections = (const void *)(bytes + header->e_shoff);
	names = (const char *)bytes + sections[header->e_shstrndx].sh_offset;
	for (size_t i = 0; i < header->e_shnum; i++) {
		const unsigned char *at = bytes + sections[i].sh_offset;
		const unsigned char *end = at + sections[i].sh_size;

		if (strcmp(names + sections[i].sh_name, ".note.stapsdt") != 0)
			continue;
		while (at < end) {
			const Elf64_Nhdr *note = (const void *)at;
			const uint64_t *words = (const void *)(at + 20);
			const char *provider = (const char *)(words + 3);
			const char *name = provider + strlen(provider) + 1;

			if (strcmp(provider, "otel_memory") == 0)
				semaphores[strcmp(name, "free") == 0] = base + words[2];
			at += 20 + (note->n_descsz + 3) / 4 * 4;
		}
	}
	return semaphores[0] != 0;
}

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	return find_in_file(info->dlpi_name[0] != '\0' ? info->dlpi_name : "/proc/self/exe",
			    info->dlpi_addr);
}

/* --- the child --- */

static int (*profile_write_fd)(int fd, int text);
static int (*profile_start)(size_t rate);

/* Allocates 64 MiB, in objects of which some are large enough for a slow path each. */
static void allocate(void)
{
	for (size_t i = 0; i < 512; i++) {
		void *small = malloc(1000), *big = malloc(131072 - 1000);

		memset(small, 1, 1);
		memset(big, 1, 1);
		free(small);
		free(big);
	}
}

static void serve(int in, int out)
{
	char command;
	int fd = memfd_create("profile", 0);

	CHECK(fd >= 0);
	while (read(in, &command, 1) == 1) {
		char line[128] = { 0 };

		if (command == 's')
			CHECK(profile_start(4096) == 0);
		allocate();
		CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
		CHECK(profile_write_fd(fd, 1) == 0);
		CHECK(pread(fd, line, sizeof(line) - 1, 0) > 0);
		CHECK(write(out, line, sizeof(line)) == (ssize_t)sizeof(line));
	}
	_exit(0);
}

/* --- the parent --- */

static int to_child, from_child;
static pid_t child;

struct seen {
	unsigned long samples; /* allocated objects in the profile, not scaled */
	unsigned long rate;
};

static struct seen look(char command)
{
	char line[128];
	struct seen seen = { 0, 0 };
	unsigned long live, live_bytes, bytes;

	CHECK(write(to_child, &command, 1) == 1);
	CHECK(read(from_child, line, sizeof(line)) == (ssize_t)sizeof(line));
	CHECK(sscanf(line, "heap profile: %lu: %lu [%lu: %lu] @ heap_v2/%lu", &live, &live_bytes,
		     &seen.samples, &bytes, &seen.rate) == 5);
	return seen;
}

/* Sets a semaphore of the child. Returns 0 where this process may not. */
static int set(unsigned which, uint16_t value)
{
	struct iovec from = { &value, sizeof(value) };
	struct iovec to = { (void *)semaphores[which], sizeof(value) };

	if (process_vm_writev(child, &from, 1, &to, 1, 0) == (ssize_t)sizeof(value))
		return 1;
	CHECK(errno == EPERM || errno == ENOSYS);
	return 0;
}

int main(void)
{
	int down[2], up[2], status;
	struct seen seen, later;

	*(void **)&profile_write_fd = face_sym("goalloc_profile_write_fd");
	*(void **)&profile_start = face_sym("goalloc_profile_start");
	CHECK(dl_iterate_phdr(find, NULL) != 0);
	CHECK(semaphores[1] != 0 && semaphores[1] != semaphores[0]);
	CHECK(pipe(down) == 0 && pipe(up) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		close(down[1]);
		serve(down[0], up[1]);
	}
	to_child = down[1];
	from_child = up[0];

	/* Nobody looks: no profile. */
	seen = look('a');
	CHECK(seen.rate == 0 && seen.samples == 0);
	if (!set(0, 1))
		return 77;
	/* 64 MiB at one sample in 512 KiB, less what the first slow path came too late for. */
	seen = look('a');
	CHECK(seen.rate == 524288 && seen.samples > 20);
	later = look('a');
	CHECK(later.samples > seen.samples + 20);
	/* A second tracer comes, and the first goes. */
	CHECK(set(1, 1) && set(0, 0));
	seen = look('a');
	CHECK(seen.samples > later.samples + 20);
	/* The last goes. The profile stays as it was. */
	CHECK(set(1, 0));
	seen = look('a');
	later = look('a');
	CHECK(seen.rate == 524288 && later.samples == seen.samples);
	/* The next begins anew. */
	CHECK(set(0, 2));
	seen = look('a');
	CHECK(seen.samples > 20 && seen.samples < later.samples);
	/* The program's own profile does not end with the tracer. */
	seen = look('s');
	CHECK(set(0, 0));
	later = look('a');
	CHECK(later.rate == 4096 && later.samples > seen.samples + 100);
	close(to_child);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	return 0;
}
