/* SPDX-License-Identifier: MIT */
/*
 * leaks.h - what the tests of the leak finder share: objects that only the test knows, by hidden
 * addresses (hidden.h), and a check whose report is kept in `report`.
 */
#ifndef LEAKS_H
#define LEAKS_H

#include "face.h"
#include "hidden.h"

#include <sys/mman.h>

static char report[65536];

/* Returns the size of the slot of an object, which is the size in reports. With hardened=1 a
 * slot has a tail of 8 bytes. */
__attribute__((unused)) static size_t slot(size_t n)
{
	static const size_t slots[] = { 8, 16, 32, 48, 64, 112, 128, 512, 576 };
	const char *options = getenv("GOALLOC");
	size_t i = 0;

	if (options != NULL && strstr(options, "hardened") != NULL)
		n += 8;
	while (slots[i] < n)
		i++;
	return slots[i];
}

/* Returns the hidden address of a new object of zeros. */
__attribute__((noinline, unused)) static hidden make(size_t n)
{
	void *p = calloc(1, n);

	CHECK(p != NULL);
	return hide(p);
}

/* Writes into the word at this offset of one object the address of a place in another. */
__attribute__((noinline, unused)) static void lead(hidden from, size_t at, hidden to, size_t place)
{
	*(char **)(void *)((char *)show(from) + at) = (char *)show(to) + place;
}

__attribute__((noinline, unused)) static void drop(hidden h)
{
	free(show(h));
}

/* Runs a check whose report goes to `report`. Returns how many objects leaked. */
__attribute__((noinline, unused)) static long run_check(void)
{
	static ssize_t (*leak_check)(int fd);
	int fd = memfd_create("report", MFD_CLOEXEC);
	ssize_t len;
	long n;

	if (leak_check == NULL) {
		void *f = face_sym("goalloc_leak_check");

		memcpy(&leak_check, &f, sizeof(f));
	}
	CHECK(fd >= 0);
	errno = 0;
	n = leak_check(fd);
	len = pread(fd, report, sizeof(report) - 1, 0);
	CHECK(len >= 0);
	report[len] = '\0';
	CHECK(n < 0 || errno == 0);
	(void)close(fd);
	return n;
}

/* Runs a check after clearing the stack, because frames have holes where old addresses survive. */
#define check() (hidden_scrub(), run_check())

/* Returns whether the report has these numbers of objects and bytes with `rest` behind them. */
__attribute__((unused)) static bool reported(size_t objects, size_t nbytes, const char *rest)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%zu object%s, %zu byte%s%s", objects,
		       objects == 1 ? "" : "s", nbytes, nbytes == 1 ? "" : "s", rest);
	return strstr(report, text) != NULL;
}

/* Checks that a leak check finds n leaks. */
#define CHECK_LEAKS(n) (hidden_scrub(), check_leaks(n, __LINE__))

__attribute__((unused)) static void check_leaks(long want, int line)
{
	long got = check();

	if (got == want)
		return;
	(void)fprintf(stderr, "line %d: %ld leaks, not %ld\n%s", line, got, want, report);
	check_fail(__FILE__, line, "leaks");
}

#endif
