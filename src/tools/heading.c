/* SPDX-License-Identifier: MIT */
/*
 * heading.c - of which program, when, and by which version a report is.
 *
 * Owns     the time at which the library was loaded.
 */
#include "tools/heading.h"
#include "base/format.h"
#include "os/os.h"

/* Constant once constructors have run. */
static uint64_t loaded_ms;

CONSTRUCTOR static void note_time(void)
{
	loaded_ms = os_now_ms();
}

/* The longest name of a program that is shown. */
#define NAME_SHOWN 40

void heading_make(char text[HEADING_MAX], const struct heading *h)
{
	/* The year is taken to begin in March, so that the day that leap years add is its last. 400
	 * such years have 146097 days. */
	uint64_t days = h->time_s / 86400 + 719468;  /* since 1 March of the year 0 */
	uint64_t of_era = days % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153;    /* 0: March */
	size_t n = format_buffer(
		text, HEADING_MAX, "%.*s, pid %u, %zu-%02zu-%02zu %02zu:%02zu:%02zu UTC, ",
		(int)min_size(string_length(h->program), NAME_SHOWN), h->program, h->pid,
		(size_t)(year + days / 146097 * 400 + (month >= 10)),
		(size_t)(month < 10 ? month + 3 : month - 9),
		(size_t)(of_year - (153 * month + 2) / 5 + 1), (size_t)(h->time_s / 3600 % 24),
		(size_t)(h->time_s / 60 % 60), (size_t)(h->time_s % 60));

	if (h->up_s != HEADING_UP_UNKNOWN)
		n += format_buffer(text + n, HEADING_MAX - n, "up %zu s, ", (size_t)h->up_s);
	(void)format_buffer(text + n, HEADING_MAX - n, "goalloc %.*s",
			    (int)min_size(string_length(h->version), NAME_SHOWN), h->version);
}

void heading_of_self(char text[HEADING_MAX], int pid)
{
	char name[NAME_SHOWN], path[32] = "/proc/self/comm";
	size_t n;
	struct heading h = { name, (unsigned)pid, os_time_ns() / 1000000000,
			     (os_now_ms() - loaded_ms) / 1000, GOALLOC_VERSION };

	/* A snapshot has the name of the thread that asked for it. */
	if (pid != os_pid())
		(void)format_buffer(path, sizeof(path), "/proc/%u/comm", (unsigned)pid);
	n = os_read_file(path, name, sizeof(name));
	/* Behind the name is a newline. */
	name[n > 1 ? n - 1 : 0] = '\0';
	heading_make(text, &h);
}
