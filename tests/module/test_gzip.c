/* SPDX-License-Identifier: MIT */
/*
 * test_gzip.c - the output is a gzip file of the input.
 */
#include "module.h"

#include "tools/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 100000

static uint8_t given[MOST], file[MOST + 1000];

/* Writes n bytes in pieces, and returns the size of the file that they become. */
static size_t make_file(size_t n, size_t piece)
{
	FILE *tmp = tmpfile();
	struct gzip z;
	ssize_t len;

	assert_non_null(tmp);
	gzip_begin(&z, fileno(tmp));
	for (size_t at = 0; at < n; at += piece)
		gzip_bytes(&z, given + at, min_size(piece, n - at));
	assert_int_equal(gzip_end(&z), 0);
	len = pread(fileno(tmp), file, sizeof(file), 0);
	fclose(tmp);
	assert_true(len > 0);
	return (size_t)len;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Computes the CRC bit by bit, by the definition in RFC 1952. */
static uint32_t slow_crc(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void check_file(size_t len, size_t n)
{
	size_t at = 10, seen = 0;
	bool last;

	assert_memory_equal(file, "\x1f\x8b\x08\x00", 4);
	do {
		size_t nbytes = file[at + 1] | (size_t)file[at + 2] << 8;

		assert_in_range(file[at], 0, 1);
		last = file[at] == 1;
		assert_int_equal(file[at + 1] ^ file[at + 3], 0xff);
		assert_int_equal(file[at + 2] ^ file[at + 4], 0xff);
		assert_true(seen + nbytes <= n);
		assert_memory_equal(file + at + 5, given + seen, nbytes);
		at += 5 + nbytes;
		seen += nbytes;
	} while (!last);
	assert_int_equal(seen, n);
	assert_int_equal(le32(file + at), slow_crc(given, n));
	assert_int_equal(le32(file + at + 4), n);
	assert_int_equal(len, at + 8);
}

static void the_file_holds_what_was_given(void **state)
{
	static const size_t sizes[] = {
		0, 1, GZIP_BLOCK - 1, GZIP_BLOCK, GZIP_BLOCK + 1, 2 * GZIP_BLOCK, MOST
	};
	uint64_t rnd = 1;

	(void)state;
	for (size_t i = 0; i < MOST; i++)
		given[i] = (uint8_t)rng_next(&rnd);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_file(make_file(sizes[i], 1), sizes[i]);
		check_file(make_file(sizes[i], 777), sizes[i]);
		check_file(make_file(sizes[i], MOST), sizes[i]);
	}
}

static void the_checksum_is_the_one_of_the_standard(void **state)
{
	size_t len;

	(void)state;
	memcpy(given, "123456789", 9);
	len = make_file(9, 9);
	assert_int_equal(le32(file + len - 8), 0xcbf43926);
}

static void a_failed_write_tells_why(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct gzip z;

	(void)state;
	if (fd < 0)
		skip();
	gzip_begin(&z, fd);
	gzip_bytes(&z, given, 10);
	assert_int_equal(gzip_end(&z), ENOSPC);
	gzip_begin(&z, fd);
	gzip_bytes(&z, given, MOST);
	assert_int_equal(gzip_end(&z), ENOSPC);
	close(fd);
	gzip_begin(&z, fd);
	assert_int_equal(gzip_end(&z), EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_holds_what_was_given),
		cmocka_unit_test(the_checksum_is_the_one_of_the_standard),
		cmocka_unit_test(a_failed_write_tells_why),
	};

	return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
