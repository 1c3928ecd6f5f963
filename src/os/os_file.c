/* SPDX-License-Identifier: MIT */
/*
 * os_file.c - opens the files that are written, and replaces a file by a new one.
 *
 * Holds    errno is as the caller left it. A reader of a file that is replaced sees all of the old
 *          file or all of the new one. A symbolic link in the last part of a name is not followed.
 *          A regular file is emptied only if no new file can be made in its directory.
 */
#include "os/os_file.h"
#include "os/os.h"
#include "os/os_call.h"
#include "base/format.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a name stands for. */
enum kind { KIND_ABSENT, KIND_REGULAR, KIND_LINK, KIND_DIRECTORY, KIND_DEVICE };

/* Returns the number that is the whole text up to this character, or -1. *behind goes behind it. */
static int number_before(const char *text, char end, const char **behind)
{
	size_t n;

	*behind = text_number(text, &n);
	return *behind != NULL && *(*behind)++ == end && n <= INT32_MAX ? (int)n : -1;
}

/* Returns the descriptor of this process for which the path is another name, or -1. */
static int own_descriptor(const char *path)
{
	static const char *const places[] = { "/dev/fd/", "/proc/self/fd/",
					      "/proc/thread-self/fd/" };
	const char *rest;

	for (int fd = 1; fd <= 2; fd++) {
		rest = text_after(path, fd == 1 ? "/dev/stdout" : "/dev/stderr");
		if (rest != NULL && *rest == '\0')
			return fd;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		rest = text_after(path, places[i]);
		if (rest != NULL)
			return number_before(rest, '\0', &rest);
	}
	rest = text_after(path, "/proc/");
	if (rest == NULL || number_before(rest, '/', &rest) != os_pid())
		return -1;
	rest = text_after(rest, "fd/");
	return rest != NULL ? number_before(rest, '\0', &rest) : -1;
}

/* Moves a descriptor to a high number, because programs expect to get the low ones. */
static int to_high(int fd)
{
	int high;

	if (fd < 0)
		return fd;
	high = os_dup_cloexec(fd);
	os_close(fd);
	return high < 0 ? -EMFILE : high;
}

/* Opens the directory that contains the last part of the path, and sets *name to that part. Returns
 * a descriptor, or -errno. */
static int open_directory(char *path, const char **name)
{
	char *slash = path, kept;
	size_t end;
	int fd;

	for (char *s = path; *s != '\0'; s++)
		if (*s == '/')
			slash = s + 1;
	*name = slash;
	if (*slash == '\0')
		return -EISDIR;
	if (slash == path)
		return (int)RESTARTED(
			SYSCALL(SYS_openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	/* The slash is cut off, unless the directory is "/". */
	end = (size_t)(slash - path) - (slash - path > 1);
	kept = path[end];
	path[end] = '\0';
	fd = (int)RESTARTED(SYSCALL(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	path[end] = kept;
	return fd;
}

/* Returns an enum kind, or -errno. */
static int kind_of(int dir, const char *name)
{
	struct stat st;
	int found = (int)RESTARTED(SYSCALL(SYS_newfstatat, dir, name, &st, AT_SYMLINK_NOFOLLOW));

	if (found == -ENOENT)
		return KIND_ABSENT;
	if (found < 0)
		return found;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return KIND_REGULAR;
	case S_IFLNK:
		return KIND_LINK;
	case S_IFDIR:
		return KIND_DIRECTORY;
	default:
		return KIND_DEVICE;
	}
}

static int open_at(int dir, const char *name, int flags)
{
	return to_high((int)RESTARTED(SYSCALL(SYS_openat, dir, name,
					      O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | flags,
					      0600)));
}

static uint64_t unpredictable(void)
{
	uint64_t r;

	if (SYSCALL(SYS_getrandom, &r, sizeof(r), 1L) == (long)sizeof(r))
		return r;
	/* O_EXCL keeps a name that others predict from doing harm. */
	return (os_random() ^ os_time_ns()) * UINT64_C(0x9e3779b97f4a7c15);
}

static void make_name(char name[32])
{
	(void)format_buffer(name, 32, ".goalloc-%016zx", unpredictable());
}

/* Opens a new file beside the file that it will replace. Returns a descriptor, or -errno. */
static int open_beside(struct os_file *f)
{
	int fd = -EEXIST;

	for (unsigned i = 0; i < 10 && fd == -EEXIST; i++) {
		make_name(f->temp);
		fd = open_at(f->dir, f->temp, O_CREAT | O_EXCL);
	}
	if (fd < 0)
		f->temp[0] = '\0';
	return fd;
}

static int open_regular(struct os_file *f, enum os_file_use use, bool exists)
{
	int fd;

	if (use == OS_FILE_APPEND)
		return open_at(f->dir, f->name, O_CREAT | O_APPEND);
	fd = open_beside(f);
	/* The file may be writable although its directory is not. */
	if (exists && (fd == -EACCES || fd == -EPERM || fd == -EROFS))
		return open_at(f->dir, f->name, O_TRUNC);
	return fd;
}

/* Returns a descriptor, or -errno. */
static int open_kind(struct os_file *f, enum os_file_use use)
{
	int kind = kind_of(f->dir, f->name);

	switch (kind) {
	case KIND_ABSENT:
	case KIND_REGULAR:
		return open_regular(f, use, kind == KIND_REGULAR);
	case KIND_LINK:
		return -ELOOP;
	case KIND_DIRECTORY:
		return -EISDIR;
	case KIND_DEVICE:
		return open_at(f->dir, f->name, O_NONBLOCK);
	default:
		return kind;
	}
}

int os_file_begin(struct os_file *f, char *path, enum os_file_use use)
{
	int own = own_descriptor(path);

	*f = (struct os_file){ .fd = -1, .dir = -1 };
	if (own >= 0) {
		f->fd = os_dup_cloexec(own);
		return f->fd < 0 ? -EBADF : 0;
	}
	f->dir = to_high(open_directory(path, &f->name));
	if (f->dir < 0)
		return f->dir;
	f->fd = open_kind(f, use);
	if (f->fd >= 0 && f->temp[0] != '\0')
		return 0;
	os_close(f->dir);
	f->dir = -1;
	return f->fd < 0 ? f->fd : 0;
}

int os_file_end(struct os_file *f, bool whole)
{
	int error = (int)SYSCALL(SYS_close, f->fd);

	if (f->dir < 0)
		return error;
	if (whole && error == 0)
		error = (int)RESTARTED(
			SYSCALL(SYS_renameat2, f->dir, f->temp, f->dir, f->name, 0L));
	if (!whole || error != 0)
		(void)SYSCALL(SYS_unlinkat, f->dir, f->temp, 0L);
	os_close(f->dir);
	return error;
}

static int may(int dir, const char *name, int access)
{
	return (int)RESTARTED(SYSCALL(SYS_faccessat, dir, name, access));
}

static int check_kind(int dir, const char *name, enum os_file_use use)
{
	int kind = kind_of(dir, name);

	switch (kind) {
	case KIND_ABSENT:
		return may(dir, ".", W_OK | X_OK);
	case KIND_REGULAR:
		return use == OS_FILE_REPLACE && may(dir, ".", W_OK | X_OK) == 0
			       ? 0
			       : may(dir, name, W_OK);
	case KIND_LINK:
		return -ELOOP;
	case KIND_DIRECTORY:
		return -EISDIR;
	case KIND_DEVICE:
		return may(dir, name, W_OK);
	default:
		return kind;
	}
}

int os_file_check(char *path, enum os_file_use use)
{
	int own = own_descriptor(path), dir, error;
	const char *name;

	if (own >= 0)
		return os_file_id(own) != 0 ? 0 : -EBADF;
	dir = open_directory(path, &name);
	if (dir < 0)
		return dir;
	error = check_kind(dir, name, use);
	os_close(dir);
	return error;
}
