/* SPDX-License-Identifier: MIT */
/*
 * os_descriptor.c - reads from and writes to descriptors.
 *
 * Holds    errno is as the caller left it after every function. No call is a cancellation point.
 */
#include "os/os.h"
#include "os/os_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int os_dup_cloexec(int fd)
{
	int high = (int)SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100);

	/* The process may have few descriptors. 0 to 2 have a meaning. */
	return high >= 0 ? high : (int)SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
}

uint64_t os_file_id(int fd)
{
	struct stat st;

	if (SYSCALL(SYS_fstat, fd, &st) != 0)
		return 0;
	return (uint64_t)st.st_dev * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)st.st_ino + 1;
}

int os_open_read(const char *path)
{
	return (int)SYSCALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

void os_close(int fd)
{
	(void)SYSCALL(SYS_close, fd);
}

long os_read(int fd, void *p, size_t nbytes)
{
	return RESTARTED(SYSCALL(SYS_read, fd, p, nbytes));
}

size_t os_read_file(const char *path, char *text, size_t room)
{
	int fd = os_open_read(path);
	size_t len = 0;
	long n;

	if (fd >= 0) {
		while (len < room - 1 && (n = os_read(fd, text + len, room - 1 - len)) > 0)
			len += (size_t)n;
		os_close(fd);
	}
	text[len] = '\0';
	return len;
}

long os_read_at(int fd, void *p, size_t nbytes, uint64_t offset)
{
	return RESTARTED(SYSCALL(SYS_pread64, fd, p, nbytes, offset));
}

/* The kernel's argument of PAGEMAP_SCAN, which older headers lack. */
struct scan {
	uint64_t size, flags, start, end, walk_end, runs, nruns, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

_Static_assert(sizeof(struct scan) == 96, "the number of the call has the size");
#define PAGEMAP_SCAN_CALL 0xc0606610ul
#define PAGES_OF_FILE 4      /* PAGE_IS_FILE */
#define PAGES_WITH_MEMORY 24 /* PAGE_IS_PRESENT, PAGE_IS_SWAPPED */

long os_find_pages(int pagemap, uintptr_t *addr, uintptr_t end, struct os_page_run *runs, size_t n)
{
	struct scan scan = {
		.size = sizeof(scan),
		.start = *addr,
		.end = end,
		.runs = (uintptr_t)runs,
		.nruns = n,
		.category_inverted = PAGES_OF_FILE,
		.category_mask = PAGES_OF_FILE,
		.category_anyof_mask = PAGES_WITH_MEMORY,
	};
	long found = RESTARTED(SYSCALL(SYS_ioctl, pagemap, PAGEMAP_SCAN_CALL, &scan));

	if (found >= 0)
		*addr = scan.walk_end;
	return found;
}

/* The time that a full pipe has to be read from, in seconds. */
#define READER_SECONDS 10

/* Waits until a descriptor that does not block has room. Returns false if it has none in time. */
static bool await_reader(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLOUT };
	struct timespec patience = { READER_SECONDS, 0 };

	return RESTARTED(SYSCALL(SYS_ppoll, &wanted, 1L, &patience, NULL, 8L)) > 0;
}

/* Takes back the signal that a failed write has just sent to the calling thread, which blocks it.
 * `pending` is the set of signals that waited before the write: the thread keeps those. */
static void take_back(int number, uint64_t pending)
{
	const struct timespec at_once = { 0, 0 };
	uint64_t set = (uint64_t)1 << (number - 1);

	if ((pending & set) == 0)
		(void)SYSCALL(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof(set));
}

long os_write(int fd, const void *p, size_t nbytes)
{
	const uint64_t quiet = (uint64_t)1 << (SIGPIPE - 1) | (uint64_t)1 << (SIGXFSZ - 1);
	uint64_t before = 0, pending = 0;
	bool blocked = SYSCALL(SYS_rt_sigprocmask, SIG_BLOCK, &quiet, &before, sizeof(quiet)) == 0;
	long n;

	if ((before & quiet) != 0)
		(void)SYSCALL(SYS_rt_sigpending, &pending, sizeof(pending));
	do {
		n = RESTARTED(SYSCALL(SYS_write, fd, p, nbytes));
	} while (n == -EAGAIN && await_reader(fd));
	if (blocked && (n == -EPIPE || n == -EFBIG))
		take_back(n == -EPIPE ? SIGPIPE : SIGXFSZ, pending);
	if (blocked)
		(void)SYSCALL(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	return n;
}

bool os_directory(char *path, size_t nbytes)
{
	return SYSCALL(SYS_getcwd, path, nbytes) > 0 && path[0] == '/';
}
