/* SPDX-License-Identifier: MIT */
/*
 * heading.c - of which program, when, and by which version a report is.
 *
 * Owns     the time at which the library was loaded.
 */
#include "tools/heading.h"
#include "os/os.h"

/* Constant once constructors have run. */
static uint64_t loaded_ms;

CONSTRUCTOR static void note_time(void)
{
	loaded_ms = os_now_ms();
}

/* The year is taken to begin in March, so that the day that leap years add is its last. 400 such
 * years have 146097 days. */
void heading_print_time(struct out *o, uint64_t seconds)
{
	uint64_t days = seconds / 86400 + 719468;    /* since 1 March of the year 0 */
	uint64_t of_era = days % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153;    /* 0: March */
	uint64_t parts[] = { month < 10 ? month + 3 : month - 9,
			     of_year - (153 * month + 2) / 5 + 1, seconds / 3600 % 24,
			     seconds / 60 % 60, seconds % 60 };

	out_format(o, "%zu", (size_t)(year + days / 146097 * 400 + (month >= 10)));
	for (unsigned i = 0; i < 5; i++)
		out_format(o, "%.*s%zu%zu", 1, &"-- ::"[i], (size_t)(parts[i] / 10),
			   (size_t)(parts[i] % 10));
	out_str(o, " UTC");
}

void heading_print(struct out *o, const char *name, size_t n)
{
	out_format(o, "%.*s, pid %u, ", (int)n, name, (unsigned)os_pid());
	heading_print_time(o, os_time_ns() / 1000000000);
	out_format(o, ", up %zu s, goalloc %s", (size_t)((os_now_ms() - loaded_ms) / 1000),
		   GOALLOC_VERSION);
}
