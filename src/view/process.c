/* SPDX-License-Identifier: MIT */
/*
 * process.c - a process that runs, or is stopped, as a target.
 *
 * Nothing runs in the process. The kernel decides who may look, as for ptrace(2).
 *
 * Owns     a descriptor for the process's memory.
 */
#include "view/target.h"
#include "tools/heading.h"
#include "view/room.h"
#include "os/os_process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct process {
	int mem;           /* /proc/PID/mem, or -1 */
	bool by_file;      /* the kernel refuses process_vm_readv(2) */
};

/* Copies a file of the process in /proc as a string. Returns its length, or -errno. */
static long read_proc(int pid, const char *file, char *text, size_t room)
{
	int fd = os_open_process(pid, file);
	long n;

	if (fd < 0)
		return fd;
	n = read(fd, text, room - 1);
	text[n < 0 ? 0 : n] = '\0';
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

/* Returns the first number in a line of /proc/PID/status, or the last one, or -1 if there is none.
 * The field is given with the newline before it. */
static long status_field(const char *status, const char *field, bool last)
{
	const char *at = strstr(status, field);
	long value = -1;

	if (at == NULL)
		return -1;
	for (at += strlen(field); *at != '\n' && *at != '\0'; at++) {
		if (!isdigit((unsigned char)*at) || (value >= 0 && !last))
			continue;
		for (value = 0; isdigit((unsigned char)*at); at++)
			value = value * 10 + (*at - '0');
		at--;
	}
	return value;
}

/* --- why not --- */

/* Says why a process has no memory. */
static bool fail_empty(struct target *t)
{
	return target_fail_gone(t, os_thread_state(t->pid, t->pid) == 'Z' ?
					   "it has ended, and waits for its parent" :
					   "it has no memory: it has just ended, or is a thread of "
					   "the kernel");
}

static bool fail_yama(struct target *t, long scope)
{
	const char *what = "kernel.yama.ptrace_scope is";

	if (scope == 1)
		return target_fail(t,
				   "only its ancestors may look at it (%s 1): start it with "
				   "GOALLOC=view=1, or run goalloc-view with CAP_SYS_PTRACE, as "
				   "root has it", what);
	if (scope == 2)
		return target_fail(t,
				   "it takes CAP_SYS_PTRACE to look at it (%s 2): run goalloc-view "
				   "as root", what);
	return target_fail(t, "nobody may look until the system is started anew (%s %ld)", what,
			   scope);
}

/* Returns Yama's setting, or 0 if there is none. */
static long yama_scope(void)
{
	char text[16] = "";
	FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

	if (file == NULL)
		return 0;
	(void)fgets(text, sizeof(text), file);
	(void)fclose(file);
	return strtol(text, NULL, 10);
}

/* Says why the kernel refuses, and what to do. */
static bool fail_refused(struct target *t)
{
	char status[4096], path[64];
	struct stat st;
	long uid;

	if (read_proc(t->pid, "status", status, sizeof(status)) < 0)
		return target_fail_gone(t, "there is no such process");
	/* It may have ended since its mappings were read, which looks like a refusal. */
	if (status_field(status, "\nVmSize:", false) < 0)
		return fail_empty(t);
	uid = status_field(status, "\nUid:", false);
	if (uid >= 0 && (uid_t)uid != geteuid() && geteuid() != 0)
		return target_fail(t,
				   "it belongs to user %ld: run goalloc-view as the same user, or "
				   "with CAP_SYS_PTRACE, as root has it", uid);
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	if (uid > 0 && stat(path, &st) == 0 && st.st_uid != (uid_t)uid)
		return target_fail(t,
				   "it has made itself undumpable, or changed its user: only "
				   "CAP_SYS_PTRACE may look; run goalloc-view as root");
	if (yama_scope() > 0)
		return fail_yama(t, yama_scope());
	return target_fail(t,
			   "the kernel does not let this user look: it takes the same user and all "
			   "of its capabilities, or CAP_SYS_PTRACE");
}

/* --- which process --- */

/* Returns whether a thread's memory is there. The kernel refuses only where there is one. */
static bool has_memory(int tid)
{
	char byte[2];
	long n = read_proc(tid, "maps", byte, sizeof(byte));

	return n > 0 || n == -EACCES || n == -EPERM;
}

/* Returns the number by which the memory of a thread's process can be read. It is the process id,
 * unless the first thread has ended. Then it is the number of another thread. */
static int reader_of(int tid)
{
	char status[4096];
	int tids[64], pid = tid;
	long n;

	if (read_proc(tid, "status", status, sizeof(status)) > 0 &&
	    status_field(status, "\nTgid:", false) > 0)
		pid = (int)status_field(status, "\nTgid:", false);
	if (has_memory(pid))
		return pid;
	n = os_list_threads(tid, tids, sizeof(tids) / sizeof(tids[0]));
	for (long i = 0; i < n && i < (long)(sizeof(tids) / sizeof(tids[0])); i++)
		if (has_memory(tids[i]))
			return tids[i];
	return tid;
}

/* --- mappings and threads --- */

static void read_thread(struct target *t, int tid)
{
	struct target_thread thread = { .tid = tid, .inner_tid = tid };
	char file[64], status[4096];
	const char *name;
	long inner;

	(void)snprintf(file, sizeof(file), "task/%d/status", tid);
	if (read_proc(t->pid, file, status, sizeof(status)) <= 0)
		return;
	inner = status_field(status, "\nNSpid:", true);
	if (inner > 0)
		thread.inner_tid = (int)inner;
	name = strncmp(status, "Name:\t", 6) == 0 ? status + 6 : "";
	(void)snprintf(thread.name, sizeof(thread.name), "%.*s", (int)strcspn(name, "\n"), name);
	target_add_thread(t, &thread);
}

static void read_threads(struct target *t)
{
	long n = os_list_threads(t->pid, NULL, 0);
	int *tids;
	long room;

	if (n <= 0)
		return;
	/* There may be more by now. */
	room = n + 64;
	tids = room_for((size_t)room, sizeof(*tids));
	n = os_list_threads(t->pid, tids, (size_t)room);
	for (long i = 0; i < n && i < room; i++)
		read_thread(t, tids[i]);
	free(tids);
}

static void read_maps(struct target *t, const struct procmap *maps)
{
	for (size_t i = 0; i < maps->len; i++) {
		const struct mapping *m = &maps->at[i];
		char *name = room_for_text(m->name, m->name_len);
		struct target_map map = { m->start, m->end, m->offset, m->flags, name };

		target_add_map(t, &map);
		free(name);
	}
}

static bool refresh(struct target *t)
{
	struct procmap maps;
	char name[sizeof(t->name)];
	int fd;

	target_forget(t);
	fd = os_open_process(t->pid, "maps");
	if (fd == -EACCES || fd == -EPERM)
		return fail_refused(t);
	if (fd < 0)
		return target_fail_gone(t, "there is no such process");
	close(fd);
	if (!procmap_read(&maps, t->pid))
		return fail_refused(t);
	read_maps(t, &maps);
	procmap_free(&maps);
	read_threads(t);
	if (read_proc(t->pid, "comm", name, sizeof(name)) > 0)
		(void)snprintf(t->name, sizeof(t->name), "%.*s", (int)strcspn(name, "\n"), name);
	return t->nmaps != 0 || fail_empty(t);
}

/* --- memory --- */

static size_t read_by_file(struct target *t, uintptr_t addr, void *to, size_t nbytes)
{
	struct process *own = t->own;
	size_t done = 0;

	while (done < nbytes) {
		ssize_t n = pread(own->mem, (char *)to + done, nbytes - done,
				  (off_t)(addr + done));

		/* A file of a process without memory is empty. Elsewhere there is an error. */
		if (n == 0)
			t->gone = true;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static size_t read_memory(struct target *t, uintptr_t addr, void *to, size_t nbytes)
{
	struct process *own = t->own;
	long n;

	if (!own->by_file) {
		n = os_read_process(t->pid, to, addr, nbytes);
		if (n >= 0)
			return (size_t)n;
		if (n == -ESRCH)
			t->gone = true;
		own->by_file = (n == -EPERM || n == -ENOSYS) && own->mem >= 0;
	}
	return own->by_file ? read_by_file(t, addr, to, nbytes) : 0;
}

/* Returns false if not even the first byte of the program can be read. */
static bool may_read(struct target *t)
{
	char byte;

	for (size_t i = 0; i < t->nmaps; i++)
		if ((t->maps[i].flags & MAPPING_READ) != 0 &&
		    target_read(t, t->maps[i].start, &byte, 1) == 1)
			return true;
	return false;
}

static void close_process(struct target *t)
{
	struct process *own = t->own;

	if (own->mem >= 0)
		close(own->mem);
	free(own);
}

static const struct target_ops ops = { refresh, read_memory, close_process };

/* Returns for how many seconds the process has run. */
static uint64_t read_up(int pid)
{
	char text[1024];
	struct timespec now;
	unsigned long long began = 0;
	const char *at;

	/* The number of ticks is field 22. Field 2, in parentheses, may contain anything. */
	if (read_proc(pid, "stat", text, sizeof(text)) <= 0)
		return HEADING_UP_UNKNOWN;
	at = strrchr(text, ')');
	if (at == NULL || clock_gettime(CLOCK_BOOTTIME, &now) != 0 ||
	    sscanf(at + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			   "%*s %*s %llu", &began) != 1)
		return HEADING_UP_UNKNOWN;
	return (uint64_t)now.tv_sec - min_size(began / (size_t)sysconf(_SC_CLK_TCK),
					       (size_t)now.tv_sec);
}

bool target_open_process(struct target *t, int pid)
{
	struct process *own = room_for(1, sizeof(*own));

	pid = reader_of(pid);
	*t = (struct target){ .ops = &ops, .pid = pid, .own = own,
			     .up_s = read_up(pid) };
	own->mem = os_open_process(pid, "mem");
	if (!refresh(t))
		return false;
	return may_read(t) || fail_refused(t);
}
