/* SPDX-License-Identifier: MIT */
/*
 * symbolize.c - functions, files and lines of addresses of code, inlined functions among them.
 *
 * They are asked of llvm-symbolizer or addr2line, whichever is installed. Both read addresses, one
 * a line, and answer with the address, then two lines for each function there: its name, and its
 * file and line. The addresses go through a file without a name, so that neither side waits for the
 * other. Only programs beside the library use this.
 *
 * Holds    a tool that is silent for SILENCE_MS is ended. What it has said until then counts.
 */
#include "view/symbolize.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SILENCE_MS 60000

/* Functions that are inlined into each other at one address. */
#define MAX_INLINED 64

extern char **environ;

/* --- the tool --- */

struct tool {
	const char *name;
	const char *arguments[8];
};

static const struct tool tools[] = {
	{ "llvm-symbolizer",
	  { "--output-style=GNU", "--functions", "--inlines", "--demangle", "--addresses", "-e" } },
	{ "addr2line", { "-a", "-f", "-i", "-C", "-e" } },
	{ "llvm-addr2line", { "-a", "-f", "-i", "-C", "-e" } },
};

/* Returns whether PATH has an executable file of this name. */
static bool is_installed(const char *name)
{
	const char *path = getenv("PATH");
	char file[4096];

	while (path != NULL && *path != '\0') {
		size_t n = strcspn(path, ":");

		if (snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, name) <
			    (int)sizeof(file) &&
		    access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

static const struct tool *find_tool(void)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		if (is_installed(tools[i].name))
			return &tools[i];
	return NULL;
}

bool symbolize_can(void)
{
	return find_tool() != NULL;
}

/* Returns a file without a name that the addresses can be read from, or NULL. */
static FILE *put_addresses(const uint64_t *addrs, size_t n)
{
	FILE *f = tmpfile();

	if (f == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		(void)fprintf(f, "0x%llx\n", (unsigned long long)addrs[i]);
	if (fflush(f) == 0 && lseek(fileno(f), 0, SEEK_SET) == 0)
		return f;
	(void)fclose(f);
	return NULL;
}

/* Starts the tool. Its answer comes from *answer. The tool runs without the preloaded library and
 * without what is asked of it. */
static pid_t start_tool(const struct tool *tool, const char *object, int addresses, int *answer)
{
	const char *argv[12] = { tool->name };
	char *env[] = { NULL, NULL };
	posix_spawn_file_actions_t actions;
	char path[4096];
	unsigned n = 1;
	pid_t pid;
	int ends[2];
	bool started;

	for (unsigned i = 0; tool->arguments[i] != NULL; i++)
		argv[n++] = tool->arguments[i];
	argv[n] = object;
	if (snprintf(path, sizeof(path), "PATH=%s", getenv("PATH")) < (int)sizeof(path))
		env[0] = path;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, addresses, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	(void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	started = posix_spawnp(&pid, tool->name, &actions, NULL, (char **)(uintptr_t)argv,
			       env) == 0;
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	if (!started) {
		(void)close(ends[0]);
		return -1;
	}
	*answer = ends[0];
	return pid;
}

/* Reads to the end, or until nothing comes for too long. Returns a text, or NULL. */
static char *read_answer(int fd)
{
	size_t room = 1 << 16, len = 0;
	char *text = malloc(room);

	while (text != NULL) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, SILENCE_MS) <= 0)
			break;
		n = read(fd, text + len, room - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len == room - 1) {
			char *larger = realloc(text, room *= 2);

			if (larger == NULL)
				break;
			text = larger;
		}
	}
	if (text != NULL)
		text[len] = '\0';
	return text;
}

/* --- the answer --- */

/* Cuts the next line off. Returns NULL at the end. */
static char *next_line(char **rest)
{
	char *line = *rest, *end;

	if (line == NULL || *line == '\0')
		return NULL;
	end = strchr(line, '\n');
	*rest = end == NULL ? NULL : end + 1;
	if (end != NULL)
		*end = '\0';
	return line;
}

/* Cuts off what tells a copy of a function from the function: " (.isra.0)", " [clone .isra.0]". */
static void cut_clone(char *function)
{
	char *mark = strstr(function, " (.");

	if (mark == NULL)
		mark = strstr(function, " [clone ");
	if (mark != NULL)
		*mark = '\0';
}

/* Reads "FILE:LINE", which addr2line may follow by " (discriminator N)". */
static void read_place(char *text, struct symbolized *to)
{
	char *colon, *mark = strstr(text, " (discriminator ");

	if (mark != NULL)
		*mark = '\0';
	colon = strrchr(text, ':');
	/* llvm-symbolizer may add a column. */
	if (colon != NULL) {
		*colon = '\0';
		to->line = (unsigned)strtoul(colon + 1, NULL, 10);
	}
	if (text[0] != '?' && text[0] != '\0')
		to->file = text;
	else
		to->line = 0;
}

static bool is_address(const char *line)
{
	return line != NULL && line[0] == '0' && line[1] == 'x' &&
	       line[2 + strspn(line + 2, "0123456789abcdef")] == '\0';
}

/* Visits the addresses of the answer. */
static void read_frames(char *text, size_t naddrs, symbolize_visit *visit, void *arg)
{
	char *line = next_line(&text);

	for (size_t i = 0; i < naddrs && is_address(line); i++) {
		struct symbolized frames[MAX_INLINED];
		size_t n = 0;

		while ((line = next_line(&text)) != NULL && !is_address(line)) {
			char *place;

			/* llvm-symbolizer ends each address with an empty line. */
			if (*line == '\0')
				continue;
			place = next_line(&text);
			if (place == NULL)
				break;
			if (n == MAX_INLINED)
				continue;
			cut_clone(line);
			frames[n] = (struct symbolized){ .function = line[0] == '?' ? NULL : line };
			read_place(place, &frames[n++]);
		}
		if (n != 0 && (frames[0].function != NULL || frames[0].file != NULL))
			visit(i, frames, n, arg);
	}
}

bool symbolize(const char *object, const uint64_t *addrs, size_t n, symbolize_visit *visit,
	       void *arg)
{
	const struct tool *tool = find_tool();
	FILE *addresses;
	int answer = -1;
	char *text;
	pid_t pid;

	if (tool == NULL || access(object, R_OK) != 0)
		return false;
	addresses = put_addresses(addrs, n);
	if (addresses == NULL)
		return false;
	pid = start_tool(tool, object, fileno(addresses), &answer);
	(void)fclose(addresses);
	if (pid < 0)
		return false;
	text = read_answer(answer);
	(void)close(answer);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (text == NULL)
		return false;
	read_frames(text, n, visit, arg);
	free(text);
	return true;
}

/* --- offsets --- */

uint64_t symbolize_address(const char *object, uint64_t offset)
{
	int fd = open(object, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr elf;
	Elf64_Phdr segment;
	uint64_t address = offset;

	if (fd < 0)
		return offset;
	if (pread(fd, &elf, sizeof(elf), 0) == (ssize_t)sizeof(elf) &&
	    memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 && elf.e_ident[EI_CLASS] == ELFCLASS64)
		for (unsigned i = 0; i < elf.e_phnum; i++)
			if (pread(fd, &segment, sizeof(segment),
				  (off_t)(elf.e_phoff + i * sizeof(segment))) ==
				    (ssize_t)sizeof(segment) &&
			    segment.p_type == PT_LOAD && offset >= segment.p_offset &&
			    offset - segment.p_offset < segment.p_filesz)
				address = offset - segment.p_offset + segment.p_vaddr;
	(void)close(fd);
	return address;
}
