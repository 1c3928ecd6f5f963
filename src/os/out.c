/* SPDX-License-Identifier: MIT */
/*
 * out.c - text and bytes on a descriptor, buffered, without stdio and without memory from the heap.
 *
 * Owns     the number of files opened by names with %n.
 * Locks    none: a struct out is its writer's own.
 * Holds    errno is as the caller left it. After a failed write nothing more is written, so that a
 *          file may end early but has no holes.
 */
#include "os/out.h"
#include "os/os.h"
#include "os/os_file.h"
#include "base/format.h"

#include <errno.h>

#define PATH_BUFFER 1024

void out_init(struct out *o, int fd)
{
	o->fd = fd;
	o->error = 0;
	o->len = 0;
	o->written = 0;
}

bool out_flush(struct out *o)
{
	size_t done = 0;

	while (o->error == 0 && done < o->len) {
		long n = os_write(o->fd, o->buffer + done, o->len - done);

		if (n <= 0)
			o->error = n < 0 ? (int)-n : EIO;
		else
			done += (size_t)n;
	}
	o->written += o->len;
	o->len = 0;
	return o->error == 0;
}

void out_bytes(struct out *o, const void *p, size_t n)
{
	const char *from = p;

	while (n != 0) {
		size_t part = min_size(n, OUT_BUFFER - o->len);

		copy_bytes(o->buffer + o->len, from, part);
		o->len += part;
		from += part;
		n -= part;
		if (o->len == OUT_BUFFER)
			(void)out_flush(o);
	}
}

void out_str(struct out *o, const char *s)
{
	out_bytes(o, s, string_length(s));
}

static void put(void *to, const char *s, size_t n)
{
	out_bytes(to, s, n);
}

void out_format(struct out *o, const char *format, ...)
{
	struct format_sink sink = { put, o };
	va_list values;

	va_start(values, format);
	format_text(&sink, format, values);
	va_end(values);
}

/* Copies the name with %p and %n replaced. Returns false if it is too long. */
static bool expand(const char *file, uint64_t number, char path[PATH_BUFFER])
{
	size_t len = 0;

	for (const char *s = file; *s != '\0'; s++) {
		if (s[0] == '%' && (s[1] == 'p' || s[1] == 'n')) {
			s++;
			len += format_buffer(path + len, PATH_BUFFER - len, "%zu",
					     *s == 'p' ? (uint64_t)os_pid() : number);
		} else {
			path[len++] = *s;
		}
		if (len == PATH_BUFFER - 1)
			return false;
	}
	path[len] = '\0';
	return true;
}

static bool has_number(const char *file)
{
	while (*file != '\0' && (file[0] != '%' || file[1] != 'n'))
		file++;
	return *file != '\0';
}

/* A file and its name, which is too long for a small stack. */
struct named_file {
	struct os_file os;
	char path[PATH_BUFFER];
};

/* Returns NULL, with an errno in *error, if there is no memory or the name is too long. */
static struct named_file *name_file(const char *file, uint64_t n, int *error)
{
	static _Atomic uint32_t opened;
	struct named_file *f = os_alloc_scratch(sizeof(*f));

	*error = ENOMEM;
	if (f == NULL)
		return NULL;
	/* Relaxed: a number that no other call gets. */
	if (n == 0 && has_number(file))
		n = atomic_fetch_add_explicit(&opened, 1, memory_order_relaxed) + 1u;
	*error = ENAMETOOLONG;
	if (expand(file, n, f->path))
		return f;
	os_free_scratch(f, sizeof(*f));
	return NULL;
}

int out_open_append(const char *file, uint64_t n)
{
	int error, fd;
	struct named_file *f = name_file(file, n, &error);

	if (f == NULL)
		return -error;
	error = os_file_begin(&f->os, f->path, OS_FILE_APPEND);
	fd = f->os.fd;
	os_free_scratch(f, sizeof(*f));
	return error < 0 ? error : fd;
}

int out_to_file(const char *file, bool append, uint64_t n, int (*write)(int fd, const char *file))
{
	int error, closed;
	struct named_file *f = name_file(file, n, &error);

	if (f == NULL)
		return error;
	error = -os_file_begin(&f->os, f->path, append ? OS_FILE_APPEND : OS_FILE_REPLACE);
	if (error == 0) {
		error = write(f->os.fd, file);
		closed = os_file_end(&f->os, error == 0);
		error = error != 0 ? error : -closed;
	}
	os_free_scratch(f, sizeof(*f));
	return error;
}

int out_check(const char *file, bool append)
{
	int error;
	struct named_file *f = name_file(file, 1, &error);

	if (f == NULL)
		return -error;
	error = os_file_check(f->path, append ? OS_FILE_APPEND : OS_FILE_REPLACE);
	os_free_scratch(f, sizeof(*f));
	return error;
}

const char *out_reason(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "no such directory";
	case EISDIR:
		return "it is a directory";
	case EACCES:
	case EPERM:
		return "permission denied";
	case EROFS:
		return "read-only file system";
	case ENAMETOOLONG:
		return "file name too long";
	case ENOSPC:
	case EDQUOT:
		return "no space left";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case EPIPE:
	case ENXIO:
	case EAGAIN:
		return "nobody reads it";
	case ENOMEM:
		return "there is no memory for it";
	case EFBIG:
		return "the file would be too large";
	case ELOOP:
		return "it is a symbolic link";
	case EBADF:
		return "it is closed";
	default:
		return "input/output error";
	}
}
