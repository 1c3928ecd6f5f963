/* SPDX-License-Identifier: MIT */
/*
 * machine.c - asks the system for its processor, kernel and C library. See machine.h.
 */
#include "machine.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void read_cpu(char *cpu, size_t nbytes)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[512];

	snprintf(cpu, nbytes, "unknown");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) == 0 && value != NULL) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(cpu, nbytes, "%s", value + 2);
			break;
		}
	}
	if (f != NULL)
		fclose(f);
}

/* Reads the word in brackets, which is the setting in force. */
static void read_thp(char *thp, size_t nbytes)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
	char line[128];

	snprintf(thp, nbytes, "unknown");
	if (f == NULL)
		return;
	if (fgets(line, sizeof line, f) != NULL && strchr(line, '[') != NULL) {
		const char *word = strchr(line, '[') + 1;

		snprintf(thp, nbytes, "%.*s", (int)strcspn(word, "]\n"), word);
	}
	fclose(f);
}

void machine_describe(const struct machine *m, char *text, size_t nbytes)
{
	snprintf(text, nbytes, "%s, %ld processors (%s), %.0f GiB, %s, glibc %s, huge pages: %s",
		 m->cpu, m->ncpus, m->arch, m->ram_gib, m->kernel, m->libc, m->thp);
}

void machine_read(struct machine *m)
{
	struct utsname u;
	time_t now = time(NULL);
	struct tm tm;

	*m = (struct machine){ .arch = "unknown", .kernel = "unknown" };
	if (uname(&u) == 0) {
		snprintf(m->arch, sizeof m->arch, "%.31s", u.machine);
		snprintf(m->kernel, sizeof m->kernel, "%.60s %.30s", u.sysname, u.release);
	}
	read_cpu(m->cpu, sizeof m->cpu);
	read_thp(m->thp, sizeof m->thp);
	snprintf(m->libc, sizeof m->libc, "%s", gnu_get_libc_version());
	if (gmtime_r(&now, &tm) == NULL || strftime(m->date, sizeof m->date, "%Y-%m-%d", &tm) == 0)
		snprintf(m->date, sizeof m->date, "unknown");
	m->ncpus = sysconf(_SC_NPROCESSORS_ONLN);
	m->ram_gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) /
		     (1024.0 * 1024.0 * 1024.0);
}
